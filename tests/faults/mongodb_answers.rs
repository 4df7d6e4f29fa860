//! MongoDB answers, but not what was asked for.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use mongodb::bson::doc;

use crate::followed::{Followed, Watched};
use crate::support::cluster::{Cluster, FAIL_POINTS};
use crate::support::{Options, World, some_time, until, until_within};

/// How soon the host goes on when its cursor is lost, or its command has failed.
const RESUMED: Duration = Duration::from_secs(2);

/// How soon it says that all is well.
const BACK: Duration = Duration::from_secs(5);

/// By an administrator, by one who ends all sessions, by the server itself because nobody asked for a while, and by
/// the word alone.
pub async fn the_cursor_is_killed() {
    let mut followed = Followed::start(1, &FAIL_POINTS).await;
    let admin = followed.cluster.admin(0).await;
    for _ in 0..3 {
        // Again until the host noticed: the cursor that is found may be one that the host has just given up.
        let failures = followed.failures().await;
        let noticed = async || {
            kill_cursors(&followed, &admin).await;
            followed.failures().await > failures
        };
        until_within(RESUMED, "the cursor is lost", noticed).await;
        let since = Instant::now();
        followed.write(20).await;
        followed.settled_since(since, RESUMED).await;
        let since = Instant::now();
        let all: Vec<mongodb::bson::Bson> = vec![];
        admin.run_command(doc! { "killAllSessions": all }).await.expect("every cursor is killed");
        followed.write(20).await;
        followed.settled_since(since, RESUMED).await;
        let since = Instant::now();
        followed.fail("getMore", 43, 1).await;
        followed.write(20).await;
        followed.settled_since(since, RESUMED).await;
    }
    // A lease that outlasts the freeze: this is about the cursor.
    followed.restart_with(&[("HOST__LEASE_SECONDS", "60")]).await;
    let soon = doc! { "setParameter": 1, "cursorTimeoutMillis": 1000, "clientCursorMonitorFrequencySecs": 1,
    "enableTimeoutOfInactiveSessionCursors": true };
    admin.run_command(soon).await.expect("cursors time out soon");
    let timed_out = async || {
        let status = admin.run_command(doc! { "serverStatus": 1 }).await.expect("it answers");
        let cursor = status.get_document("metrics").and_then(|metrics| metrics.get_document("cursor"));
        cursor.expect("it counts them").get_i64("timedOut").expect("a number")
    };
    let before = timed_out().await;
    followed.host().signal("STOP");
    followed.write(20).await;
    until("the cursor has timed out", async || timed_out().await > before).await;
    followed.host().signal("CONT");
    followed.settled_since(Instant::now(), RESUMED).await;
}

/// Kills each cursor that is open on the outbox just now, by its id.
async fn kill_cursors(followed: &Followed, admin: &mongodb::Database) {
    let name = &followed.world.name;
    let operations = [
        doc! { "$currentOp": { "allUsers": true, "idleCursors": true } },
        doc! { "$match": { "ns": format!("{name}.outbox"), "cursor.cursorId": { "$exists": true } } },
    ];
    let found = admin.aggregate(operations).await.expect("the server tells them");
    let found: Vec<mongodb::bson::Document> = found.try_collect().await.expect("the server tells them");
    let id = |operation: &mongodb::bson::Document| operation.get_document("cursor")?.get_i64("cursorId");
    let ids: Vec<i64> = found.iter().filter_map(|operation| id(operation).ok()).collect();
    if ids.is_empty() {
        return;
    }
    let kill = doc! { "killCursors": "outbox", "cursors": ids };
    admin.client().database(name).run_command(kill).await.expect("they are killed");
}

/// Failovers, lost cursors, limits of time and load, and a code that nobody has met yet.
const HEALING: [i32; 32] = [
    6, 7, 43, 50, 63, 89, 91, 112, 133, 134, 150, 189, 202, 211, 216, 234, 237, 246, 262, 365, 402, 433, 449,
    9001, 10058, 10107, 11600, 11602, 13388, 13435, 13436, 99_999,
];

/// With the label that the driver goes by, and without it.
pub async fn errors_that_heal() {
    let mut followed = Followed::start(1, &FAIL_POINTS).await;
    let all: Vec<mongodb::bson::Bson> = vec![];
    for code in HEALING {
        for (command, label) in [("getMore", true), ("getMore", false), ("aggregate", true)] {
            let (failures, since) = (followed.failures().await, Instant::now());
            let labels: &[&str] = if label { &["ResumableChangeStreamError"] } else { &[] };
            followed.fail_labelled(command, code, 1, labels).await;
            // Whatever is open fails, so that it is opened again.
            if command == "aggregate" {
                let kill = doc! { "killAllSessions": all.clone() };
                let _ = followed.cluster.admin(0).await.run_command(kill).await;
            }
            followed.write(10).await;
            followed.settled_within(RESUMED.saturating_sub(since.elapsed())).await;
            // What was under way may have arrived before its cursor was lost. What the driver repeats by itself is not
            // counted.
            until_within(RESUMED, &format!("{code} of {command} is counted"), async || {
                command == "aggregate" || followed.failures().await > failures
            })
            .await;
            until_within(BACK, "the stream is open again", async || followed.readiness().await.0 == 200)
                .await;
        }
    }
}

/// Codes that no waiting heals, and words of the reason that the operator is told.
const PAUSING: [(i32, &str); 14] = [
    (286, "enlarge the oplog"),
    (136, "enlarge the oplog"),
    (40576, "enlarge the oplog"),
    (280, "restore the control schema"),
    (260, "restore the control schema"),
    (9, "restore the control schema"),
    (15, "restore the control schema"),
    (40647, "restore the control schema"),
    (13, "access denied"),
    (18, "access denied"),
    (40573, "40573"),
    (166, "166"),
    (26, "26"),
    (73, "73"),
];

pub async fn errors_that_pause() {
    let mut followed = Followed::start(1, &FAIL_POINTS).await;
    for (code, says) in PAUSING {
        followed.fail("getMore", code, 1).await;
        followed.write(10).await;
        let reason = followed.until_paused().await;
        assert!(reason.contains(says), "{code} says: {reason}");
        // Nothing was really wrong, so a fresh start goes on where it was.
        followed.restart("").await;
        followed.settled().await;
    }
}

pub async fn a_storm_of_resumes() {
    let mut followed = Followed::start(1, &FAIL_POINTS).await;
    let (before, time) = (followed.failures().await, followed.host().processor_time());
    let data = doc! { "failCommands": ["getMore"], "errorCode": 43, "appName": "laterna" };
    followed.cluster.fail(0, "failCommand", "alwaysOn", data).await;
    some_time(5000).await;
    let met = followed.failures().await - before;
    assert!((3.0..=10.0).contains(&met), "{met} failures in 5 s");
    let time = followed.host().processor_time().saturating_sub(time);
    println!("{met} failures and {time:?} of processor time in 5 s");
    assert!(time < Duration::from_secs(1), "{time:?} of processor time in 5 s");
    assert!(
        followed.host().get("/readyz").await.is_some_and(|(code, _)| code == 503),
        "it says that it is degraded"
    );
    followed.cluster.fail(0, "failCommand", "off", doc! {}).await;
    followed.write(20).await;
    followed.settled_within(Duration::from_secs(20)).await;
}

/// Its role is taken away, and then its password is another one, so that what the host has is wrong.
pub async fn the_role_is_revoked() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    std::fs::write(&key, "bGF0ZXJuYSBsYXRlcm5hIGxhdGVybmE=").expect("the key is written");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("it is the owner's alone");
    let cluster = Cluster::start(1, &["--auth", "--keyFile", key.to_str().expect("text")]).await;
    // The first user may be created from the loopback without being one.
    let root = doc! { "createUser": "root", "pwd": "secret", "roles": ["root"] };
    cluster.admin(0).await.run_command(root).await.expect("the first user is created");
    let uri = |user| {
        format!("mongodb://{user}:secret@127.0.0.1:{}/?replicaSet=rs0&authSource=admin", cluster.port(0))
    };
    let options = Options { mongodb: uri("root"), lanes: 2, ..Options::mysql() };
    let mut world = World::new("recorder", options).await;
    let role = doc! { "role": "read", "db": &world.name };
    let admin = world.client.database("admin");
    let user = doc! { "createUser": "laterna", "pwd": "secret", "roles": [role.clone()] };
    admin.run_command(user).await.expect("the host's account is created");
    world.options.mongodb = uri("laterna");
    let mut followed = Followed::of(Watched::new(world), cluster);
    followed.start_host("");
    followed.write(20).await;
    followed.settled().await;
    until("it says that it cannot see the oplog", async || {
        followed.host().log().contains("how long the oplog is")
    })
    .await;
    let revoke = doc! { "revokeRolesFromUser": "laterna", "roles": [role.clone()] };
    admin.run_command(revoke).await.expect("the role is revoked");
    followed.write(20).await;
    let reason = followed.until_paused().await;
    assert!(reason.contains("access denied"), "{reason}");
    let grant = doc! { "grantRolesToUser": "laterna", "roles": [role] };
    admin.run_command(grant).await.expect("the role is granted");
    followed.settled_since(Instant::now(), MENDED).await;
    // Sessions that are open stay what they are, so they are ended with their server.
    let password = |password: &str| doc! { "updateUser": "laterna", "pwd": password };
    admin.run_command(password("another")).await.expect("the password is another one");
    followed.cluster.kill_member(0);
    followed.cluster.start_member(0);
    followed.write(20).await;
    let reason = followed.until_paused().await;
    assert!(reason.contains("access denied"), "{reason}");
    let (code, text) = followed.readiness().await;
    assert!(code == 503 && text.contains("[access-denied]"), "{text}");
    admin.run_command(password("secret")).await.expect("the password is the old one");
    followed.settled_since(Instant::now(), MENDED).await;
}

/// How soon the host goes on when its account is mended.
const MENDED: Duration = Duration::from_secs(30);
