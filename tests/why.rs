//! `laterna why` and what the API says of an aggregate: its events in order, what became of each, with which component, the SQL
//! that each becomes, and its rows.

use std::path::Path;

use bson::doc;
use serde_json::{Value, json};

use crate::api::Guarded;
use crate::guests;
use crate::support::http::Client;
use crate::support::world::{event, laterna, said};
use crate::support::{Options, World, until};

fn ok(id: &str, aggregate: &str, sequence: i64) -> bson::Document {
    event(id, aggregate, sequence, doc! { "do": "ok" })
}

async fn asked(client: &Client, aggregate: &str, query: &str) -> Value {
    let answer = client.get(&format!("/api/v1/projections/picky/aggregates/{aggregate}{query}")).await;
    assert_eq!(answer.code, 200, "{aggregate}{query}: {answer:?}");
    answer.json()
}

/// One field of each event.
fn each(why: &Value, field: &str) -> Vec<Value> {
    why["events"].as_array().expect("events").iter().map(|one| one[field].clone()).collect()
}

fn statements(event: &Value) -> Vec<&str> {
    let all = event["answer"]["statements"].as_array().expect("statements");
    all.iter().map(|one| one["sql"].as_str().expect("SQL")).collect()
}

/// The rows of a condition, and what is said where there is none to show.
fn rows<'w>(why: &'w Value, condition: &str) -> &'w Value {
    let found = why["rows"].as_array().expect("rows").iter().find(|one| one["condition"] == condition);
    found.unwrap_or_else(|| panic!("{condition} is not looked up: {why:#}"))
}

/// Puts a component in force, and waits until all lanes work with it.
async fn deploy(operator: &Client, component: &str) -> String {
    let uploaded = operator
        .ask("POST", "/api/v1/projections/picky/components", &guests::bytes(component))
        .await
        .expect("an answer");
    let digest = uploaded.json()["digest"].as_str().expect("a digest").to_owned();
    let body = json!({ "digest": digest, "canary_seconds": 0 });
    assert_eq!(operator.post("/api/v1/projections/picky/deployments", &body).await.code, 202);
    until("it is taken up", async || {
        let one = operator.get("/api/v1/projections/picky").await.json();
        one["deployment"]["digest"] == digest.as_str() && one["deployment"]["taken_up"] == true
    })
    .await;
    digest
}

/// What the command line tells, from the configuration of a host.
fn told(world: &World, port: u16, arguments: &[&str]) -> String {
    let config = world.folder.path().join(format!("laterna-{port}.toml"));
    let output = laterna(Path::new(&config), &[&["why", "picky"], arguments].concat());
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn the_story_of_an_aggregate(options: Options) {
    let world = World::new("picky", Options { lanes: 2, ..options }).await;
    let Guarded { host, viewer, operator, .. } = Guarded::start(&world);
    host.until_phase_by(&operator, "picky", "streaming").await;
    let secret = doc! { "do": "reject", "secret": "a canary" };
    world.insert([ok("w1", "w", 1), event("w2", "w", 2, doc! { "do": "nothing" })]).await;
    world.insert([event("w3", "w", 3, secret), ok("w4", "w", 4), ok("y1", "y", 1)]).await;
    world.until_committed("picky", 5).await;
    let why = asked(&operator, "thing/w", "").await;
    let first = why["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(each(&why, "became"), ["applied", "ignored", "parked", "held"], "{why:#}");
    let tried = [Value::from(first.as_str()), first.as_str().into(), first.as_str().into(), Value::Null];
    assert_eq!(each(&why, "digest"), tried, "what is held was never tried: {why:#}");
    assert_eq!(each(&why, "event_id"), ["w1", "w2", "w3", "w4"]);
    let insert = "INSERT INTO `picked` (`event_id`, `aggregate_id`, `sequence`, `note`, `number`, `document`) VALUES \
                  ('w1', 'w', 1, 'ok', NULL, NULL)";
    assert_eq!(statements(&why["events"][0]), [insert], "{why:#}");
    assert!(statements(&why["events"][1]).is_empty() && why["events"][0]["at"].is_string());
    assert_eq!(why["events"][2]["answer"]["class"], "rejected", "what it would come to now: {why:#}");
    assert_eq!(why["events"][2]["letter"]["class"], "rejected");
    let now = rows(&why, "`event_id` = 'w1'");
    assert_eq!(now["rows"], json!([["w1", "w", "1", "ok", null, null]]), "{now}");
    assert_eq!(rows(&why, "`event_id` = 'w4'")["rows"], json!([]), "it is held");
    assert_eq!((&why["before"], &why["after"]), (&Value::Null, &Value::Null));
    let last_minute = operator.get("/api/v1/projections/picky").await.json()["last_minute"].clone();
    assert_eq!(last_minute["latency_ms"]["count"], 5, "{last_minute}");
    assert!(last_minute["latency_ms"]["p99"].as_f64() >= last_minute["latency_ms"]["p50"].as_f64());
    let batches: u64 =
        last_minute["batches"].as_array().expect("ranges").iter().filter_map(Value::as_u64).sum();
    assert_eq!(last_minute["batch_events"]["count"], batches, "{last_minute}");
    // A viewer sees the statements without values, and no rows.
    let masked = asked(&viewer, "thing/w", "").await;
    assert!(masked["rows"].is_null() && !masked.to_string().contains("told to reject"), "{masked:#}");
    assert!(statements(&masked["events"][0])[0].ends_with("VALUES (?, ?, ?, ?, ?, ?)"), "{masked:#}");
    // With another component, each event has the one that it was taken with.
    let second = deploy(&operator, "picky-worse").await;
    world.insert([ok("y2", "y", 2)]).await;
    world.until_committed("picky", 6).await;
    let letter = why["events"][2]["letter"]["id"].clone();
    let body = json!({ "ids": [letter], "why": "nobody needs it" });
    assert_eq!(operator.post("/api/v1/projections/picky/letters/discard", &body).await.code, 202);
    let mut later = Value::Null;
    until("what was held is applied", async || {
        later = asked(&operator, "thing/w", "").await;
        later["events"][3]["became"] == "applied"
    })
    .await;
    assert_eq!(each(&later, "became"), ["applied", "ignored", "discarded", "applied"]);
    assert_eq!(each(&later, "was_letter"), [false, false, true, true]);
    let given_up = &later["events"][2]["given_up"];
    assert_eq!((&given_up["by"], &given_up["why"]), (&"on-call".into(), &"nobody needs it".into()));
    // What was held was applied with the second one, which its row says; what is given up was applied with none.
    assert_eq!(
        each(&later, "digest"),
        [Value::from(first.as_str()), first.as_str().into(), Value::Null, second.as_str().into()],
        "{later:#}"
    );
    let replayed = format!(", as a dead letter that was dealt with, component {}", &second[..12]);
    let lines = told(&world, host.port, &["thing/w"]);
    assert!(lines.contains(&replayed), "{replayed:?} is not in\n{lines}");
    // An older host's row does not say it.
    world.run(&format!("UPDATE {}.dedupe SET digest = NULL", world.control())).await;
    let older = asked(&operator, "thing/w", "").await;
    assert_eq!(
        each(&older, "digest")[3],
        Value::Null,
        "nobody wrote down what it was replayed with: {older:#}"
    );
    let masked = asked(&viewer, "thing/w", "").await.to_string();
    assert!(!masked.contains("nobody needs it"), "{masked}");
    let other = asked(&operator, "thing/y", "").await;
    assert_eq!(each(&other, "digest"), [first.as_str(), second.as_str()], "{other:#}");
    assert_eq!(each(&other, "answered_by"), [first.as_str(), second.as_str()]);
    assert_eq!(
        (&other["events"][0]["became"], &other["digest"]),
        (&"applied".into(), &second.as_str().into())
    );
    // The command line tells the same, from the servers alone.
    let lines = told(&world, host.port, &["thing/w", "--json"]);
    let same: Value = serde_json::from_str(&lines).expect("JSON");
    assert_eq!((&same["events"], &same["rows"]), (&older["events"], &older["rows"]), "{lines}");
    let lines = told(&world, host.port, &["thing/w"]);
    let told_of_letter = "given up by on-call at ";
    for line in
        [insert, "component not remembered which", told_of_letter, "-- now: picked where `event_id` = 'w4'"]
    {
        assert!(lines.contains(line), "{line:?} is not in\n{lines}");
    }
    // What is forgotten is not guessed: the row of the window is gone, as when many others have come since.
    world.run(&format!("DELETE FROM {}.dedupe ORDER BY id LIMIT 1", world.control())).await;
    let lines = told(&world, host.port, &["thing/w"]);
    assert!(
        lines.contains("-- unknown\n-- the host does not remember this event, but has handled a later one"),
        "{lines}"
    );
    assert!(lines.contains("makes of it:\nINSERT INTO `picked`"), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn why_tells_what_each_event_became_with_which_component_and_the_rows_of_now_on_mysql() {
    the_story_of_an_aggregate(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn why_tells_what_each_event_became_with_which_component_and_the_rows_of_now_on_mariadb() {
    the_story_of_an_aggregate(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn why_reads_a_long_aggregate_page_by_page_by_the_index_and_tells_aggregates_apart_that_read_alike() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    let client = Client::new(host.port);
    let of = |aggregate: &str, events: i64| {
        let aggregate = aggregate.to_owned();
        (1..=events).map(move |n| ok(&format!("{aggregate}-{n}"), &aggregate, n)).collect::<Vec<_>>()
    };
    let mut number = ok("by number", "7", 1);
    number.insert("aggregateId", 7);
    world.insert([of("long", 2_000), of("a/b", 2), of("7", 1), vec![number]].concat()).await;
    world.until_committed("picky", 2_004).await;
    let numbers = |why: &Value| -> Vec<i64> {
        each(why, "sequence").iter().map(|one| one.as_i64().expect("a number")).collect()
    };
    world.client.database(&world.name).run_command(doc! { "profile": 2 }).await.expect("it is profiled");
    let last = asked(&client, "thing/long", "").await;
    assert_eq!(numbers(&last), (1981..=2000).collect::<Vec<_>>());
    assert!(last["after"].is_null());
    let before = last["before"].as_str().expect("there are earlier ones").to_owned();
    let earlier = asked(&client, "thing/long", &format!("?before={before}&limit=50")).await;
    assert_eq!(numbers(&earlier), (1931..=1980).collect::<Vec<_>>());
    let after = earlier["after"].as_str().expect("there are later ones");
    let later = asked(&client, "thing/long", &format!("?after={after}&limit=15")).await;
    assert_eq!(numbers(&later), (1981..=1995).collect::<Vec<_>>());
    let after = later["after"].as_str().expect("there are later ones");
    let end = asked(&client, "thing/long", &format!("?after={after}")).await;
    assert_eq!((numbers(&end), &end["after"]), ((1996..=2000).collect(), &Value::Null));
    assert!(each(&end, "became").iter().all(|became| became == "applied"));
    let profile = world.client.database(&world.name).collection::<bson::Document>("system.profile");
    let asked_outbox = doc! { "command.find": "outbox", "command.min": { "$exists": true } };
    let most = profile.find_one(asked_outbox).sort(doc! { "docsExamined": -1 }).await.expect("it is read");
    let most = most.expect("pages were read").get_i32("docsExamined").expect("a number");
    assert!((1..=52).contains(&most), "a page of 50 events reads {most} documents");
    world.client.database(&world.name).run_command(doc! { "profile": 0 }).await.expect("it ends");
    // Ids that hold what separates them, and ids that read alike.
    assert_eq!(asked(&client, "thing/a%2Fb", "").await["events"].as_array().map(Vec::len), Some(2));
    let path = "/api/v1/projections/picky/aggregates/thing";
    let both = client.get(&format!("{path}/7")).await;
    assert!(
        both.code == 400
            && both.json()["detail"].as_str().is_some_and(|told| told.contains(r#""thing"/"7""#))
    );
    let text = asked(&client, "thing/%227%22", "").await;
    assert_eq!(each(&text, "event_id"), ["7-1"]);
    for (path, code) in [
        (format!("{path}/nobody"), 404),
        (format!("{path}/long?limit=51"), 400),
        (format!("{path}/long?before=zz"), 400),
        (format!("{path}/long?before={before}&after={before}"), 400),
        ("/api/v1/projections/nobody/aggregates/thing/long".to_owned(), 404),
    ] {
        let answer = client.get(&path).await;
        assert_eq!(answer.code, code, "{path}: {answer:?}");
    }
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    let status = said(&laterna(&config, &["status", "picky"]));
    assert!(status.contains("IN THE LAST MINUTE") && status.contains("events in a batch"), "{status}");
    let lines = told(&world, host.port, &["thing/long", "--limit", "2"]);
    assert!(lines.contains("-- 2000: Happened, event long-2000") && !lines.contains("long-1998,"), "{lines}");
    let (_, again) = lines.split_once("--before ").expect("how to see earlier ones");
    let mark = again.split_whitespace().next().expect("a mark");
    let lines = told(&world, host.port, &["\"thing\"/\"long\"", "--before", mark, "--limit", "1"]);
    assert!(lines.contains("-- 1998: Happened, event long-1998"), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_large_event_a_page_has_the_next_one_though_both_are_more_than_a_page() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    let client = Client::new(host.port);
    let large = |n: i64| {
        let mut event = ok(&format!("e{n}"), "large", n);
        event.insert("ignored", "x".repeat(3 << 20));
        event
    };
    for n in 1..=3 {
        world.insert([large(n)]).await;
    }
    world.until_committed("picky", 3).await;
    let last = asked(&client, "thing/large", "?limit=1").await;
    let before = last["before"].as_str().expect("there are earlier ones");
    let second = asked(&client, "thing/large", &format!("?before={before}&limit=1")).await;
    assert_eq!(each(&second, "event_id"), ["e2"]);
    let after = second["after"].as_str().expect("there are later ones");
    let third = asked(&client, "thing/large", &format!("?after={after}")).await;
    assert_eq!(each(&third, "event_id"), ["e3"]);
}
