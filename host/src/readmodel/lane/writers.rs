//! The lanes of a run take turns at MySQL: one that comes while others write waits, and is then written together with all that
//! came meanwhile.
//!
//! So a lane keeps its order and its checkpoint, and a transaction costs the server what one lane's would. How many write at a
//! time follows the distance: where the host mostly waits for answers, more of them hide the way.

mod distance;

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::dedupe::DedupeMark;
use super::lane_batch::{LaneBatch, Pace};
use distance::Distance;

/// Whoever led is gone, and nobody knows how far it came; no session has this number.
const LOST: Turn = Turn::Lost { session: 0 };

/// How long a lane waits for company at most: a transaction that is held up by a lock or a slow statement holds no other lane up.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// The lanes' turns at MySQL.
#[derive(Debug)]
pub struct Writers {
    state: Mutex<WritersState>,
    /// Wakes whoever gathers: a lane came, or its batch will not come.
    arrivals: Notify,
    lanes: u32,
    /// How many events are written together at most.
    entries_max: usize,
    /// How long a lane waits for company.
    patience: Duration,
}

#[derive(Debug)]
struct WritersState {
    running: u32,
    /// How many may write at a time.
    most: u32,
    waiting: VecDeque<Waiting>,
    /// How many batches each lane has on the way to its turn, or in it.
    on_the_way: BTreeMap<u32, u32>,
    distance: Distance,
}

/// A batch of a lane, from its projecting until it is written: those who write wait for it.
#[derive(Debug)]
pub struct OnTheWay {
    writers: Arc<Writers>,
    lane: u32,
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        if let Entry::Occupied(mut batches) = self.writers.lock().on_the_way.entry(self.lane) {
            *batches.get_mut() -= 1;
            if *batches.get() == 0 {
                batches.remove();
            }
        }
        self.writers.arrivals.notify_waiters();
    }
}

#[derive(Debug)]
struct Waiting {
    part: LaneBatch,
    word: oneshot::Sender<Turn>,
}

/// What a lane is to do with its part.
#[derive(Debug)]
pub enum Turn {
    /// Write these parts; its own is the first.
    Lead(Leading),
    /// Nothing: another lane has written it, with this mark.
    Written(Option<DedupeMark>),
    /// Find out whether it was written in this session, in which a commit may still be running.
    Lost { session: u64 },
    /// Write it alone: it is half full, nobody came to take it along in time, or what was written together was refused.
    Alone(LaneBatch),
}

/// Parts of one transaction. Whoever drops it without a word leaves the other lanes to find out for themselves.
#[derive(Debug)]
pub struct Leading {
    writers: Arc<Writers>,
    /// Others wait for it.
    is_counted: bool,
    parts: Vec<LaneBatch>,
    /// To whom all parts but the first belong.
    words: Vec<oneshot::Sender<Turn>>,
    /// How long it waited for other lanes.
    waited: Duration,
}

impl Writers {
    /// Those of so many lanes, whose batches have so many events at most.
    pub fn new(lanes: u32, entries_max: usize, patience: Duration) -> Arc<Self> {
        let (waiting, on_the_way) = (VecDeque::new(), BTreeMap::new());
        let state = WritersState { running: 0, most: 1, waiting, on_the_way, distance: Distance::default() };
        let (state, arrivals) = (Mutex::new(state), Notify::new());
        Arc::new(Self { state, arrivals, lanes: lanes.max(1), entries_max, patience })
    }

    /// Notes that a batch of a lane is on its way.
    pub fn expect(self: &Arc<Self>, lane: u32) -> OnTheWay {
        *self.lock().on_the_way.entry(lane).or_default() += 1;
        OnTheWay { writers: self.clone(), lane }
    }

    /// Waits until it is this part's turn, or another lane has taken it along.
    pub async fn turn(self: &Arc<Self>, part: LaneBatch) -> Turn {
        let (lane, mut waits) = {
            let mut state = self.lock();
            // A batch that is full gains nothing by waiting for others.
            if part.batch.entries.len() * 2 > self.entries_max {
                return Turn::Alone(part);
            }
            if state.running < state.most {
                return Turn::Lead(self.lead(&mut state, part));
            }
            let (lane, (word, waits)) = (part.turn.lane.lane, oneshot::channel());
            state.waiting.push_back(Waiting { part, word });
            (lane, waits)
        };
        self.arrivals.notify_waiters();
        if let Ok(word) = tokio::time::timeout(self.patience, &mut waits).await {
            return word.unwrap_or(LOST);
        }
        if let Some(waiting) = self.lock().leave(lane) {
            return Turn::Alone(waiting.part);
        }
        // Somebody has taken it along.
        waits.await.unwrap_or(LOST)
    }

    /// Lets a part be written at once, and alone. Nobody waits for it.
    pub fn alone(self: &Arc<Self>, part: LaneBatch) -> Leading {
        self.leading(part, false)
    }

    /// How many transactions are being written.
    pub fn running(&self) -> u32 {
        self.lock().running
    }

    /// How many lanes wait for their turn.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lead(self: &Arc<Self>, state: &mut WritersState, part: LaneBatch) -> Leading {
        state.running += 1;
        self.leading(part, true)
    }

    fn leading(self: &Arc<Self>, part: LaneBatch, is_counted: bool) -> Leading {
        let (parts, words, waited) = (vec![part], vec![], Duration::ZERO);
        Leading { writers: self.clone(), is_counted, parts, words, waited }
    }

    /// One writes no more: whoever waits longest is next.
    fn pass_on(self: &Arc<Self>) {
        self.lock().running -= 1;
        loop {
            let next = {
                let mut state = self.lock();
                let is_free = state.running < state.most;
                state.waiting.retain(|waiting| !waiting.word.is_closed());
                let next = if is_free { state.waiting.pop_front() } else { None };
                next.map(|Waiting { part, word }| (self.lead(&mut state, part), word))
            };
            let Some((leading, word)) = next else { return };
            // A lane that goes just now drops it, and it is passed on from there.
            drop(word.send(Turn::Lead(leading)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, WritersState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WritersState {
    /// Takes a lane out of those that wait.
    fn leave(&mut self, lane: u32) -> Option<Waiting> {
        let at = self.waiting.iter().position(|waiting| waiting.part.turn.lane.lane == lane)?;
        self.waiting.remove(at)
    }
}

impl Leading {
    pub fn parts(&self) -> &[LaneBatch] {
        &self.parts
    }

    /// Takes along those that wait now, and fit, and for a moment waits for those whose batch is on its way: the last moment
    /// is best.
    pub async fn gather(&mut self) -> &[LaneBatch] {
        if !self.is_counted {
            return &self.parts;
        }
        let (writers, began) = (self.writers.clone(), Instant::now());
        let until = began + writers.lock().distance.gathering();
        loop {
            let arrival = writers.arrivals.notified();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            self.take_along();
            if !self.is_awaiting() || timeout_at(until, arrival).await.is_err() {
                break;
            }
        }
        self.waited = began.elapsed();
        &self.parts
    }

    /// Returns true where another lane's batch is on its way, and there may be room for it.
    fn is_awaiting(&self) -> bool {
        let state = self.writers.lock();
        let is_here = |lane: u32| {
            let parts = self.parts.iter().chain(state.waiting.iter().map(|waiting| &waiting.part));
            parts.map(|part| part.turn.lane.lane).any(|here| here == lane)
        };
        // Others write as well, which may be what is on its way.
        state.running == 1 && state.on_the_way.keys().any(|lane| !is_here(*lane))
    }

    fn take_along(&mut self) {
        let mut state = self.writers.lock();
        let mut entries: usize = self.parts.iter().map(|part| part.batch.entries.len()).sum();
        for waiting in std::mem::take(&mut state.waiting) {
            let more = waiting.part.batch.entries.len();
            let is_alike = Arc::ptr_eq(&waiting.part.batch.version, &self.parts[0].batch.version);
            if waiting.word.is_closed() {
                continue;
            }
            if is_alike && entries + more <= self.writers.entries_max {
                entries += more;
                self.parts.push(waiting.part);
                self.words.push(waiting.word);
            } else {
                state.waiting.push_back(waiting);
            }
        }
    }

    /// Learns from a transaction that took so long.
    pub fn took(&self, pace: Pace, time: Duration) {
        let mut state = self.writers.lock();
        state.distance.learn(pace, time.saturating_sub(self.waited));
        state.most = state.distance.writers().clamp(1, self.writers.lanes);
    }

    /// All is committed: returns the own mark.
    pub fn written(mut self, marks: Vec<Option<DedupeMark>>) -> Option<DedupeMark> {
        let mut marks = marks.into_iter();
        let own = marks.next().flatten();
        for (word, mark) in self.words.drain(..).zip(marks) {
            drop(word.send(Turn::Written(mark)));
        }
        own
    }

    /// Nobody knows what became of it.
    pub fn lost(mut self, session: u64) {
        for word in self.words.drain(..) {
            drop(word.send(Turn::Lost { session }));
        }
    }

    /// Nothing is committed, and each tries alone: returns the own part.
    pub fn part_ways(mut self) -> LaneBatch {
        let own = self.parts.remove(0);
        for (word, part) in self.words.drain(..).zip(self.parts.drain(..)) {
            drop(word.send(Turn::Alone(part)));
        }
        own
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        if self.is_counted {
            self.writers.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Delivery, Undecodable};
    use crate::fingerprint::Fingerprint;
    use crate::position::{Position, Token};
    use crate::readmodel::lane::Lane;
    use crate::readmodel::lane::batch::{Batch, Entry, Passed, Verdict};
    use crate::readmodel::lane::checkpoint::BatchToken;
    use crate::statement::Deployed;

    const ENTRIES_MAX: usize = 10;

    /// Lanes of one run, each with batches of so many events.
    struct Lanes {
        writers: Arc<Writers>,
        version: Arc<Deployed>,
    }

    impl Lanes {
        fn new() -> Self {
            Self { writers: Writers::new(4, ENTRIES_MAX, PATIENCE), version: Deployed::empty("d") }
        }

        fn part(&self, lane: u32, events: usize) -> LaneBatch {
            let position = Position::Stream { token: Token { data: "82".into(), type_bits: None } };
            let event = Err(Undecodable { reason: String::new(), field: None, id: None, aggregate: None });
            let delivery = Delivery {
                position: position.clone(),
                time: None,
                wall_ms: None,
                document: Arc::from(&[][..]),
                event,
            };
            let entry = Entry { delivery, verdict: Verdict::Pass(Passed::Unhandled), mark: None };
            let lane = Lane { projection: "p".into(), generation: 1, lane };
            LaneBatch {
                turn: BatchToken { lane, epoch: 1, batch: 0, stamp: 1 },
                batch: Arc::new(Batch {
                    entries: vec![entry; events],
                    position,
                    version: self.version.clone(),
                }),
                fingerprint: Fingerprint::default(),
                outdated: None,
                changes_component: false,
            }
        }

        /// A lane that asks for its turn, until it waits or has it.
        async fn asks(&self, lane: u32, events: usize) -> tokio::task::JoinHandle<Turn> {
            let (writers, part) = (self.writers.clone(), self.part(lane, events));
            let asking = tokio::spawn(async move { writers.turn(part).await });
            tokio::task::yield_now().await;
            asking
        }

        async fn leads(&self, lane: u32) -> Leading {
            match self.asks(lane, 1).await.await.expect("it ends") {
                Turn::Lead(leading) => leading,
                other => panic!("{other:?}"),
            }
        }
    }

    fn lanes(leading: &Leading) -> Vec<u32> {
        leading.parts().iter().map(|part| part.turn.lane.lane).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_come_while_one_writes_are_written_together_by_the_next() {
        let of = Lanes::new();
        let first = of.leads(0).await;
        let (second, third) = (of.asks(1, 1).await, of.asks(2, 1).await);
        assert_eq!((of.writers.running(), of.writers.waiting()), (1, 2));
        first.written(vec![None]);
        let Turn::Lead(mut leading) = second.await.expect("it ends") else { panic!("it is its turn") };
        leading.gather().await;
        assert_eq!(lanes(&leading), [1, 2]);
        let mark = DedupeMark { row: 7, lane: 2, events: 1 };
        assert_eq!(leading.written(vec![None, Some(mark)]), None);
        assert!(matches!(third.await, Ok(Turn::Written(Some(found))) if found == mark));
        assert_eq!((of.writers.running(), of.writers.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_long_where_one_is_held_up() {
        let of = Lanes::new();
        let held_up = of.leads(0).await;
        let waits = of.asks(1, 1).await;
        tokio::time::sleep(PATIENCE / 2).await;
        assert!(!waits.is_finished());
        assert!(matches!(waits.await, Ok(Turn::Alone(part)) if part.turn.lane.lane == 1));
        assert_eq!((of.writers.running(), of.writers.waiting()), (1, 0));
        drop(held_up);
    }

    #[tokio::test(start_paused = true)]
    async fn batches_that_are_half_full_go_at_once_and_keep_no_small_one_waiting() {
        let of = Lanes::new();
        for lane in 0..3 {
            let full = of.asks(lane, ENTRIES_MAX / 2 + 1).await.await;
            assert!(matches!(full, Ok(Turn::Alone(_))), "{full:?}");
        }
        assert_eq!(lanes(&of.leads(3).await), [3]);
        let (_first, _waits) = (of.leads(0).await, of.asks(1, ENTRIES_MAX / 2).await);
        assert_eq!(of.writers.waiting(), 1, "half full is not more than half");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_written_together_than_one_batch_may_have() {
        let of = Lanes::new();
        let first = of.leads(0).await;
        let waiting = [of.asks(1, 5).await, of.asks(2, 5).await, of.asks(3, 1).await];
        drop(first);
        let [second, third, fourth] = waiting;
        let Ok(Turn::Lead(mut leading)) = second.await else { panic!("it is its turn") };
        leading.gather().await;
        assert_eq!(lanes(&leading), [1, 2]);
        assert_eq!(of.writers.waiting(), 1);
        drop(leading);
        assert!(
            matches!(third.await, Ok(Turn::Lost { .. })),
            "its leader is gone, and nobody knows how far it came"
        );
        assert!(matches!(fourth.await, Ok(Turn::Lead(leading)) if lanes(&leading) == [3]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_is_on_its_way_is_waited_for_and_one_that_does_not_come_is_not_for_long() {
        let of = Lanes::new();
        let (comes, fails, own) = (of.writers.expect(1), of.writers.expect(2), of.writers.expect(0));
        let mut leading = of.leads(0).await;
        leading.gather().await;
        assert_eq!(lanes(&leading), [0], "how long a transaction takes is not known yet");
        leading.took(Pace { round_trip: Duration::ZERO, round_trips: 6 }, Duration::from_millis(4));
        let began = Instant::now();
        let (gathered, ()) = tokio::join!(leading.gather(), async {
            drop(of.asks(1, 1).await);
            drop(fails);
        });
        assert_eq!((gathered.len(), began.elapsed()), (2, Duration::ZERO), "nobody else is on the way");
        let never = of.writers.expect(3);
        leading.gather().await;
        assert_eq!((lanes(&leading), began.elapsed().as_millis()), (vec![0, 1], 2), "half of a transaction");
        drop((comes, own, never));
        leading.gather().await;
        assert_eq!(began.elapsed().as_millis(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_is_gone_is_passed_over() {
        let of = Lanes::new();
        let first = of.leads(0).await;
        let (gone, waits) = (of.asks(1, 1).await, of.asks(2, 1).await);
        gone.abort();
        tokio::task::yield_now().await;
        drop(first);
        assert!(matches!(waits.await, Ok(Turn::Lead(leading)) if lanes(&leading).contains(&2)));
        assert_eq!((of.writers.running(), of.writers.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_together_goes_back_to_each() {
        let of = Lanes::new();
        let first = of.leads(0).await;
        let (second, third) = (of.asks(1, 1).await, of.asks(2, 1).await);
        drop(first);
        let Ok(Turn::Lead(mut leading)) = second.await else { panic!("it is its turn") };
        leading.gather().await;
        assert_eq!(leading.part_ways().turn.lane.lane, 1);
        assert!(matches!(third.await, Ok(Turn::Alone(part)) if part.turn.lane.lane == 2));
    }
}
