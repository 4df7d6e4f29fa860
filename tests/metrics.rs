//! The metrics of a running host against the guide's table: names, kinds and labels; and what a latency is.

mod operations;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use bson::doc;
use serde_json::{Value, json};

use crate::guests;
use crate::support::http::Client;
use crate::support::server::services;
use crate::support::world::{event, said};
use crate::support::{Options, World, until};

/// A metric's kind and labels.
type Kind = (String, BTreeSet<String>);

/// The words in backticks.
fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(ToOwned::to_owned)
}

/// What the guide says of each metric. Those of an upcaster are as those of the projector.
fn documented() -> BTreeMap<String, Kind> {
    let guide = include_str!("../docs/metrics.md");
    let (mut all, mut alike) = (BTreeMap::new(), vec![]);
    for row in guide.lines().filter(|row| row.starts_with("| `laterna_") || row.starts_with("| `process_")) {
        let cells: Vec<&str> = row.split('|').collect();
        for name in quoted(cells[1]) {
            if name.starts_with("laterna_upcaster_") {
                alike.push(name);
            } else {
                all.insert(name, (cells[2].trim().to_owned(), quoted(cells[3]).collect()));
            }
        }
    }
    for name in alike {
        let like: Kind = all[&name.replace("upcaster", "projector")].clone();
        all.insert(name, like);
    }
    all
}

/// What a host exports.
fn exported(text: &str) -> BTreeMap<String, Kind> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut all: BTreeMap<String, Kind> =
        types.map(|(name, kind)| (name.to_owned(), (kind.to_owned(), BTreeSet::new()))).collect();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, labels) = line.split_once(['{', ' ']).expect("a sample");
        let name = ["", "_bucket", "_sum", "_count"].into_iter().find_map(|end| {
            let name = name.strip_suffix(end)?;
            all.contains_key(name).then(|| name.to_owned())
        });
        let name = name.unwrap_or_else(|| panic!("no type is said of {line}"));
        let labels = labels.split("=\"").map(|part| part.rsplit([',', '"']).next().unwrap_or_default());
        let is_own = |label: &&str| !["le", "quantile"].contains(label) && !label.contains([' ', '}']);
        let count = line.matches("=\"").count();
        let labels = labels.take(count).filter(is_own).map(ToOwned::to_owned);
        all.get_mut(&name).expect("it is there").1.extend(labels);
    }
    all
}

/// The metrics that a text names, with the labels that it asks for behind each.
fn named(text: &str) -> BTreeSet<(String, BTreeSet<String>)> {
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut all = BTreeSet::new();
    for start in ["laterna_", "process_"] {
        for (at, _) in text.match_indices(start) {
            if text[..at].ends_with(is_word) {
                continue;
            }
            let end = text[at..].find(|character| !is_word(character)).map_or(text.len(), |end| at + end);
            let selector =
                text[end..].strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
            let labels = selector.split(',').filter_map(|one| one.split(['=', '!']).next()).map(str::trim);
            let labels = labels.filter(|label| !label.is_empty()).map(ToOwned::to_owned).collect();
            all.insert((text[at..end].to_owned(), labels));
        }
    }
    all
}

/// What a text names and no host exports.
fn unknown(documented: &BTreeMap<String, Kind>, text: &str) -> Vec<String> {
    let is_known = |(name, labels): &(String, BTreeSet<String>)| {
        let of = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let many =
            of.and_then(|of| documented.get(of)).filter(|(kind, _)| kind == "histogram" || kind == "summary");
        let Some((_, own)) = documented.get(name).or(many) else { return false };
        labels.iter().all(|label| own.contains(label) || label == "le" || label == "quantile")
    };
    let unknown = named(text).into_iter().filter(|one| !is_known(one));
    unknown.map(|(name, labels)| format!("{name}{labels:?}")).collect()
}

const ALERTS: &str = include_str!("../examples/deploy/prometheus/alerts.yaml");

/// What the panels of the dashboard ask for.
fn asked_by_dashboard() -> Vec<String> {
    let dashboard: Value =
        serde_json::from_str(include_str!("../examples/deploy/grafana/laterna.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    targets.map(|target| target["expr"].as_str().expect("an expression").to_owned()).collect()
}

/// The values of labels that a query wants, but for those that the dashboard's reader chooses.
fn wanted_values(query: &str) -> impl Iterator<Item = &str> {
    let equal = query.split(['{', ',']).filter(|part| part.contains("=\"") && !part.contains("!="));
    equal.map(|part| part.split('}').next().unwrap_or_default().trim())
}

/// Demands that some series has each value of a label that an alert or a panel wants.
fn assert_values_exported(text: &str) {
    let asked = asked_by_dashboard().join("\n");
    let wanted: BTreeSet<&str> = wanted_values(ALERTS).chain(wanted_values(&asked)).collect();
    assert!(wanted.len() > 1, "{wanted:?}");
    for value in wanted {
        let is_there = ["{", ","].iter().any(|before| text.contains(&format!("{before}{value}")));
        assert!(is_there, "no series has {value}:\n{text}");
    }
}

#[test]
fn every_query_of_the_dashboard_is_understood_by_prometheus() {
    let rule = |(at, asked): (usize, &String)| {
        let text = asked.replace("$__rate_interval", "5m");
        json!({ "record": format!("panel:{at}"), "expr": text })
    };
    let asked = asked_by_dashboard();
    let rules: Vec<Value> = asked.iter().enumerate().map(rule).collect();
    let rules = json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string();
    let file = tempfile::NamedTempFile::new().expect("a file");
    let checked = |rules: &str| {
        std::fs::write(file.path(), rules).expect("it is written");
        said(&services().args(["promtool", "check", "rules"]).arg(file.path()).output().expect("it runs"))
    };
    let told = checked(&rules);
    assert!(told.contains(&format!("{} rules found", asked.len())), "{told}");
    assert!(!checked(&rules.replace("sum by (", "sum by by (")).contains("rules found"));
}

#[test]
fn alerts_and_dashboard_ask_for_what_a_host_exports() {
    let documented = documented();
    for bad in
        ["laterna_lag_second > 1", "laterna_ready{class=\"a\"}", "laterna_lag_seconds_bucket", "process_cpu"]
    {
        assert_eq!(unknown(&documented, bad).len(), 1, "{bad}");
    }
    assert_eq!(unknown(&documented, ALERTS), Vec::<String>::new());
    let asked = asked_by_dashboard();
    assert!(asked.len() > 15 && asked.iter().all(|asked| !named(asked).is_empty()), "{asked:?}");
    for asked in asked {
        assert_eq!(unknown(&documented, &asked), Vec::<String>::new(), "{asked}");
    }
}

/// Runs promtool in the folder of the alerts.
fn promtool(arguments: &[&str]) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/deploy/prometheus");
    let ran = services().arg("promtool").args(arguments).current_dir(folder).output().expect("it runs");
    let said = said(&ran);
    assert!(ran.status.success(), "{arguments:?}: {said}");
    said
}

#[test]
fn every_alert_fires_in_its_test_is_silent_where_all_is_well_and_says_what_to_do() {
    let tests = include_str!("../examples/deploy/prometheus/alerts.test.yaml");
    let rules: Vec<&str> = ALERTS.split("- alert: ").skip(1).collect();
    assert!(rules.len() > 10);
    for rule in rules {
        let name = rule.lines().next().expect("a name");
        assert!(rule.contains("runbook: "), "{name} does not say what to do");
        assert!(tests.contains(&format!("- alertname: {name}\n")), "no test lets {name} fire");
        assert!(tests.contains(&format!("alertname: {name}, eval_time: 30m, exp_alerts: []")), "{name}");
    }
    assert!(promtool(&["check", "rules", "alerts.yaml"]).contains("rules found"));
    assert!(promtool(&["test", "rules", "alerts.test.yaml"]).contains("SUCCESS"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_exports_is_well_formed() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    world.insert([event("a", "a", 1, doc! { "do": "ok" })]).await;
    world.until_committed("picky", 1).await;
    let client = Client::new(host.port);
    let told = fed(services().args(["promtool", "check", "metrics"]), &client.get("/metrics").await.text);
    assert!(!told.contains("error"), "{told}");
    let open = client.with("Accept", "application/openmetrics-text;version=1.0.0").get("/metrics").await;
    assert_open_metrics(&open.text);
}

/// What a program says that reads this text.
fn fed(program: &mut Command, text: &str) -> String {
    let piped = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = piped.spawn().expect("it runs");
    running.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    said(&running.wait_with_output().expect("it ends"))
}

/// Demands that the parser of Prometheus' own client takes a text, and that it sees all of its families and exemplars.
pub fn assert_open_metrics(text: &str) {
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/../dev/metrics/check");
    let (families, exemplars) = (text.matches("# TYPE ").count(), text.matches(" # {trace_id=").count());
    let told = fed(&mut Command::new(check), text);
    assert_eq!(told.trim(), format!("{families} families, {exemplars} exemplars"), "{text}");
}

/// The value of a sample.
fn sample(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_lists_what_a_host_exports_with_kinds_and_labels() {
    let options = Options { outbox: "acknowledge = \"mark\"", ..Options::mysql() };
    let world = World::with(&[("picky", "picky"), ("balances", "balances")], options).await;
    world.insert([event("history", "h", 1, doc! { "do": "ok" })]).await;
    let host = world.start_with(&[("UPCASTER__COMPONENT", &guests::path("upcaster").display().to_string())]);
    let client = Client::new(host.port);
    host.until_phase("picky", "streaming").await;
    let before = client.get("/metrics").await.text;
    let verdict = |verdict| format!("laterna_events_total{{projection=\"picky\",verdict=\"{verdict}\"}}");
    assert_eq!(sample(&before, &verdict("parked")), Some(0.0), "it is there before there is one:\n{before}");
    world.insert((0..20).map(|n| event(&format!("e{n}"), "a", n, doc! { "do": "ok" }))).await;
    world.insert([event("bad", "b", 1, doc! { "do": "reject" })]).await;
    world.until_committed("picky", 22).await;
    world.until_committed("balances", 22).await;
    let unhandled = json!([{ "type": "Happened", "events": 22 }]);
    assert_eq!(host.status("balances").await.expect("it answers")["unhandled"], unhandled);
    let paused = client.post("/api/v1/projections/picky/pause", &json!({ "why": "a test" })).await;
    assert_eq!(paused.code, 202, "{paused:?}");
    host.until_phase("picky", "paused").await;
    let (documented, mut text) = (documented(), String::new());
    until("everything that the guide lists is exported", async || {
        text = client.get("/metrics").await.text;
        let exported = exported(&text);
        let missing: Vec<&String> = documented.keys().filter(|name| !exported.contains_key(*name)).collect();
        if !missing.is_empty() {
            println!("missing: {missing:?}");
        }
        missing.is_empty()
    })
    .await;
    assert_eq!(exported(&text), documented, "the guide's table, and what is exported");
    assert_values_exported(&text);
    assert_eq!(sample(&text, &verdict("parked")), Some(1.0), "{text}");

    // Those of the stream were measured, and history was not.
    let latency = "laterna_commit_latency_seconds";
    assert_eq!(sample(&text, &format!("{latency}_count{{projection=\"picky\"}}")), Some(21.0), "{text}");
    let sum = sample(&text, &format!("{latency}_sum{{projection=\"picky\"}}")).expect("a sum");
    assert!(sum > 0.0 && sum < 21.0 * 60.0, "{sum} s for 21 events");
    for bucket in ["0.001", "0.5", "60", "3600", "+Inf"] {
        let named = format!("{latency}_bucket{{projection=\"picky\",le=\"{bucket}\"}}");
        assert!(sample(&text, &named).is_some(), "{named} is not in\n{text}");
    }
    let batches = sample(&text, "laterna_batch_events_sum{projection=\"picky\"}");
    assert_eq!(batches, Some(22.0), "{text}");
    let of = |name: &str| sample(&text, &format!("{name}{{projection=\"picky\"")).expect(name);
    let transactions = of("laterna_batch_events_count");
    // Lanes that come while others write are written with them, and wait for no answer themselves.
    let counted = of("laterna_batch_round_trips_count");
    assert!((1.0..=transactions).contains(&counted), "{text}");
    // At least: begin, open, a mark, close, commit.
    assert!(of("laterna_batch_round_trips_sum") >= 5.0 * counted, "{text}");
    let unhandled = "laterna_unhandled_events_total{projection=\"balances\",type=\"Happened\"}";
    assert_eq!(sample(&text, unhandled), Some(22.0), "{text}");
    let applied = sample(&text, "laterna_event_commit_seconds_count{projection=\"picky\"");
    assert_eq!(applied, Some(21.0), "those that were applied: {text}");
    assert_eq!(sample(&text, "laterna_leader{projection=\"picky\"}"), Some(1.0));
    assert!(sample(&text, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6), "{text}");
}
