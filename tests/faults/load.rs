//! A host at work while something goes wrong: events keep coming, and each has to arrive once, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bson::doc;
use tokio::task::JoinHandle;

use crate::support::world::event;
use crate::support::{Host, Options, World, some_time, until, until_within};

const AGGREGATES: i64 = 100;

/// How soon what is wrong has to show in `/readyz`.
const TOLD: Duration = Duration::from_secs(20);

pub struct Load {
    /// Before the world, so that its log is still there when a test fails.
    pub host: Host,
    pub world: World,
    sent: Arc<AtomicI64>,
    done: Arc<AtomicBool>,
    writing: JoinHandle<()>,
}

impl Load {
    /// A host with the projector `recorder`, which takes no event twice and tells disorder.
    pub async fn on(options: Options) -> Self {
        Self::of(World::new("recorder", options).await).await
    }

    /// The same in a world that is made ready already.
    pub async fn of(world: World) -> Self {
        let host = world.start();
        host.until_phase("recorder", "streaming").await;
        let (sent, done) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
        let writing = tokio::spawn(write(world.outbox.clone(), sent.clone(), done.clone()));
        world.until_committed("recorder", 300).await;
        Self { host, world, sent, done, writing }
    }

    /// How many events were written.
    pub fn sent(&self) -> i64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until health tells of the fault, in one of these words.
    pub async fn until_told(&self, words: &[&str]) {
        let (what, began) = (format!("/readyz tells of {words:?}"), Instant::now());
        until_within(TOLD, &what, async || match self.host.get("/readyz").await {
            Some((503, text)) => words.iter().any(|word| text.contains(word)),
            _ => false,
        })
        .await;
        println!("told after {:.1} s", began.elapsed().as_secs_f64());
    }

    /// Whether the host has tried anything again because MySQL gave its transaction up.
    pub async fn has_lost_transactions(&self) -> bool {
        let (_, metrics) = self.host.get("/metrics").await.expect("it answers");
        metrics.lines().any(|line| line.contains("class=\"transaction-lost\""))
    }

    /// The fault is over: the host commits again within a time, however much there is to make up for.
    pub async fn goes_on_within(&self, limit: Duration) {
        let committed = format!("SELECT SUM(events) FROM {}.checkpoint", self.world.control());
        let (before, began) =
            (self.world.number_if_any(&committed).await.unwrap_or_default(), Instant::now());
        until_within(limit, "the host commits again", async || {
            self.world.number_if_any(&committed).await.unwrap_or_default() > before
        })
        .await;
        println!("went on after {:.2?} of {limit:?}", began.elapsed());
    }

    /// The fault is over: all that was sent until now has to be there within a time.
    pub async fn recovers_within(&self, limit: Duration) {
        let (sent, began) = (self.sent(), Instant::now());
        let committed = format!("SELECT SUM(events) FROM {}.checkpoint", self.world.control());
        until_within(limit, "all events are there", async || {
            self.world.number_if_any(&committed).await.unwrap_or_default() >= sent
        })
        .await;
        println!("recovered after {:.2?} of {limit:?}", began.elapsed());
    }

    /// Nothing was lost, nothing doubled, nothing blamed on an event; all is well, and the host stops when it is asked to.
    pub async fn ends_well(self) -> World {
        let Self { host, world, sent, done, writing } = self;
        done.store(true, Ordering::Relaxed);
        writing.await.expect("the writer is done");
        let sent = sent.load(Ordering::Relaxed);
        world.until_committed("recorder", sent).await;
        world.assert_recorded(sent, AGGREGATES).await;
        assert_eq!(world.letters().await, (0, 0), "a fault of the environment is never an event's");
        until("the host says that all is well", async || {
            host.get("/readyz").await.is_some_and(|(code, _)| code == 200)
        })
        .await;
        assert!(host.stop().await.success());
        world
    }
}

async fn write(outbox: mongodb::Collection<bson::Document>, sent: Arc<AtomicI64>, done: Arc<AtomicBool>) {
    let document = |n: i64| {
        let (aggregate, sequence) = (n % AGGREGATES, n / AGGREGATES + 1);
        event(&format!("e{n}"), &format!("a{aggregate}"), sequence, doc! { "ordinal": n })
    };
    while !done.load(Ordering::Relaxed) {
        let from = sent.load(Ordering::Relaxed);
        outbox.insert_many((from..from + AGGREGATES).map(document)).await.expect("documents are taken");
        sent.store(from + AGGREGATES, Ordering::Relaxed);
        some_time(100).await;
    }
}
