//! The smallest run of the benchmark, so that it can be trusted to work when it is wanted: each workload, distances, a rate
//! and a backlog, with the floor, the loop of one event a transaction and the host. A follower that leaves other rows than the model fails it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The benchmark on a database of its own.
fn bench(name: &str, arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_bench"));
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&work).expect("a folder to work in");
    let output = Command::new(&program)
        .current_dir(root)
        .args(arguments)
        .args(["--servers", "mysql-socket", "--restless"])
        // Where MySQL cannot be had, MariaDB takes its place, and its name.
        .env("LATERNA_MYSQL_FLAVOR", "mysql")
        .env("BENCH_HOST", program.with_file_name("laterna"))
        .env("BENCH_DATABASE", format!("laterna_bench_{name}_{}", std::process::id()))
        .env("BENCH_RESULTS", work.join("results.json"))
        .env("BENCH_FIGURE", work.join("figure.svg"))
        .env("BENCH_WORK", &work)
        .output()
        .expect("the benchmark starts");
    let said =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).join("\n");
    assert!(output.status.success(), "{arguments:?}: {said}");
    output
}

fn compare(name: &str, arguments: &[&str]) -> serde_json::Value {
    let small = ["compare", "--rounds", "1", "--history", "1000", "--live", "1000", "--slow-share", "0.1"];
    bench(name, &[&small[..], arguments].concat());
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let figure = std::fs::read_to_string(work.join("figure.svg")).expect("there is a figure");
    assert!(figure.contains("round trip to MySQL") && figure.ends_with("</svg>\n"), "{figure}");
    let results = std::fs::read(work.join("results.json")).expect("there are results");
    serde_json::from_slice(&results).expect("they are JSON")
}

#[test]
fn the_benchmark_measures_each_workload_and_finds_the_rows_right() {
    let nothing_else = ["--mysql-distances", "--mongodb-distances", "--rates", "--backlogs"];
    let workloads = "upserts,large,hot,orders,counters,updates,deletes,bank,fan-4";
    let results = compare(
        "workloads",
        &[&["--followers", "floor,laterna", "--workloads", workloads], &nothing_else[..]].concat(),
    );
    let records = results["records"].as_array().expect("a list");
    assert_eq!(records.len(), 9 * 2);
    for record in records {
        let parts: Vec<&str> = record["parts"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|part| part["part"].as_str())
            .collect();
        assert_eq!(parts, ["history", "live"], "{record}");
        let live = &record["parts"][1];
        assert_eq!(live["events"], 1000, "{record}");
        assert!(
            live["peak_memory_bytes"].as_u64() > Some(1 << 20) && live["commits"].as_u64() > Some(0),
            "{record}"
        );
    }
}

#[test]
fn the_benchmark_measures_distances_rates_and_backlogs() {
    let results = compare(
        "distances",
        &[
            "--followers",
            "floor,laterna-2,naive",
            "--workloads",
            "none",
            "--mysql-distances",
            "2",
            "--mongodb-distances",
            "1",
            "--rates",
            "200",
            "--rate-seconds",
            "2",
            "--backlogs",
            "500",
        ],
    );
    let records = results["records"].as_array().expect("a list");
    assert_eq!(records.len(), 4 * 3);
    let of = |field: &str| records.iter().filter(|record| !record[field].is_null()).collect::<Vec<_>>();
    for record in of("mysql_ms") {
        let live = &record["parts"][1];
        // A transaction of the loop waits at least for BEGIN, the checkpoint and COMMIT, and for its rows, if it has any.
        let turns = live["mysql_turns"].as_u64().expect("they were counted")
            / live["commits"].as_u64().expect("a number");
        assert!(turns >= if record["follower"] == "laterna-2" { 1 } else { 3 }, "{record}");
        let expect = if record["follower"] == "naive" { 100 } else { 1000 };
        assert_eq!(live["events"], expect, "{record}");
    }
    for record in of("mongodb_ms") {
        assert!(record["parts"][1]["mongodb_turns"].as_u64() > Some(0), "{record}");
    }
    for record in of("rate") {
        let lag = &record["parts"][0]["lag_ms"];
        let [half, p99, most] = ["p50", "p99", "highest"].map(|share| lag[share].as_f64().expect("a number"));
        assert!(half > 0.0 && half <= p99 && p99 <= most, "{record}");
    }
    assert_eq!(of("rate").len() + of("mysql_ms").len() + of("mongodb_ms").len(), 9);
}

#[test]
fn the_benchmark_measures_a_rebuild_alone_and_beside_live_traffic() {
    // What the first one leaves must not keep the tables of the second one from changing places.
    for _ in 0..2 {
        bench("rebuild", &["rebuild", "--history", "2000", "--rate", "200", "--seconds", "1"]);
    }
    let results = std::fs::read(Path::new(env!("CARGO_TARGET_TMPDIR")).join("rebuild/results.json"))
        .expect("there are results");
    let results: serde_json::Value = serde_json::from_slice(&results).expect("they are JSON");
    for figure in ["alone_seconds", "beside_seconds", "stood_ms"] {
        assert!(results[0][figure].as_f64() > Some(0.0), "{results}");
    }
    assert!(results[0]["ordinary_ms"]["p99"].as_f64() > Some(0.0), "{results}");
}

/// Measures a host while others come, and while nobody does.
fn visited(name: &str, arguments: &[&str]) {
    let small = ["pages", "--rounds", "2", "--history", "500", "--events", "1000"];
    bench(name, &[&small[..], arguments].concat());
    let results = std::fs::read(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).join("results.json"))
        .expect("there are results");
    let results: serde_json::Value = serde_json::from_slice(&results).expect("they are JSON");
    let rounds = results[0]["rounds"].as_array().expect("a list");
    assert_eq!(rounds.len(), 2, "{results}");
    for round in rounds {
        let [with, without] = ["with", "without"].map(|part| round[part]["events"].as_u64());
        assert_eq!([with, without], [Some(1000); 2], "{round}");
    }
    assert!(results[0]["ratio"].as_f64() > Some(0.0), "{results}");
}

#[test]
fn the_benchmark_measures_a_host_with_open_pages_and_without() {
    visited("pages", &["--clients", "5"]);
}

#[test]
fn the_benchmark_measures_a_host_under_abuse_and_without() {
    visited("abuse", &["--abuse", "--abuse-ms", "200"]);
}

#[test]
fn what_the_benchmark_does_not_know_is_refused_with_what_it_knows() {
    for (arguments, expect) in [
        (["--workloads", "nothing"], "upserts, large"),
        (["--followers", "nobody"], "python-batched"),
        (["--servers", "nowhere"], "mysql-socket"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_bench"))
            .arg("compare")
            .args(arguments)
            .args(["--host", env!("CARGO_BIN_EXE_bench"), "--work", env!("CARGO_TARGET_TMPDIR")])
            .output()
            .expect("the benchmark starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expect), "{arguments:?}: {said}");
    }
}
