//! MongoDB is away, wholly or in part, or hard to reach.

use std::time::{Duration, Instant};

use mongodb::bson::doc;
use mongodb::options::WriteConcern;

use crate::followed::{Followed, numbered};
use crate::support::cluster::Cluster;
use crate::support::proxy::{Mode, Proxy};
use crate::support::world::event;
use crate::support::{Options, World, until, until_then, until_within};

/// How soon a host goes on when a primary is lost, its election included.
const ELECTED: Duration = Duration::from_secs(15);

/// How soon it goes on when MongoDB is back.
const BACK: Duration = Duration::from_secs(10);

const UNREACHABLE: &str = "MongoDB is not reachable";

pub async fn the_primary_is_killed() {
    let mut followed = Followed::start(3, &[]).await;
    let primary = followed.cluster.until_primary().await;
    let since = Instant::now();
    followed.cluster.kill_member(primary);
    followed.write(50).await;
    followed.settled_since(since, ELECTED).await;
}

pub async fn the_primary_steps_down() {
    let mut followed = Followed::start(3, &[]).await;
    let primary = followed.cluster.until_primary().await;
    let since = Instant::now();
    let step_down = doc! { "replSetStepDown": 10, "force": true };
    followed.cluster.admin(primary).await.run_command(step_down).await.expect("it steps down");
    followed.write(50).await;
    followed.settled_since(since, ELECTED).await;
    assert_ne!(followed.cluster.primary().await, Some(primary), "it did not step down");
}

pub async fn the_primary_is_frozen() {
    let mut followed = Followed::start(3, &[]).await;
    let primary = followed.cluster.until_primary().await;
    // The writer notices sooner than the host does, so that it is the host's time that is measured.
    let impatient = format!("{}&heartbeatFrequencyMS=1000&connectTimeoutMS=1000", followed.cluster.uri());
    let client = mongodb::Client::with_uri_str(impatient).await.expect("a URI");
    followed.world.outbox = client.database(&followed.world.name).collection("outbox");
    let since = Instant::now();
    followed.cluster.signal(primary, "STOP");
    followed.write(50).await;
    followed.settled_since(since, Duration::from_secs(30)).await;
    // It comes back when the others have long gone on, and does not know that yet.
    until_then(since + Duration::from_secs(40)).await;
    followed.cluster.signal(primary, "CONT");
    let since = Instant::now();
    followed.write(50).await;
    followed.settled_since(since, ELECTED).await;
}

pub async fn all_are_down() {
    const OUTAGE: Duration = Duration::from_mins(2);
    let mut followed = Followed::start(3, &[]).await;
    let control = followed.world.control();
    let epoch = format!("SELECT epoch FROM {control}.lease");
    let batches = format!("SELECT SUM(batch) FROM {control}.checkpoint");
    let before = followed.world.number(&epoch).await;
    for member in 0..3 {
        followed.cluster.kill_member(member);
    }
    let since = Instant::now();
    followed.until_trouble(UNREACHABLE, ELECTED).await;
    let (tries, batch) = (followed.failures().await, followed.world.number(&batches).await);
    let time = followed.host().processor_time();
    until_then(since + OUTAGE).await;
    let tries = followed.failures().await - tries;
    let time = followed.host().processor_time().saturating_sub(time);
    println!("{tries} tries and {time:?} of processor time in {OUTAGE:?}");
    // A try waits 5 s for a server, and at most 5 s before the next one.
    assert!((10.0..=60.0).contains(&tries), "{tries} tries in {OUTAGE:?}");
    assert!(time < OUTAGE / 10, "{time:?} of processor time");
    assert_eq!(followed.world.number(&batches).await, batch, "MySQL is left alone");
    let (code, text) = followed.readiness().await;
    assert!(code == 503 && text.contains("[source-unavailable]"), "{text}");
    for member in 0..3 {
        followed.cluster.start_member(member);
    }
    followed.cluster.until_primary().await;
    let since = Instant::now();
    followed.write(50).await;
    followed.settled_since(since, BACK).await;
    assert_eq!(followed.world.number(&epoch).await, before, "the lease is kept meanwhile");
}

/// It takes half a minute without any move to call a stream stalled, and what asking and answering takes.
pub async fn the_majority_is_lost() {
    let mut followed = Followed::start(3, &[]).await;
    let primary = followed.cluster.until_primary().await;
    let secondaries: Vec<usize> = (0..3).filter(|member| *member != primary).collect();
    for member in &secondaries {
        followed.cluster.signal(*member, "STOP");
    }
    let failures = followed.failures().await;
    followed.until_trouble("stalled", Duration::from_secs(40)).await;
    let (code, text) = followed.readiness().await;
    assert!(code == 503 && text.contains("stalled"), "{text}");
    println!("{} failures of the source meanwhile", followed.failures().await - failures);
    for member in &secondaries {
        followed.cluster.signal(*member, "CONT");
    }
    let since = Instant::now();
    followed.write(50).await;
    followed.settled_since(since, BACK).await;
    until_within(BACK, "the host says that all is well", async || followed.readiness().await.0 == 200).await;
}

/// The old primary is cut off from the others, but not from the host: it shows what only it has to whoever asks for
/// less than the majority's.
pub async fn writes_are_rolled_back() {
    let mut followed = Followed::on(Cluster::start_apart(3).await, Options::mysql()).await;
    let primary = followed.cluster.until_primary().await;
    followed.cluster.isolate(primary);
    // Before the primary notices that it is alone, it takes writes that nobody else will ever have.
    let old = followed.cluster.admin(primary).await.client().database(&followed.world.name);
    let outbox = old.collection("outbox");
    let alone = WriteConcern::builder().w(mongodb::options::Acknowledgment::Nodes(1)).journal(true).build();
    for n in 0..20 {
        let ghost = event(&format!("ghost{n}"), "a1", 3 + n, doc! { "ordinal": 0 });
        outbox.insert_one(ghost).write_concern(alone.clone()).await.expect("the primary is still one");
    }
    let since = Instant::now();
    until("the others have a primary of their own", async || {
        let now = followed.cluster.primary().await;
        now.is_some_and(|now| now != primary)
    })
    .await;
    println!("another primary after {:.2?}", since.elapsed());
    followed.write(30).await;
    followed.settled_since(since, STUCK).await;
    followed.cluster.reunite();
    until("the old primary has rolled its writes back", async || {
        let ghosts = outbox.count_documents(doc! { "_id": { "$regex": "^ghost" } }).await;
        ghosts.is_ok_and(|count| count == 0)
    })
    .await;
    followed.write(30).await;
    followed.settled().await;
    assert_eq!(followed.world.number("SELECT COUNT(*) FROM recorded WHERE event_id LIKE 'ghost%'").await, 0);
}

/// How soon the host leaves a server that answers and has nothing new, while the others have another primary.
const STUCK: Duration = Duration::from_secs(45);

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
        let since = Instant::now();
        proxy.cut();
        followed.write(20).await;
        followed.settled_since(since, Duration::from_secs(2)).await;
    }
    proxy.set(Mode::Refuse);
    proxy.cut();
    followed.until_trouble(UNREACHABLE, BACK).await;
    followed.write(20).await;
    proxy.set(Mode::Pass);
    followed.settled_since(Instant::now(), BACK).await;
}

pub async fn the_connection_is_half_open() {
    silence(Mode::Deaf).await;
}

pub async fn a_black_hole() {
    silence(Mode::BlackHole).await;
}

/// Open connections are silent for ever, and neither end is told: the host makes new ones within 45 s. Then nothing
/// passes at all until it has noticed that, too.
async fn silence(mode: Mode) {
    let (mut followed, proxy) = proxied().await;
    let since = Instant::now();
    proxy.forsake(mode);
    followed.write(20).await;
    followed.settled_since(since, Duration::from_secs(45)).await;
    until_within(BACK, "the host says that all is well", async || followed.readiness().await.0 == 200).await;
    proxy.set(mode);
    followed.write(20).await;
    followed.until_trouble(UNREACHABLE, Duration::from_secs(45)).await;
    proxy.set(Mode::Pass);
    // What was open then is still good for nothing.
    proxy.forsake(mode);
    followed.settled_since(Instant::now(), Duration::from_secs(45)).await;
}

/// 200 ms there and back, and a megabit a second. One reply of the change stream would take longer than a server may be
/// silent: that is met once, and then replies are smaller.
pub async fn mongodb_is_far_away() {
    const EVENT_BYTES: usize = 8 << 10;
    const BYTES_A_SECOND: u32 = 125_000;
    let (mut followed, proxy) = proxied().await;
    proxy.set(Mode::Narrow { delay: Duration::from_millis(100), bytes_a_second: BYTES_A_SECOND });
    let mut failures = 0.0;
    for (events, bytes) in [(1000, 10), (700, EVENT_BYTES), (350, EVENT_BYTES)] {
        let text = "x".repeat(bytes);
        let padded = (followed.written..followed.written + events).map(|n| {
            let mut document = numbered(n);
            document.insert("text", &text);
            document
        });
        let since = Instant::now();
        followed.world.insert(padded).await;
        followed.written += events;
        followed.settled_within(Duration::from_mins(2)).await;
        let (took, met) = (since.elapsed(), followed.failures().await - failures);
        failures += met;
        println!("{events} events of {bytes} bytes took {took:.1?}, {met} failures");
        let least =
            u32::try_from(bytes).expect("a few") * u32::try_from(events).expect("a few") / BYTES_A_SECOND;
        assert!(took >= Duration::from_secs(least.into()), "the link was not narrow");
        let expected = if events == 700 { 1.0 } else { 0.0 };
        assert!(met <= expected, "slowness is no failure:\n{}", followed.host().log());
    }
    until_within(BACK, "the host says that all is well", async || followed.readiness().await.0 == 200).await;
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
