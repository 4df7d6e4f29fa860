//! Reading one's own writes under load, while hosts die and tables change places.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bson::doc;
use serde_json::json;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{ConnectOptions, Executor, Row};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{documented, done, selected, state};
use crate::support::http::{Answer, Client};
use crate::support::world::event;
use crate::support::{Host, Options, World, some_time, until, until_then};

/// How many commands a second, and how many of them are written together.
const COMMANDS: u64 = 500;
const TOGETHER: u64 = 10;

/// How many a second while somebody's reading holds up a switch.
const WHILE_SWITCHING: u64 = 300;

/// How long whoever wrote an event waits for an answer about it, as long as one request may.
const WAIT: Duration = Duration::from_secs(15);

/// How many read rows of events at a time: each has a session.
const READERS_MAX: usize = 8;

/// Events that were written lately, for whoever looks at them.
type Written = Arc<Mutex<VecDeque<String>>>;

/// Reads events that were written lately, each in one snapshot with what is said of it, until it is told to end.
async fn look_in_snapshots(world: &World, sql: String, written: Written, is_over: Arc<Mutex<bool>>) -> u64 {
    let options: MySqlConnectOptions = world.url().parse().expect("a URL");
    let mut connection = options.connect().await.expect("MySQL answers");
    let mut applied = 0;
    while !*is_over.lock().expect("nobody panicked") {
        let id = written.lock().expect("nobody panicked").pop_front();
        let Some(id) = id else {
            some_time(5).await;
            continue;
        };
        connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT").await.expect("it begins");
        let said = selected(&mut connection, &sql, &id).await;
        let rows = sqlx::query("SELECT COUNT(*) FROM recorded WHERE event_id = ?").bind(&id);
        let rows: i64 = rows.fetch_one(&mut connection).await.expect("it answers").get(0);
        connection.execute("COMMIT").await.expect("it ends");
        assert_eq!(said == "applied", rows == 1, "{id} is said to be {said}, and has {rows} rows");
        applied += u64::from(rows == 1);
    }
    applied
}

/// The answer to a caller that wrote an event, within the wait. Where others ask already, it comes back when it was told to; and
/// after a second where there were more connections than a host keeps.
async fn answered(client: &Client, id: &str) -> Option<Answer> {
    let until = Instant::now() + WAIT;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let path = format!("/api/v1/projections/recorder/events/{id}?wait={}ms", left.as_millis());
        let answer = client.ask("GET", &path, b"").await;
        if left.is_zero() || answer.as_ref().is_some_and(|answer| ![429, 503].contains(&answer.code)) {
            return answer;
        }
        let seconds = answer.map_or(1, |answer| {
            assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:?}");
            answer.header("retry-after").parse().expect("it says when to come back")
        });
        until_then(until.min(Instant::now() + Duration::from_secs(seconds))).await;
    }
}

/// At most one caller in a thousand waited in vain.
fn assert_answered(told: &HashMap<String, u64>, all: u64) {
    let (heard, applied) = (told.values().sum::<u64>(), told.get("applied").copied().unwrap_or_default());
    assert!(heard == all && applied * 1000 >= all * 999, "of {all}: {told:?}");
}

/// One who writes at a rate, however long the answers take, and asks for each event, and what it was told: how often, by state.
async fn command(
    world: &World,
    client: &Client,
    rate: u64,
    seconds: u64,
    from: u64,
    written: &Written,
) -> HashMap<String, u64> {
    let (mut asking, reading) = (JoinSet::new(), Arc::new(Semaphore::new(READERS_MAX)));
    let began = Instant::now();
    for first in (from..from + seconds * rate).step_by(usize::try_from(TOGETHER).expect("few")) {
        until_then(began + Duration::from_micros(1_000_000 / rate * (first - from))).await;
        let (outbox, client, url, written, reading) =
            (world.outbox.clone(), client.clone(), world.url(), written.clone(), reading.clone());
        asking.spawn(async move {
            let documents =
                (first..first + TOGETHER).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! {}));
            outbox.insert_many(documents).await.expect("they are written");
            let ids = (first..first + TOGETHER).map(|n| format!("e{n}"));
            written.lock().expect("nobody panicked").extend(ids.clone());
            let mut answers = JoinSet::new();
            for id in ids {
                let (client, url, reading) = (client.clone(), url.clone(), reading.clone());
                answers.spawn(async move { told_the_truth(&client, &url, &reading, &id).await });
            }
            answers.join_all().await
        });
    }
    let mut told = HashMap::new();
    for state in asking.join_all().await.into_iter().flatten() {
        *told.entry(state).or_default() += 1;
    }
    told
}

/// The state that a caller is told of its event. One of ten that are told `applied` reads its row.
async fn told_the_truth(client: &Client, url: &str, reading: &Semaphore, id: &str) -> String {
    let Some(answer) = answered(client, id).await else { return "unheard".to_owned() };
    let (code, told) = state(&answer);
    assert!(!matches!(code, 404 | 409), "{id}: {answer:?}");
    if told == "applied" && id.ends_with('4') {
        let _one_of_few = reading.acquire().await.expect("nobody closes it");
        let options: MySqlConnectOptions = url.parse().expect("a URL");
        let mut connection = options.connect().await.expect("MySQL answers");
        let row = sqlx::query("SELECT COUNT(*) FROM recorded WHERE event_id = ?").bind(id);
        let rows: i64 = row.fetch_one(&mut connection).await.expect("it answers").get(0);
        assert_eq!(rows, 1, "{id} was said to be applied");
    }
    told
}

/// A host that leads with four lanes, and one that stands by.
async fn leader_and_standby() -> (Arc<World>, Host, Host) {
    let world = Arc::new(World::new("recorder", Options { lanes: 4, ..Options::mysql() }).await);
    let first = world.start();
    first.until_phase("recorder", "streaming").await;
    let second = world.start();
    second.until_phase("recorder", "standby").await;
    (world, first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_to_be_applied_that_cannot_be_read_whatever_dies_or_takes_its_place() {
    let (world, first, second) = leader_and_standby().await;
    // The one that stands by answers, too, and lives on.
    let client = Client::new(second.port);
    let (written, is_over) = (Written::default(), Arc::new(Mutex::new(false)));
    let sql = documented(&world, "recorder");
    let mut looking = JoinSet::new();
    for _ in 0..2 {
        let (world, sql, written, is_over) = (world.clone(), sql.clone(), written.clone(), is_over.clone());
        looking.spawn(async move { look_in_snapshots(&world, sql, written, is_over).await });
    }
    let quiet = command(&world, &client, COMMANDS, 4, 0, &written).await;
    assert_answered(&quiet, 4 * COMMANDS);
    let sessions =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%dedupe FORCE INDEX%'";
    assert!(world.number(sessions).await <= 2, "one session asks for all of them");
    let rest = {
        let (world, client, written) = (world.clone(), client.clone(), written.clone());
        tokio::spawn(async move { command(&world, &client, COMMANDS, 8, 4 * COMMANDS, &written).await })
    };
    until("some are written", async || world.number("SELECT COUNT(*) FROM recorded").await > 2500).await;
    first.kill();
    second.until_phase("recorder", "streaming").await;
    done(&client, "recorder", "generations", json!({})).await;
    let rest = rest.await.expect("everybody was told the truth");
    assert_answered(&rest, 8 * COMMANDS);
    // However long the tables take that are built anew, they change places while somebody writes.
    let mut written_so_far = 12 * COMMANDS;
    let is_switched = async || {
        let all = client.get("/api/v1/projections/recorder/generations").await.json();
        all["live"]["generation"] == 2
    };
    while !is_switched().await {
        let more = command(&world, &client, COMMANDS, 2, written_so_far, &written).await;
        assert_answered(&more, 2 * COMMANDS);
        written_so_far += 2 * COMMANDS;
        assert!(written_so_far < 100 * COMMANDS, "the tables do not change places");
    }
    let events = i64::try_from(written_so_far).expect("few");
    until("all are there", async || world.number("SELECT COUNT(*) FROM recorded").await == events).await;
    // Whatever they have not looked at yet, they see now.
    until("all were looked at", async || written.lock().expect("nobody panicked").is_empty()).await;
    *is_over.lock().expect("nobody panicked") = true;
    let seen: u64 = looking.join_all().await.iter().sum();
    assert!(seen > 100, "{seen} were seen as applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_another_host_carries_out_tells_no_event_as_applied_that_cannot_be_read() {
    let (world, first, second) = leader_and_standby().await;
    let client = Client::new(second.port);
    let (written, is_over) = (Written::default(), Arc::new(Mutex::new(false)));
    let looking = {
        let (world, written, is_over) = (world.clone(), written.clone(), is_over.clone());
        let sql = documented(&world, "recorder");
        tokio::spawn(async move { look_in_snapshots(&world, sql, written, is_over).await })
    };
    let commands = {
        let (world, client, written) = (world.clone(), client.clone(), written.clone());
        tokio::spawn(async move { command(&world, &client, WHILE_SWITCHING, 10, 0, &written).await })
    };
    until("some are written", async || world.number("SELECT COUNT(*) FROM recorded").await > 100).await;
    // Somebody reads, so that the tables cannot change places; then the host is killed which wants them to.
    let mut reader = world.mysql().await;
    for sql in ["START TRANSACTION", "SELECT * FROM recorded LIMIT 1"] {
        reader.execute(sql).await.expect("it reads");
    }
    let asked = client.post("/api/v1/projections/recorder/generations", &json!({})).await;
    assert_eq!(asked.code, 202, "{asked:?}");
    // Where so many wait for their own writes that the host takes no more, one asks again.
    let generations = async || loop {
        let asked = client.ask("GET", "/api/v1/projections/recorder/generations", b"").await;
        match asked.filter(|answer| answer.code == 200) {
            Some(answer) => break answer.json(),
            None => some_time(50).await,
        }
    };
    until("it is held up", async || {
        generations().await["aside"][0]["reason"].as_str().is_some_and(|reason| reason.contains("reading"))
    })
    .await;
    first.kill();
    assert_eq!(generations().await["live"]["generation"], 1, "nobody has done it yet");
    reader.execute("ROLLBACK").await.expect("it ends");
    second.until_phase("recorder", "streaming").await;
    until("the tables have changed places", async || generations().await["live"]["generation"] == 2).await;
    let told = commands.await.expect("everybody was told the truth");
    assert!(told.values().sum::<u64>() == 10 * WHILE_SWITCHING && told["applied"] > 0, "{told:?}");
    let events = i64::try_from(10 * WHILE_SWITCHING).expect("few");
    until("all are there", async || world.number("SELECT COUNT(*) FROM recorded").await == events).await;
    until("all were looked at", async || written.lock().expect("nobody panicked").is_empty()).await;
    *is_over.lock().expect("nobody panicked") = true;
    assert!(looking.await.expect("it saw no lie") > 100);
}
