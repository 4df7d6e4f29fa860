//! The guide's chapter about totals: its two projectors, built from the page, on a running host.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bson::{Document, doc};
use rand::Rng;
use rand::seq::SliceRandom;

use super::guide::blocks;
use super::{laterna, repository, run, succeeds, with_toolchains};
use crate::support::world::{event, said};
use crate::support::{Options, World, random};

const ORDERS: usize = 400;
const CONFERENCES: usize = 7;

/// The projector of a block of the page, as a component.
fn built(folder: &Path, kind: &str) -> String {
    let blocks = blocks("Totals over several aggregates");
    let (_, code) = blocks.iter().find(|(of, _)| of == &format!("js {kind}")).expect("the page has it");
    succeeds(&run(folder, &["new", kind, "--lang", "javascript"]));
    let project = folder.join(kind);
    fs::write(project.join("projector.js"), code).expect("it is written");
    let script = fs::read_to_string(project.join("package.json")).expect("it is there");
    assert!(script.contains(&format!("dist/{kind}.wasm")), "{script}");
    std::os::unix::fs::symlink(
        repository().join("target/toolchains/node_modules"),
        project.join("node_modules"),
    )
    .expect("a link");
    succeeds(&with_toolchains(&mut laterna(&project, &["build"])).output().expect("the binary runs"));
    project.join("dist").join(format!("{kind}.wasm")).display().to_string()
}

fn happened(id: &str, aggregate: &str, of: &str, sequence: i64, payload: Document) -> Document {
    let mut document = event(id, of, sequence, payload);
    document.insert("type", id.split('-').next().expect("its type"));
    document.insert("aggregateType", aggregate);
    document
}

/// Orders that are placed and, one in three, cancelled, in an order that keeps each order's own; and the totals.
fn orders(name: &str) -> (Vec<Document>, BTreeMap<String, (i64, i64)>) {
    let mut rng = random(name);
    let mut totals: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    let mut events: Vec<(usize, Document)> = Vec::new();
    for order in 0..ORDERS {
        let (conference, cents) =
            (format!("c{}", rng.random_range(0..CONFERENCES)), rng.random_range(1..90_000_i64));
        let (id, at) = (format!("o{order}"), rng.random_range(0..ORDERS));
        let payload = doc! { "conferenceId": &conference, "cents": cents };
        events.push((at, happened(&format!("OrderPlaced-{order}"), "order", &id, 1, payload)));
        let total = totals.entry(conference).or_default();
        if rng.random_ratio(1, 3) {
            let late = at + rng.random_range(1..ORDERS);
            events.push((late, happened(&format!("OrderCancelled-{order}"), "order", &id, 2, doc! {})));
        } else {
            *total = (total.0 + 1, total.1 + cents);
        }
    }
    events.sort_by_key(|(at, _)| *at);
    (events.into_iter().map(|(_, document)| document).collect(), totals)
}

async fn totals(world: &World) -> BTreeMap<String, (i64, i64)> {
    let query = "SELECT CONVERT(conference_id USING utf8mb4), CAST(orders AS SIGNED), cents FROM sales";
    let rows = world.rows(query).await;
    let rows = rows.iter().map(|row| {
        let (id, orders, cents): (String, i64, i64) = sqlx::FromRow::from_row(row).expect("a row");
        (id, (orders, cents))
    });
    rows.collect()
}

/// Half of the events are history, half come while several lanes run.
async fn shares_add_up(name: &str, options: Options) {
    let folder = tempfile::tempdir().expect("a folder");
    let component = built(folder.path(), "totals");
    let world = World::with(&[("sales", &component)], Options { lanes: 4, ..options }).await;
    let (events, expected) = orders(name);
    let (history, live) = events.split_at(events.len() / 2);
    world.insert(history.to_vec()).await;
    let host = world.start();
    host.until_phase("sales", "streaming").await;
    for few in live.chunks(30) {
        world.insert(few.to_vec()).await;
    }
    world.until_committed("sales", i64::try_from(events.len()).expect("a few")).await;
    assert_eq!(totals(&world).await, expected);
    // Tables that are made anew from history are the same.
    let verified = run_on(&world, host.port, &["verify", "sales"]);
    assert!(verified.status.success(), "{}", said(&verified));
    assert_eq!(world.letters().await, (0, 0));
    assert!(host.stop().await.success());
}

fn run_on(world: &World, port: u16, arguments: &[&str]) -> std::process::Output {
    crate::support::world::laterna(&world.config(port), arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_of_many_aggregates_add_up_in_several_lanes_and_from_history_on_mysql() {
    shares_add_up("shares on mysql", Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_of_many_aggregates_add_up_in_several_lanes_and_from_history_on_mariadb() {
    shares_add_up("shares on mariadb", Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_other_aggregates_come_in_the_order_of_the_stream_and_never_from_history() {
    let folder = tempfile::tempdir().expect("a folder");
    let component = built(folder.path(), "stream");
    let mut world = World::with(&[("tickets", &component)], Options::mysql()).await;
    // Without `start = "now"`, the check and the host say that history has no such order.
    world.insert([happened("ConferenceNamed-0", "conference", "c0", 1, doc! { "name": "before" })]).await;
    let host = world.start();
    host.until_phase("tickets", "paused").await;
    let status = host.status("tickets").await.expect("it answers");
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("start = \"now\"")), "{status}");
    host.stop().await;

    world.options.extra = "start = \"now\"";
    let host = world.start();
    host.until_phase("tickets", "streaming").await;
    let mut rng = random("copies of other aggregates");
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    let mut of = BTreeMap::new();
    let mut kinds: Vec<bool> = (0..300).map(|n| n % 4 == 0).collect();
    kinds.shuffle(&mut rng);
    let mut names: BTreeMap<String, (i64, String)> = BTreeMap::new();
    let mut events = Vec::new();
    for (n, names_one) in kinds.into_iter().enumerate() {
        let conference = format!("c{}", rng.random_range(0..CONFERENCES));
        let known = names.get(&conference).cloned();
        if names_one || known.is_none() {
            let (sequence, name) = (known.map_or(1, |(sequence, _)| sequence + 1), format!("name {n}"));
            let payload = doc! { "name": &name };
            events.push(happened(
                &format!("ConferenceNamed-{n}x"),
                "conference",
                &conference,
                sequence,
                payload,
            ));
            let renamed = of.iter().filter(|(_, other)| **other == conference).map(|(order, _)| order);
            expected.extend(renamed.map(|order: &String| (order.clone(), name.clone())));
            names.insert(conference, (sequence, name));
        } else if let Some((_, name)) = known {
            let order = format!("o{n}");
            let payload = doc! { "conferenceId": &conference };
            events.push(happened(&format!("OrderPlaced-{n}"), "order", &order, 1, payload));
            expected.insert(order.clone(), name);
            of.insert(order, conference);
        }
    }
    for few in events.chunks(20) {
        world.insert(few.to_vec()).await;
    }
    world.until_committed("tickets", i64::try_from(events.len()).expect("a few")).await;
    let query = "SELECT CONVERT(order_id USING utf8mb4), CONVERT(conference USING utf8mb4) FROM tickets";
    let rows = world.rows(query).await;
    let rows: BTreeMap<String, String> =
        rows.iter().map(|row| sqlx::FromRow::from_row(row).expect("a row")).collect();
    assert_eq!(rows, expected);
    assert_eq!(world.letters().await, (0, 0));
    assert!(host.stop().await.success());
}
