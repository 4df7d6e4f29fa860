//! A read model's tables and a control schema that were restored to different moments, or to one.

use bson::doc;
use sqlx::Row;

use super::{PROJECTION, document};
use crate::support::world::{laterna, said};
use crate::support::{Host, Options, World, some_time, until};

/// A database as it was.
struct Copy {
    of: String,
    at: String,
}

async fn tables(world: &World, database: &str) -> Vec<String> {
    let sql = format!(
        "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.tables WHERE table_schema = '{database}'"
    );
    world.rows(&sql).await.iter().map(|row| row.get(0)).collect()
}

impl Copy {
    /// It goes when the world does.
    async fn take(world: &World, of: &str, number: u32) -> Self {
        let at = format!("{}_g{number}_copy", world.control());
        world.run(&format!("CREATE DATABASE {at}")).await;
        let copy = Self { of: of.to_owned(), at };
        copy.fill(world, of, &copy.at).await;
        copy
    }

    async fn put_back(&self, world: &World) {
        for table in tables(world, &self.of).await {
            world.run(&format!("DROP TABLE `{}`.`{table}`", self.of)).await;
        }
        self.fill(world, &self.at, &self.of).await;
    }

    async fn fill(&self, world: &World, from: &str, to: &str) {
        for table in tables(world, from).await {
            world.run(&format!("CREATE TABLE `{to}`.`{table}` LIKE `{from}`.`{table}`")).await;
            world.run(&format!("INSERT INTO `{to}`.`{table}` SELECT * FROM `{from}`.`{table}`")).await;
        }
    }
}

async fn recorded(world: &World) -> i64 {
    world.number_if_any("SELECT COUNT(*) FROM recorded").await.unwrap_or(-1)
}

async fn until_recorded(world: &World, events: i64) {
    until(&format!("{events} events have their rows"), async || recorded(world).await == events).await;
}

/// Waits until it pauses for this, and gives the reason.
async fn until_restored(host: &Host, says: &str) -> String {
    let mut reason = String::new();
    until(&format!("it pauses: {says}"), async || {
        let status = host.status(PROJECTION).await.unwrap_or_default();
        status["reason"].as_str().unwrap_or_default().clone_into(&mut reason);
        status["class"] == "read-model-restored" && reason.contains(says)
    })
    .await;
    for says in ["restore both from one backup", "laterna rebuild recorder"] {
        assert!(reason.contains(says), "{says:?} is not in {reason:?}");
    }
    reason
}

#[track_caller]
fn tell(world: &World, host: &Host, arguments: &[&str]) -> String {
    let output = laterna(&world.config(host.port), arguments);
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A world in which five events were applied, then five more, with both databases as they were in between.
async fn two_moments(options: Options) -> (World, Copy, Copy) {
    let world = World::new(PROJECTION, options).await;
    world.insert((0..5).map(document)).await;
    let host = world.start();
    world.until_committed(PROJECTION, 5).await;
    host.until_phase(PROJECTION, "streaming").await;
    host.kill();
    let tables = Copy::take(&world, &world.name, 90).await;
    let control = Copy::take(&world, &world.control(), 91).await;
    let host = world.start();
    world.insert((5..10).map(document)).await;
    world.until_committed(PROJECTION, 10).await;
    host.kill();
    (world, tables, control)
}

async fn tables_alone(options: Options) {
    let (world, older, _) = two_moments(options).await;
    let newer = Copy::take(&world, &world.name, 92).await;
    older.put_back(&world).await;
    world.insert([document(10)]).await;
    let host = world.start();
    let reason = until_restored(&host, "batch(es) older").await;
    assert!(reason.contains("laterna_witness_"), "{reason}");
    some_time(500).await;
    assert_eq!(recorded(&world).await, 5, "nothing is written");
    // What fits is brought back under the host that waits.
    newer.put_back(&world).await;
    until_recorded(&world, 11).await;
    // And under one that writes, whose connections stay.
    older.put_back(&world).await;
    until_restored(&host, "batch(es) older").await;
    assert_eq!(recorded(&world).await, 5, "nothing is written");
    // They are made anew, and the pause is over.
    tell(&world, &host, &["rebuild", PROJECTION]);
    until_recorded(&world, 11).await;
    world.insert([document(11)]).await;
    until_recorded(&world, 12).await;
    world.assert_recorded(12, 1).await;
    host.kill();
    // Their witness is gone.
    world.run(&format!("DROP TABLE {}", the_witness(&world).await)).await;
    let host = world.start();
    until_restored(&host, "is gone").await;
    host.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_were_restored_alone_are_noticed_whenever_it_was_on_mysql() {
    tables_alone(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_were_restored_alone_are_noticed_whenever_it_was_on_mariadb() {
    tables_alone(Options::mariadb()).await;
}

async fn control_schema_alone(options: Options) {
    let (world, tables, control) = two_moments(options).await;
    control.put_back(&world).await;
    world.insert([document(10)]).await;
    let host = world.start();
    until_restored(&host, "batch(es) newer").await;
    some_time(500).await;
    world.assert_recorded(10, 1).await;
    // Rows of events that the control schema does not know of may go with a rebuild.
    tell(&world, &host, &["rebuild", PROJECTION]);
    until("it waits for a word", async || {
        let list = tell(&world, &host, &["generations", "list", PROJECTION, "--json"]);
        list.contains("not known which events") && list.contains("laterna generations accept")
    })
    .await;
    world.assert_recorded(10, 1).await;
    tell(&world, &host, &["generations", "drop", PROJECTION, "2"]);
    host.kill();
    // Both of one moment: what came since is applied again.
    tables.put_back(&world).await;
    control.put_back(&world).await;
    let host = world.start();
    until_recorded(&world, 11).await;
    world.assert_recorded(11, 1).await;
    let status = host.status(PROJECTION).await.expect("it answers");
    assert_eq!(status["class"], serde_json::Value::Null, "{status}");
    host.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_schema_that_was_restored_alone_is_noticed_and_both_of_one_moment_go_on_on_mysql() {
    control_schema_alone(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_schema_that_was_restored_alone_is_noticed_and_both_of_one_moment_go_on_on_mariadb() {
    control_schema_alone(Options::mariadb()).await;
}

/// As many batches were committed, but by another run: what both are restored from is not one backup.
#[tokio::test(flavor = "multi_thread")]
async fn tables_of_another_history_are_noticed_where_as_many_batches_were_committed() {
    let (world, tables, control) = two_moments(Options { lanes: 1, ..Options::mysql() }).await;
    let batch = format!("SELECT batch FROM {}.checkpoint", world.control());
    let (other, there) = (Copy::take(&world, &world.name, 92).await, world.number(&batch).await);
    tables.put_back(&world).await;
    control.put_back(&world).await;
    let host = world.start();
    until_recorded(&world, 10).await;
    host.kill();
    other.put_back(&world).await;
    let witness = the_witness(&world).await;
    let here = world.number(&batch).await;
    // How many batches an idle stream has made is a matter of time.
    for database in [format!("{}.checkpoint", world.control()), witness] {
        let column = if database.ends_with(".checkpoint") {
            "batch = {n}, witness_batch = {n}"
        } else {
            "batch = {n}"
        };
        let set = column.replace("{n}", &here.max(there).to_string());
        world.run(&format!("UPDATE {database} SET {set}")).await;
    }
    let host = world.start();
    until_restored(&host, "of another history").await;
    host.kill();
}

async fn the_witness(world: &World) -> String {
    let all = tables(world, &world.name).await;
    let witness = all.into_iter().find(|name| name.starts_with("laterna_witness_")).expect("it is there");
    format!("`{}`.`{witness}`", world.name)
}

/// The control schema was restored to before the generation that is live was made.
#[tokio::test(flavor = "multi_thread")]
async fn a_control_schema_from_before_a_cut_over_is_noticed_and_a_rebuild_still_cures_it() {
    let world = World::new(PROJECTION, Options::mysql()).await;
    world.insert((0..5).map(document)).await;
    let host = world.start();
    until_recorded(&world, 5).await;
    host.kill();
    let control = Copy::take(&world, &world.control(), 91).await;
    let host = world.start();
    let live = format!("SELECT live_generation FROM {}.projection", world.control());
    tell(&world, &host, &["rebuild", PROJECTION]);
    until("generation 2 is live", async || world.number_if_any(&live).await == Some(2)).await;
    host.kill();
    control.put_back(&world).await;
    world.insert([document(5)]).await;
    let host = world.start();
    until_restored(&host, "those of generation 2").await;
    let list = || tell(&world, &host, &["generations", "list", PROJECTION, "--json"]);
    tell(&world, &host, &["rebuild", PROJECTION]);
    until("it waits for a word", async || list().contains("laterna generations accept")).await;
    // Its number is one that no generation had in either history.
    tell(&world, &host, &["generations", "accept", PROJECTION, "3"]);
    let left = format!("{}_g1_recorder", world.control());
    until("it tells what is in its way", async || list().contains(&format!("DROP DATABASE `{left}`"))).await;
    assert_eq!(recorded(&world).await, 5);
    world.run(&format!("DROP DATABASE {left}")).await;
    until("it is live", async || world.number_if_any(&live).await == Some(3)).await;
    until_recorded(&world, 6).await;
    world.assert_recorded(6, 1).await;
    host.kill();
}

async fn older_hosts(options: Options) {
    let (world, tables, control) = two_moments(options).await;
    let witness = the_witness(&world).await;
    let unknown =
        format!("UPDATE {}.checkpoint SET witness_batch = NULL, witness_stamp = NULL", world.control());
    // One that made all of it, one that came between, and one that has gone on.
    let gone_on = format!("UPDATE {}.checkpoint SET batch = batch + 3", world.control());
    for (number, past) in [
        vec![unknown.clone(), format!("DROP TABLE {witness}")],
        vec![unknown, format!("DELETE FROM {witness} WHERE lane = 0")],
        vec![gone_on],
    ]
    .into_iter()
    .enumerate()
    {
        for sql in &past {
            world.run(sql).await;
        }
        let events = 10 + i64::try_from(number).expect("it is small");
        world.insert([document(events)]).await;
        let host = world.start();
        until_recorded(&world, events + 1).await;
        let status = host.status(PROJECTION).await.expect("it answers");
        assert_eq!(status["class"], serde_json::Value::Null, "{past:?}: {status}");
        host.kill();
    }
    // From now on it is known.
    tables.put_back(&world).await;
    let host = world.start();
    until_restored(&host, "batch(es) older").await;
    host.kill();
    drop(control);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_older_hosts_did_without_a_witness_is_no_restore() {
    older_hosts(Options::mysql()).await;
    older_hosts(Options::mariadb()).await;
}

/// Whatever a projection does by itself, both stay of one moment.
#[tokio::test(flavor = "multi_thread")]
async fn deaths_other_lanes_cut_overs_and_returns_are_no_restore() {
    for options in [Options::mysql(), Options::mariadb()] {
        let mut world = World::new(PROJECTION, options).await;
        world.insert((0..5).map(document)).await;
        let live = format!("SELECT live_generation FROM {}.projection", world.control());
        let mut events = 5;
        let rebuild = ["rebuild", PROJECTION];
        let steps: [(u32, &[&str], i64); 5] = [
            (4, &[], 1),
            (2, &rebuild, 2),
            (7, &["generations", "return", PROJECTION, "1"], 1),
            (1, &rebuild, 3),
            (4, &[], 3),
        ];
        for (lanes, does, generation) in steps {
            world.options.lanes = lanes;
            let host = world.start();
            until_recorded(&world, events).await;
            if !does.is_empty() {
                tell(&world, &host, does);
            }
            until("it is live", async || world.number_if_any(&live).await == Some(generation)).await;
            world.insert([document(events)]).await;
            events += 1;
            until_recorded(&world, events).await;
            let status = host.status(PROJECTION).await.expect("it answers");
            assert_eq!(status["class"], serde_json::Value::Null, "{status}");
            assert!(!host.log().contains("restored without the other"), "{}", host.log());
            host.kill();
        }
        world.assert_recorded(events, 1).await;
    }
}
