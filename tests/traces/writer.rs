//! A trace that begins at whoever calls a service, and ends at the row: the service is the bank of the examples.

use bank::application::Bank;
use bank::infrastructure::http::serve;
use mongodb::options::ClientOptions;
use outbox::Outbox;
use serde_json::json;

use super::{ids, of_trace, start};
use crate::support::http::Client;
use crate::support::receiver::{Manner, Receiver, attribute};
use crate::support::{Options, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_leads_from_the_caller_of_a_service_through_its_outbox_to_the_commit_of_the_row() {
    const CALLERS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let receiver = Receiver::start(Manner::Takes).await;
    let world = World::new("accounts", Options::mysql()).await;
    let options = ClientOptions::parse(&world.options.mongodb).await.expect("a URI");
    let bank = Bank::new(Outbox::new(options, &world.name).expect("a client"));
    bank.prepare().await.expect("it can be prepared");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let customer = Client::new(listener.local_addr().expect("an address").port());
    let serving = tokio::spawn(serve(listener, bank, None));
    let host = start(&world, &receiver, &[]);
    host.until_phase("accounts", "streaming").await;

    let opening = json!({ "owner": "Ada", "currency": "EUR" });
    assert_eq!(customer.post("/accounts/a1", &opening).await.code, 200);
    let calling = customer.with("traceparent", CALLERS).with("Idempotency-Key", "k1");
    let money = json!({ "cents": 500, "currency": "EUR" });
    let mut written = calling.post("/accounts/a1/deposits", &money).await.json()["events"].clone();
    // The answer was lost, and the caller asks again in another trace: nothing is written, so nothing is told of that one.
    let again = customer.with("traceparent", &CALLERS.replace("4bf9", "5bf9")).with("Idempotency-Key", "k1");
    assert_eq!(again.post("/accounts/a1/deposits", &money).await.json()["repeated"], true);
    let event = written[0].take();
    let event = event.as_str().expect("the event's id");
    let client = Client::new(host.port);
    let taken = client.get(&format!("/api/v1/projections/accounts/events/{event}?wait=15s")).await;
    assert_eq!(taken.json()["state"], "applied", "{taken:?}");
    assert_eq!(world.number("SELECT balance_cents FROM accounts WHERE account_id = 'a1'").await, 500);

    until("its span arrives", async || !of_trace(&receiver.taken().spans, CALLERS).is_empty()).await;
    assert!(host.stop().await.success());
    let spans = receiver.taken().spans;
    let [span] = of_trace(&spans, CALLERS)[..] else { panic!("{spans:?}") };
    assert_eq!(
        (span.name.as_str(), hex::encode(&span.parent_span_id).as_str()),
        ("process outbox", ids(CALLERS).1)
    );
    let told = ["messaging.message.id", "laterna.event.type", "laterna.verdict"];
    assert_eq!(told.map(|key| attribute(&span.attributes, key)), [event, "MoneyDeposited", "applied"]);
    // Its batch ends with the commit, and says how long that took.
    let batch = spans.iter().find(|one| one.span_id == span.links[0].span_id).expect("the batch has a span");
    let commit = spans.iter().find(|one| one.parent_span_id == batch.span_id && one.name == "apply");
    let commit = commit.expect("so has its commit");
    assert_eq!(commit.end_time_unix_nano, span.end_time_unix_nano);
    assert!(
        spans
            .iter()
            .filter(|one| one.name == "process outbox")
            .all(|one| one.trace_id == span.trace_id || one.span_id == batch.span_id)
    );
    serving.abort();
}
