//! Customers, whose rows are changed by their key. For measuring.

use laterna_sdk::sql::{insert, update};
use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

struct Customers;

laterna_sdk::export_projector!(Customers);

statements! {
    REGISTER = insert("customers").set(&["customer_id", "city", "street", "last_sequence", "updated_at"]);
    MOVE = update("customers").set(&["city", "street", "last_sequence", "updated_at"]).key(&["customer_id"]);
}

#[derive(serde::Deserialize)]
struct Lives {
    city: String,
    street: String,
}

impl Projector for Customers {
    fn manifest() -> Manifest {
        let customers = "CREATE TABLE customers (
            customer_id VARCHAR(64) NOT NULL PRIMARY KEY,
            city VARCHAR(64) NOT NULL,
            street VARCHAR(64) NOT NULL,
            last_sequence BIGINT NOT NULL,
            updated_at DATETIME(3) NOT NULL
        )";
        Manifest::new("customers", env!("CARGO_PKG_VERSION"))
            .events(["CustomerRegistered", "CustomerMoved"])
            .table("customers", customers)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let (id, sequence, time) =
            (&event.aggregate_id, event.require_sequence()?, event.require_occurred_at()?);
        let Lives { city, street } = event.payload()?;
        Ok(vec![match event.event_type.as_str() {
            "CustomerRegistered" => REGISTER.with((id, city, street, sequence, time)),
            _ => MOVE.with((city, street, sequence, time, id)),
        }])
    }
}
