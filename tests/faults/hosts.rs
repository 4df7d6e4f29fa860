//! What happens to hosts: killed, frozen, stopped, started together, cut off from a server, with a wrong clock, without
//! room. One of them writes, nothing is lost or doubled, and another one goes on in time.

use std::time::{Duration, Instant};

use bson::doc;
use sqlx::Executor;

use crate::catalogue::Proof::{Elsewhere, Quick, Slow};
use crate::catalogue::{Row, test};
use crate::deploy;
use crate::shortage;
use crate::support::proxy::{Mode, Proxy};
use crate::support::world::{event, mongodb_at};
use crate::support::{Host, Options, World, some_time, until, until_within};

pub fn rows() -> Vec<Row> {
    let row = |number, fault, proof| Row { number, fault, proof };
    vec![
        row(1, "host killed while idle", Quick(test!(host_killed_idle))),
        row(
            2,
            "host killed mid-batch",
            Elsewhere("crash::a_host_killed_at_random_loses_nothing_doubles_nothing_and_keeps_order"),
        ),
        row(3, "host killed between COMMIT and its answer", Quick(test!(host_killed_at_commit))),
        row(4, "host frozen for longer than its lease", Quick(test!(host_frozen))),
        row(5, "host frozen while it holds row locks", Quick(test!(host_frozen_with_locks))),
        row(6, "host stopped in an orderly way", Quick(test!(planned_hand_over))),
        row(
            7,
            "hosts started together",
            Elsewhere("takeover::hosts_that_start_together_agree_on_one_writer"),
        ),
        row(8, "renewals of the lease do not arrive", Quick(test!(renewals_blocked))),
        row(9, "more events than memory, and MySQL away", Slow(test!(shortage::memory_is_bounded))),
        row(
            9,
            "more small events than memory, and MySQL away",
            Slow(test!(shortage::small_events_are_bounded)),
        ),
        row(10, "disk full for log and cache", Quick(test!(shortage::disk_full))),
        row(11, "the host's clock jumps", Quick(test!(shortage::clock_of_the_host))),
        row(12, "the read model's clock jumps", Quick(test!(shortage::clock_of_the_server))),
        row(
            51,
            "a projector traps, loops or wants too much",
            Elsewhere("containment::whatever_a_projector_does_wrong_parks_exactly_that_event_on_mysql"),
        ),
        row(52, "another component under load, a hundred times", Slow(test!(hundred_swaps))),
        row(
            53,
            "a bad component is deployed",
            Elsewhere("deploy::what_does_not_fit_is_refused_and_the_component_in_force_goes_on"),
        ),
        row(
            54,
            "rebuild during live traffic, killed in every phase",
            Elsewhere("deaths::a_host_killed_in_every_phase_of_a_rebuild_goes_on_with_it"),
        ),
        row(
            55,
            "another number of lanes under load",
            Elsewhere("lanes::the_number_of_lanes_changes_between_runs_without_reordering_an_aggregate"),
        ),
        row(56, "a letter replayed while its aggregate gets new events", Quick(test!(replay_while_live))),
        row(57, "events delivered again", Quick(test!(delivered_again))),
        row(58, "the writing host is cut off from MySQL", Quick(test!(cut_off_from_mysql))),
        row(59, "the writing host is cut off from MongoDB", Quick(test!(cut_off_from_mongodb))),
        row(60, "a server's name does not resolve", Quick(test!(shortage::name_does_not_resolve))),
    ]
}

/// What the world of these tests sets, unless a test says otherwise.
const LEASE: Duration = Duration::from_secs(4);

/// An aggregate's events with these sequences.
async fn insert(world: &World, aggregate: &str, sequences: std::ops::RangeInclusive<i64>) {
    let one = |n| event(&format!("{aggregate}{n}"), aggregate, n, doc! {});
    world.insert(sequences.map(one)).await;
}

/// Writes down each write of a checkpoint. A lane's row is locked by whoever writes it, so the order of the notes of a
/// lane is the order of its commits.
async fn audit(world: &World) {
    let control = world.control();
    world
        .run(&format!(
            "CREATE TABLE {control}.audit (id BIGINT AUTO_INCREMENT PRIMARY KEY, lane INT, epoch BIGINT, batch BIGINT)"
        ))
        .await;
    world
        .run(&format!(
            "CREATE TRIGGER {control}.audit AFTER UPDATE ON {control}.checkpoint FOR EACH ROW \
             INSERT INTO {control}.audit (lane, epoch, batch) VALUES (NEW.lane, NEW.epoch, NEW.batch)"
        ))
        .await;
}

/// Nothing was committed under an epoch after the first commit of a later one, and some was under each.
async fn assert_one_writer(world: &World, epochs: i64) {
    let audit = format!("{}.audit", world.control());
    let late = format!(
        "SELECT COUNT(*) FROM {audit} a JOIN {audit} b ON a.lane = b.lane AND a.id > b.id AND a.epoch < b.epoch"
    );
    assert_eq!(world.number(&late).await, 0, "writes under an old epoch");
    assert_eq!(world.number(&format!("SELECT COUNT(DISTINCT epoch) FROM {audit}")).await, epochs, "epochs");
    let back = format!(
        "SELECT COUNT(*) FROM {audit} a JOIN {audit} b ON a.lane = b.lane AND a.id > b.id AND a.batch < b.batch"
    );
    assert_eq!(world.number(&back).await, 0, "checkpoints that went back");
}

/// A host that writes, with two events committed, the second one noted, and another one that stands by.
async fn pair(world: &World, first: &[(&str, &str)]) -> (Host, Host) {
    let first = world.start_with(first);
    insert(world, "a", 1..=1).await;
    world.until_committed("recorder", 1).await;
    audit(world).await;
    insert(world, "a", 2..=2).await;
    world.until_committed("recorder", 2).await;
    let second = world.start();
    second.until_phase("recorder", "standby").await;
    (first, second)
}

/// How long it takes from now until an event more is committed.
async fn time_to_next(world: &World, sequence: i64) -> Duration {
    let began = Instant::now();
    insert(world, "a", sequence..=sequence).await;
    world.until_committed("recorder", sequence).await;
    began.elapsed()
}

fn assert_within(what: &str, took: Duration, limit: Duration) {
    println!("{what}: {took:.2?}");
    assert!(took < limit, "{what} took {took:?}, not less than {limit:?}");
}

/// Waits until a host, whatever it was doing, says that it does not write any more.
async fn until_it_knows(host: &Host) {
    until("the old host says that it does not write any more", async || {
        let log = host.log();
        let told = log.contains("another host took over") || log.contains("another host may have it");
        told && host.status("recorder").await.is_some_and(|status| status["phase"] == "standby")
    })
    .await;
}

async fn host_killed_idle() {
    let world = World::new("recorder", Options::mysql()).await;
    let default = [("HOST__LEASE_SECONDS", "10")];
    let first = world.start_with(&default);
    insert(&world, "a", 1..=1).await;
    world.until_committed("recorder", 1).await;
    let second = world.start_with(&default);
    second.until_phase("recorder", "standby").await;
    first.kill();
    let took = time_to_next(&world, 2).await;
    assert_within("take-over after a kill", took, Duration::from_secs(10));
    world.assert_recorded(2, 1).await;
}

async fn host_killed_at_commit() {
    use crate::support::proxy::AtCommit;
    let world = World::new("recorder", Options { lanes: 1, ..Options::mysql() }).await;
    let proxy = Proxy::to(mysql_port()).await;
    let url = world.url_at(proxy.port);
    let mut sequence = 0;
    for fault in [AtCommit::LoseAnswer, AtCommit::CutBefore, AtCommit::CutAfter] {
        let host = world.start_with(&[("MYSQL__URL", &url)]);
        sequence += 1;
        insert(&world, "a", sequence..=sequence).await;
        world.until_committed("recorder", sequence).await;
        let struck = proxy.struck();
        proxy.at_commit(fault);
        // An idle lane commits its place, too; so there are events all the time until one is struck.
        until("a COMMIT is struck", async || {
            sequence += 1;
            insert(&world, "a", sequence..=sequence).await;
            proxy.struck() > struck
        })
        .await;
        host.kill();
    }
    let _host = world.start();
    world.until_committed("recorder", sequence).await;
    world.assert_recorded(sequence, 1).await;
    assert_eq!(world.letters().await, (0, 0));
}

async fn host_frozen() {
    let world = World::new("recorder", Options::mysql()).await;
    let (first, second) = pair(&world, &[]).await;
    first.signal("STOP");
    let took = time_to_next(&world, 3).await;
    assert_within("take-over from a frozen host", took, LEASE + Duration::from_secs(2));
    insert(&world, "a", 4..=50).await;
    world.until_committed("recorder", 50).await;
    first.signal("CONT");
    until_it_knows(&first).await;
    insert(&world, "a", 51..=60).await;
    world.until_committed("recorder", 60).await;
    world.assert_recorded(60, 1).await;
    assert_one_writer(&world, 2).await;
    second.until_phase("recorder", "streaming").await;
}

async fn host_frozen_with_locks() {
    let world = World::new("recorder", Options { lanes: 1, ..Options::mysql() }).await;
    let (first, _second) = pair(&world, &[]).await;
    let mut other = world.mysql().await;
    other.execute("BEGIN").await.expect("it begins");
    other.execute("SELECT * FROM last_seen FOR UPDATE").await.expect("the row is free");
    insert(&world, "a", 3..=3).await;
    until("the host waits for the row", async || transactions(&world, "t.trx_state = 'LOCK WAIT'").await > 0)
        .await;
    first.signal("STOP");
    let began = Instant::now();
    other.execute("ROLLBACK").await.expect("it ends");
    // Now the statement is done, and the frozen host has what it wrote locked.
    until("the host's transaction has its locks", async || {
        transactions(&world, "p.command = 'Sleep' AND t.trx_rows_modified > 0").await > 0
    })
    .await;
    let locked = "SELECT * FROM recorded WHERE aggregate_id = 'a' AND sequence = 3 FOR UPDATE NOWAIT";
    assert!(other.execute(locked).await.is_err(), "the frozen host holds no lock: the test shows nothing");
    world.until_committed("recorder", 3).await;
    assert_within("take-over from a host with locks", began.elapsed(), LEASE + Duration::from_secs(5));
    first.signal("CONT");
    until_it_knows(&first).await;
    insert(&world, "a", 4..=20).await;
    world.until_committed("recorder", 20).await;
    world.assert_recorded(20, 1).await;
    assert_one_writer(&world, 2).await;
}

/// How many transactions of this world MySQL has that are so.
async fn transactions(world: &World, so: &str) -> i64 {
    // MySQL shows what it showed before to whoever asks again within 100 ms.
    some_time(150).await;
    let joined = "information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id";
    world.number(&format!("SELECT COUNT(*) FROM {joined} WHERE p.db = '{}' AND {so}", world.name)).await
}

async fn planned_hand_over() {
    let world = World::new("recorder", Options::mysql()).await;
    let mut writing = world.start();
    insert(&world, "a", 1..=1).await;
    world.until_committed("recorder", 1).await;
    for sequence in 2..=4 {
        let standby = world.start();
        standby.until_phase("recorder", "standby").await;
        let began = Instant::now();
        assert!(writing.stop().await.success());
        assert_within("stopping", began.elapsed(), Duration::from_secs(10));
        let took = time_to_next(&world, sequence).await;
        assert_within("planned hand-over", took, Duration::from_secs(1));
        writing = standby;
    }
    world.assert_recorded(4, 1).await;
}

async fn renewals_blocked() {
    let world = World::new("recorder", Options::mysql()).await;
    let proxy = Proxy::to(mysql_port()).await;
    let url = world.url_at(proxy.port);
    let (first, second) = pair(&world, &[("MYSQL__URL", &url)]).await;
    let began = Instant::now();
    proxy.mute(&[".lease SET connection_id"]);
    // Until the lease runs out, the data's way is free, and used.
    insert(&world, "a", 3..=3).await;
    world.until_committed("recorder", 3).await;
    until("the host ends its lanes by itself", async || first.log().contains("another host may have it"))
        .await;
    let fenced = began.elapsed();
    println!("fenced itself after {fenced:.2?}");
    assert!(fenced < LEASE + Duration::from_millis(500), "it went on for {fenced:?}");
    second.until_phase("recorder", "streaming").await;
    time_to_next(&world, 4).await;
    let took = began.elapsed();
    assert_within("take-over without renewals", took, LEASE + Duration::from_secs(2));
    proxy.mute(&[]);
    first.until_phase("recorder", "standby").await;
    insert(&world, "a", 5..=20).await;
    world.until_committed("recorder", 20).await;
    world.assert_recorded(20, 1).await;
    assert_one_writer(&world, 2).await;
}

/// By a proxy that carries nothing, in the place of a network of its own: the host's end sees the same.
async fn cut_off_from_mysql() {
    let world = World::new("recorder", Options::mysql()).await;
    let proxy = Proxy::to(mysql_port()).await;
    let url = world.url_at(proxy.port);
    let (first, _second) = pair(&world, &[("MYSQL__URL", &url)]).await;
    proxy.set(Mode::BlackHole);
    let took = time_to_next(&world, 3).await;
    assert_within("take-over from a host without MySQL", took, LEASE + Duration::from_secs(2));
    until_within(Duration::from_secs(3), "the host says that it does not write", async || {
        let ready = first.get("/readyz").await;
        ready.is_some_and(|(code, text)| code == 503 && text.contains("[lease-expired]"))
            || first.log().contains("another host may have it")
    })
    .await;
    proxy.set(Mode::Pass);
    first.until_phase("recorder", "standby").await;
    insert(&world, "a", 4..=20).await;
    world.until_committed("recorder", 20).await;
    world.assert_recorded(20, 1).await;
    assert_one_writer(&world, 2).await;
}

/// The writing host keeps its lease, because nobody else is known to reach MongoDB, and says that it is cut off.
async fn cut_off_from_mongodb() {
    let world = World::new("recorder", Options::mysql()).await;
    let proxy = Proxy::to(mongodb_port()).await;
    let uri = mongodb_at(proxy.port);
    let (first, second) = pair(&world, &[("MONGODB__URI", &uri)]).await;
    until("it is ready", async || is_ready(&first).await == Some(true)).await;
    proxy.set(Mode::BlackHole);
    until_within(Duration::from_secs(4), "the host says that MongoDB is silent", async || {
        let ready = first.get("/readyz").await;
        ready.is_some_and(|(code, text)| code == 503 && text.contains("[source-unavailable]"))
    })
    .await;
    insert(&world, "a", 3..=3).await;
    some_time(6000).await;
    let epoch = format!("SELECT epoch FROM {}.lease", world.control());
    assert_eq!(world.number(&epoch).await, 1, "the lease stays where it is");
    second.until_phase("recorder", "standby").await;
    proxy.cut();
    proxy.set(Mode::Pass);
    world.until_committed("recorder", 3).await;
    until("it is ready again", async || is_ready(&first).await == Some(true)).await;
    world.assert_recorded(3, 1).await;
    assert_one_writer(&world, 1).await;
}

async fn is_ready(host: &Host) -> Option<bool> {
    host.get("/readyz").await.map(|(code, _)| code == 200)
}

async fn replay_while_live() {
    const EVENTS: i64 = 400;
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    insert(&world, "a", 1..=1).await;
    world.until_committed("recorder", 1).await;
    // A row stands in the way of the next event.
    let row = "('thing', 'a', 2, 'x', 'x', NULL)";
    world.run(&format!("INSERT INTO {}.recorded VALUES {row}", world.name)).await;
    insert(&world, "a", 2..=50).await;
    world.until_committed("recorder", 50).await;
    assert_eq!(world.letters().await, (1, 48));
    world.run(&format!("DELETE FROM {}.recorded WHERE event_id = 'x'", world.name)).await;
    let outbox = world.outbox.clone();
    let writing = tokio::spawn(async move {
        for n in 51..=EVENTS {
            let document = event(&format!("a{n}"), "a", n, doc! {});
            outbox.insert_one(document).await.expect("the outbox takes documents");
        }
    });
    some_time(100).await;
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    let replay = ["dlq", "replay", "recorder", "--all"];
    let replayed =
        tokio::task::spawn_blocking(move || crate::support::world::laterna(&config, &replay)).await;
    let said = crate::support::world::said(&replayed.expect("it runs"));
    assert!(said.contains("0 still parked"), "{said}");
    writing.await.expect("the writer is done");
    world.until_committed("recorder", EVENTS).await;
    until("no letter is left", async || world.letters().await == (0, 0)).await;
    world.assert_recorded(EVENTS, 1).await;
}

async fn delivered_again() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    let document = |n: i64| event(&format!("e{n}"), &format!("a{}", n % 20), n / 20 + 1, doc! {});
    world.insert((0..1000).map(document)).await;
    world.until_committed("recorder", 1000).await;
    host.kill();
    let control = world.control();
    world
        .run(&format!("CREATE TABLE {control}.before_it AS SELECT lane, position FROM {control}.checkpoint"))
        .await;
    let host = world.start();
    world.insert((1000..2000).map(document)).await;
    world.until_committed("recorder", 2000).await;
    host.kill();
    world
        .run(&format!(
            "UPDATE {control}.checkpoint c JOIN {control}.before_it b ON b.lane = c.lane SET c.position = b.position"
        ))
        .await;
    let _host = world.start();
    world.insert((2000..2020).map(document)).await;
    world.until_committed("recorder", 3020).await;
    world.assert_recorded(2020, 20).await;
    assert_eq!(world.letters().await, (0, 0));
}

/// Where the shared MySQL listens.
pub fn mysql_port() -> u16 {
    port("LATERNA_MYSQL_PORT")
}

/// Where the shared MongoDB listens.
pub fn mongodb_port() -> u16 {
    port("LATERNA_MONGODB_PORT")
}

fn port(name: &str) -> u16 {
    std::env::var(name).ok().and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("{name} is not set"))
}

/// See `tests/deploy.rs`, which has less of them.
async fn hundred_swaps() {
    deploy::swaps(Options::mysql(), 100).await;
}
