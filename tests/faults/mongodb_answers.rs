//! MongoDB answers, but not what was asked for.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use mongodb::bson::doc;

use crate::followed::{Followed, Watched};
use crate::support::cluster::{Cluster, FAIL_POINTS};
use crate::support::{Options, World, some_time, until};

pub async fn the_cursor_is_killed() {
    let mut followed = Followed::start(1, &[]).await;
    for _ in 0..5 {
        let all: Vec<mongodb::bson::Bson> = vec![];
        let admin = followed.cluster.admin(0).await;
        admin.run_command(doc! { "killAllSessions": all }).await.expect("every cursor is killed");
        followed.write(20).await;
        followed.settled_within(Duration::from_secs(20)).await;
    }
    assert!(followed.host().log().contains("trying again"), "no cursor was killed");
}

/// Failovers, lost cursors, limits of time and load, and a code that nobody has met yet.
const HEALING: [i32; 30] = [
    6, 7, 43, 50, 63, 89, 91, 112, 133, 134, 150, 189, 202, 211, 216, 234, 237, 246, 262, 365, 402, 433, 449,
    9001, 10058, 10107, 11600, 11602, 13388, 13435,
];

pub async fn errors_that_heal() {
    let mut followed = Followed::start(1, &FAIL_POINTS).await;
    for code in HEALING.into_iter().chain([13436, 99_999]) {
        for command in ["getMore", "aggregate"] {
            followed.fail(command, code, 1).await;
            // Whatever is open fails, so that it is opened again.
            if command == "aggregate" {
                let all: Vec<mongodb::bson::Bson> = vec![];
                let _ = followed.cluster.admin(0).await.run_command(doc! { "killAllSessions": all }).await;
            }
            followed.write(10).await;
            followed.settled_within(Duration::from_secs(20)).await;
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
    let before = followed.failures().await;
    let data = doc! { "failCommands": ["getMore"], "errorCode": 43, "appName": "laterna" };
    followed.cluster.fail(0, "failCommand", "alwaysOn", data).await;
    some_time(5000).await;
    let met = followed.failures().await - before;
    assert!((3.0..=10.0).contains(&met), "{met} failures in 5 s");
    assert!(
        followed.host().get("/readyz").await.is_some_and(|(code, _)| code == 503),
        "it says that it is degraded"
    );
    followed.cluster.fail(0, "failCommand", "off", doc! {}).await;
    followed.write(20).await;
    followed.settled_within(Duration::from_secs(20)).await;
}

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
    followed.settled_within(Duration::from_secs(30)).await;
}
