//! The outbox is told what became of its documents: marks that follow them, and deletions of what nobody needs.

use std::path::PathBuf;

use bson::{Document, doc};
use laterna::event::{Aggregate, Id};
use laterna::source::acknowledge::DocumentMark;
use laterna::source::{Outbox, OutboxOptions};
use rand::Rng;
use rand::rngs::StdRng;

use crate::support::cluster::{Cluster, FAIL_POINTS};
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Options, World, random, some_time, until};

const DELETE_AT_ONCE: &str = "acknowledge = \"delete\"\ndelete_after_seconds = 0";

async fn two_projections(outbox: &'static str) -> World {
    World::with(&[("recorder", "recorder"), ("picky", "picky")], Options { outbox, ..Options::mysql() }).await
}

/// An event that both projectors take; what the second one does with it is said.
fn told(id: &str, aggregate: &str, sequence: i64, what: &str) -> Document {
    event(id, aggregate, sequence, doc! { "do": what })
}

/// A host that runs all projections but one.
fn start_without(world: &World, projection: &str) -> Host {
    let port = free_port();
    let path = world.config(port);
    let text = std::fs::read_to_string(&path).expect("it was written");
    let sections =
        text.split("\n[").filter(|section| !section.starts_with(&format!("projection.{projection}]")));
    std::fs::write(&path, sections.collect::<Vec<_>>().join("\n[")).expect("it can be written");
    Host::start(&path, port)
}

fn config(world: &World, host: &Host) -> PathBuf {
    world.folder.path().join(format!("laterna-{}.toml", host.port))
}

/// What a document's mark says about a projection; nothing without one.
async fn status(world: &World, id: &str, projection: &str) -> Option<String> {
    let found = world.outbox.find_one(doc! { "_id": id }).await.expect("MongoDB answers")?;
    let mark = found.get_document("laterna").ok()?.get_document(projection).ok()?;
    assert!(mark.get_datetime("at").is_ok(), "a mark has a time: {mark}");
    mark.get_str("status").ok().map(ToOwned::to_owned)
}

async fn until_marked(world: &World, projection: &str, expected: &[(&str, &str)]) {
    for (id, expected) in expected {
        until(&format!("{id} is {expected} by {projection}"), async || {
            status(world, id, projection).await.as_deref() == Some(*expected)
        })
        .await;
    }
}

async fn documents(world: &World) -> i64 {
    let count = world.outbox.count_documents(doc! {}).await.expect("MongoDB answers");
    count.try_into().expect("few")
}

async fn until_documents(world: &World, expected: i64) {
    until(&format!("the outbox has {expected} documents"), async || documents(world).await == expected).await;
}

/// How many rows wait to be told.
async fn waiting(world: &World, level: u8) -> i64 {
    world
        .number(&format!("SELECT COUNT(*) FROM {}.dedupe WHERE acknowledged < {level}", world.control()))
        .await
}

/// Waits until the host says of a projection's acknowledging what is expected.
async fn until_trouble(host: &Host, projection: &str, says: &str) {
    until(&format!("the trouble of {projection} says {says}"), async || {
        let status = host.status(projection).await.unwrap_or_default();
        status["acknowledgement"]["trouble"].as_str().is_some_and(|trouble| trouble.contains(says))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_say_how_each_event_stands_and_follow_its_letter() {
    let world = two_projections("acknowledge = \"mark\"").await;
    let host = world.start();
    world.insert([told("e1", "a", 1, "ok"), told("e2", "b", 1, "reject")]).await;
    world.insert([told("e3", "b", 2, "ok"), told("e4", "b", 3, "ok")]).await;
    until_marked(&world, "recorder", &[("e1", "applied"), ("e2", "applied"), ("e4", "applied")]).await;
    let behind = [("e1", "applied"), ("e2", "parked"), ("e3", "held"), ("e4", "held")];
    until_marked(&world, "picky", &behind).await;

    // The head goes, and what it held back follows.
    let discard = ["dlq", "discard", "picky", "--all", "--why", "wrong", "--yes"];
    let discarded = said(&laterna(&config(&world, &host), &discard));
    assert!(discarded.contains("1 discarded, 2 applied"), "{discarded}");
    until_marked(&world, "picky", &[("e2", "discarded"), ("e3", "applied"), ("e4", "applied")]).await;

    // A letter that is replayed.
    world.run(&format!("INSERT INTO {}.recorded VALUES ('thing', 'c', 1, 'x', 'x', NULL)", world.name)).await;
    world.insert([told("e5", "c", 1, "ok"), told("e6", "c", 2, "ok")]).await;
    until_marked(&world, "recorder", &[("e5", "parked"), ("e6", "held")]).await;
    world.run(&format!("DELETE FROM {}.recorded WHERE event_id = 'x'", world.name)).await;
    let replayed = said(&laterna(&config(&world, &host), &["dlq", "replay", "recorder", "--all"]));
    assert!(replayed.contains("2 applied"), "{replayed}");
    until_marked(&world, "recorder", &[("e5", "applied"), ("e6", "applied")]).await;
    until("nothing waits", async || waiting(&world, 1).await == 0).await;

    // The marks were no events, and went past the lanes.
    let events =
        format!("SELECT SUM(events) FROM {}.checkpoint WHERE projection = 'recorder'", world.control());
    assert_eq!(world.number(&events).await, 6);
    let (_, metrics) = host.get("/metrics").await.expect("it answers");
    assert!(
        metrics.contains("laterna_acknowledged_total{projection=\"picky\",kind=\"discarded\"}"),
        "{metrics}"
    );
    assert!(metrics.contains("laterna_acknowledge_waiting_events"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_that_is_built_from_marked_documents_is_the_same() {
    let world =
        World::new("recorder", Options { outbox: "acknowledge = \"mark\"", ..Options::mysql() }).await;
    world
        .insert((0..500).map(|n| event(&format!("h{n}"), &format!("a{}", n % 50), n / 50 + 1, doc! {})))
        .await;
    let host = world.start();
    until("history is marked", async || {
        let marked = doc! { "laterna.recorder.status": "applied" };
        world.outbox.count_documents(marked).await.expect("MongoDB answers") == 500
    })
    .await;
    world.assert_recorded(500, 50).await;
    host.stop().await;
    for table in ["recorded", "last_seen"] {
        world.run(&format!("DROP TABLE {}.{table}", world.name)).await;
    }
    world.run(&format!("DROP DATABASE {}", world.control())).await;
    let _host = world.start();
    world.until_committed("recorder", 500).await;
    world.assert_recorded(500, 50).await;
    assert_eq!(world.letters().await, (0, 0), "a marked document is an event");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_cannot_bear_a_mark_are_passed_by() {
    let world =
        World::new("recorder", Options { outbox: "acknowledge = \"mark\"", ..Options::mysql() }).await;
    let own = |n: i64| {
        let mut document = event(&format!("e{n}"), "a", n, doc! {});
        if n % 3 == 0 {
            document.insert("laterna", "a field of the writer's own");
        }
        document
    };
    world.insert((1..=9).map(own)).await;
    let _host = world.start();
    world.until_committed("recorder", 9).await;
    until("nothing waits", async || waiting(&world, 1).await == 0).await;
    let marked = world.outbox.count_documents(doc! { "laterna.recorder.status": "applied" }).await;
    assert_eq!(marked.expect("MongoDB answers"), 6);
    assert_eq!(status(&world, "e3", "recorder").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_no_projection_needs_any_more_is_deleted() {
    let world = two_projections(DELETE_AT_ONCE).await;
    let host = world.start();
    world.insert([told("e1", "a", 1, "ok"), told("e2", "b", 1, "reject"), told("e3", "b", 2, "ok")]).await;
    // What is in a letter stays, also that of one projection only.
    until_documents(&world, 2).await;
    world.until_committed("picky", 3).await;
    assert_eq!(world.letters().await, (1, 1));
    host.stop().await;

    // One projection stands still: nothing is deleted any more, and it is said who is waited for.
    let host = start_without(&world, "picky");
    world.insert((2..=20).map(|n| told(&format!("a{n}"), "a", n, "ok"))).await;
    world.until_committed("recorder", 22).await;
    until_trouble(&host, "recorder", "`picky` has come to").await;
    assert!(
        said(&laterna(&config(&world, &host), &["status"])).contains("nothing is deleted from the outbox")
    );
    some_time(3000).await;
    assert_eq!(documents(&world).await, 21);
    host.kill();

    // It goes on where it was, with everything that came meanwhile.
    let host = world.start();
    world.until_committed("picky", 22).await;
    until_documents(&world, 2).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 20);

    // Letters are replayed from what they hold, and then their documents go, too.
    let discard = ["dlq", "discard", "picky", "--all", "--why", "wrong", "--yes"];
    let discarded = said(&laterna(&config(&world, &host), &discard));
    assert!(discarded.contains("1 discarded, 1 applied"), "{discarded}");
    until_documents(&world, 0).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 21);
    world.assert_recorded(22, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_sent_again_after_its_deletion_has_no_effect_and_is_deleted_again() {
    let world = World::new("recorder", Options { outbox: DELETE_AT_ONCE, ..Options::mysql() }).await;
    let host = world.start();
    let first = event("e1", "a", 1, doc! {});
    world.insert([first.clone()]).await;
    until_documents(&world, 0).await;
    world.insert([first.clone()]).await;
    world.until_committed("recorder", 2).await;
    until_documents(&world, 0).await;
    host.kill();
    let _host = world.start();
    world.insert([first, event("e2", "a", 2, doc! {})]).await;
    world.until_committed("recorder", 4).await;
    until_documents(&world, 0).await;
    world.assert_recorded(2, 1).await;
    assert_eq!(world.letters().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_retained_for_as_long_as_it_says() {
    let outbox = "acknowledge = \"retain\"\nretain = \"8s\"";
    let world = World::new("recorder", Options { outbox, lanes: 1, ..Options::mysql() }).await;
    let _host = world.start();
    let age = format!(
        "SELECT TIMESTAMPDIFF(SECOND, MIN(committed_at), CURRENT_TIMESTAMP(6)) FROM {}.dedupe",
        world.control()
    );
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    until("the first is four seconds old", async || world.number(&age).await >= 4).await;
    world.insert([event("e2", "a", 2, doc! {})]).await;
    assert_eq!(documents(&world).await, 2, "the first is not old enough");
    until("the first is deleted", async || {
        world.outbox.find_one(doc! { "_id": "e1" }).await.expect("MongoDB answers").is_none()
    })
    .await;
    let second = world.outbox.find_one(doc! { "_id": "e2" }).await.expect("MongoDB answers");
    assert!(world.number(&age).await >= 8, "it was deleted too early");
    assert!(second.is_some(), "the second is not old enough");
    until_documents(&world, 0).await;
}

/// On a busy machine few kills come while there is something to acknowledge.
const KILLS_MAX: u32 = 40;

/// Kills the host at random while it acknowledges and more is written, and leaves one running. Some of what MongoDB is
/// told is slow to arrive and then lost, so that kills and failures hit the moment between the two databases.
async fn killed_while_it_acknowledges(
    world: &World,
    cluster: &Cluster,
    rng: &mut StdRng,
    events: i64,
) -> Host {
    let slow = doc! {
        "failCommands": ["update", "delete"], "blockConnection": true, "blockTimeMS": 150, "closeConnection": true,
    };
    cluster.fail(0, "failCommand", doc! { "activationProbability": 0.25 }, slow).await;
    let document = |n: i64| event(&format!("e{n}"), &format!("a{}", n % 400), n / 400 + 1, doc! {});
    world.insert((0..events / 4).map(document)).await;
    let outbox = world.outbox.clone();
    let writing = tokio::spawn(async move {
        let rest: Vec<_> = (events / 4..events).map(document).collect();
        for chunk in rest.chunks(250) {
            outbox.insert_many(chunk).await.expect("documents are taken");
            some_time(400).await;
        }
    });
    let count =
        |which| format!("SELECT COUNT(*) FROM {}.dedupe WHERE acknowledged {which} 0", world.control());
    let (mut in_the_middle, mut kills) = (0, 0);
    while !writing.is_finished() || (in_the_middle == 0 && kills < KILLS_MAX) {
        kills += 1;
        let host = world.start();
        until("the host writes", async || host.log().contains("took the lease")).await;
        some_time(rng.random_range(300..2300)).await;
        host.kill();
        let told = world.number_if_any(&count(">")).await.unwrap_or_default();
        let waits = world.number_if_any(&count("=")).await.unwrap_or_default();
        in_the_middle += i64::from(told > 0 && waits > 0);
    }
    assert!(in_the_middle > 0, "no kill was in the middle of it");
    writing.await.expect("the writer is done");
    cluster.fail(0, "failCommand", "off", doc! {}).await;
    let host = world.start();
    world.until_committed("recorder", events).await;
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_while_it_deletes_forgets_nothing() {
    let mut rng = random("killed while it deletes");
    let cluster = Cluster::start(1, &FAIL_POINTS).await;
    let options = Options { mongodb: cluster.uri(), outbox: DELETE_AT_ONCE, ..Options::mysql() };
    let world = World::new("recorder", options).await;
    let host = killed_while_it_acknowledges(&world, &cluster, &mut rng, 16_000).await;
    until_documents(&world, 0).await;
    until("nothing waits", async || waiting(&world, 2).await == 0).await;
    world.assert_recorded(16_000, 400).await;
    assert_eq!(world.letters().await, (0, 0));
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_while_it_marks_forgets_nothing() {
    let mut rng = random("killed while it marks");
    let cluster = Cluster::start(1, &FAIL_POINTS).await;
    let outbox = "acknowledge = \"mark\"";
    let options = Options { mongodb: cluster.uri(), outbox, ..Options::mysql() };
    let world = World::new("recorder", options).await;
    let _host = killed_while_it_acknowledges(&world, &cluster, &mut rng, 16_000).await;
    until("nothing waits", async || waiting(&world, 1).await == 0).await;
    let marked = world.outbox.count_documents(doc! { "laterna.recorder.status": "applied" }).await;
    assert_eq!(marked.expect("MongoDB answers"), 16_000);
    world.assert_recorded(16_000, 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_commits_behind_later_ones_of_other_lanes_is_told_of_all_the_same() {
    let world =
        World::new("recorder", Options { outbox: "acknowledge = \"mark\"", ..Options::mysql() }).await;
    let lane = |id: &str| Aggregate { kind: "thing".into(), id: Id::Text(id.into()) }.lane(4);
    let other =
        ('b'..='z').map(String::from).find(|id| lane(id) != lane("a")).expect("there are several lanes");
    let _host = world.start();
    world.insert([event("e1", "a", 1, doc! {}), event("f1", &other, 1, doc! {})]).await;
    until_marked(&world, "recorder", &[("e1", "applied"), ("f1", "applied")]).await;
    // The lane of `a` has taken the number of its row, and waits for ours with it.
    let mut ours = world.mysql().await;
    for sql in ["BEGIN", "UPDATE last_seen SET disorder = 0 WHERE aggregate_id = 'a'"] {
        sqlx::Executor::execute(&mut ours, sql).await.expect("it is done");
    }
    world.insert([event("e2", "a", 2, doc! {})]).await;
    until("the lane waits", async || {
        world.number("SELECT COUNT(*) FROM performance_schema.data_lock_waits").await > 0
    })
    .await;
    world.insert([event("f2", &other, 2, doc! {})]).await;
    until_marked(&world, "recorder", &[("f2", "applied")]).await;
    assert_eq!(status(&world, "e2", "recorder").await, None, "it is not committed");
    sqlx::Executor::execute(&mut ours, "ROLLBACK").await.expect("it is done");
    until_marked(&world, "recorder", &[("e2", "applied")]).await;
    until("nothing waits", async || waiting(&world, 1).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_mark_is_never_overwritten_by_an_earlier_one() {
    let world = World::new("recorder", Options::mysql()).await;
    world.insert([event("e1", "a", 1, doc! {})]).await;
    let options = OutboxOptions {
        uri: world.options.mongodb.clone(),
        database: world.name.clone(),
        collection: "outbox".into(),
    };
    let outbox = Outbox::new(options).expect("a URI");
    for (row, committed_ms, given, expected) in [
        (9, 9000, "parked", "parked"),
        // A host that lost its lease, and was slow.
        (5, 5000, "held", "parked"),
        (10, 9000, "applied", "applied"),
        // A MySQL that was restored numbers its rows anew.
        (3, 9500, "discarded", "discarded"),
        (4, 9400, "applied", "applied"),
    ] {
        let ids = vec![Id::Text("e1".into())];
        let mark = DocumentMark { status: given, ids, row, committed_ms };
        assert_eq!(outbox.mark("recorder", &[mark]).await, Ok(0));
        assert_eq!(status(&world, "e1", "recorder").await.as_deref(), Some(expected), "row {row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_stay_until_the_outbox_was_told_and_the_window_stays_as_large_as_it_is() {
    let options = Options {
        outbox: "acknowledge = \"retain\"\nretain = \"1h\"",
        extra: "dedupe_window = 1000",
        lanes: 1,
        batch_max: 10,
        ..Options::mysql()
    };
    let mut world = World::new("recorder", options).await;
    let document = |n: i64| event(&format!("e{n}"), &format!("a{}", n % 100), n / 100 + 1, doc! {});
    let rows = format!("SELECT COUNT(*) FROM {}.dedupe", world.control());
    let remembered = format!("SELECT SUM(events) FROM {}.dedupe", world.control());
    let host = world.start();
    world.insert((0..5000).map(document)).await;
    world.until_committed("recorder", 5000).await;
    assert_eq!(world.number(&remembered).await, 5000, "nobody was told of anything");
    assert!(world.number(&rows).await >= 500);
    host.stop().await;

    world.options.outbox = "acknowledge = \"mark\"";
    let _host = world.start();
    until("everything is marked", async || waiting(&world, 1).await == 0).await;
    world.insert((5000..9000).map(document)).await;
    world.until_committed("recorder", 9000).await;
    until("everything is marked", async || waiting(&world, 1).await == 0).await;
    world.insert((9000..11_000).map(document)).await;
    world.until_committed("recorder", 11_000).await;
    let kept = world.number(&remembered).await;
    assert!((1000..6000).contains(&kept), "{kept} events are remembered");
    world.assert_recorded(11_000, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_is_not_built_from_a_history_that_was_deleted() {
    let mut world = two_projections(DELETE_AT_ONCE).await;
    let host = start_without(&world, "picky");
    world.insert((1..=5).map(|n| told(&format!("e{n}"), "a", n, "ok"))).await;
    until_documents(&world, 0).await;
    host.stop().await;

    let host = world.start();
    host.until_phase("picky", "paused").await;
    let reason = host.status("picky").await.expect("it answers")["reason"].to_string();
    assert!(reason.contains("deleted") && reason.contains("start = \\\"now\\\""), "{reason}");
    // It does not wait to be built, so nobody waits for it.
    world.insert([told("e6", "a", 6, "ok")]).await;
    world.until_committed("recorder", 6).await;
    until_documents(&world, 0).await;
    host.stop().await;

    world.options.extra = "start = \"now\"";
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    world.insert([told("e7", "a", 7, "ok")]).await;
    world.until_committed("picky", 1).await;
    until_documents(&world, 0).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 1);
    world.assert_recorded(7, 1).await;
}

/// The notes that history was deleted.
fn notes(world: &World) -> mongodb::Collection<Document> {
    world.client.database(&world.name).collection("outbox_laterna")
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_deleted_leaves_a_note_also_after_an_operator_took_one_away() {
    let mut world = two_projections(DELETE_AT_ONCE).await;
    let host = start_without(&world, "picky");
    let all: Vec<_> = (1..=5).map(|n| told(&format!("e{n}"), "a", n, "ok")).collect();
    world.insert(all.clone()).await;
    until_documents(&world, 0).await;
    // The documents are brought back and the note is deleted, as the message says, but the host still deletes.
    notes(&world).delete_many(doc! {}).await.expect("it is deleted");
    world.insert(all).await;
    until_documents(&world, 0).await;
    assert_eq!(notes(&world).count_documents(doc! {}).await.expect("a count"), 1, "there is a note again");
    host.stop().await;
    world.options.outbox = "";
    let host = world.start();
    host.until_phase("picky", "paused").await;
    let reason = host.status("picky").await.expect("it answers")["reason"].to_string();
    assert!(reason.contains("documents of the outbox were deleted"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_during_which_history_was_deleted_never_ends_as_if_it_were_complete() {
    const EVENTS: i64 = 6000;
    let world = World::new("recorder", Options { batch_max: 50, ..Options::mysql() }).await;
    world
        .insert((0..EVENTS).map(|n| event(&format!("e{n}"), &format!("a{}", n % 50), n / 50 + 1, doc! {})))
        .await;
    let host = world.start();
    until("history is under way", async || {
        world.number_if_any("SELECT COUNT(*) FROM recorded").await.unwrap_or_default() > 0
    })
    .await;
    host.kill();
    let applied = world.number("SELECT COUNT(*) FROM recorded").await;
    assert!(applied < EVENTS, "the host was killed during the scan");
    // A host with another control schema knows nothing of this projection. It notes and deletes.
    let database = world.client.database(&world.name);
    let listed = database.run_command(doc! { "listCollections": 1, "filter": { "name": "outbox" } });
    let listed = listed.await.expect("it is listed");
    let found =
        listed.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).expect("a batch");
    let info = found[0].as_document().and_then(|found| found.get_document("info").ok()).expect("its info");
    let Some(bson::Bson::Binary(uuid)) = info.get("uuid") else { panic!("no UUID: {info}") };
    let uuid = hex::encode(&uuid.bytes);
    notes(&world)
        .insert_one(doc! { "_id": uuid, "historyDeletedSince": bson::DateTime::now() })
        .await
        .expect("the note");
    let last = format!("e{}", EVENTS - 1);
    world.outbox.delete_one(doc! { "_id": last }).await.expect("it is deleted");
    let host = world.start();
    host.until_phase("recorder", "paused").await;
    let reason = host.status("recorder").await.expect("it answers")["reason"].to_string();
    assert!(reason.contains("documents of the outbox were deleted"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_begins_with_history_is_waited_for_from_its_registration_on() {
    let world = two_projections(DELETE_AT_ONCE).await;
    world.insert([told("e1", "a", 1, "ok")]).await;
    let host = start_without(&world, "picky");
    world.until_committed("recorder", 1).await;
    // Whatever is registered without lanes may need all of it.
    let registration = format!(
        "INSERT INTO {0}.projection (projection, live_generation, lanes, source) \
         SELECT 'picky', 1, 0, source FROM {0}.projection WHERE projection = 'recorder'",
        world.control()
    );
    until_documents(&world, 0).await;
    world.run(&registration).await;
    world.insert([told("e2", "a", 2, "ok")]).await;
    until_trouble(&host, "recorder", "`picky` is not through with history").await;
    assert_eq!(documents(&world).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_not_write_to_the_outbox_does_not_stop_projecting() {
    let cluster = Cluster::start(1, &FAIL_POINTS).await;
    let mut world = World::new(
        "recorder",
        Options { mongodb: cluster.uri(), outbox: "acknowledge = \"mark\"", ..Options::mysql() },
    )
    .await;
    let denied = doc! { "failCommands": ["update", "delete"], "errorCode": 13 };
    cluster.fail(0, "failCommand", "alwaysOn", denied).await;
    let host = world.start();
    world.insert((1..=50).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    world.until_committed("recorder", 50).await;
    until_trouble(&host, "recorder", "readWrite").await;
    host.until_phase("recorder", "streaming").await;
    assert_eq!(host.get("/readyz").await.expect("it answers").0, 200, "the read model is up to date");
    let checked = said(&laterna(&config(&world, &host), &["check"]));
    assert!(checked.contains("FAIL  acknowledging") && checked.contains("readWrite"), "{checked}");
    host.stop().await;

    world.options.outbox = DELETE_AT_ONCE;
    let host = world.start();
    until_trouble(&host, "recorder", "readWrite").await;
    cluster.fail(0, "failCommand", "off", doc! {}).await;
    until_documents(&world, 0).await;
    until("the trouble is over", async || {
        host.status("recorder").await.is_some_and(|status| status["acknowledgement"]["trouble"].is_null())
    })
    .await;
    let checked = said(&laterna(&config(&world, &host), &["check"]));
    assert!(checked.contains("ok    acknowledging: documents can be deleted"), "{checked}");
    world.assert_recorded(50, 1).await;
}
