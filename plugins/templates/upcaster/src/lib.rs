//! Brings events of old versions into the form of today, before every projector sees them.

use laterna_sdk::serde_json::json;
use laterna_sdk::{Event, Rejection, Upcaster, UpcasterManifest, export_upcaster};
use serde::Deserialize;

struct Upcasts;

export_upcaster!(Upcasts);

/// What `CustomerRegistered` was called first, and how it told the name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedUp {
    first_name: String,
    last_name: String,
    /// Some came with their first order, in whole units of money.
    first_order: Option<i64>,
}

/// `OrderPlaced` until version 2 has `totalCents`.
#[derive(Deserialize)]
struct OrderPlaced {
    total: Option<i64>,
}

impl Upcaster for Upcasts {
    /// The other types pass it by, and cost nothing.
    fn manifest() -> UpcasterManifest {
        UpcasterManifest::new("my-projector", env!("CARGO_PKG_VERSION")).events([
            "CustomerSignedUp",
            "CustomerSeen",
            "OrderPlaced",
        ])
    }

    /// The same event must always become the same: there is no clock but the event's own.
    fn upcast(event: Event) -> Result<Vec<Event>, Rejection> {
        match (event.event_type.as_str(), event.version) {
            ("CustomerSignedUp", _) => {
                let SignedUp { first_name, last_name, first_order } = event.payload()?;
                let name = json!({ "name": format!("{first_name} {last_name}") });
                let registered = become_of(&event, "CustomerRegistered", 1, &name);
                let order = first_order.map(|total| order_placed(&event, total));
                // Both are applied together, in this order.
                Ok([registered].into_iter().chain(order).collect())
            }
            // Nobody needs it any more.
            ("CustomerSeen", _) => Ok(vec![]),
            ("OrderPlaced", 1) => {
                let OrderPlaced { total } = event.payload()?;
                let total = total.ok_or_else(|| Rejection::invalid("the payload has no total"))?;
                Ok(vec![order_placed(&event, total)])
            }
            _ => Ok(vec![event]),
        }
    }
}

fn order_placed(event: &Event, total: i64) -> Event {
    become_of(event, "OrderPlaced", 2, &json!({ "totalCents": total * 100 }))
}

/// The same event in another form. Its aggregate stays, and the host gives the id.
fn become_of(
    event: &Event,
    event_type: &str,
    version: u32,
    payload: &laterna_sdk::serde_json::Value,
) -> Event {
    Event { event_type: event_type.to_owned(), version, payload: payload.to_string(), ..event.clone() }
}

// An upcaster is plain Rust: `cargo test` runs these on your machine.
#[cfg(test)]
mod tests {
    use super::*;
    use laterna_sdk::testing;

    #[test]
    fn an_order_of_version_1_is_told_in_cents() {
        let event = testing::event("OrderPlaced", &json!({ "total": 12 }));
        let become_now = Upcasts::upcast(event).expect("it is upcast");
        assert_eq!(become_now.len(), 1);
        assert_eq!((become_now[0].version, become_now[0].payload.as_str()), (2, r#"{"totalCents":1200}"#));
    }

    #[test]
    fn one_event_may_become_two() {
        let payload = json!({ "firstName": "Ada", "lastName": "Lovelace", "firstOrder": 5 });
        let events = Upcasts::upcast(testing::event("CustomerSignedUp", &payload)).expect("it is upcast");
        let types: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
        assert_eq!(types, ["CustomerRegistered", "OrderPlaced"]);
    }
}
