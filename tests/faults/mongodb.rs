//! Faults of the source: what goes wrong at MongoDB, or between it and the host, and that it does no harm.

use std::time::Duration;

use mongodb::bson::{Document, doc};

use crate::catalogue::{Proof, Row, test};
use crate::support::cluster::{Cluster, FAIL_POINTS};
use crate::support::world::event;
use crate::support::{Host, Options, World, until, until_within};

pub fn rows() -> Vec<Row> {
    let row = |number, fault, proof| Row { number, fault, proof };
    vec![
        row(13, "the primary is killed", Proof::Quick(test!(the_primary_is_killed))),
        row(14, "the primary steps down", Proof::Quick(test!(the_primary_steps_down))),
        row(22, "the server answers with an error that heals", Proof::Quick(test!(errors_that_heal))),
    ]
}

/// How many aggregates the events belong to.
const AGGREGATES: i64 = 10;

/// A world whose events are followed by a host, on a replica set of its own.
struct Followed {
    host: Host,
    world: World,
    cluster: Cluster,
    written: i64,
}

impl Followed {
    async fn start(members: usize, arguments: &[&str]) -> Self {
        Self::with(members, arguments, "").await
    }

    async fn with(members: usize, arguments: &[&str], extra: &'static str) -> Self {
        let cluster = Cluster::start(members, arguments).await;
        let options = Options { mongodb: cluster.uri(), lanes: 2, extra, ..Options::mysql() };
        let world = World::new("recorder", options).await;
        let host = world.start();
        let mut followed = Self { host, world, cluster, written: 0 };
        followed.host.until_phase("recorder", "streaming").await;
        followed.write(20).await;
        followed.settled().await;
        followed
    }

    /// Writes further events until a majority has each of them, whatever happens meanwhile.
    async fn write(&mut self, events: i64) {
        let documents: Vec<Document> = (self.written..self.written + events).map(numbered).collect();
        until("the outbox takes documents", async || {
            // Ids make repeating safe: what is there already is refused as a duplicate.
            let inserted = self.world.outbox.insert_many(&documents).ordered(false).await;
            inserted.is_ok() || inserted.is_err_and(|error| only_duplicates(&error))
        })
        .await;
        self.written += events;
    }

    /// Everything written is applied: once, in order, and nothing was parked for it.
    async fn settled(&self) {
        self.settled_within(Duration::from_mins(2)).await;
    }

    async fn settled_within(&self, patience: Duration) {
        let sql = format!("SELECT SUM(events) FROM {}.checkpoint", self.world.control());
        until_within(patience, "everything written is applied", async || {
            self.world.number_if_any(&sql).await.unwrap_or_default() >= self.written
        })
        .await;
        self.world.assert_recorded(self.written, AGGREGATES).await;
        assert_eq!(self.world.letters().await, (0, 0), "an outage is never an event's fault");
    }
}

fn numbered(n: i64) -> Document {
    let (aggregate, sequence) = (n % AGGREGATES, n / AGGREGATES + 1);
    event(&format!("e{n}"), &format!("a{aggregate}"), sequence, doc! { "ordinal": n })
}

fn only_duplicates(error: &mongodb::error::Error) -> bool {
    match &*error.kind {
        mongodb::error::ErrorKind::InsertMany(failed) => {
            failed.write_concern_error.is_none()
                && failed
                    .write_errors
                    .as_ref()
                    .is_some_and(|errors| errors.iter().all(|error| error.code == 11000))
        }
        _ => false,
    }
}

async fn the_primary_is_killed() {
    let mut followed = Followed::start(3, &[]).await;
    let primary = followed.cluster.until_primary().await;
    followed.cluster.kill_member(primary);
    followed.write(50).await;
    followed.settled_within(Duration::from_secs(30)).await;
}

async fn the_primary_steps_down() {
    let mut followed = Followed::start(3, &[]).await;
    let primary = followed.cluster.until_primary().await;
    let step_down = doc! { "replSetStepDown": 10, "force": true };
    followed.cluster.admin(primary).await.run_command(step_down).await.expect("it steps down");
    followed.write(50).await;
    followed.settled_within(Duration::from_secs(30)).await;
}

/// What is tried again, by code: failovers, lost cursors, overload, and codes that nobody has met yet.
const HEALING: [i32; 8] = [6, 43, 91, 189, 237, 11600, 13435, 9001];

async fn errors_that_heal() {
    let mut followed = Followed::start(1, &FAIL_POINTS).await;
    for code in HEALING {
        for command in ["getMore", "aggregate"] {
            let data = doc! { "failCommands": [command], "errorCode": code, "appName": "laterna" };
            followed.cluster.fail(0, "failCommand", doc! { "times": 1 }, data).await;
            followed.write(10).await;
            followed.settled().await;
        }
    }
}
