//! Orders with their lines: one event is one row of a table and several of another.

use bson::raw::RawBsonRef;
use bson::{Document, RawDocument, doc};

use super::documents::Maker;
use super::{Projection, Rows, Workload};
use crate::floor::batch::{Batch, Fold, Statement, Value};

/// Orders have from one line to this many.
const LINES_MAX: usize = 5;
const CUSTOMERS: usize = 2_000;
const GOODS: usize = 500;

pub struct Orders {
    maker: Maker,
    made: u64,
    heads: Rows,
    lines: Rows,
}

impl Default for Orders {
    fn default() -> Self {
        Self { maker: Maker::new(2), made: 0, heads: Rows::new(), lines: Rows::new() }
    }
}

impl Workload for Orders {
    fn about(&self) -> &'static str {
        "an order and its one to five lines, in two tables"
    }

    fn projections(&self) -> Vec<Projection> {
        Projection::of("orders", "bench-orders")
    }

    fn next(&mut self) -> Document {
        self.made += 1;
        let (id, customer) =
            (format!("order-{:08}", self.made), format!("customer-{:04}", self.maker.below(CUSTOMERS)));
        let (mut lines, mut total) = (Vec::new(), 0);
        for line in 0..=self.maker.below(LINES_MAX) {
            let sku = format!("article-{:03}", self.maker.below(GOODS));
            let (quantity, price) = (1 + self.maker.number(9), 1 + self.maker.number(10_000));
            total += quantity * price;
            self.lines.insert(vec![
                id.clone(),
                (line + 1).to_string(),
                sku.clone(),
                quantity.to_string(),
                price.to_string(),
            ]);
            lines.push(doc! { "sku": sku, "quantity": quantity, "priceCents": price });
        }
        let count = lines.len();
        let payload = doc! { "customer": &customer, "totalCents": total, "lines": lines };
        let (document, time) = self.maker.document("OrderPlaced", "order", &id, 1, payload);
        self.heads.insert(vec![id, customer, count.to_string(), total.to_string(), time.to_string()]);
        document
    }

    fn tables(&self) -> Vec<String> {
        let orders = "CREATE TABLE IF NOT EXISTS orders (
            order_id VARCHAR(64) NOT NULL PRIMARY KEY,
            customer VARCHAR(64) NOT NULL,
            line_count BIGINT NOT NULL,
            total_cents BIGINT NOT NULL,
            placed_at DATETIME(3) NOT NULL
        )";
        let lines = "CREATE TABLE IF NOT EXISTS order_lines (
            order_id VARCHAR(64) NOT NULL,
            line BIGINT NOT NULL,
            sku VARCHAR(64) NOT NULL,
            quantity BIGINT NOT NULL,
            price_cents BIGINT NOT NULL,
            PRIMARY KEY (order_id, line)
        )";
        vec![orders.to_owned(), lines.to_owned()]
    }

    fn statements(&self) -> Vec<Statement> {
        let orders = "INSERT INTO orders (order_id, customer, line_count, total_cents, placed_at) VALUES";
        let lines = "INSERT INTO order_lines (order_id, line, sku, quantity, price_cents) VALUES";
        [orders, lines].map(|head| Statement::new(head, "(?,?,?,?,?)", "", Fold::Each)).into()
    }

    fn decode(&self, document: &RawDocument, batch: &mut Batch) -> anyhow::Result<()> {
        let id = document.get_str("aggregateId")?;
        let payload = document.get_document("payload")?;
        let mut count = 0;
        for line in payload.get_array("lines")? {
            let RawBsonRef::Document(line) = line? else { anyhow::bail!("a line is no document") };
            count += 1;
            batch.add(
                1,
                [
                    Value::from(id),
                    Value::Number(count),
                    Value::from(line.get_str("sku")?),
                    Value::Number(line.get_i64("quantity")?),
                    Value::Number(line.get_i64("priceCents")?),
                ],
            );
        }
        batch.add(
            0,
            [
                Value::from(id),
                Value::from(payload.get_str("customer")?),
                Value::Number(count),
                Value::Number(payload.get_i64("totalCents")?),
                Value::time(Some(document.get_datetime("occurredAt")?))?,
            ],
        );
        Ok(())
    }

    fn expected(&self) -> Vec<(String, Rows)> {
        vec![
            (
                "SELECT order_id, customer, line_count, total_cents, placed_at FROM orders".to_owned(),
                self.heads.clone(),
            ),
            (
                "SELECT order_id, line, sku, quantity, price_cents FROM order_lines".to_owned(),
                self.lines.clone(),
            ),
        ]
    }
}
