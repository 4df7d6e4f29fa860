//! What commands do to letters: tried without a trace, exported whole, erased, tried again by another component.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use bson::doc;
use serde_json::Value;

use super::{assert_counted, blocked, blocked_with, dlq, unblock};
use crate::guests;
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Options, World, some_time, until};

/// Everything that a dry run must leave as it is.
async fn traces(world: &World) -> Vec<i64> {
    let control = world.control();
    let mut traces = vec![];
    for what in [
        format!("SELECT COUNT(*) + 1000 * SUM(attempts) FROM {control}.dead_letter"),
        format!("SELECT SUM(id) FROM {control}.dead_letter WHERE state = 'parked'"),
        format!("SELECT SUM(batch) + 1000 * COUNT(open_batch) FROM {control}.checkpoint WHERE events > 0"),
        "SELECT COUNT(*) FROM recorded".to_owned(),
        "SELECT SUM(events) FROM last_seen".to_owned(),
    ] {
        traces.push(world.number(&what).await);
    }
    traces
}

async fn a_dry_run(options: Options) {
    let (world, host) = blocked_with(options).await;
    let before = traces(&world).await;
    let run = said(&dlq(&world, &host, &["replay", "recorder", "--all", "--dry-run"]));
    assert_eq!(
        run.trim(),
        "the deployed component would take 0 of 3\n1 would fail: key-conflict\n2 would wait behind them"
    );
    assert_eq!(traces(&world).await, before);
    // Now the row is in the way of the second one only.
    world.run(&format!("UPDATE {}.recorded SET sequence = 3 WHERE event_id = 'x'", world.name)).await;
    let run = said(&dlq(&world, &host, &["replay", "recorder", "--aggregate", "thing/a", "--dry-run"]));
    assert!(run.contains("would take 1 of 3\n1 would fail: key-conflict\n1 would wait"), "{run}");
    assert_eq!(traces(&world).await, before);
    unblock(&world).await;
    let before = traces(&world).await;
    let run = said(&dlq(&world, &host, &["replay", "recorder", "--all", "--dry-run"]));
    assert_eq!(run.trim(), "the deployed component would take 3 of 3");
    assert_eq!(traces(&world).await, before);
    let replay = said(&dlq(&world, &host, &["replay", "recorder", "--all"]));
    assert!(replay.contains("3 applied"), "it told the truth: {replay}");
    world.assert_recorded(5, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_a_replay_would_come_to_and_leaves_no_trace_on_mysql() {
    a_dry_run(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_a_replay_would_come_to_and_leaves_no_trace_on_mariadb() {
    a_dry_run(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_are_right_as_soon_as_a_command_is_done() {
    let (world, host) = blocked().await;
    until("the letters show", async || {
        host.status("recorder").await.is_some_and(|status| status["held"] == 2)
    })
    .await;
    unblock(&world).await;
    let replay = dlq(&world, &host, &["replay", "recorder", "--all", "--json"]);
    let told: Value = serde_json::from_slice(&replay.stdout).expect("it is JSON");
    assert_eq!((&told["state"], &told["result"]), (&"done".into(), &"3 applied, 0 still parked".into()));
    let status = host.status("recorder").await.expect("it answers");
    assert_eq!((&status["parked"], &status["held"]), (&0.into(), &0.into()));
    assert_counted(&world).await;
}

/// The lines of an export.
fn lines(text: &[u8]) -> Vec<Value> {
    String::from_utf8_lossy(text).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_everything_that_is_stored_of_each_letter() {
    let (world, host) = blocked().await;
    let control = world.control();
    world.run(&format!("UPDATE {control}.dead_letter SET document = X'010203' WHERE event_id = 'e4'")).await;
    let export = dlq(&world, &host, &["export", "recorder"]);
    assert!(export.status.success());
    assert_eq!(String::from_utf8_lossy(&export.stderr).trim(), "3 letters exported");
    let letters = lines(&export.stdout);
    assert_eq!(letters[0]["state"], "parked");
    assert_eq!(letters[0]["class"], "key-conflict");
    assert_eq!(letters[0]["document"]["sequence"]["$numberLong"], "2");
    assert!(letters[0]["operations"].as_str().is_some_and(|text| text.contains("statement")));
    assert!(letters[0]["position"].is_object() && letters[0]["digest"].is_string());
    assert_eq!(letters[1]["state"], "held");
    assert_eq!(letters[2]["document_base64"], "AQID");
    // A file is there when it is complete; filters are those of lists.
    let file = world.folder.path().join("letters.jsonl");
    let file = file.to_str().expect("the path is text");
    let export = dlq(&world, &host, &["export", "recorder", "--reason", "key-conflict", "--output", file]);
    assert!(export.status.success() && export.stdout.is_empty());
    assert_eq!(lines(&std::fs::read(file).expect("it is there")).len(), 1);
    let none = dlq(&world, &host, &["export", "recorder", "--aggregate", "thing/b"]);
    assert!(none.status.success() && none.stdout.is_empty() && said(&none).contains("0 letters"));
}

/// Runs an export to its end; its output and the most memory it took, in kB.
fn measured_export(config: &Path, file: &Path) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_laterna"));
    command.arg("--config").arg(config).args(["dlq", "export", "recorder", "--output"]).arg(file);
    let mut child = command.stderr(Stdio::null()).spawn().expect("the binary runs");
    let mut most = 0;
    while child.try_wait().expect("it is a child").is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(peak.unwrap_or_default());
        std::thread::yield_now();
    }
    assert!(child.wait().expect("it is a child").success());
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_a_hundred_thousand_letters_is_complete_and_small_while_new_ones_come() {
    const LETTERS: i64 = 100_000;
    let (world, host) = blocked().await;
    let control = world.control();
    let many = format!(
        "SET SESSION cte_max_recursion_depth = 1000000; \
         INSERT INTO {control}.dead_letter (projection, generation, state, document_key, aggregate_key, aggregate, \
         event_id, event_type, document, position, class, reason, digest, attempts, document_bytes) \
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {LETTERS}) \
         SELECT 'recorder', 1, 'parked', UNHEX(LPAD(HEX(n), 32, '0')), CONCAT('k', n), CONCAT('thing/k', n), \
         CONCAT('k', n), 'Happened', REPEAT('x', 1000), '{{}}', 'trapped', 'x', REPEAT('0', 64), 1, 1000 FROM n"
    );
    world.run(&many).await;
    let first = world.number(&format!("SELECT MIN(id) FROM {control}.dead_letter")).await;
    let outbox = world.outbox.clone();
    let writing = tokio::spawn(async move {
        for n in 5..1000 {
            outbox.insert_one(event(&format!("e{n}"), "a", n, doc! {})).await.expect("it is taken");
            some_time(5).await;
        }
    });
    let (config, file) = (world.config(host.port), world.folder.path().join("letters.jsonl"));
    let target = file.clone();
    let exporting = tokio::task::spawn_blocking(move || measured_export(&config, &target));
    let most = exporting.await.expect("it ran");
    writing.abort();
    let letters = lines(&std::fs::read(file).expect("it is there"));
    let ids: Vec<u64> = letters.iter().filter_map(|letter| letter["id"].as_u64()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "in order, none twice");
    assert_eq!(ids.first().copied(), u64::try_from(first).ok());
    let old: BTreeSet<&str> = letters.iter().filter_map(|letter| letter["event_id"].as_str()).collect();
    assert!((1..=LETTERS).all(|n| old.contains(format!("k{n}").as_str())), "all that were there");
    assert!(most > 0 && most < 100_000, "{most} kB for 100 MB of documents");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_letter_keeps_its_place_and_can_only_be_discarded() {
    let (world, host) = blocked().await;
    let erase =
        |what: &[&str]| dlq(&world, &host, &[&["erase", "recorder", "--why", "a request"], what].concat());
    assert!(said(&erase(&["--event", "e3"])).contains("1 erased"));
    assert_eq!(world.letters().await, (1, 2), "order and counts stay");
    let erased = format!(
        "SELECT COUNT(*) FROM {}.dead_letter WHERE event_id = 'e3' AND erased_at IS NOT NULL AND document = '' \
         AND document_bytes = 0 AND operations IS NULL AND reason LIKE 'erased by %a request'",
        world.control()
    );
    assert_eq!(world.number(&erased).await, 1);
    assert_counted(&world).await;
    assert!(said(&erase(&["--event", "e3"])).contains("not erased already"));
    let id =
        world.number(&format!("SELECT id FROM {}.dead_letter WHERE event_id = 'e3'", world.control())).await;
    let show = said(&dlq(&world, &host, &["show", "recorder", &id.to_string()]));
    assert!(show.contains("The document was erased"), "{show}");

    // What is before it can be replayed; it is the head then, and what is behind it waits.
    unblock(&world).await;
    let run = said(&dlq(&world, &host, &["replay", "recorder", "--all", "--dry-run"]));
    assert!(run.contains("would take 1 of 3\n1 would fail: erased\n1 would wait"), "{run}");
    let replay = said(&dlq(&world, &host, &["replay", "recorder", "--all"]));
    assert!(replay.contains("1 applied, 1 still parked"), "{replay}");
    assert_eq!(world.letters().await, (1, 1));
    let discard = ["discard", "recorder", "--reason", "erased", "--why", "it is gone", "--yes"];
    let discard = said(&dlq(&world, &host, &discard));
    assert!(discard.contains("1 discarded, 1 applied"), "{discard}");
    assert_eq!(world.letters().await, (0, 0));
    assert_counted(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_beyond_their_retention_are_erased_and_never_discarded() {
    let (mut world, host) = blocked().await;
    host.stop().await;
    let control = world.control();
    world
        .run(&format!(
            "UPDATE {control}.dead_letter SET created_at = CURRENT_TIMESTAMP - INTERVAL 3 DAY WHERE event_id <> 'e4'"
        ))
        .await;
    world.options.extra = "letter_retention_days = 2";
    let host = world.start();
    let erased = format!("SELECT COUNT(*) FROM {control}.dead_letter WHERE erased_at IS NOT NULL");
    until("the old ones are erased", async || world.number(&erased).await == 2).await;
    assert_eq!(world.letters().await, (1, 2));
    until("that is logged", async || host.log().contains("erased dead letters older than 2 days")).await;
    let (_, metrics) = host.get("/metrics").await.expect("it answers");
    assert!(metrics.contains("laterna_letters_erased_total{projection=\"recorder\"} 2"), "{metrics}");
    let whole =
        format!("SELECT COUNT(*) FROM {control}.dead_letter WHERE event_id = 'e4' AND document <> ''");
    assert_eq!(world.number(&whole).await, 1, "the young one is not touched");
}

/// The same component with another digest: a custom section changes nothing else.
fn another_build(world: &World, component: &str) -> std::path::PathBuf {
    let path = world.folder.path().join("another.wasm");
    let section = [&[0, 6, 4][..], b"note", b"!"].concat();
    std::fs::write(&path, [guests::bytes(component), section].concat()).expect("it can be written");
    path
}

/// Starts a host whose component is another build.
pub(super) fn start_another_build(world: &World, component: &str) -> Host {
    let port = free_port();
    let config = world.config(port);
    let text = std::fs::read_to_string(&config).expect("it was written");
    let (old, new) = (guests::path(component), another_build(world, component));
    let text = text.replace(&old.display().to_string(), &new.display().to_string());
    std::fs::write(&config, text).expect("it can be written");
    Host::start(&config, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_component_tries_again_what_others_failed_once_if_it_is_configured() {
    let extra = "replay_after_deployment = true";
    let (world, host) = blocked_with(Options { extra, ..Options::mysql() }).await;
    host.stop().await;
    let commands = format!(
        "SELECT COUNT(*) FROM {}.command WHERE requested_by = 'deployment' AND state = 'done'",
        world.control()
    );
    // The same component again: nothing is tried.
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    host.stop().await;
    // Another one tries, in vain; a restart does not repeat it.
    let host = start_another_build(&world, "recorder");
    until("the replay is done", async || world.number(&commands).await == 1).await;
    assert_eq!(world.letters().await, (1, 2));
    let attempts = format!("SELECT SUM(attempts) FROM {}.dead_letter", world.control());
    assert_eq!(world.number(&attempts).await, 2);
    host.kill();
    let host = start_another_build(&world, "recorder");
    host.until_phase("recorder", "streaming").await;
    some_time(1000).await;
    assert_eq!(world.number(&commands).await, 1);
    // The first one again: to it, what the other one failed is another's.
    unblock(&world).await;
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    assert!(laterna(&config, &["rollback", "recorder"]).status.success());
    until("the letters are applied", async || world.letters().await == (0, 0)).await;
    world.assert_recorded(5, 2).await;
}

/// Makes the next start read history again, into empty tables. Letters and discards stay.
async fn forget_progress(world: &World) {
    let control = world.control();
    for table in ["projection", "checkpoint", "dedupe"] {
        world.run(&format!("DELETE FROM {control}.{table}")).await;
    }
    for table in ["recorded", "last_seen"] {
        world.run(&format!("DELETE FROM {}.{table}", world.name)).await;
    }
}

async fn letters_met_again(options: Options) {
    let (world, host) = blocked_with(options).await;
    host.stop().await;
    forget_progress(&world).await;
    let _host = world.start();
    world.until_committed("recorder", 5).await;
    // The aggregate is blocked from the start now, so its first event joins the others.
    assert_eq!(world.letters().await, (1, 3));
    assert_counted(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_history_meets_again_stay_and_count_once_on_mysql() {
    letters_met_again(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_history_meets_again_stay_and_count_once_on_mariadb() {
    letters_met_again(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_event_is_skipped_when_history_is_read_again() {
    let (world, host) = blocked().await;
    unblock(&world).await;
    let discard = ["discard", "recorder", "--all", "--why", "entered twice", "--yes"];
    let discard = said(&dlq(&world, &host, &discard));
    assert!(discard.contains("1 discarded, 2 applied"), "{discard}");
    host.stop().await;
    forget_progress(&world).await;
    let _host = world.start();
    world.until_committed("recorder", 5).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 4);
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded WHERE event_id = 'e2'").await, 0);
    assert_eq!(world.letters().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_lists_letters_page_by_page_and_refuses_what_it_does_not_know() {
    let (world, host) = blocked().await;
    let mut seen = vec![];
    let mut after = 0;
    loop {
        let path = format!("/dlq/recorder?limit=2&after={after}");
        let (code, text) = host.get(&path).await.expect("it answers");
        assert_eq!(code, 200);
        let page: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        let Some(last) = page.last() else { break };
        after = last["id"].as_u64().expect("an id");
        seen.extend(page.iter().map(|letter| letter["event_id"].as_str().expect("an id").to_owned()));
    }
    assert_eq!(seen, ["e2", "e3", "e4"]);
    for (path, code, says) in [
        ("/dlq/recorder?agregate=thing/a", 400, "agregate"),
        ("/dlq/recorder?limit=0", 400, "1 to 100"),
        ("/dlq/recorder?id=x", 400, "id"),
        ("/dlq/nobody", 404, "no projection `nobody`"),
    ] {
        let (found, text) = host.get(path).await.expect("it answers");
        assert!(found == code && text.contains(says), "{path}: {found} {text}");
    }
    let (_, held) = host.get("/dlq/recorder?state=held").await.expect("it answers");
    let held: Vec<Value> = serde_json::from_str(&held).expect("JSON");
    let held: Vec<&str> = held.iter().filter_map(|letter| letter["event_id"].as_str()).collect();
    assert_eq!(held, ["e3", "e4"]);
    let list = said(&dlq(&world, &host, &["list", "recorder", "--limit", "1", "--json"]));
    let id = serde_json::from_str::<Value>(&list).expect("one line")["id"].to_string();
    let rest = said(&dlq(&world, &host, &["list", "recorder", "--after", &id, "--json"]));
    assert_eq!(rest.lines().count(), 2);
    // A list that is not all says so, and how to go on.
    let first = said(&dlq(&world, &host, &["list", "recorder", "--limit", "1"]));
    assert!(first.contains(&format!("1 of 3 are shown: the same with `--after {id}`")), "{first}");
    let behind = said(&dlq(&world, &host, &["list", "recorder", "--after", &id]));
    assert!(behind.contains("held") && !behind.contains("are shown"), "{behind}");
}
