//! A COMMIT whose outcome nobody was told: cut before the server heard of it, cut before its answer, or its answer lost
//! on a connection that stays open. Only the checkpoint knows, and it decides, for batches, letters, lanes and the lease.

mod together;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::doc;
use laterna::failure::Failure;
use laterna::readmodel::control::lease::Acquired;
use laterna::readmodel::lane::apply::LaneModel;
use laterna::readmodel::lane::batch::{Batch, Entry, Verdict};
use laterna::readmodel::lane::dead_letter::Letter;
use rand::Rng;

use crate::support::lane::{Bench, add, entry, put, start};
use crate::support::proxy::{AtCommit, Proxy};
use crate::support::world::event;
use crate::support::{Mysqld, Options, World, random, some_time, until};

/// Every way in which a COMMIT's outcome can be hidden. The last one takes seconds to be noticed.
const FAULTS: [AtCommit; 3] = [AtCommit::CutBefore, AtCommit::CutAfter, AtCommit::LoseAnswer];

/// How soon a lost answer is noticed, on a busy machine: long before the transaction's limit.
const NOTICED: Duration = Duration::from_secs(20);

/// Both servers, each behind a proxy in plain text.
async fn servers() -> [(Proxy, Options); 2] {
    let port = |name: &str| std::env::var(name).ok().and_then(|port| port.parse().ok()).expect("a port");
    let (mysql, mariadb) =
        (Proxy::to(port("LATERNA_MYSQL_PORT")).await, Proxy::to(port("LATERNA_MARIADB_PORT")).await);
    let through = |proxy: &Proxy| Some(Mysqld::url_at(proxy.port));
    let options = [
        Options { host_mysql: through(&mysql), ..Options::mysql() },
        Options { host_mysql: through(&mariadb), ..Options::mariadb() },
    ];
    let [first, second] = options;
    [(mysql, first), (mariadb, second)]
}

/// The same lane model gives the same batch until it is told that it is committed.
async fn commit_at_last(lane: &mut LaneModel, batch: &Arc<Batch>) {
    until("the batch is committed", async || match lane.commit(batch).await {
        Ok(()) => true,
        Err(Failure::ConnectionLost { .. }) => false,
        Err(failure) => panic!("the same lane can go on: {failure}"),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_outcome_nobody_was_told_is_settled_by_the_checkpoint() {
    for (proxy, options) in servers().await {
        let bench = Bench::new(options).await;
        let mut lane = bench.lane(1).await;
        commit_at_last(&mut lane, &bench.batch(1, vec![put(1)])).await;
        let mut number = 1;
        for (fault, times) in FAULTS.into_iter().zip([20, 20, 1]) {
            for time in 0..times {
                number += 1;
                let next = bench.batch(number, vec![add(1)]);
                proxy.at_commit(fault);
                let began = Instant::now();
                let told = lane.commit(&next).await.expect_err("the answer did not come");
                assert_eq!(told.class(), "connection-lost", "{told}");
                assert!(began.elapsed() < NOTICED, "{fault:?} was noticed after {:?}", began.elapsed());
                // Half of the time the server is given time to carry it out, so that both orders are seen.
                if fault != AtCommit::CutBefore && time % 2 == 0 {
                    until("the server has committed", async || bench.batch_number().await == number).await;
                }
                commit_at_last(&mut lane, &next).await;
                assert_eq!(bench.batch_number().await, number, "{fault:?}");
                assert_eq!(bench.amounts().await, [number - 1], "{fault:?}: each batch added one");
            }
        }
        assert_eq!(proxy.struck(), 41);
    }
}

/// A parked letter of an aggregate, which is its head.
async fn parked(bench: &Bench, lane: &mut LaneModel, number: i64) -> Letter {
    let operations = vec![add(1)];
    let failure = Failure::RefusedValue { code: 1406, message: "a test".into() };
    let entry: Entry = entry(number, number, vec![]);
    let key = entry.delivery.aggregate().expect("it has one").key();
    let entry = Entry { verdict: Verdict::Park { failure, operations }, ..entry };
    commit_at_last(lane, &bench.batch_of(number, vec![entry])).await;
    lane.letter_behind(&key, 0).await.expect("MySQL answers").expect("it is parked")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_whose_transaction_has_an_unknown_outcome_is_applied_or_discarded_once() {
    for (proxy, options) in servers().await {
        let bench = Bench::new(options).await;
        let mut lane = bench.lane(1).await;
        commit_at_last(&mut lane, &bench.batch(1, vec![put(1)])).await;
        let (mut number, mut applied) = (1, 0);
        for (fault, times) in FAULTS.into_iter().zip([8, 8, 1]) {
            for _ in 0..times {
                number += 1;
                let letter = parked(&bench, &mut lane, number).await;
                proxy.at_commit(fault);
                until("the letter is applied", async || {
                    lane.apply_letter(&letter, &[add(1)], &bench.version).await.is_ok()
                })
                .await;
                applied += 1;
                assert_eq!(bench.amounts().await, [applied], "{fault:?}");

                number += 1;
                let letter = parked(&bench, &mut lane, number).await;
                proxy.at_commit(fault);
                until("the letter is discarded", async || {
                    lane.discard_letter(&letter, "a test", "why not").await.is_ok()
                })
                .await;
                assert_eq!(bench.world.letters().await, (0, 0), "{fault:?}");
                assert_eq!(bench.batch_number().await, 2 * number - 1, "each transaction counts once");
            }
        }
        assert_eq!(proxy.struck(), 34);
        let discarded = format!("SELECT COUNT(*) FROM {}.discarded", bench.world.control());
        assert_eq!(bench.world.number(&discarded).await, 17);
        // The lane goes on from where it is.
        commit_at_last(&mut lane, &bench.batch(number + 1, vec![add(1)])).await;
        assert_eq!(bench.amounts().await, [18]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_lanes_with_an_unknown_outcome_happened_or_did_not() {
    for (proxy, options) in servers().await {
        let bench = Bench::new(options).await;
        let mut lane = bench.lane(1).await;
        commit_at_last(&mut lane, &bench.batch(1, vec![put(1)])).await;
        drop(lane);
        let totals = format!("SELECT SUM(events) FROM {}.checkpoint", bench.world.control());
        let count = format!("SELECT COUNT(*) FROM {}.checkpoint", bench.world.control());
        let mut lanes = 1;
        for (fault, times) in FAULTS.into_iter().zip([5, 5, 1]) {
            for _ in 0..times {
                proxy.at_commit(fault);
                let wanted = lanes + 1;
                until("the lanes are replaced", async || {
                    let Ok(mut session) = bench.connector.connect().await else { return false };
                    // As a start does it: what the rows say comes first.
                    let mut db = bench.control.of(&mut session, "p");
                    let rows = db.lane_rows(1).await;
                    let found = rows.expect("MySQL answers").len();
                    assert!(
                        [lanes, wanted].contains(&u32::try_from(found).expect("it is small")),
                        "{found} is neither before nor after"
                    );
                    if found == wanted as usize {
                        return true;
                    }
                    // The time limit is the statement's own, which is longer than what a test waits for.
                    let start = start();
                    let mut leader = db.under(1);
                    let replaced = leader.replace_lanes(1, wanted, &start);
                    matches!(tokio::time::timeout(Duration::from_secs(5), replaced).await, Ok(Ok(())))
                })
                .await;
                lanes = wanted;
                assert_eq!(bench.world.number(&count).await, i64::from(lanes), "{fault:?}");
                assert_eq!(
                    bench.world.number(&totals).await,
                    1,
                    "{fault:?}: the counts are taken along once"
                );
            }
        }
        assert_eq!(proxy.struck(), 11);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_take_over_with_an_unknown_outcome_never_leaves_two_writers() {
    for (proxy, options) in servers().await {
        let bench = Bench::new(options).await;
        let mut old = bench.lane(1).await;
        commit_at_last(&mut old, &bench.batch(1, vec![put(1)])).await;
        bench.world.run(&format!("UPDATE {}.lease SET connection_id = 0", bench.world.control())).await;
        let mut epoch = 1;
        for (fault, times) in FAULTS.into_iter().zip([5, 5, 1]) {
            for _ in 0..times {
                proxy.at_commit(fault);
                let mut mine = None;
                until("the lease is taken", async || {
                    let Ok(mut session) = bench.connector.connect().await else { return false };
                    let mut db = bench.control.of(&mut session, "p");
                    let asked = db.acquire_lease(&bench.connector, "a test", Duration::from_mins(1));
                    match tokio::time::timeout(Duration::from_secs(5), asked).await {
                        // The session goes, and with it the claim: so the next round can take it.
                        Ok(Ok(Acquired::Mine { epoch })) => mine = Some(epoch),
                        Ok(Ok(Acquired::Taken { .. }) | Err(_)) | Err(_) => {}
                    }
                    mine.is_some()
                })
                .await;
                let now = mine.expect("it was taken");
                assert!(now > epoch, "{fault:?}: an epoch is never given twice: {now} after {epoch}");
                epoch = now;
                let epochs =
                    |table: &str| format!("SELECT MAX(epoch) FROM {}.{table}", bench.world.control());
                for table in ["lease", "checkpoint"] {
                    let stored = bench.world.number(&epochs(table)).await;
                    assert_eq!(stored.unsigned_abs(), epoch, "{fault:?}: {table}");
                }
            }
        }
        assert_eq!(proxy.struck(), 11);
        let refused = async || old.commit(&bench.batch(2, vec![add(1)])).await;
        let mut refused = refused;
        until("the old writer is told", async || match refused().await {
            Err(Failure::Fenced { mine: 1, found }) => found == epoch,
            Err(Failure::ConnectionLost { .. }) => false,
            other => panic!("the old writer must not go on: {other:?}"),
        })
        .await;
        assert_eq!(bench.amounts().await, [0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_commits_are_cut_again_and_again_applies_each_event_once_without_a_restart() {
    const AGGREGATES: i64 = 50;
    const STRIKES: u64 = 40;
    let mut rng = random("commits cut");
    let [(proxy, options), _] = servers().await;
    let world = World::new("recorder", Options { batch_max: 20, ..options }).await;
    let document = |n: i64| {
        let (aggregate, sequence) = (n % AGGREGATES, n / AGGREGATES + 1);
        event(&format!("e{n}"), &format!("a{aggregate}"), sequence, doc! { "ordinal": n })
    };
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    let mut events = 0;
    while proxy.struck() < STRIKES {
        world.insert((events..events + AGGREGATES).map(document)).await;
        events += AGGREGATES;
        let fault = match proxy.struck() {
            15 | 30 => AtCommit::LoseAnswer,
            _ if rng.random() => AtCommit::CutBefore,
            _ => AtCommit::CutAfter,
        };
        proxy.after_commits(rng.random_range(0..4), fault);
        some_time(rng.random_range(20..80)).await;
    }
    world.until_committed("recorder", events).await;
    world.assert_recorded(events, AGGREGATES).await;
    assert_eq!(world.letters().await, (0, 0));
    let epoch = format!("SELECT epoch FROM {}.lease", world.control());
    assert_eq!(world.number(&epoch).await, 1, "each lane settled its commits itself");
    until("the host is ready again", async || host.get("/readyz").await.is_some_and(|(code, _)| code == 200))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_take_over_or_change_of_lanes_is_cut_begins_again() {
    let [(proxy, options), _] = servers().await;
    let mut world = World::new("recorder", options).await;
    world.insert((0..40).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! { "ordinal": n }))).await;
    let mut events = 40;
    // The first COMMIT of a start raises the epoch; the second sets up the lanes, where their number changes.
    let ways = [(0, AtCommit::CutBefore), (0, AtCommit::CutAfter), (1, AtCommit::CutBefore)];
    for (passing, fault) in ways.into_iter().chain([(1, AtCommit::CutAfter), (1, AtCommit::LoseAnswer)]) {
        let struck = proxy.struck();
        proxy.after_commits(passing, fault);
        let host = world.start();
        world.until_committed("recorder", events).await;
        host.until_phase("recorder", "streaming").await;
        until("the fault has struck", async || proxy.struck() > struck).await;
        world.until_committed("recorder", events).await;
        let aggregate = format!("b{events}");
        world.insert([event(&format!("f{events}"), &aggregate, 1, doc! { "ordinal": events })]).await;
        events += 1;
        world.until_committed("recorder", events).await;
        assert!(host.stop().await.success());
        world.options.lanes += 1;
    }
    world.assert_recorded(events, events).await;
    assert_eq!(world.letters().await, (0, 0));
}
