//! One row for each customer, with what they ordered.

use laterna_sdk::sql::{delete, update, upsert};
use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, export_projector, statements};
use serde::Deserialize;

struct Customers;

export_projector!(Customers);

const TABLE: &str = "CREATE TABLE customers (
    customer_id VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    email VARCHAR(200) NULL,
    orders INT NOT NULL DEFAULT 0,
    total_cents BIGINT NOT NULL DEFAULT 0,
    changed_at DATETIME(3) NOT NULL,
    PRIMARY KEY (customer_id)
)";

// All SQL there will ever be. The host checks it before the projector is deployed; at run time a statement is named,
// and gets its parameters in this order.
statements! {
    SAVE = upsert("customers").key(&["customer_id"]).set(&["name", "email", "changed_at"]);
    RENAME = update("customers").set(&["name", "changed_at"]).key(&["customer_id"]);
    FORGET = delete("customers").key(&["customer_id"]);
    // What the functions above do not say is written as it is.
    COUNT_ORDER = "UPDATE customers SET orders = orders + 1, total_cents = total_cents + ?, changed_at = ? \
                   WHERE customer_id = ?";
}

/// A variant for each event type, with its payload.
#[derive(Deserialize)]
#[serde(rename_all_fields = "camelCase")]
enum Happened {
    CustomerRegistered { name: String, email: Option<String> },
    CustomerRenamed { name: String },
    OrderPlaced { total_cents: i64 },
    CustomerForgotten,
}

impl Projector for Customers {
    fn manifest() -> Manifest {
        Manifest::new("my-projector", env!("CARGO_PKG_VERSION"))
            .events(["CustomerRegistered", "CustomerRenamed", "OrderPlaced", "CustomerForgotten"])
            .table("customers", TABLE)
            .statements(STATEMENTS)
    }

    /// The same event must always give the same operations: there is no clock but the event's own.
    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let id = &event.aggregate_id;
        let time = event.require_occurred_at()?;
        Ok(vec![match event.read()? {
            Happened::CustomerRegistered { name, email } => SAVE.with((id, name, email, time)),
            Happened::CustomerRenamed { name } => RENAME.with((name, time, id)),
            Happened::OrderPlaced { total_cents } => COUNT_ORDER.with((total_cents, time, id)),
            Happened::CustomerForgotten => FORGET.with((id,)),
        }])
    }
}

// A projector is plain Rust: `cargo test` runs these on your machine.
#[cfg(test)]
mod tests {
    use super::*;
    use laterna_sdk::serde_json::json;
    use laterna_sdk::{testing, timestamp};

    #[test]
    fn a_rename_changes_the_name() {
        let event = testing::event("CustomerRenamed", &json!({ "name": "Ada" }));
        let time = timestamp("2026-01-31T12:00:00.000Z");
        assert_eq!(Customers::project(&event), Ok(vec![RENAME.with(("Ada", time, "1"))]));
    }

    #[test]
    fn a_rename_without_a_name_is_refused() {
        let refused = Customers::project(&testing::event("CustomerRenamed", &json!({})));
        assert!(matches!(refused, Err(Rejection::Invalid(_))));
    }
}
