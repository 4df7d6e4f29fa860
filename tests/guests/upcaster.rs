//! An upcaster that does what each event's type says: it maps, splits, drops, and does what it must not. The other
//! components of this family are the same code under another name, and differ in what the name says.

use laterna_sdk::serde_json::{Value as Json, json};
use laterna_sdk::{Event, Rejection, Upcaster, UpcasterManifest};

/// `upcaster`, or what is wrong with it.
const NAME: &str = env!("CARGO_CRATE_NAME");

struct Upcasts;

laterna_sdk::export_upcaster!(Upcasts);

impl Upcaster for Upcasts {
    fn manifest() -> UpcasterManifest {
        let types = ["Old", "Bundle", "Triple", "Dropped", "Moved", "Broken", "Endless", "Wrong", "Many"];
        let today = (NAME == "upcaster_happened").then_some("Happened");
        UpcasterManifest::new("upcasts", NAME).events(types.into_iter().chain(today))
    }

    fn upcast(event: Event) -> Result<Vec<Event>, Rejection> {
        let happened = |payload: &Json| Event {
            event_type: "Happened".into(),
            version: 2,
            payload: payload.to_string(),
            ..event.clone()
        };
        let payload: Json = event.payload()?;
        Ok(match event.event_type.as_str() {
            // What the first version called `was` is `do` today.
            "Old" if NAME == "upcaster_worse" => panic!("on purpose"),
            "Old" if NAME == "upcaster_other" => vec![happened(&json!({ "do": "too-long" }))],
            // The same type in both versions, which only the payload tells apart.
            "Happened" if payload["was"].is_null() => vec![event],
            "Old" | "Happened" => vec![happened(&json!({ "do": payload["was"] }))],
            "Bundle" => payload["of"].as_array().into_iter().flatten().map(happened).collect(),
            "Triple" => {
                let last = event.require_sequence()? * 3;
                let numbered = |sequence| Event { sequence: Some(sequence), ..happened(&json!({})) };
                (last - 2..=last).map(numbered).collect()
            }
            "Dropped" => vec![],
            "Moved" => vec![Event { aggregate_id: "elsewhere".into(), ..happened(&payload) }],
            "Broken" => panic!("told to panic"),
            "Endless" => loop {
                std::hint::black_box(());
            },
            "Wrong" => return Err(Rejection::invalid("told to reject")),
            "Many" => {
                let many = payload["many"].as_u64().unwrap_or_default();
                (0..many).map(|_| happened(&json!({ "do": "ok" }))).collect()
            }
            _ => return Err(event.unsupported()),
        })
    }
}
