//! Hosts that lack something: memory, disk, the right time, a name server.

use std::process::Command;
use std::time::{Duration, Instant, UNIX_EPOCH};

use bson::doc;

use crate::support::clock::Clock;
use crate::support::host::BINARY;
use crate::support::proxy::{Mode, Proxy};
use crate::support::world::{event, free_port};
use crate::support::{Host, Mysqld, Options, PrivateServers, World, some_time, until};

/// Large events arrive, 900 MB together, while MySQL says nothing, and the host may not have half of that: the queues
/// bound what is kept of them.
pub async fn memory_is_bounded() {
    const EVENTS: i64 = 1000;
    const EVENT_BYTES: usize = 900 << 10;
    const GROWTH_BYTES_MAX: u64 = 350 << 20;
    const LIMIT_BYTES: u64 = 450 << 20;
    let servers = PrivateServers::start().await;
    let world = World::new("recorder", servers.options()).await;
    let proxy = Proxy::to(servers.mysql_port()).await;
    let url = world.url_at(proxy.port);
    // The lease outlives the silence: a host that gave it up would have nothing in its queues.
    let host = world.start_with(&[("MYSQL__URL", &url), ("HOST__LEASE_SECONDS", "300")]);
    world.insert([event("first", "first", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    let before = peak_bytes(&host);
    // What it has written to, as a container's limit would count it: not the address space that guests reserve.
    let limit = format!("--data={}", data_bytes(&host) + LIMIT_BYTES);
    let set = Command::new("prlimit").args(["--pid", &host.id().to_string(), &limit]).status();
    assert!(set.expect("prlimit runs").success(), "the host's memory is limited");
    proxy.set(Mode::BlackHole);
    let payload = "x".repeat(EVENT_BYTES);
    for n in 0..EVENTS {
        let text = doc! { "ordinal": n, "text": &payload };
        world.insert([event(&format!("e{n}"), &format!("a{}", n % 40), n / 40 + 1, text)]).await;
    }
    let mut peak = 0;
    let mut steady = 0;
    until("the host takes no more memory", async || {
        let now = peak_bytes(&host);
        steady = if now == peak { steady + 1 } else { 0 };
        peak = now;
        steady > 60
    })
    .await;
    let waiting = host.status("recorder").await.expect("it answers")["lanes"].clone();
    println!("{} MiB before, {} MiB at most, lanes: {waiting}", before >> 20, peak >> 20);
    proxy.cut();
    proxy.set(Mode::Pass);
    world.until_committed("recorder", EVENTS + 1).await;
    world.assert_recorded(EVENTS + 1, 41).await;
    let grown = peak_bytes(&host) - before;
    println!("{} MiB more at most", grown >> 20);
    assert!(grown < GROWTH_BYTES_MAX, "the host took {} MiB more", grown >> 20);
    assert_eq!(world.letters().await, (0, 0));
    assert!(host.stop().await.success());
}

/// Small events arrive, 137 bytes each, while MySQL says nothing: the queues bound what is held of them, decoded and on
/// many lanes, and not what the documents weigh.
pub async fn small_events_are_bounded() {
    const EVENTS: i64 = 100_000;
    const MEMORY_BYTES: u32 = 40 << 20;
    // Replies of MongoDB, and what the allocator does not give back.
    const GROWTH_BYTES_MAX: u64 = 48 << 20;
    const ALL_BYTES_MAX: u64 = 250 << 20;
    let servers = PrivateServers::start().await;
    let world = World::new("recorder", Options { lanes: 16, ..servers.options() }).await;
    let proxy = Proxy::to(servers.mysql_port()).await;
    let url = world.url_at(proxy.port);
    let memory = MEMORY_BYTES.to_string();
    let host = world.start_with(&[
        ("MYSQL__URL", &url),
        ("HOST__LEASE_SECONDS", "300"),
        ("HOST__MEMORY_BYTES", &memory),
    ]);
    world.insert([event("first", "first", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    let most = measured(&host, "laterna_queued_bytes_max").await.expect("it is shown");
    assert!((most - f64::from(MEMORY_BYTES)).abs() < 1.0, "{most}");
    let before = resident_bytes(&host);
    proxy.set(Mode::BlackHole);
    let document = |n: i64| event(&format!("e{n}"), &format!("a{}", n % 400), n / 400 + 1, doc! {});
    let mut resident = vec![];
    for part in 0..2 {
        world.insert((part * EVENTS..(part + 1) * EVENTS).map(document)).await;
        let queued = until_full(&host).await;
        resident.push(resident_bytes(&host));
        println!(
            "{:.1} MiB wait, {} MiB are resident",
            queued / f64::from(1 << 20),
            resident[resident.len() - 1] >> 20
        );
        assert!(queued <= most, "{queued} bytes wait");
        assert!(queued > most * 0.9, "{queued} bytes wait, and there are more");
    }
    let grown = resident[1].saturating_sub(resident[0]);
    println!("{} MiB before", before >> 20);
    assert!(resident[1] - before < ALL_BYTES_MAX, "the host took {} MiB", (resident[1] - before) >> 20);
    assert!(grown < GROWTH_BYTES_MAX, "the host took {} MiB more for as many more events", grown >> 20);
    proxy.cut();
    proxy.set(Mode::Pass);
    world.until_committed("recorder", 2 * EVENTS + 1).await;
    world.assert_recorded(2 * EVENTS + 1, 401).await;
    assert!(host.stop().await.success());
}

/// Waits until the queues take no more, and gives how many bytes they hold by the host's own word.
async fn until_full(host: &Host) -> f64 {
    let (mut queued, mut steady) = (0.0, 0);
    until("the queues take no more", async || {
        let now = measured(host, "laterna_queued_bytes").await.unwrap_or_default();
        steady = if now > 0.0 && now.total_cmp(&queued).is_eq() { steady + 1 } else { 0 };
        queued = now;
        steady > 60
    })
    .await;
    queued
}

/// What a host's metrics say of its one projection.
async fn measured(host: &Host, name: &str) -> Option<f64> {
    let (_, metrics) = host.get("/metrics").await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('{'))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// What a host has in memory.
fn resident_bytes(host: &Host) -> u64 {
    kilobytes(host, "VmRSS:")
}

/// What the kernel counts towards a process's limit of data.
fn data_bytes(host: &Host) -> u64 {
    kilobytes(host, "VmData:")
}

/// The most memory a host ever had.
fn peak_bytes(host: &Host) -> u64 {
    kilobytes(host, "VmHWM:")
}

/// In bytes, what a line of a process's status tells in kilobytes.
fn kilobytes(host: &Host, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux tells it");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") << 10
}

/// Neither the log nor the cache of compiled components takes a byte.
pub async fn disk_full() {
    let world = World::new("recorder", Options::mysql()).await;
    let state = world.folder.path().join("full");
    std::fs::create_dir(&state).expect("a folder");
    let port = free_port();
    let mut command = Command::new("unshare");
    // A namespace of its own may have a file system of its own, whoever runs this.
    let script = "mount -t tmpfs -o size=16k tmpfs \"$0\" && dd if=/dev/zero of=\"$0\"/filler bs=4k; \
                  exec \"$@\" 2>/dev/full";
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(&state).arg(BINARY);
    command.env("LATERNA_HOST__STATE", &state);
    let host = Host::start_as(command, &world.config(port), port);
    world.insert((1..=200).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    world.until_committed("recorder", 200).await;
    // Something to warn of, too.
    world.run(&format!("INSERT INTO {}.recorded VALUES ('thing', 'b', 1, 'x', 'x', NULL)", world.name)).await;
    world.insert([event("b1", "b", 1, doc! {})]).await;
    world.insert((201..=220).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    world.until_committed("recorder", 221).await;
    assert_eq!(world.letters().await, (1, 0));
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 221);
    assert!(host.stop().await.success());
}

/// In seconds.
const DAY: i64 = 86_400;

/// The wall clock jumps three days ahead and an hour back: leases, waits and order do not notice.
pub async fn clock_of_the_host() {
    let world = World::new("recorder", Options::mysql()).await;
    let clock = Clock::new(world.folder.path().join("clock"));
    let environment = clock.environment();
    assert!(!environment.is_empty(), "libfaketime can be had");
    let port = free_port();
    let mut command = Command::new(BINARY);
    command.envs(environment).env("LATERNA_HOST__LEASE_SECONDS", "2");
    let host = Host::start_as(command, &world.config(port), port);
    let standby = {
        world.insert([event("e1", "a", 1, doc! {})]).await;
        world.until_committed("recorder", 1).await;
        world.start()
    };
    standby.until_phase("recorder", "standby").await;
    let mut events = 1;
    for jump in [3 * DAY, -3600, 0] {
        clock.set(jump);
        // Longer than a lease, so that it was renewed under this clock.
        let until_then = Instant::now() + Duration::from_secs(3);
        until("the lease was renewed under another clock", async || {
            events += 1;
            world.insert([event(&format!("e{events}"), "a", events, doc! {})]).await;
            Instant::now() > until_then
        })
        .await;
        world.until_committed("recorder", events).await;
    }
    let days: std::collections::BTreeSet<_> = host.log().lines().map(|line| line[..10].to_owned()).collect();
    let status = host.status("recorder").await.expect("it answers");
    assert!(status["lag_seconds"].as_u64().is_some_and(|lag| lag < 60), "{status}");
    assert_eq!(world.number(&format!("SELECT epoch FROM {}.lease", world.control())).await, 1);
    world.assert_recorded(events, 1).await;
    // Whoever finds known days only has not moved the clock: something is logged on a day of its own.
    clock.set(9 * DAY);
    // It looks once a second how far off it is.
    some_time(3000).await;
    let log = host.signal_and_log("TERM").await;
    assert!(log.lines().any(|line| !days.contains(&line[..10])), "the clock stood:\n{log}");
}

/// mysqld's clock jumps ahead, so that leases have run out, and back, so that they last. Only the time of a take-over
/// depends on it.
pub async fn clock_of_the_server() {
    const HOUR: i64 = 3600;
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::new(folder.path().join("clock"));
    let server = Mysqld::by_clock(&clock).await;
    let world = World::new("recorder", server.options()).await;
    let here = async || world.number("SELECT UNIX_TIMESTAMP()").await;
    let true_time = || i64::try_from(UNIX_EPOCH.elapsed().expect("it is later").as_secs()).expect("in range");
    let jump = async |seconds: i64| {
        clock.set(seconds);
        until("mysqld has the other time", async || (here().await - true_time() - seconds).abs() < 5).await;
    };
    let first = world.start();
    let insert = async |from: i64, to: i64| {
        world.insert((from..=to).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
        world.until_committed("recorder", to).await;
    };
    insert(1, 10).await;
    let second = world.start();
    second.until_phase("recorder", "standby").await;
    let epoch = format!("SELECT epoch FROM {}.lease", world.control());
    // Every lease has run out. Whether it is renewed or taken first does not matter: one writes.
    jump(HOUR).await;
    insert(11, 100).await;
    until("one host stands by", async || standing(&first, &second).await == 1).await;
    println!("epoch {} after a jump ahead", world.number(&epoch).await);
    // From there back by three hours: until it is renewed, a lease lasts for as long.
    jump(-2 * HOUR).await;
    insert(101, 200).await;
    until("one host stands by", async || standing(&first, &second).await == 1).await;
    // The next hour's lease, as the clock says, and it is gone back before it is renewed.
    let is_second = second.status("recorder").await.is_some_and(|status| status["phase"] == "streaming");
    let (writing, standing) = if is_second { (second, first) } else { (first, second) };
    jump(HOUR).await;
    until("the lease is renewed by the clock of then", async || {
        let left =
            format!("SELECT UNIX_TIMESTAMP(expires_at) - UNIX_TIMESTAMP() FROM {}.lease", world.control());
        world.number(&left).await > 0
    })
    .await;
    writing.kill();
    jump(-HOUR).await;
    let began = Instant::now();
    insert(201, 220).await;
    println!("take-over with a lease of two hours: {:.2?}", began.elapsed());
    world.assert_recorded(220, 1).await;
    assert_eq!(world.letters().await, (0, 0));
    standing.until_phase("recorder", "streaming").await;
}

/// How many of two hosts stand by.
async fn standing(first: &Host, second: &Host) -> i32 {
    let mut standing = 0;
    for host in [first, second] {
        let status = host.status("recorder").await;
        standing += i32::from(status.is_some_and(|status| status["phase"] == "standby"));
    }
    standing
}

/// The host waits, says for what, and needs nothing but the right name.
pub async fn name_does_not_resolve() {
    let world = World::new("recorder", Options::mysql()).await;
    world.insert([event("e1", "a", 1, doc! {})]).await;
    let mysql = format!("mysql://root@mysql.invalid:3306/{}", world.name);
    let mongodb = "mongodb://mongodb.invalid:27017/?replicaSet=rs0&serverSelectionTimeoutMS=1000".to_owned();
    for (setting, value, class) in
        [("MYSQL__URL", mysql, "connection-lost"), ("MONGODB__URI", mongodb, "source-unavailable")]
    {
        let host = world.start_with(&[(setting, &value)]);
        until("the host says what it waits for", async || {
            let ready = host.get("/readyz").await;
            ready.is_some_and(|(code, text)| {
                code == 503 && text.contains(class) && text.contains("what to do")
            })
        })
        .await;
        some_time(1000).await;
        assert_eq!(host.get("/livez").await.expect("it runs on").0, 200);
        assert!(host.stop().await.success());
    }
    let _host = world.start();
    world.until_committed("recorder", 1).await;
    world.assert_recorded(1, 1).await;
}
