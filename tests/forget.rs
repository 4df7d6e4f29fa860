//! A projection that is not wanted any more is forgotten: nothing of it stays but its tables.

use bson::doc;
use serde_json::{Value, json};
use sqlx::Row;

use crate::support::http::Client;
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Options, World};

/// The control tables that have rows of a projection.
async fn remembered(world: &World, projection: &str) -> Vec<String> {
    let tables = format!(
        "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.columns \
         WHERE table_schema = '{}' AND column_name = 'projection'",
        world.control()
    );
    let mut found = Vec::new();
    for row in world.rows(&tables).await {
        let table: String = row.get(0);
        let rows =
            format!("SELECT COUNT(*) FROM {}.{table} WHERE projection = '{projection}'", world.control());
        if world.number(&rows).await > 0 {
            found.push(table);
        }
    }
    found.sort();
    found
}

async fn forgets_all_but_the_tables(options: Options) {
    let world = World::with(&[("recorder", "recorder"), ("picky", "picky")], options).await;
    let host = world.start();
    world.insert((1..=5).map(|n| event(&format!("e{n}"), "a", n, doc! { "do": "ok" }))).await;
    world
        .insert([event("p1", "b", 1, doc! { "do": "reject" }), event("p2", "b", 2, doc! { "do": "ok" })])
        .await;
    world.until_committed("picky", 7).await;
    world.until_committed("recorder", 7).await;
    let config = world.config(host.port);
    let rebuilt = said(&laterna(&config, &["rebuild", "picky", "--only-aggregate", "thing/a"]));
    assert!(rebuilt.contains("generation 2"), "{rebuilt}");

    // A host runs it.
    let refused = laterna(&config, &["forget", "picky", "--yes"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("is run by the host"), "{}", said(&refused));
    let host_port = host.port;
    host.stop().await;

    // Nobody is there to say yes.
    let refused = laterna(&config, &["forget", "picky"]);
    assert!(said(&refused).contains("give --yes"), "{}", said(&refused));
    assert!(remembered(&world, "picky").await.len() > 5);
    let others = remembered(&world, "recorder").await;

    let forgotten = laterna(&config, &["forget", "picky", "--yes"]);
    assert!(forgotten.status.success(), "{}", said(&forgotten));
    for says in ["`picky` is forgotten", "1 generation(s)", "picked", "still has [projection.picky]"] {
        assert!(said(&forgotten).contains(says), "{says}: {}", said(&forgotten));
    }
    assert_eq!(remembered(&world, "picky").await, ["command", "lease"]);
    let audited = || -> Vec<Value> {
        let told = said(&laterna(&config, &["audit", "picky", "--json"]));
        told.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
    };
    let [one] = &audited()[..] else { panic!("who forgot it, and nothing else: {:?}", audited()) };
    let by = one["requested_by"].as_str().unwrap_or_default();
    assert!(by.ends_with(&format!("@host-{host_port}")) && one["carried_out_by"] == by, "{one}");
    assert_eq!((&one["kind"], &one["state"]), (&json!("forget"), &json!("done")), "{one}");
    let parameters = json!({ "tables": ["picked"], "letters": 2, "generations": 1 });
    assert_eq!(one["parameters"], parameters, "{one}");
    assert_eq!(world.number(&format!("SELECT COUNT(*) FROM {}.dead_letter_part", world.control())).await, 0);
    assert_eq!(remembered(&world, "recorder").await, others, "the other projection is as it was");
    let places = format!(
        "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name LIKE '{}\\_g%'",
        world.control().replace('_', "\\_")
    );
    assert_eq!(world.number(&places).await, 0, "the generation's schema is dropped");
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 5, "its tables stay");

    let unknown = laterna(&config, &["forget", "picky", "--yes"]);
    assert!(said(&unknown).contains("there is no projection `picky`"), "{}", said(&unknown));

    // A successor of that name begins with history, where its tables are gone.
    world.run(&format!("DROP TABLE {}.picked", world.name)).await;
    let host = world.start();
    world.until_committed("picky", 7).await;
    assert_eq!(world.letters().await, (1, 1));
    let page = Client::new(host.port).get("/api/v1/operations?projection=picky&kind=forget").await.json();
    assert_eq!(page["operations"], json!(audited()), "{page}");

    // Who forgets that, too, forgets nothing of the one before.
    host.stop().await;
    let forgotten = laterna(&config, &["forget", "picky", "--yes"]);
    assert!(forgotten.status.success(), "{}", said(&forgotten));
    assert_eq!(audited().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_is_forgotten_and_its_tables_stay_on_mysql() {
    forgets_all_but_the_tables(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_is_forgotten_and_its_tables_stay_on_mariadb() {
    forgets_all_but_the_tables(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_was_forgotten_in_part_takes_no_events_until_it_is_forgotten() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    host.stop().await;
    // Something keeps the last rows from going.
    let trigger = format!(
        "CREATE TRIGGER {0}.stay BEFORE DELETE ON {0}.projection FOR EACH ROW \
         SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not yet'",
        world.control()
    );
    world.run(&trigger).await;
    let config = world.config(free_port());
    let failed = laterna(&config, &["forget", "recorder", "--yes"]);
    assert!(!failed.status.success(), "{}", said(&failed));
    let host = world.start();
    host.until_phase("recorder", "paused").await;
    let reason = host.status("recorder").await.expect("it answers")["reason"].to_string();
    assert!(reason.contains("laterna forget recorder"), "{reason}");
    world.insert([event("e2", "a", 2, doc! {})]).await;
    host.stop().await;
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 1);
    world.run(&format!("DROP TRIGGER {}.stay", world.control())).await;
    let forgotten = laterna(&config, &["forget", "recorder", "--yes"]);
    assert!(forgotten.status.success(), "{}", said(&forgotten));
    assert_eq!(remembered(&world, "recorder").await, ["command", "lease"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_while_a_projection_is_forgotten_is_no_wish_about_a_successor() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    let config = world.config(host.port);
    host.stop().await;
    // Commands were emptied before deployments are.
    let control = world.control();
    world
        .run(&format!(
            "CREATE TRIGGER {control}.meanwhile AFTER DELETE ON {control}.deployment FOR EACH ROW \
             INSERT INTO {control}.command (projection, request, requested_by) \
             VALUES (OLD.projection, '{{\"do\":\"rollback\"}}', 'a test')"
        ))
        .await;
    let forgotten = laterna(&config, &["forget", "recorder", "--yes"]);
    assert!(forgotten.status.success(), "{}", said(&forgotten));
    let requests = format!("SELECT request FROM {control}.command");
    let requests: Vec<String> = world.rows(&requests).await.iter().map(|row| row.get(0)).collect();
    assert!(matches!(&requests[..], [one] if one.contains("forget")), "{requests:?}");
}
