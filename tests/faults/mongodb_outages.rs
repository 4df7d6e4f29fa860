//! MongoDB is away, wholly or in part, or hard to reach.

use std::time::Duration;

use mongodb::bson::doc;
use mongodb::options::WriteConcern;

use crate::followed::Followed;
use crate::support::proxy::{Mode, Proxy};
use crate::support::world::event;
use crate::support::{Options, World, some_time, until, until_within};

const ELECTED: Duration = Duration::from_secs(30);

pub async fn the_primary_is_killed() {
    let mut followed = Followed::start(3, &[]).await;
    let primary = followed.cluster.until_primary().await;
    followed.cluster.kill_member(primary);
    followed.write(50).await;
    followed.settled_within(ELECTED).await;
}

pub async fn the_primary_steps_down() {
    let mut followed = Followed::start(3, &[]).await;
    let primary = followed.cluster.until_primary().await;
    let step_down = doc! { "replSetStepDown": 10, "force": true };
    followed.cluster.admin(primary).await.run_command(step_down).await.expect("it steps down");
    followed.write(50).await;
    followed.settled_within(ELECTED).await;
}

pub async fn the_primary_is_frozen() {
    let mut followed = Followed::start(3, &[]).await;
    let primary = followed.cluster.until_primary().await;
    followed.cluster.signal(primary, "STOP");
    followed.write(50).await;
    followed.settled_within(ELECTED).await;
    followed.cluster.signal(primary, "CONT");
    followed.write(50).await;
    followed.settled().await;
}

pub async fn all_are_down() {
    let mut followed = Followed::start(3, &[]).await;
    let epoch = format!("SELECT epoch FROM {}.lease", followed.world.control());
    let before = followed.world.number(&epoch).await;
    for member in 0..3 {
        followed.cluster.kill_member(member);
    }
    followed.until_trouble("MongoDB is not reachable", ELECTED).await;
    some_time(15_000).await;
    for member in 0..3 {
        followed.cluster.start_member(member);
    }
    followed.write(50).await;
    followed.settled_within(ELECTED).await;
    assert_eq!(followed.world.number(&epoch).await, before, "the lease is kept meanwhile");
}

pub async fn the_majority_is_lost() {
    let mut followed = Followed::start(3, &[]).await;
    let primary = followed.cluster.until_primary().await;
    let secondaries: Vec<usize> = (0..3).filter(|member| *member != primary).collect();
    for member in &secondaries {
        followed.cluster.signal(*member, "STOP");
    }
    followed.until_trouble("stalled", Duration::from_secs(75)).await;
    assert!(
        followed
            .host()
            .get("/readyz")
            .await
            .is_some_and(|(code, text)| code == 503 && text.contains("stalled"))
    );
    for member in &secondaries {
        followed.cluster.signal(*member, "CONT");
    }
    followed.write(50).await;
    followed.settled_within(ELECTED).await;
    until("the host says that all is well", async || {
        followed.host().get("/readyz").await.is_some_and(|(code, _)| code == 200)
    })
    .await;
}

pub async fn writes_are_rolled_back() {
    let mut followed = Followed::start(3, &[]).await;
    let primary = followed.cluster.until_primary().await;
    let others: Vec<usize> = (0..3).filter(|member| *member != primary).collect();
    for member in &others {
        followed.cluster.kill_member(*member);
    }
    // Before the primary notices that it is alone, it takes a write that nobody else will ever have.
    let outbox =
        followed.cluster.admin(primary).await.client().database(&followed.world.name).collection("outbox");
    let alone = WriteConcern::builder().w(mongodb::options::Acknowledgment::Nodes(1)).journal(true).build();
    let ghost = event("ghost", "ghost", 1, doc! { "ordinal": 0 });
    outbox.insert_one(ghost).write_concern(alone).await.expect("the primary is still one");
    some_time(2000).await;
    followed.cluster.kill_member(primary);
    for member in &others {
        followed.cluster.start_member(*member);
    }
    followed.write(30).await;
    followed.cluster.start_member(primary);
    until("the old primary has rolled its write back", async || {
        let hello = followed.cluster.admin(primary).await.run_command(doc! { "hello": 1 }).await;
        let says = |what| hello.as_ref().is_ok_and(|hello| hello.get_bool(what).unwrap_or_default());
        let member = says("secondary") || says("isWritablePrimary");
        member && outbox.count_documents(doc! { "_id": "ghost" }).await.is_ok_and(|count| count == 0)
    })
    .await;
    followed.write(30).await;
    followed.settled().await;
    assert_eq!(followed.world.number("SELECT COUNT(*) FROM recorded WHERE event_id = 'ghost'").await, 0);
}

/// A host that reaches its replica set of one through a proxy.
async fn proxied() -> (Followed, Proxy) {
    let mut followed = Followed::start(1, &[]).await;
    let proxy = Proxy::to(followed.cluster.port(0)).await;
    followed.world.options.mongodb =
        format!("mongodb://127.0.0.1:{}/?replicaSet=rs0&directConnection=true", proxy.port);
    followed.restart("").await;
    (followed, proxy)
}

pub async fn the_connection_is_cut() {
    let (mut followed, proxy) = proxied().await;
    for _ in 0..5 {
        proxy.cut();
        followed.write(20).await;
        followed.settled_within(Duration::from_secs(10)).await;
    }
    proxy.set(Mode::Refuse);
    proxy.cut();
    followed.until_trouble("MongoDB is not reachable", ELECTED).await;
    followed.write(20).await;
    proxy.set(Mode::Pass);
    followed.settled_within(ELECTED).await;
}

pub async fn the_connection_is_half_open() {
    silence(Mode::Deaf).await;
}

pub async fn a_black_hole() {
    silence(Mode::BlackHole).await;
}

/// The host notices within 45 s that nobody answers, and goes on when somebody does.
async fn silence(mode: Mode) {
    let (mut followed, proxy) = proxied().await;
    proxy.set(mode);
    followed.write(20).await;
    followed.until_trouble("MongoDB is not reachable", Duration::from_secs(45)).await;
    proxy.set(Mode::Pass);
    proxy.cut();
    followed.settled_within(ELECTED).await;
}

pub async fn mongodb_is_far_away() {
    let (mut followed, proxy) = proxied().await;
    proxy.set(Mode::Delay(Duration::from_millis(100)));
    followed.write(2000).await;
    followed.settled_within(Duration::from_mins(1)).await;
    assert!(
        !followed.host().log().contains("trying again"),
        "slowness is no failure:\n{}",
        followed.host().log()
    );
}

pub async fn the_name_is_unknown() {
    let mut world = World::new("recorder", Options::mysql()).await;
    "mongodb+srv://mongodb.laterna.invalid/?tls=false".clone_into(&mut world.options.mongodb);
    let host = world.start();
    until_within(Duration::from_mins(1), "the host waits for the name to be known", async || {
        let status = host.status("recorder").await;
        status.is_some_and(|status| {
            status["trouble"].as_str().is_some_and(|trouble| trouble.contains("looking up"))
        })
    })
    .await;
    assert!(host.stop().await.success());
}
