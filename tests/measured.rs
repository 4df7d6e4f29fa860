//! `laterna bench`: a projection is measured in a scratch schema, and what would help is said.

use bson::doc;
use sqlx::{Executor, Row};

use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Options, World};

/// More than a table that is worth an index, in batches that are soon written.
const AGGREGATES: usize = 1_300;

/// One event for each aggregate, and a few that change their rows by a column without an index.
async fn filled(options: Options) -> World {
    let world = World::new("no-index", Options { batch_max: 200, ..options }).await;
    let first = (0..AGGREGATES).map(|n| event(&format!("e{n}"), &format!("a{n:04}"), 1, doc! {}));
    let again = (0..3).map(|n| event(&format!("again{n}"), &format!("a{n:04}"), 2, doc! {}));
    world.insert(first.chain(again)).await;
    world
}

async fn a_projection_is_measured_and_an_index_that_is_missing_is_found(options: Options) {
    let world = filled(options).await;
    let config = world.config(free_port());
    let databases = "SELECT COUNT(*) FROM information_schema.schemata \
                     WHERE schema_name IN ('laterna_bench_rows', 'laterna_bench_host')";
    let output = laterna(&config, &["bench", "no_index", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(report["events"], AGGREGATES + 3, "{report}");
    assert_eq!(report["left_out"], 0, "{report}");
    for figure in ["round_trip_ms", "decode_us", "project_us"] {
        assert!(report[figure].as_f64() > Some(0.0), "{figure}: {report}");
    }
    let runs = report["runs"].as_array().expect("a list");
    let lanes: Vec<i64> = runs.iter().filter_map(|run| run["lanes"].as_i64()).collect();
    assert!([1, 2, 4, 8, 16].iter().all(|wanted| lanes.contains(wanted)), "{report}");
    assert!(runs.iter().any(|run| run["batch_max"] == 800), "{report}");
    assert!(runs.iter().all(|run| run["events_per_second"].as_f64() > Some(0.0)), "{report}");
    let reads = report["whole_table_reads"].as_array().expect("a list");
    assert_eq!(reads.len(), 1, "{report}");
    assert_eq!((&reads[0]["statement"], &reads[0]["table"]), (&"see".into(), &"noted".into()), "{report}");
    let advice = report["advice"].to_string();
    for expect in ["What limits this projection is", "lanes = ", "batch_max = ", "its WHERE would help"] {
        assert!(advice.contains(expect), "{expect} is missing in {advice}");
    }
    // Whoever has the lock is alone in the schemas, and leaves nothing in them.
    let mut connection = world.mysql().await;
    connection.execute("SELECT GET_LOCK('laterna_bench_rows', 100)").await.expect("the lock");
    let left: i64 = connection.fetch_one(databases).await.expect("a count").get(0);
    assert_eq!(left, 0, "the scratch schemas are gone");
    // The projection itself knows nothing of it.
    let control =
        format!("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = '{}'", world.control());
    assert_eq!(world.number(&control).await, 0, "no control schema was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_is_measured_and_an_index_that_is_missing_is_found_on_mysql() {
    a_projection_is_measured_and_an_index_that_is_missing_is_found(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_is_measured_and_an_index_that_is_missing_is_found_on_mariadb() {
    a_projection_is_measured_and_an_index_that_is_missing_is_found(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_fail_are_left_out_of_a_measurement_with_those_that_wait_behind_them() {
    let world = World::new("recorder", Options::mariadb()).await;
    // The projector refuses an event whose number is a text, and the next one of its aggregate waits.
    let good = (1..=20).map(|n| event(&format!("e{n}"), "good", n, doc! {}));
    let bad = [event("bad", "bad", 1, doc! { "ordinal": "none" }), event("behind", "bad", 2, doc! {})];
    world.insert(good.chain(bad)).await;
    let config = world.config(free_port());
    let output = laterna(&config, &["bench", "recorder", "--events", "1000"]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for expect in [
        "recorder: recorder ",
        "22 recorded events of",
        "ms to MySQL and back",
        "STAGE",
        "write and wait for MySQL",
        "(configured)",
        "2 events were left out: they fail",
    ] {
        assert!(text.contains(expect), "{expect} is missing in\n{text}");
    }
    let output = laterna(&config, &["bench", "nothing"]);
    assert!(said(&output).contains("there is no projection `nothing`; the configuration has recorder"));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_nothing_to_measure_without_events() {
    let world = World::new("recorder", Options::mysql()).await;
    let output = laterna(&world.config(free_port()), &["bench", "recorder"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("has no events: there is nothing to measure with"), "{}", said(&output));
}
