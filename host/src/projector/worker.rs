//! A guest on a thread of its own, for callers that are async.
//!
//! One order at a time: nothing queues up here, so what is in flight is what the lane holds. Whatever goes wrong
//! on the thread comes back as a failure; the thread itself goes on until its worker is dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::{io, thread};

use tokio::sync::{mpsc, oneshot};

use super::chain::{Chain, Guests};
use super::engine::THREAD_STACK_BYTES;
use super::instance::panic_message;
use super::outcome::Outcome;
use crate::event::Event;
use crate::failure::Failure;

/// The hand-over to a projector's thread. Dropping it ends the thread once its current run is over, which the
/// deadline bounds.
pub struct Worker {
    requests: mpsc::Sender<WorkerRequest>,
}

/// Events to be projected, and who waits for what comes of them.
struct WorkerRequest {
    events: Vec<Arc<Event>>,
    reply: oneshot::Sender<Result<Vec<Outcome>, Failure>>,
}

impl Worker {
    pub fn start(pair: impl Into<Chain>, projection: &str) -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel(1);
        let guests = Guests::new(pair.into(), projection);
        thread::Builder::new()
            .name("projector".into())
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || work(guests, inbox))?;
        Ok(Self { requests })
    }

    /// Asks the chain about each event.
    pub async fn project(&self, events: Vec<Arc<Event>>) -> Result<Vec<Outcome>, Failure> {
        let (reply, answer) = oneshot::channel();
        let gone = || Failure::Bug { what: "the projector's thread is gone".to_owned() };
        self.requests.send(WorkerRequest { events, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn work(mut guests: Guests, mut inbox: mpsc::Receiver<WorkerRequest>) {
    while let Some(WorkerRequest { events, reply }) = inbox.blocking_recv() {
        let events: Vec<&Event> = events.iter().map(Arc::as_ref).collect();
        // A caller that went away does not want its answer: nothing is left to do then.
        drop(reply.send(caught(&mut guests, |guests| guests.project(&events))));
    }
}

/// A panic outside the guest's own runs is a bug of this host; the projection pauses with its message.
fn caught<T>(
    guests: &mut Guests,
    call: impl FnOnce(&mut Guests) -> Result<T, Failure>,
) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(|| call(guests))).unwrap_or_else(|panic| {
        guests.reset();
        let what = format!("the projector's thread panicked: {}", panic_message(&*panic));
        tracing::error!("{what}");
        Err(Failure::Bug { what })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::projector::test_component::{HEALTHY, bytes, event, load, poison, poisoned_by};
    use crate::projector::{Budget, Component, Engine};

    fn worker(project: &str) -> Worker {
        Worker::start(load(project, &Budget::default()), "test").expect("a thread starts")
    }

    fn events(numbers: std::ops::Range<i64>) -> Vec<Arc<Event>> {
        numbers.map(|number| Arc::new(event(number))).collect()
    }

    #[tokio::test]
    async fn a_worker_serves_async_callers() {
        let worker = worker(&poisoned_by("unreachable"));
        assert_eq!(worker.project(events(0..100)).await.expect("it answers").len(), 100);
        let alone = worker.project(vec![Arc::new(poison(1))]).await.expect("it answers");
        assert!(matches!(alone[..], [Outcome::Failed(Failure::Trapped { .. })]));
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_holds_nobody_up() {
        let worker = worker(&poisoned_by("(loop $forever (br $forever))"));
        let endless = worker.project(vec![Arc::new(poison(1))]);
        let _ = tokio::time::timeout(Duration::from_millis(1), endless).await;
        assert_eq!(worker.project(events(0..1)).await.expect("it answers").len(), 1);
    }

    #[tokio::test]
    async fn a_dropped_worker_ends_its_thread() {
        let engine = Engine::new(None).expect("an engine starts");
        let weak = engine.wasmtime().weak();
        let component = Component::load(&engine, &bytes(HEALTHY), &Budget::default()).expect("it loads");
        let worker = Worker::start(component, "test").expect("a thread starts");
        worker.project(events(0..1)).await.expect("it answers");
        drop((engine, worker));
        while weak.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_panic_is_a_failure_of_the_set_up_and_the_guest_works_on() {
        let mut guest = Guests::new(load(HEALTHY, &Budget::default()).into(), "test");
        let failure = caught(&mut guest, |_| -> Result<(), Failure> { panic!("on purpose") });
        assert!(matches!(failure, Err(Failure::Bug { what }) if what.contains("on purpose")));
        assert_eq!(guest.project(&[&event(1)]).expect("it works").len(), 1);
    }
}
