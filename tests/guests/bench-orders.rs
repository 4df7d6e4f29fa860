//! An order is a row of its own and one for each of its lines, as plain inserts. For measuring.

use laterna_sdk::sql::insert;
use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

struct Orders;

laterna_sdk::export_projector!(Orders);

statements! {
    PLACE = insert("orders").set(&["order_id", "customer", "line_count", "total_cents", "placed_at"]);
    LINE = insert("order_lines").set(&["order_id", "line", "sku", "quantity", "price_cents"]);
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Placed {
    customer: String,
    total_cents: i64,
    lines: Vec<Line>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    sku: String,
    quantity: i64,
    price_cents: i64,
}

impl Projector for Orders {
    fn manifest() -> Manifest {
        let orders = "CREATE TABLE orders (
            order_id VARCHAR(64) NOT NULL PRIMARY KEY,
            customer VARCHAR(64) NOT NULL,
            line_count BIGINT NOT NULL,
            total_cents BIGINT NOT NULL,
            placed_at DATETIME(3) NOT NULL
        )";
        let lines = "CREATE TABLE order_lines (
            order_id VARCHAR(64) NOT NULL,
            line BIGINT NOT NULL,
            sku VARCHAR(64) NOT NULL,
            quantity BIGINT NOT NULL,
            price_cents BIGINT NOT NULL,
            PRIMARY KEY (order_id, line)
        )";
        Manifest::new("orders", env!("CARGO_PKG_VERSION"))
            .events(["OrderPlaced"])
            .table("orders", orders)
            .table("order_lines", lines)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let id = &event.aggregate_id;
        let Placed { customer, total_cents, lines } = event.payload()?;
        let count = i64::try_from(lines.len()).unwrap_or(i64::MAX);
        let mut operations =
            vec![PLACE.with((id, customer, count, total_cents, event.require_occurred_at()?))];
        for (number, line) in (1_i64..).zip(lines) {
            operations.push(LINE.with((id, number, line.sku, line.quantity, line.price_cents)));
        }
        Ok(operations)
    }
}
