//! A letter tells the trace of its event, for as long as its document is there.

use bson::doc;
use serde_json::{Value, json};

use super::{FAILING, UNSAMPLED, ids, traced};
use crate::api::Guarded;
use crate::support::world::{event, laterna, said};
use crate::support::{Options, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_tells_the_trace_of_its_event_until_it_is_erased() {
    let world = World::new("picky", Options::mysql()).await;
    let Guarded { host, viewer, operator, .. } = Guarded::start(&world);
    host.until_phase_by(&operator, "picky", "streaming").await;
    let bad = |id: &str| event(id, id, 1, doc! { "do": "reject" });
    world
        .insert([
            traced(bad("kept"), FAILING),
            traced(bad("unkept"), UNSAMPLED),
            bad("untraced"),
            traced(bad("no-trace"), "00-1-2-01"),
        ])
        .await;
    world.until_committed("picky", 4).await;
    let at = |what: &str| format!("/api/v1/projections/picky/letters{what}");
    let page = operator.get(&at("")).await.json();
    let letters = page["letters"].as_array().expect("a page").clone();
    let id_of = |event: &str| {
        let letter = letters.iter().find(|letter| letter["event_id"] == event).expect(event);
        letter["id"].as_u64().expect("an id")
    };
    let config = world.config(host.port);
    let shown = |id: u64, json: bool| {
        let id = id.to_string();
        let arguments = ["dlq", "show", "picky", &id].into_iter().chain(json.then_some("--json"));
        let shown = laterna(&config, &arguments.collect::<Vec<_>>());
        assert!(shown.status.success(), "{}", said(&shown));
        String::from_utf8(shown.stdout).expect("text")
    };
    // Also of a trace that is not kept: whoever wrote the event may have logged it.
    let traces = [
        ("kept", json!(ids(FAILING).0)),
        ("unkept", json!(ids(UNSAMPLED).0)),
        ("untraced", Value::Null),
        ("no-trace", Value::Null),
    ];
    for (event, trace) in traces {
        let id = id_of(event);
        for client in [&operator, &viewer] {
            let whole = client.get(&at(&format!("/{id}"))).await.json();
            assert_eq!(whole["trace_id"], trace, "{event}: {whole}");
        }
        let line = shown(id, false).lines().find(|line| line.starts_with("trace ")).map(str::to_owned);
        let told = line.map_or(Value::Null, |line| line.split_whitespace().nth(1).into());
        assert_eq!(told, trace, "{event}");
        let told: Value = serde_json::from_str(&shown(id, true)).expect("JSON");
        assert_eq!(told["trace_id"], trace, "{event}: {told}");
    }
    assert_eq!(viewer.get(&at(&format!("/{}", id_of("kept")))).await.json()["document"], Value::Null);

    let id = id_of("kept");
    let erased = operator.post(&at("/erase"), &json!({ "ids": [id], "why": "a test" })).await;
    assert_eq!(erased.code, 202, "{erased:?}");
    let whole = async || operator.get(&at(&format!("/{id}"))).await.json();
    until("it is erased", async || whole().await["erased_at"].is_string()).await;
    assert_eq!(whole().await["trace_id"], Value::Null);
    assert!(!shown(id, false).contains(ids(FAILING).0));
}
