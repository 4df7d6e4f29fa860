//! `laterna check --fix`: what fixes a set-up is printed, or run where the accounts may.

use std::path::Path;

use bson::doc;

use crate::support::world::{event, laterna, said};
use crate::support::{Options, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_missing_is_printed_or_made() {
    let world = World::new("recorder", Options::mysql()).await;
    world.outbox.drop_indexes().await.expect("they are dropped");
    world.insert([event("e1", "a", 1, doc! {})]).await;
    let config = world.config(1);
    let printed = laterna(&config, &["check", "--fix"]);
    let command = "\ndb.getCollection(\"outbox\").createIndex({ \"aggregateType\": 1";
    assert!(!printed.status.success() && said(&printed).contains(command), "{}", said(&printed));
    assert!(said(&printed).contains(&format!("use {}", world.name)), "{}", said(&printed));
    assert_eq!(world.outbox.list_index_names().await.expect("they are listed").len(), 1, "nothing was made");
    let made = laterna(&config, &["check", "--fix=run"]);
    assert!(said(&made).contains("The index for history is created."), "{}", said(&made));
    assert!(
        made.status.success() && said(&made).ends_with("Everything is ready: laterna run\n"),
        "{}",
        said(&made)
    );
    let check = laterna(&config, &["check", "--fix"]);
    assert!(check.status.success(), "{}", said(&check));
    assert!(said(&check).contains("There is nothing that this command can fix."), "{}", said(&check));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_an_indexs_way_is_not_dropped() {
    let world = World::new("recorder", Options::mysql()).await;
    world.outbox.drop_indexes().await.expect("they are dropped");
    let key = doc! { "aggregateType": 1, "aggregateId": 1, "sequence": 1, "_id": 1 };
    let index = doc! { "key": key, "name": "mine", "hidden": true };
    let create = doc! { "createIndexes": "outbox", "indexes": [index] };
    world.client.database(&world.name).run_command(create).await.expect("it is created");
    world.insert([event("e1", "a", 1, doc! {})]).await;
    let run = laterna(&world.config(1), &["check", "--fix=run"]);
    let says = "nothing is dropped for you";
    assert!(
        said(&run).contains(says)
            && said(&run).contains("\ndb.getCollection(\"outbox\").dropIndex(\"mine\")\n")
    );
    assert!(world.outbox.list_index_names().await.expect("they are listed").contains(&"mine".to_owned()));
}

/// Accounts that the server does not have, and then one that lacks a right.
async fn accounts_are_fixed(options: Options, port: &str) {
    let port: u16 = std::env::var(port).expect("from dev/services env").parse().expect("a port");
    let mut world = World::new("recorder", options).await;
    let accounts = [format!("{}_app", world.name), format!("{}_ddl", world.name)];
    let url = |account: &str| format!("mysql://{account}:pass@127.0.0.1:{port}/mysql");
    (world.options.host_mysql, world.options.ddl_mysql) = (Some(url(&accounts[0])), Some(url(&accounts[1])));
    let config = world.config(1);
    let printed = laterna(&config, &["check", "--fix"]);
    for says in [
        format!("CREATE USER IF NOT EXISTS '{}'@'%' IDENTIFIED BY 'pass';", accounts[0]),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON `".to_owned(),
    ] {
        assert!(!printed.status.success() && said(&printed).contains(&says), "{}", said(&printed));
    }
    // Nobody is there who could run it.
    let run = laterna(&config, &["check", "--fix=run"]);
    assert!(said(&run).contains("Databases, accounts and grants are not made: "), "{}", said(&run));
    assert!(said(&run).contains("CREATE USER IF NOT EXISTS"), "{}", said(&run));
    // An account that may do so makes the other one.
    world.run(&format!("CREATE USER '{}'@'%' IDENTIFIED BY 'pass'", accounts[1])).await;
    world.run(&format!("GRANT ALL ON *.* TO '{}'@'%' WITH GRANT OPTION", accounts[1])).await;
    is_fixed(&config);
    // And gives it a right that it lacks.
    for (rights, schema) in [("DELETE", &world.name), ("INSERT, UPDATE, DELETE", &world.control())] {
        // As it was granted: an underscore alone would stand for any character.
        let right = format!("{rights} ON `{}`.*", schema.replace('_', "\\_"));
        world.run(&format!("REVOKE {right} FROM '{}'@'%'", accounts[0])).await;
        let check = laterna(&config, &["check"]);
        assert!(!check.status.success(), "without {right}: {}", said(&check));
        is_fixed(&config);
    }
    for account in accounts {
        world.run(&format!("DROP USER IF EXISTS '{account}'@'%'")).await;
    }
}

fn is_fixed(config: &Path) {
    let run = laterna(config, &["check", "--fix=run"]);
    assert!(said(&run).contains("Databases, accounts and grants are made."), "{}", said(&run));
    assert!(run.status.success() && said(&run).contains("Checked again:"), "{}", said(&run));
    let check = laterna(config, &["check"]);
    assert!(check.status.success(), "{}", said(&check));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_rights_that_are_missing_are_printed_and_run_by_an_administrator_only_on_mysql() {
    accounts_are_fixed(Options::mysql(), "LATERNA_MYSQL_PORT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_rights_that_are_missing_are_printed_and_run_by_an_administrator_only_on_mariadb() {
    accounts_are_fixed(Options::mariadb(), "LATERNA_MARIADB_PORT").await;
}
