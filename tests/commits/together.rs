//! Batches of several lanes in one transaction.

use std::sync::Arc;
use std::time::Duration;

use laterna::failure::Failure;
use laterna::readmodel::lane::apply::LaneModel;
use laterna::readmodel::lane::batch::Batch;
use laterna::readmodel::lane::writers::Writers;
use sqlx::Connection;
use tokio::task::JoinHandle;

use super::{commit_at_last, servers};
use crate::support::lane::{Bench, add, put};
use crate::support::proxy::AtCommit;
use crate::support::until;

const LANES: u32 = 5;

/// Until all lanes wait, which nobody else waits for.
const PATIENCE: Duration = Duration::from_mins(1);

/// Lanes that write together, and somebody who keeps the first of them waiting.
struct Queue {
    bench: Bench,
    writers: Arc<Writers>,
    lanes: Vec<LaneModel>,
    lock: sqlx::MySqlConnection,
    first: JoinHandle<LaneModel>,
    /// How many batches were committed before.
    before: i64,
}

impl Queue {
    /// Row 1 is locked, and the first lane, which changes it, waits for it.
    async fn new(bench: Bench) -> Self {
        let mut session = bench.direct().await;
        let epoch = bench.take_lease().await;
        bench.place(&mut session, epoch, LANES).await;
        let writers = Writers::new(LANES, 1000, PATIENCE);
        let mut lanes = vec![];
        for lane in 0..LANES {
            lanes.push(bench.numbered(epoch, lane).await.taking_turns(&writers));
        }
        let mut first = lanes.remove(0);
        commit_at_last(&mut first, &bench.batch(1, vec![put(1)])).await;
        let mut lock = sqlx::MySqlConnection::connect(&bench.world.url()).await.expect("MySQL answers");
        for sql in ["BEGIN", "SELECT amount FROM totals WHERE id = 1 FOR UPDATE"] {
            sqlx::raw_sql(sql).execute(&mut lock).await.expect("it is locked");
        }
        let before = bench.batch_number().await;
        let batch = bench.batch(2, vec![add(1)]);
        let first = tokio::spawn(async move {
            first.commit(&batch).await.expect("the lock is given up in time");
            first
        });
        // Until it waits for the row it may still take others along.
        let waits = "SELECT COUNT(*) FROM information_schema.processlist \
                     WHERE db = DATABASE() AND info LIKE 'UPDATE%amount%'";
        until("the first lane waits for the row", async || bench.world.number(waits).await == 1).await;
        Self { bench, writers, lanes, lock, first, before }
    }

    /// Gives a batch to each of the other lanes, in this order, and lets the first one go when all of them wait.
    async fn give(self, batches: Vec<Arc<Batch>>) -> (Bench, Vec<(LaneModel, Result<(), Failure>)>, i64) {
        let Self { bench, writers, lanes, mut lock, first, before } = self;
        let mut given = vec![];
        for (number, (mut lane, batch)) in lanes.into_iter().zip(batches).enumerate() {
            given.push(tokio::spawn(async move {
                let result = lane.commit(&batch).await;
                (lane, result)
            }));
            until("the lane waits", async || writers.waiting() == number + 1).await;
        }
        sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.expect("the lock is given up");
        first.await.expect("it writes");
        let mut results = vec![];
        for task in given {
            results.push(task.await.expect("it ends"));
        }
        assert_eq!((writers.running(), writers.waiting()), (0, 0));
        (bench, results, before)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lanes_write_together_is_committed_together_and_each_finds_out_for_itself() {
    for (proxy, options) in servers().await {
        for fault in [AtCommit::CutAfter, AtCommit::CutBefore] {
            let queue = Queue::new(Bench::new(options.clone()).await).await;
            // The first lane's passes, and the one that follows is that of all others.
            proxy.after_commits(1, fault);
            let batches = (2..5).map(|number| queue.bench.batch(number + 1, vec![put(number)])).collect();
            let (bench, results, before) = queue.give(batches).await;
            for ((mut lane, result), number) in results.into_iter().zip(2..) {
                let told = result.expect_err("nobody was told");
                assert_eq!(told.class(), "connection-lost", "{fault:?}: {told}");
                commit_at_last(&mut lane, &bench.batch(number + 1, vec![put(number)])).await;
            }
            assert_eq!(bench.batch_number().await, before + 4, "{fault:?}: each batch once");
            assert_eq!(bench.amounts().await, [1, 0, 0, 0], "{fault:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_in_company_is_the_failure_of_its_lane_alone() {
    for (_proxy, options) in servers().await {
        let queue = Queue::new(Bench::new(options).await).await;
        let batches = [(3, put(2)), (4, put(1)), (5, put(3))];
        let batches = batches.map(|(number, one)| queue.bench.batch(number, vec![one])).to_vec();
        let (bench, results, before) = queue.give(batches).await;
        let classes = results.iter().map(|(_, result)| result.as_ref().err().map(Failure::class));
        assert_eq!(classes.collect::<Vec<_>>(), [None, Some("key-conflict"), None]);
        assert_eq!(bench.batch_number().await, before + 3);
        assert_eq!(bench.amounts().await, [1, 0, 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_several_lanes_are_applied_in_the_order_of_the_stream() {
    for (_proxy, options) in servers().await {
        let queue = Queue::new(Bench::new(options).await).await;
        // The lane that came first has what stands last.
        let batches = [(9, add(7)), (3, put(7)), (5, add(7))];
        let batches = batches.map(|(number, one)| queue.bench.batch(number, vec![one])).to_vec();
        let (bench, results, _) = queue.give(batches).await;
        assert!(results.iter().all(|(_, result)| result.is_ok()));
        assert_eq!(bench.amounts().await, [1, 2]);
    }
}

/// Stamps are random 64 bits: one that went through a type that rounds it would not be the witness's.
#[tokio::test(flavor = "multi_thread")]
async fn each_lane_of_a_transaction_leaves_its_own_row_mark_and_witness() {
    for (_proxy, options) in servers().await {
        let queue = Queue::new(Bench::new(options).await).await;
        let batches = [(9, vec![put(9)]), (3, vec![]), (5, vec![put(5), add(5)])];
        let batches = batches.map(|(number, all)| queue.bench.batch(number, all)).to_vec();
        let (bench, results, _) = queue.give(batches).await;
        assert!(results.iter().all(|(_, result)| result.is_ok()));
        let rows = bench
            .world
            .rows(&format!(
                "SELECT CONCAT_WS(' ', c.lane, c.batch, c.events, c.known_events, c.fingerprint_events, \
                        SUBSTRING(c.position, LOCATE('82', c.position), 8), d.events, d.ignored_from, HEX(d.event_ids)) \
                 FROM {control}.checkpoint c \
                 JOIN `{witness}` w ON w.lane = c.lane AND w.batch = c.batch AND w.stamp = c.witness_stamp \
                 JOIN {control}.dedupe d ON d.lane = c.lane \
                 WHERE c.lane > 0 ORDER BY c.lane",
                control = bench.world.control(),
                witness = laterna::readmodel::lane::witness::table(&bench.control, "p"),
            ))
            .await;
        let rows: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, 0)).collect();
        let id = |number: u8| format!("0009{:02X}{number:016X}", b'i');
        let expected =
            [("1 2 1 1 1 82000009 1 11", 9), ("2 2 1 1 1 82000003 1 0", 3), ("3 2 1 1 1 82000005 1 11", 5)];
        assert_eq!(rows, expected.map(|(row, number)| format!("{row} {}", id(number))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_write_together_wait_for_no_other_projections_lanes() {
    for (_proxy, options) in servers().await {
        let bench = Bench::new(options).await;
        let control = bench.world.control();
        // They stand there before: their insertion would wait for the lanes that are being placed.
        for lane in 0..LANES {
            let row = format!(
                "INSERT INTO {control}.checkpoint (projection, generation, lane, epoch, batch, position, digest) \
                 VALUES ('q', 1, {lane}, 1, 1, '', REPEAT('0', 64))"
            );
            bench.world.run(&row).await;
        }
        let queue = Queue::new(bench).await;
        let mut other =
            sqlx::MySqlConnection::connect(&queue.bench.world.url()).await.expect("MySQL answers");
        let locked = format!(
            "SELECT * FROM {control}.checkpoint FORCE INDEX (PRIMARY) WHERE projection = 'q' FOR UPDATE"
        );
        for sql in ["BEGIN", &locked] {
            sqlx::raw_sql(sql).execute(&mut other).await.expect("the other projection writes");
        }
        let batches = (3..7).map(|number| queue.bench.batch(number, vec![put(number)])).collect();
        let (_, results, _) = queue.give(batches).await;
        let results: Vec<_> = results.into_iter().map(|(_, result)| result).collect();
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
}
