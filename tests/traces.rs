//! Traces: one leads from whoever wrote an event to its row; and a receiver that is away, slow or silent costs nothing but
//! spans.

mod of_letters;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bson::{Document, doc};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

use crate::guests;
use crate::metrics::assert_open_metrics;
use crate::support::http::Client;
use crate::support::receiver::{Manner, Receiver, SLOW, attribute};
use crate::support::world::event;
use crate::support::{Host, Options, World, until};

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const FAILING: &str = "00-11111111111111111111111111111111-2222222222222222-01";
const UNSAMPLED: &str = "00-33333333333333333333333333333333-4444444444444444-00";

/// What no span may hold.
const CANARY: &str = "canary-of-a-payload";

fn traced(mut event: Document, parent: &str) -> Document {
    event.insert("metadata", doc! { "traceparent": parent });
    event
}

/// The ids of the trace and of the span of whoever wrote an event.
fn ids(parent: &str) -> (&str, &str) {
    let mut parts = parent.split('-').skip(1);
    (parts.next().expect("a trace"), parts.next().expect("a span"))
}

fn of_trace<'a>(spans: &'a [Span], parent: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| hex::encode(&span.trace_id) == ids(parent).0).collect()
}

/// Starts a host that exports there soon after each span.
fn start(world: &World, receiver: &Receiver, settings: &[(&str, &str)]) -> Host {
    let port = crate::support::world::free_port();
    let mut command = std::process::Command::new(crate::support::host::BINARY);
    command.envs(settings.iter().copied()).env("OTEL_BSP_SCHEDULE_DELAY", "100");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint());
    Host::start_as(command, &world.config(port), port)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_whoever_wrote_an_event_to_its_row() {
    let receiver = Receiver::start(Manner::Takes).await;
    let world = World::new("picky", Options::mysql()).await;
    let host = start(&world, &receiver, &[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")]);
    host.until_phase("picky", "streaming").await;
    let payload = |what: &str| doc! { "do": what, "text": CANARY };
    world
        .insert([
            traced(event("good", "a", 1, payload("ok")), SAMPLED),
            traced(event("bad", "b", 1, payload("reject")), FAILING),
            event("untraced", "d", 1, payload("ok")),
        ])
        .await;
    world.until_committed("picky", 3).await;
    // It comes last, so that it would be the newest of its bucket.
    world.insert([traced(event("unsampled", "c", 1, payload("ok")), UNSAMPLED)]).await;
    world.until_committed("picky", 4).await;
    let client = Client::new(host.port);
    client.post("/api/v1/projections/picky/pause", &json!({ "why": "a test" })).await;
    until("the traces arrive", async || {
        let spans = receiver.taken().spans;
        let all = [SAMPLED, FAILING].iter().all(|parent| !of_trace(&spans, parent).is_empty());
        all && spans.iter().any(|span| span.name == "pause")
    })
    .await;
    let taken = receiver.taken();
    assert!(taken.headers.contains("authorization: bearer abc"), "{}", taken.headers);
    assert_eq!(attribute(&taken.resource, "service.name"), "laterna");
    assert_eq!(attribute(&taken.resource, "service.instance.id"), format!("host-{}", host.port));

    for (parent, id, verdict) in [(SAMPLED, "good", "applied"), (FAILING, "bad", "parked")] {
        let spans = of_trace(&taken.spans, parent);
        let [span] = spans[..] else { panic!("{spans:?}") };
        assert_eq!(
            (span.name.as_str(), hex::encode(&span.parent_span_id).as_str()),
            ("process outbox", ids(parent).1)
        );
        assert_eq!(span.kind, 5, "it is a consumer's");
        assert!(attribute(&span.attributes, "messaging.message.id").contains(id), "{span:?}");
        assert_eq!(attribute(&span.attributes, "laterna.verdict"), verdict);
        assert_eq!(attribute(&span.attributes, "messaging.consumer.group.name"), "picky");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later");
        assert!(span.start_time_unix_nano < span.end_time_unix_nano, "{span:?}");
        assert!(u128::from(span.end_time_unix_nano) < now.as_nanos(), "{span:?}");

        // The batch's span leads to the event's, and the event's to the batch's.
        let batch = taken.spans.iter().find(|span| {
            hex::encode(&span.span_id) == hex::encode(&of_trace(&taken.spans, parent)[0].links[0].span_id)
        });
        let batch = batch.expect("the batch has a span");
        let linked: BTreeSet<String> = batch.links.iter().map(|link| hex::encode(&link.span_id)).collect();
        assert!(linked.contains(ids(parent).1), "{batch:?}");
        assert!(!linked.contains(ids(UNSAMPLED).1), "{batch:?}");
        let children = taken.spans.iter().filter(|span| span.parent_span_id == batch.span_id);
        let names: BTreeSet<&str> = children.map(|span| span.name.as_str()).collect();
        assert_eq!(names, BTreeSet::from(["apply", "project"]));
    }
    let failed = of_trace(&taken.spans, FAILING)[0];
    assert_eq!(attribute(&failed.attributes, "error.type"), "rejected");
    assert_eq!(failed.status.as_ref().map(|status| status.code), Some(2));
    assert!(of_trace(&taken.spans, UNSAMPLED).is_empty(), "who began that trace does not keep it");
    let links = taken.spans.iter().flat_map(|span| &span.links);
    assert!(
        !links.map(|link| hex::encode(&link.span_id)).any(|id| id == ids(UNSAMPLED).1),
        "nor is it linked to"
    );
    let bodies = String::from_utf8_lossy(&taken.bodies);
    assert!(!bodies.contains(CANARY), "a span holds what an event holds");
    let log = host.log();
    assert!(log.lines().any(|line| line.contains("parked:") && line.contains(ids(FAILING).0)), "{log}");
    the_latency_leads_to_traces(&client).await;

    // What is asked for last goes out with the stop.
    host.until_phase("picky", "paused").await;
    client.post("/api/v1/projections/picky/resume", &json!(null)).await;
    host.until_phase("picky", "streaming").await;
    // A deployment has a span of whoever carries it out, and one of the host whose lanes take it up.
    let uploaded =
        client.ask("POST", "/api/v1/projections/picky/components", &guests::bytes("picky-worse")).await;
    let digest = uploaded.expect("an answer").json()["digest"].clone();
    let deployed =
        client.post("/api/v1/projections/picky/deployments", &json!({ "digest": digest })).await.json();
    until("the lanes take it up", async || {
        let now = client.get("/api/v1/projections/picky").await.json();
        now["deployment"]["digest"] == digest && now["deployment"]["taken_up"] == true
    })
    .await;
    let stopped = host.stop().await;
    assert!(stopped.success());
    let spans = receiver.taken().spans;
    assert!(spans.iter().any(|span| span.name == "resume"));
    for name in ["deploy", "take-up"] {
        let span = spans.iter().find(|span| span.name == name).expect(name);
        assert_eq!(
            attribute(&span.attributes, "laterna.operation.id"),
            deployed["id"].to_string(),
            "{span:?}"
        );
    }
}

/// The latency leads to the traces that are kept, for whoever asks for `OpenMetrics`.
async fn the_latency_leads_to_traces(client: &Client) {
    let open = client
        .with("Accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.2")
        .get("/metrics")
        .await;
    assert!(open.header("content-type").starts_with("application/openmetrics-text"), "{open:?}");
    assert!(open.text.ends_with("# EOF\n") && !open.text.contains("_total counter"), "{}", open.text);
    assert_open_metrics(&open.text);
    let exemplars: Vec<&str> = open.text.lines().filter(|line| line.contains(" # {trace_id=")).collect();
    assert!(
        exemplars
            .iter()
            .all(|line| line.starts_with("laterna_commit_latency_seconds_bucket{projection=\"picky\""))
    );
    let leads_to = |parent| exemplars.iter().any(|line| line.contains(ids(parent).0));
    assert!((leads_to(SAMPLED) || leads_to(FAILING)) && !leads_to(UNSAMPLED), "{exemplars:?}");
    let plain = client.get("/metrics").await;
    assert!(
        plain.header("content-type").starts_with("text/plain") && !plain.text.contains("trace_id"),
        "{plain:?}"
    );
}

/// The sum of a counter's samples.
async fn counted(client: &Client, name: &str) -> f64 {
    let text = client.get("/metrics").await.text;
    let samples = text.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// A span's attributes of the conventions: those of databases, of messages and of errors.
fn of_conventions(span: &Span) -> BTreeMap<&str, String> {
    let keys = span.attributes.iter().map(|one| one.key.as_str());
    let keys = keys.filter(|key| ["db.", "messaging.", "error."].iter().any(|group| key.starts_with(group)));
    keys.map(|key| (key, attribute(&span.attributes, key))).collect()
}

async fn spans_say_what_the_conventions_have_for_it(options: Options, server: &str) {
    const EVENTS: i64 = 6;
    let receiver = Receiver::start(Manner::Takes).await;
    let world = World::new("picky", Options { lanes: 1, ..options }).await;
    // They are there before the host, so that it takes several together.
    let one = |n: i64| {
        let what = if n + 1 == EVENTS { "reject" } else { "ok" };
        let alone = if n % 2 == 0 { SAMPLED } else { FAILING };
        traced(event(&format!("e{n}"), &format!("a{n}"), 1, doc! { "do": what }), alone)
    };
    world.insert((0..EVENTS).map(one)).await;
    let host = start(&world, &receiver, &[]);
    world.until_committed("picky", EVENTS).await;
    world.insert([traced(event("alone", "z", 1, doc! { "do": "ok" }), SAMPLED)]).await;
    world.until_committed("picky", EVENTS + 1).await;
    assert!(host.stop().await.success());
    let spans = receiver.taken().spans;

    let messages = [
        ("messaging.system", "mongodb"),
        ("messaging.operation.type", "process"),
        ("messaging.operation.name", "process"),
        ("messaging.destination.name", "outbox"),
        ("messaging.consumer.group.name", "picky"),
    ];
    let with = |more: &[(&'static str, String)]| -> BTreeMap<&str, String> {
        let all = messages.iter().map(|(key, value)| (*key, (*value).to_owned()));
        all.chain(more.iter().cloned()).collect()
    };
    let of_events: Vec<&Span> = spans
        .iter()
        .filter(|span| span.name == "process outbox" && !span.parent_span_id.is_empty())
        .collect();
    let found: BTreeSet<BTreeMap<&str, String>> = of_events.iter().map(|span| of_conventions(span)).collect();
    let id = |id: &str| ("messaging.message.id", id.to_owned());
    let applied = (0..EVENTS - 1).map(|n| with(&[id(&format!("e{n}"))])).chain([with(&[id("alone")])]);
    let parked = with(&[id(&format!("e{}", EVENTS - 1)), ("error.type", "rejected".to_owned())]);
    assert_eq!(found, applied.chain([parked]).collect());
    assert!(of_events.iter().all(|span| span.kind() == SpanKind::Consumer), "{of_events:?}");

    let (mut messages_of_batches, mut sizes) = (0, BTreeSet::new());
    for batch in spans.iter().filter(|span| span.name == "process outbox" && span.parent_span_id.is_empty()) {
        let count: i64 =
            attribute(&batch.attributes, "messaging.batch.message_count").parse().expect("a number");
        assert_eq!(of_conventions(batch), with(&[("messaging.batch.message_count", count.to_string())]));
        assert_eq!(batch.kind(), SpanKind::Consumer);
        messages_of_batches += count;
        let ids = of_events.iter().filter(|span| span.links[0].span_id == batch.span_id);
        let operations =
            ids.filter(|span| attribute(&span.attributes, "laterna.verdict") == "applied").count();
        let child = |name: &str| {
            let found = spans.iter().find(|span| span.name == name && span.parent_span_id == batch.span_id);
            found.unwrap_or_else(|| panic!("no {name} of {batch:?}"))
        };
        let mut database = BTreeMap::from([("db.system.name", server.to_owned())]);
        // One operation is no batch.
        if operations > 1 {
            database.insert("db.operation.batch.size", operations.to_string());
        }
        sizes.insert(operations > 1);
        assert_eq!((of_conventions(child("apply")), child("apply").kind()), (database, SpanKind::Client));
        assert_eq!(
            (of_conventions(child("project")), child("project").kind()),
            (BTreeMap::new(), SpanKind::Internal)
        );
    }
    assert_eq!(messages_of_batches, EVENTS + 1);
    assert_eq!(sizes, BTreeSet::from([false, true]), "one event alone, and several together");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_say_what_the_conventions_have_for_it_on_mysql() {
    spans_say_what_the_conventions_have_for_it(Options::mysql(), "mysql").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_say_what_the_conventions_have_for_it_on_mariadb() {
    spans_say_what_the_conventions_have_for_it(Options::mariadb(), "mariadb").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_traces_that_is_slow_costs_no_event_and_no_more_than_spans() {
    const EVENTS: i64 = 4_000;
    let receiver = Receiver::start(Manner::TakesSlowly).await;
    let world = World::new("recorder", Options { batch_max: 50, ..Options::mysql() }).await;
    let host = start(&world, &receiver, &[("OTEL_BSP_MAX_QUEUE_SIZE", "64")]);
    host.until_phase("recorder", "streaming").await;
    let one = |n: i64| traced(event(&format!("e{n}"), &format!("a{}", n % 7), 1 + n / 7, doc! {}), SAMPLED);
    world.insert([one(0)]).await;
    until("the first spans wait for their answer", async || receiver.taken().open == 1).await;
    let since = Instant::now();
    world.insert((1..EVENTS).map(one)).await;
    world.until_committed("recorder", EVENTS).await;
    world.assert_recorded(EVENTS, 7).await;
    // Each answer is waited for before the next request, and no lane waits for one.
    let (taken, longest) = (receiver.taken(), since.elapsed().as_secs() / SLOW.as_secs() + 2);
    assert!(taken.open <= 1 && taken.requests as u64 <= longest, "{} in {longest}", taken.requests);
    let client = Client::new(host.port);
    assert!(counted(&client, "laterna_spans_total").await > 4_000.0);
    // Slowly, they arrive; what found no room in the queue is lost, and nothing of it fails.
    until("they arrive", async || receiver.taken().spans.len() > 64).await;
    let (sent, made) = (receiver.taken().spans.len(), counted(&client, "laterna_spans_total").await);
    assert!(sent < 2_000 && made > 4_000.0, "{sent} of {made}");
    assert!(!host.log().contains("traces cannot be exported"), "{}", host.log());
    assert_eq!(receiver.taken().open, 0);

    // A stop waits for less than one answer.
    world.insert((EVENTS..EVENTS + 7).map(one)).await;
    until("another answer is waited for", async || receiver.taken().open == 1).await;
    let stopping = Instant::now();
    host.signal("TERM");
    let (log, status) = host.ended_with_log().await;
    assert!(status.success() && log.contains("the last traces were not exported"), "{log}");
    assert!(stopping.elapsed() < 3 * SLOW, "{:?}", stopping.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_traces_that_hangs_or_fails_costs_no_event_and_no_memory() {
    const EVENTS: i64 = 4_000;
    let receiver = Receiver::start(Manner::Hangs).await;
    let world = World::new("recorder", Options { batch_max: 50, ..Options::mysql() }).await;
    let settings = [("OTEL_BSP_MAX_QUEUE_SIZE", "64"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000")];
    let host = start(&world, &receiver, &settings);
    host.until_phase("recorder", "streaming").await;
    let one = |n: i64| traced(event(&format!("e{n}"), &format!("a{}", n % 7), 1 + n / 7, doc! {}), SAMPLED);
    world.insert([one(0)]).await;
    until("the first spans wait for their receiver", async || receiver.taken().open == 1).await;
    world.insert((1..EVENTS).map(one)).await;
    world.until_committed("recorder", EVENTS).await;
    world.assert_recorded(EVENTS, 7).await;
    // All of it was committed while one request was open, and no other was begun.
    let taken = receiver.taken();
    assert_eq!((taken.requests, taken.open), (1, 1));
    let client = Client::new(host.port);
    assert!(counted(&client, "laterna_spans_total").await > 4_000.0);
    assert!(counted(&client, "laterna_spans_sent_total").await < 1.0);

    receiver.turns(Manner::Fails);
    until("it is told that they are lost", async || host.log().contains("traces cannot be exported")).await;
    receiver.turns(Manner::Takes);
    world.insert((EVENTS..EVENTS + 7).map(one)).await;
    until("it is told that they are exported", async || host.log().contains("exported again")).await;
    // What waited was bounded by the queue, and the rest was dropped.
    let (sent, made) = (receiver.taken().spans.len(), counted(&client, "laterna_spans_total").await);
    assert!((1..1_000).contains(&sent) && made > 4_000.0, "{sent} of {made}");
    assert_eq!(host.log().matches("traces cannot be exported").count(), 1, "it is told once");

    // Nor does a stop wait for one that hangs.
    receiver.turns(Manner::Hangs);
    world.insert((EVENTS + 7..EVENTS + 14).map(one)).await;
    until("another request hangs", async || receiver.taken().open == 1).await;
    let (log, status) = {
        host.signal("TERM");
        host.ended_with_log().await
    };
    assert!(status.success() && log.contains("the last traces were not exported"), "{log}");
}
