//! One lane's writing, tried at the library: who may commit, and what a failed commit leaves behind.

use std::collections::BTreeSet;
use std::time::Duration;

use laterna::failure::Failure;
use laterna::readmodel::control::deployment::{Origin, Proposal};
use laterna::readmodel::control::generation::{GenerationState, Purpose, Wanted};
use sqlx::{Executor, Row};

use crate::support::lane::{Bench, add, entry, put, start, wanted};
use crate::support::{Options, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_under_an_old_epoch_writes_nothing() {
    for options in [Options::mysql(), Options::mariadb()] {
        let bench = Bench::new(options).await;
        let mut old = bench.lane(1).await;
        old.commit(&bench.batch(1, vec![put(1)])).await.expect("it is this lane's turn");
        // The new host has committed nothing yet: only the epoch tells the old one that its time is over.
        assert_eq!(bench.take_lease().await, 2);
        let refused = old.commit(&bench.batch(2, vec![add(1)])).await;
        // The take-over ended the old session, so it may take two tries to learn why.
        let refused = match refused {
            Err(Failure::ConnectionLost { .. }) => old.commit(&bench.batch(2, vec![add(1)])).await,
            refused => refused,
        };
        assert_eq!(refused, Err(Failure::Fenced { mine: 1, found: 2 }));
        assert_eq!(bench.amounts().await, [0]);
        let mut new = bench.lane(2).await;
        new.commit(&bench.batch(2, vec![add(1)])).await.expect("it is the new lane's turn");
        assert_eq!(bench.amounts().await, [1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_under_an_old_epoch_writes_nothing_even_when_its_session_was_not_ended() {
    let bench = Bench::new(Options::mysql()).await;
    let mut old = bench.lane(1).await;
    old.commit(&bench.batch(1, vec![put(1)])).await.expect("it is this lane's turn");
    // A take-over whose KILL did not arrive: the old host's session goes on.
    bench.world.run(&format!("UPDATE {}.checkpoint SET epoch = 2", bench.world.control())).await;
    let refused = old.commit(&bench.batch(2, vec![add(1)])).await;
    assert_eq!(refused, Err(Failure::Fenced { mine: 1, found: 2 }));
    assert_eq!(bench.amounts().await, [0]);
    assert_eq!(bench.batch_number().await, 1);
}

/// A sum of each control table's rows.
async fn sums(bench: &Bench) -> Vec<(String, Option<i64>)> {
    let control = bench.world.control();
    let of = "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.tables WHERE table_schema =";
    let tables = bench.world.rows(&format!("{of} '{control}'")).await;
    let tables: Vec<String> =
        tables.iter().map(|row| format!("{control}.{}", row.get::<String, _>(0))).collect();
    let rows = bench.world.rows(&format!("CHECKSUM TABLE {}", tables.join(", "))).await;
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// What the code has for the host that holds the lease: the names of the functions of `LeaderDb`.
fn functions_under_the_lease() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from("src/readmodel")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it is a folder") {
            let path = entry.expect("it is readable").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut is_leaders = false;
            for line in std::fs::read_to_string(path).expect("it is text").lines() {
                is_leaders = (is_leaders && line != "}") || line == "impl LeaderDb<'_> {";
                let name = line.strip_prefix("    pub async fn ").and_then(|rest| rest.split('(').next());
                found.extend(name.filter(|_| is_leaders).map(ToOwned::to_owned));
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_under_the_lease_proves_its_epoch() {
    let bench = Bench::new(Options::mysql()).await;
    let control = bench.world.control();
    let registered = "(projection, live_generation, lanes, source) VALUES ('p', 1, 1, '{}')";
    bench.world.run(&format!("INSERT INTO {control}.projection {registered}")).await;
    let tables = ["totals".to_owned()];
    let wanted = || Wanted { tables: &tables, ..wanted("p", "d") };
    let proposal = || Proposal {
        projection: "p",
        digest: "d",
        origin: Origin::Command,
        by: "a test",
        canary: Duration::from_mins(1),
        command: None,
    };
    assert_eq!(bench.take_lease().await, 2);
    let mut session = bench.direct().await;
    let stored = bench.control.on(&mut session).store_component("d", b"x", "totals", "1", None).await;
    stored.expect("it is stored");
    let mut db = bench.control.of(&mut session, "p");
    let mut leader = db.under(2);
    leader.deploy_over_others(proposal()).await.expect("this one has the lease");
    leader.open_breaker("d", "a test").await.expect("this one has the lease");
    leader.open_generation(wanted()).await.expect("this one has the lease");
    let generation = leader.generations().await.expect("MySQL answers").remove(0);

    let before = sums(&bench).await;
    // These have tests of their own: what a lane's table says decides what the first does, and the second only gives back.
    let mut tried: BTreeSet<String> = ["demand_witness", "release_lease"].map(ToOwned::to_owned).into();
    macro_rules! refused {
        ($($function:ident($($argument:expr),*);)*) => {$({
            // A session in which something failed is not used again, and what it holds goes with it.
            let mut session = bench.direct().await;
            let refused = bench.control.of(&mut session, "p").under(1).$function($($argument),*).await;
            assert_eq!(refused.err(), Some(Failure::Fenced { mine: 1, found: 2 }), stringify!($function));
            tried.insert(stringify!($function).to_owned());
        })*};
    }
    refused! {
        replace_lanes(1, 7, &start());
        recount_letters(1);
        renew_lease(Duration::from_mins(1));
        claim_tables(&bench.schema);
        record_still();
        open_breaker("e", "a test");
        close_breaker_of_others("e");
        deploy_over_others(proposal());
        record_taken_up(1);
        take_deployment_back(1, "a test");
        open_generation(wanted());
        advance_generation(&generation, GenerationState::Meeting, Purpose::Replace, None);
        record_lacks(&generation, Purpose::Replace, "a test");
        forget_generation(generation.generation);
    }
    let mut session = bench.direct().await;
    let released = bench.control.of(&mut session, "p").under(1).release_lease().await;
    released.expect("there is nothing to give back");
    assert_eq!(sums(&bench).await, before);
    assert_eq!(tried, functions_under_the_lease());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_commits_is_noticed() {
    let bench = Bench::new(Options::mysql()).await;
    let mut lane = bench.lane(1).await;
    lane.commit(&bench.batch(1, vec![put(1)])).await.expect("it is this lane's turn");
    lane.commit(&bench.batch(2, vec![add(1)])).await.expect("it is this lane's turn");
    bench.world.run(&format!("UPDATE {}.checkpoint SET batch = 1", bench.world.control())).await;
    let noticed = lane.commit(&bench.batch(3, vec![add(1)])).await;
    assert_eq!(noticed, Err(Failure::CommitsLost { committed: 2, found: 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_undoes_the_whole_batch_and_the_next_try_does_it_once() {
    for options in [Options::mysql(), Options::mariadb()] {
        let bench = Bench::new(options).await;
        let mut lane = bench.lane(1).await;
        lane.commit(&bench.batch(1, (1..=40).map(put).collect())).await.expect("it is this lane's turn");
        // Another session holds row 2 and many others, so that InnoDB takes the lane for the victim.
        let mut other = bench.world.mysql().await;
        other.execute("BEGIN").await.expect("it begins");
        other
            .execute("UPDATE totals SET amount = amount WHERE id BETWEEN 2 AND 40")
            .await
            .expect("rows are free");
        other
            .execute("UPDATE totals SET amount = amount + 100 WHERE id BETWEEN 2 AND 40")
            .await
            .expect("they are");
        let batch = bench.batch(2, vec![add(1), add(2)]);
        let crossing = tokio::spawn(async move {
            let committed = lane.commit(&batch).await;
            (lane, committed)
        });
        until("the lane waits for row 2", async || {
            let waiting = "SELECT COUNT(*) FROM information_schema.processlist \
                           WHERE info LIKE 'UPDATE%totals%amount%' AND info NOT LIKE '%processlist%'";
            bench.world.number(waiting).await > 0
        })
        .await;
        other
            .execute("UPDATE totals SET amount = amount + 100 WHERE id = 1")
            .await
            .expect("the lane is the victim");
        other.execute("ROLLBACK").await.expect("it ends");
        drop(other);
        let (mut lane, committed) = crossing.await.expect("it does not panic");
        if let Err(failure) = committed {
            assert_eq!(failure.class(), "transaction-lost", "{failure}");
            assert_eq!(bench.amounts().await[..2], [0, 0], "nothing of the batch stayed");
            assert_eq!(bench.batch_number().await, 1, "nor did the checkpoint move");
            lane.commit(&bench.batch(2, vec![add(1), add(2)])).await.expect("now the rows are free");
        } else {
            panic!("the lane was not the victim: the test shows nothing");
        }
        assert_eq!(bench.amounts().await[..2], [1, 1]);
        assert_eq!(bench.batch_number().await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_session_was_killed_is_done_once() {
    let bench = Bench::new(Options::mysql()).await;
    let mut lane = bench.lane(1).await;
    lane.commit(&bench.batch(1, vec![put(1)])).await.expect("it is this lane's turn");
    for number in 2..=20 {
        let sessions = format!("SELECT connection_id FROM {}.checkpoint", bench.world.control());
        let id = bench.world.number(&sessions).await;
        bench.world.run(&format!("KILL {id}")).await;
        let next = bench.batch(number, vec![add(1)]);
        until("the batch is committed", async || lane.commit(&next).await.is_ok()).await;
    }
    assert_eq!(bench.amounts().await, [19]);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_mysql_refuses_are_found_without_committing_anything() {
    let bench = Bench::new(Options::mysql()).await;
    let mut lane = bench.lane(1).await;
    lane.commit(&bench.batch(1, vec![put(7)])).await.expect("it is this lane's turn");
    let entry = |number, aggregate| entry(number, aggregate, vec![put(number)]);
    // Row 7 stands in the way. What is behind it in its aggregate (8) is not tried, whatever it would do.
    let many = bench.batch_of(2, vec![entry(5, 1), entry(6, 2), entry(7, 3), entry(8, 3), entry(9, 4)]);
    let refused = lane.probe(&many, &|_, _| true).await.expect("MySQL answers");
    let found: Vec<_> = refused.iter().map(|(index, failure)| (*index, failure.class())).collect();
    assert_eq!(found, [(2, "key-conflict")]);
    assert_eq!(bench.world.number("SELECT COUNT(*) FROM totals").await, 1);
    assert_eq!(bench.batch_number().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn finding_a_few_refused_entries_in_a_large_batch_takes_a_few_halvings_for_each() {
    const ENTRIES: i64 = 1000;
    // Ten halvings come down to one of a thousand; each looks at two halves.
    const LOOKS: i64 = 2 * 10;
    for bad in [1, 3, 10] {
        let bench = Bench::new(Options::mysql()).await;
        let mut lane = bench.lane(1).await;
        // As far from each other as they can be, which is the worst case.
        let refused: Vec<i64> = (0..bad).map(|n| n * ENTRIES / bad + 1).collect();
        lane.commit(&bench.batch(1, refused.iter().copied().map(put).collect()))
            .await
            .expect("it is its turn");
        let counted = async |statements: &str| {
            let sql = format!(
                "SELECT SUM(count_star) FROM performance_schema.events_statements_summary_by_thread_by_event_name \
                 JOIN performance_schema.threads USING (thread_id) WHERE event_name LIKE '{statements}' \
                 AND processlist_id = (SELECT connection_id FROM {}.checkpoint)",
                bench.world.control()
            );
            bench.world.number(&sql).await
        };
        let before = (counted("statement/sql/savepoint").await, counted("statement/%").await);
        let many = bench.batch_of(2, (1..=ENTRIES).map(|n| entry(n, n, vec![put(n)])).collect());
        let found = lane.probe(&many, &|_, _| true).await.expect("MySQL answers");
        assert_eq!(
            found
                .iter()
                .map(|(index, _)| i64::try_from(*index).expect("it is small") + 1)
                .collect::<Vec<_>>(),
            refused
        );
        let savepoints = counted("statement/sql/savepoint").await - before.0;
        let statements = counted("statement/%").await - before.1;
        println!("{bad} refused of {ENTRIES}: {savepoints} savepoints, {statements} statements");
        assert!((1..=LOOKS * bad + 1).contains(&savepoints), "{bad} refused: {savepoints} savepoints");
        // A look is a savepoint, its rows joined in few statements that may have to be prepared, and a way back.
        assert!(statements <= 6 * savepoints, "{bad} refused: {statements} statements");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_write_is_left_for_whichever_answers_now() {
    let bench = Bench::new(Options::mysql()).await;
    let mut lane = bench.lane(1).await;
    lane.commit(&bench.batch(1, vec![put(1)])).await.expect("it is this lane's turn");
    let session = format!("SELECT connection_id FROM {}.checkpoint", bench.world.control());
    let before = bench.world.number(&session).await;
    let trigger = format!("{}.refuse", bench.world.name);
    bench
        .world
        .run(&format!(
            "CREATE TRIGGER {trigger} BEFORE INSERT ON {}.totals FOR EACH ROW \
             SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'read-only'",
            bench.world.name
        ))
        .await;
    let refused = lane.commit(&bench.batch(2, vec![put(2)])).await.expect_err("the trigger refuses it");
    assert_eq!(refused.class(), "cannot-write");
    bench.world.run(&format!("DROP TRIGGER {trigger}")).await;
    lane.commit(&bench.batch(2, vec![put(2)])).await.expect("now it can be written");
    assert_ne!(bench.world.number(&session).await, before, "a failover would have moved the address");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_is_that_deployment_and_no_later_one_of_the_same_component() {
    for options in [Options::mysql(), Options::mariadb()] {
        let bench = Bench::new(options).await;
        let epoch = bench.take_lease().await;
        let mut session = bench.direct().await;
        for digest in ["old", "bad", "new"] {
            let stored =
                bench.control.on(&mut session).store_component(digest, b"x", "totals", "1", None).await;
            stored.expect("it is stored");
        }
        let mut db = bench.control.of(&mut session, "p");
        let mut leader = db.under(epoch);
        // The last one is deployed while the second is being taken back.
        for digest in ["old", "bad", "new", "bad"] {
            let canary = Duration::from_mins(1);
            let proposal = Proposal {
                projection: "p",
                digest,
                origin: Origin::Command,
                by: "a test",
                canary,
                command: None,
            };
            leader.deploy_over_others(proposal).await.expect("this one has the lease");
        }
        leader.take_deployment_back(2, "it fails").await.expect("this one has the lease");
        let sql = format!(
            "SELECT CONCAT_WS(' ', digest, state, previous) FROM {}.deployment ORDER BY id",
            bench.world.control()
        );
        let rows: Vec<String> = bench.world.rows(&sql).await.iter().map(|row| row.get(0)).collect();
        assert_eq!(rows, ["old deployed", "bad taken-back old", "new deployed old", "bad deployed new"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_host_that_gave_the_lease_back_and_has_ended_nothing_is_to_be_waited_for() {
    for options in [Options::mysql(), Options::mariadb()] {
        let bench = Bench::new(options).await;
        let epoch = bench.take_lease().await;
        let mut lane = bench.lane(epoch).await;
        lane.commit(&bench.batch(1, vec![put(1)])).await.expect("it is this lane's turn");
        let mut session = bench.direct().await;
        let mut db = bench.control.of(&mut session, "p");
        db.under(epoch).release_lease().await.expect("MySQL answers");
        assert!(!db.is_deserted().await.expect("MySQL answers"), "its lane may still commit");
        drop(lane);
        until("its session has ended", async || db.is_deserted().await.expect("MySQL answers")).await;
    }
}
