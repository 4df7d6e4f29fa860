//! Operations that are cancelled: at once while they wait, a generation while it is built, letters between two of them; and what is
//! done stays done.

use bson::doc;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::generations::{PROJECTION, Scene, document};
use crate::support::http::Client;
use crate::support::world::{event, laterna, said};
use crate::support::{Host, Options, World, until};

/// The newest operation, as the API shows it.
async fn newest(client: &Client) -> Value {
    client.get("/api/v1/operations?limit=1").await.json()["operations"][0].clone()
}

async fn cancel(client: &Client, id: &Value) -> (u16, Value) {
    let path = format!("/api/v1/operations/{id}");
    let answer = client.ask("DELETE", &path, b"").await.expect("an answer");
    (answer.code, answer.json())
}

/// The ids of the operations in a state.
async fn in_state(client: &Client, state: &str) -> Vec<Value> {
    let page = client.get(&format!("/api/v1/operations?state={state}")).await.json();
    page["operations"].as_array().expect("a list").iter().map(|one| one["id"].clone()).collect()
}

async fn until_alone(scene: &Scene) {
    until("no generation is beside the live one", async || {
        scene.generations()["aside"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_or_is_being_built_is_cancelled_and_what_is_done_says_what_to_do_instead() {
    let mut scene = Scene::new(Options::mysql(), 300).await;
    scene.kill();
    // Written down while no host runs, and cancelled by the command line.
    let config = scene.world.config(1);
    let told = |arguments: &[&str]| said(&laterna(&config, arguments));
    let asked = told(&["pause", PROJECTION, "--why", "a test", "--no-wait"]);
    assert!(asked.contains("Command 1 is written down"), "{asked}");
    assert!(told(&["operations", "cancel", "1", "--dry-run"]).contains("would be cancelled"));
    assert!(told(&["operations", "list", "--state", "pending"]).contains("a test"));
    assert!(told(&["operations", "cancel", "1"]).contains("Operation 1 is cancelled."));
    assert!(told(&["operations", "cancel", "1"]).contains("Operation 1 is cancelled."), "it is so already");
    assert!(told(&["operations", "list", "--state", "cancelled"]).contains("cancelled by"));
    assert!(told(&["operations", "cancel", "77"]).contains("there is no operation 77"));
    scene.start();
    scene.host().until_phase(PROJECTION, "streaming").await;

    // A deployment whose tables are being built: its operation is done, and its generation waits for a word.
    let client = Client::new(scene.host().port);
    scene.deploy("picky-tables");
    until("it waits", async || scene.generations()["aside"][0]["reason"].is_string()).await;
    let deployed = newest(&client).await;
    assert_eq!((&deployed["kind"], &deployed["state"]), (&"deploy".into(), &"done".into()), "{deployed}");
    let dry = format!("/api/v1/operations/{}?dry_run=true", deployed["id"]);
    assert_eq!(client.ask("DELETE", &dry, b"").await.map(|answer| answer.code), Some(200));
    assert_eq!(scene.generations()["aside"][0]["state"], "building", "a dry run changes nothing");
    let (code, cancelled) = cancel(&client, &deployed["id"]).await;
    assert_eq!((code, &cancelled["state"]), (200, &"cancelled".into()), "{cancelled}");
    assert!(
        cancelled["result"].as_str().is_some_and(|result| result.contains("generation 2")),
        "{cancelled}"
    );
    // Whoever writes may die right then.
    scene.kill();
    scene.start();
    scene.host().until_phase(PROJECTION, "streaming").await;
    until_alone(&scene).await;
    assert_eq!(scene.live().await, 1);

    // A verification, while it waits for a projection that is paused.
    let client = Client::new(scene.host().port);
    scene.tell(&["pause", PROJECTION, "--why", "a test"]);
    scene.host().until_phase(PROJECTION, "paused").await;
    laterna(&scene.world.config(scene.host().port), &["verify", PROJECTION, "--no-wait"]);
    until("it is built", async || scene.generations()["aside"][0]["purpose"] == "verify").await;
    let verified = newest(&client).await;
    let (code, cancelled) = cancel(&client, &verified["id"]).await;
    assert_eq!((code, &cancelled["state"]), (200, &"cancelled".into()), "{cancelled}");
    until_alone(&scene).await;

    // What is done is done.
    let paused = client.get("/api/v1/operations?kind=pause&state=done").await.json()["operations"][0].clone();
    let (code, late) = cancel(&client, &paused["id"]).await;
    assert!(
        code == 409 && late["detail"].as_str().is_some_and(|why| why.contains("laterna resume")),
        "{late}"
    );
    assert_eq!(cancel(&client, &json!(77)).await.0, 404);
    assert_eq!(
        in_state(&client, "cancelled").await,
        [verified["id"].clone(), deployed["id"].clone(), json!(1)]
    );
    assert!(in_state(&client, "done").await.contains(&paused["id"]));
    scene.tell(&["resume", PROJECTION]);
    scene.world.insert((300..400).map(document)).await;
    scene.sent.store(400, std::sync::atomic::Ordering::Relaxed);
    scene.assert_whole().await;
    scene.kill();
}

/// A transaction that keeps the letter of an aggregate from being applied, until it ends.
pub async fn hold(world: &World, aggregate: &str) -> sqlx::MySqlConnection {
    let mut open = world.mysql().await;
    open.execute("BEGIN").await.expect("it begins");
    let row = format!("INSERT INTO recorded VALUES ('thing', '{aggregate}', 1, 'y', 'y', NULL)");
    open.execute(row.as_str()).await.expect("it is written");
    open
}

pub async fn until_waiting(world: &World, host: &Host) {
    until("the lane waits for MySQL with the letter", async || {
        let status = host.status("recorder").await.unwrap_or_default();
        let letter = status["lanes"][0]["doing"].as_str().is_some_and(|doing| doing.contains("dead letter"));
        letter
            && world
                .number(&format!("SELECT COUNT(*) FROM {}.command WHERE result IS NOT NULL", world.control()))
                .await
                > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_cancelled_ends_before_its_next_letter_also_over_a_kill() {
    let world = World::new("recorder", Options { lanes: 1, ..Options::mysql() }).await;
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    let rows = ["a0", "a1", "a2"].map(|one| format!("('thing', '{one}', 1, 'x', 'x', NULL)")).join(", ");
    world.run(&format!("INSERT INTO {}.recorded VALUES {rows}", world.name)).await;
    world.insert((0..3).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! {}))).await;
    until("three letters are parked", async || world.letters().await == (3, 0)).await;
    world.run(&format!("DELETE FROM {}.recorded", world.name)).await;
    let replay = |host: &Host| {
        laterna(&world.config(host.port), &["dlq", "replay", "recorder", "--all", "--no-wait"]);
    };

    // Cancelled while the first letter is under way, and the host dies: the next one ends it, and gives no letter.
    let open = hold(&world, "a0").await;
    replay(&host);
    until_waiting(&world, &host).await;
    assert_eq!(Client::new(host.port).get("/api/v1/operations/1").await.json()["progress"], "0 of 3");
    let (code, asked) = cancel(&Client::new(host.port), &json!(1)).await;
    assert_eq!((code, &asked["state"]), (202, &"pending".into()), "{asked}");
    assert!(asked["cancelled_by"].is_string(), "{asked}");
    host.kill();
    drop(open);
    let host = world.start();
    let client = Client::new(host.port);
    let over = async |id: u64| {
        until("it is over", async || {
            let asked = client.ask("GET", &format!("/api/v1/operations/{id}"), b"").await;
            asked.is_some_and(|answer| answer.code == 200 && answer.json()["state"] == "cancelled")
        })
        .await;
        client.get(&format!("/api/v1/operations/{id}")).await.json()["result"].clone()
    };
    let result = over(1).await;
    assert!(result.as_str().is_some_and(|text| text.starts_with("cancelled by api@")), "{result}");
    assert_eq!(world.letters().await, (3, 0));
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 0);

    // The letter that is under way is finished, and the one behind it is left.
    let open = hold(&world, "a1").await;
    replay(&host);
    until("the first is applied", async || world.letters().await == (2, 0)).await;
    until_waiting(&world, &host).await;
    assert_eq!(cancel(&client, &json!(2)).await.0, 202);
    assert_eq!(cancel(&client, &json!(2)).await.0, 202, "it is so already");
    drop(open);
    let result = over(2).await;
    assert!(
        result.as_str().is_some_and(|text| text.ends_with("until then: 2 applied, 0 still parked")),
        "{result}"
    );
    assert_eq!(world.letters().await, (1, 0));
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 2);
    replay(&host);
    until("the last is applied", async || world.letters().await == (0, 0)).await;
}
