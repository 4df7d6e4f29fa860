//! What holds during every fault: nothing leaks, retries are bounded, health tells the truth, and secrets stay out of
//! the log.

use std::time::{Duration, Instant};

use bson::doc;

use crate::catalogue::Proof::{Quick, Slow};
use crate::catalogue::{Row, test};
use crate::hosts::{mongodb_port, mysql_port};
use crate::support::proxy::{Mode, Proxy};
use crate::support::world::{event, laterna, mongodb_at, said};
use crate::support::{Host, Options, World, some_time, until, until_within};

pub fn rows() -> Vec<Row> {
    let row = |number, fault, proof| Row { number, fault, proof };
    vec![
        row(61, "runs that end thirty times leave nothing behind", Slow(test!(nothing_leaks))),
        row(62, "a long outage costs few retries", Slow(test!(retries_are_bounded))),
        row(63, "health and status tell the truth in time", Quick(test!(health_is_truthful))),
        row(64, "passwords and payloads stay out of the log", Quick(test!(the_log_keeps_secrets))),
    ]
}

/// What a process and its sessions hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    threads: u64,
    files: u64,
    sessions: i64,
    statements: i64,
}

impl Held {
    async fn by(host: &Host, world: &World) -> Self {
        let statements = "SELECT COUNT(*) FROM performance_schema.prepared_statements_instances i JOIN \
                          performance_schema.threads t ON t.thread_id = i.owner_thread_id WHERE t.processlist_db";
        let sessions =
            "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND db";
        Self {
            threads: process(host, "task").len() as u64,
            files: process(host, "fd").len() as u64,
            sessions: world.number(&format!("{sessions} = '{}'", world.name)).await,
            statements: world.number(&format!("{statements} = '{}'", world.name)).await,
        }
    }

    fn at_most(self, before: Self) -> bool {
        // The driver of MongoDB opens and closes connections of its own; thirty leaks would be thirty.
        self.threads <= before.threads + 3
            && self.files <= before.files + 5
            && self.sessions <= before.sessions
            && self.statements <= before.statements + 5
    }
}

/// The names in a folder of `/proc` of a host.
fn process(host: &Host, folder: &str) -> Vec<std::path::PathBuf> {
    let read = std::fs::read_dir(format!("/proc/{}/{folder}", host.id())).expect("it runs");
    read.flatten().map(|entry| entry.path()).collect()
}

async fn nothing_leaks() {
    let world = World::new("recorder", Options::mysql()).await;
    let (mysql, mongodb) = (Proxy::to(mysql_port()).await, Proxy::to(mongodb_port()).await);
    let (url, uri) = (world.url_at(mysql.port), mongodb_at(mongodb.port));
    let host = world.start_with(&[("MYSQL__URL", &url), ("MONGODB__URI", &uri)]);
    let mut events = 0;
    let mut next =
        async || {
            world
                .insert((0..8).map(|lane| {
                    event(&format!("e{events}-{lane}"), &format!("a{lane}"), events + 1, doc! {})
                }))
                .await;
            events += 1;
            world.until_committed("recorder", events * 8).await;
        };
    next().await;
    // What the first disturbances leave, e.g. warm pools, belongs to the baseline.
    let mut baseline = None;
    for round in 0..33 {
        if round == 3 {
            next().await;
            some_time(1500).await;
            baseline = Some(Held::by(&host, &world).await);
        }
        match round % 4 {
            0 => mysql.cut(),
            1 => mongodb.cut(),
            2 => {
                let sessions =
                    world.rows(&format!("SELECT connection_id FROM {}.checkpoint", world.control())).await;
                for session in sessions {
                    let id: Option<u64> = sqlx::Row::get(&session, 0);
                    let mut connection = world.mysql().await;
                    // It may have gone by itself.
                    let kill = format!("KILL {}", id.unwrap_or_default());
                    let _ = sqlx::Executor::execute(&mut connection, kill.as_str()).await;
                }
            }
            // The run ends as if another host had taken over, and the next one begins.
            _ => {
                let raised =
                    format!("{0}.lease l JOIN {0}.checkpoint c SET l.epoch = l.epoch + 1", world.control());
                world.run(&format!("UPDATE {raised}, c.epoch = c.epoch + 1")).await;
            }
        }
        next().await;
    }
    let before = baseline.expect("it was taken in the fourth round");
    let mut after = before;
    until_within(Duration::from_secs(20), "what was taken is given back", async || {
        after = Held::by(&host, &world).await;
        after.at_most(before)
    })
    .await;
    println!("before: {before:?}\nafter:  {after:?}");
    world.assert_recorded(events * 8, 8).await;
}

async fn retries_are_bounded() {
    const OUTAGE_MS: u64 = 30_000;
    let world = World::with(&[("recorder", "recorder"), ("other", "picky")], Options::mysql()).await;
    let (mysql, mongodb) = (Proxy::to(mysql_port()).await, Proxy::to(mongodb_port()).await);
    let (url, uri) = (world.url_at(mysql.port), mongodb_at(mongodb.port));
    // The lease outlasts the outage, so that the lanes try all the time.
    let settings = [("MYSQL__URL", &*url), ("MONGODB__URI", &*uri), ("HOST__LEASE_SECONDS", "120")];
    let host = world.start_with(&settings);
    world.insert([event("e1", "a", 1, doc! { "do": "ok" })]).await;
    world.until_committed("recorder", 1).await;
    world.until_committed("other", 1).await;
    let (time, lines) = (host.processor_time(), host.log().lines().count());
    for proxy in [&mysql, &mongodb] {
        proxy.set(Mode::Refuse);
        proxy.cut();
    }
    some_time(OUTAGE_MS).await;
    let time = host.processor_time().saturating_sub(time);
    let lines = host.log().lines().count() - lines;
    println!("in {OUTAGE_MS} ms: {time:?} of processor time, {lines} lines");
    // Two projections with four lanes each.
    assert!(time < Duration::from_millis(OUTAGE_MS / 10), "{time:?} of processor time");
    assert!(lines < 120, "{lines} lines:\n{}", host.log());
    for proxy in [&mysql, &mongodb] {
        proxy.set(Mode::Pass);
    }
    world.insert([event("e2", "a", 2, doc! { "do": "ok" })]).await;
    world.until_committed("recorder", 2).await;
    world.until_committed("other", 2).await;
    world.assert_recorded(2, 1).await;
}

/// How soon health shows a fault: three seconds, and what asking takes on a busy machine.
const TRUTH: Duration = Duration::from_millis(3300);

/// Waits until `/readyz` and `/status` both show a failure of a class, with the next step.
async fn shows(host: &Host, class: &str) -> Duration {
    let began = Instant::now();
    until_within(TRUTH, &format!("health shows {class}; the log:\n{}", host.log()), async || {
        let ready = host.get("/readyz").await;
        let status = host.status("recorder").await.unwrap_or_default();
        let told = ready.is_some_and(|(code, text)| {
            code == 503 && text.contains(&format!("[{class}]")) && text.contains("what to do")
        });
        told && status["class"] == class && status["remedy"].is_string()
    })
    .await;
    began.elapsed()
}

async fn until_ready(host: &Host) {
    until("the host is ready", async || host.get("/readyz").await.is_some_and(|(code, _)| code == 200)).await;
}

async fn health_is_truthful() {
    let world = World::new("recorder", Options::mysql()).await;
    let (mysql, mongodb) = (Proxy::to(mysql_port()).await, Proxy::to(mongodb_port()).await);
    let (url, uri) = (world.url_at(mysql.port), mongodb_at(mongodb.port));
    // So long a lease that it does not run out meanwhile.
    let settings = [("MYSQL__URL", &*url), ("MONGODB__URI", &*uri), ("HOST__LEASE_SECONDS", "30")];
    let host = world.start_with(&settings);
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    until_ready(&host).await;
    for (proxy, class) in [(&mysql, "connection-lost"), (&mongodb, "source-unavailable")] {
        for mode in [Mode::BlackHole, Mode::Refuse] {
            proxy.set(mode);
            if mode == Mode::Refuse {
                proxy.cut();
            }
            let took = shows(&host, class).await;
            println!("{class} by {mode:?}: shown after {took:.2?}");
            proxy.set(Mode::Pass);
            until_ready(&host).await;
        }
    }
    world.run(&format!("RENAME TABLE {0}.last_seen TO {0}.elsewhere", world.name)).await;
    world.insert([event("e2", "a", 2, doc! {})]).await;
    println!("schema-mismatch: shown after {:.2?}", shows(&host, "schema-mismatch").await);
    let status = host.status("recorder").await.expect("it answers");
    assert_eq!(status["phase"], "paused");
    let (_, metrics) = host.get("/metrics").await.expect("it answers");
    let counted = metrics.lines().any(|line| {
        line.starts_with("laterna_failures_total")
            && line.contains("schema-mismatch")
            && !line.ends_with(" 0")
    });
    assert!(counted, "a pause is not counted:\n{metrics}");
    let paused = host.log().lines().any(|line| line.contains("paused:") && line.contains("remedy="));
    assert!(paused, "the log names no next step:\n{}", host.log());
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    let people = said(&laterna(&config, &["status"]));
    assert!(people.contains("what to do (schema-mismatch)"), "{people}");
    let json = said(&laterna(&config, &["status", "--json"]));
    assert!(json.contains("\"class\": \"schema-mismatch\"") && json.contains("\"remedy\""), "{json}");
    world.run(&format!("RENAME TABLE {0}.elsewhere TO {0}.last_seen", world.name)).await;
    until_ready(&host).await;
    world.until_committed("recorder", 2).await;
    world.assert_recorded(2, 1).await;
}

async fn the_log_keeps_secrets() {
    const PASSWORD: &str = "canary-Pa55word";
    const WRONG: &str = "canary-Wr0ng";
    const PAYLOAD: &str = "canary-payl0ad";
    let world = World::new("picky", Options::mysql()).await;
    let account = format!("{}_app", world.name);
    world.run(&format!("CREATE USER {account}@localhost IDENTIFIED BY '{PASSWORD}'")).await;
    world.run(&format!("GRANT ALL ON `{}`.* TO {account}@localhost", world.name)).await;
    world.run(&format!("GRANT ALL ON `{}`.* TO {account}@localhost", world.control())).await;
    world.run(&format!("GRANT ALL ON `{}_scratch`.* TO {account}@localhost", world.control())).await;
    let url = |password: &str| world.url().replacen("root@", &format!("{account}:{password}@"), 1);
    let (right, wrong) = (url(PASSWORD), url(WRONG));
    let uri = mongodb_at(mongodb_port()).replacen("127.0.0.1", &format!("someone:{WRONG}@127.0.0.1"), 1);
    let mut heard = String::new();
    for (setting, value, class) in
        [("MYSQL__URL", &wrong, "access-denied"), ("MONGODB__URI", &uri, "access-denied")]
    {
        let host = world.start_with(&[(setting, value)]);
        until("the host says what is wrong", async || {
            host.status("picky").await.is_some_and(|status| status["class"] == class)
        })
        .await;
        heard += &host.get("/readyz").await.expect("it answers").1;
        heard += &host.get("/status").await.expect("it answers").1;
        heard += &host.signal_and_log("TERM").await;
    }
    let proxy = Proxy::to(mysql_port()).await;
    let by_proxy = format!("mysql://{account}:{PASSWORD}@127.0.0.1:{}/{}", proxy.port, world.name);
    proxy.set(Mode::Refuse);
    let host = world.start_with(&[("MYSQL__URL", &by_proxy), ("HOST__LOG", "json")]);
    until("the host says what it waits for", async || host.log().contains("not reachable")).await;
    heard += &host.signal_and_log("TERM").await;

    let host = world.start_with(&[("MYSQL__URL", &right)]);
    world
        .insert([
            event("e1", "a", 1, doc! { "do": PAYLOAD }),
            event("e2", "b", 1, doc! { "do": "ok" }),
            doc! { "_id": "e3", "type": "T", "aggregateType": "thing", "aggregateId": "c", "sequence": PAYLOAD },
        ])
        .await;
    world.until_committed("picky", 3).await;
    assert_eq!(world.letters().await, (2, 0));
    assert!(world.reasons().await["e1"].1.contains(PAYLOAD), "the letter tells what the log does not");
    let log = host.signal_and_log("TERM").await;
    assert!(log.contains("parked") && log.contains("rejected"), "{log}");
    heard += &log;
    for canary in [PASSWORD, WRONG, PAYLOAD] {
        let line = heard.lines().find(|line| line.contains(canary));
        assert_eq!(line, None, "`{canary}` is told");
    }
    world.run(&format!("DROP USER {account}@localhost")).await;
}
