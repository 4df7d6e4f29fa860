//! Rows that are changed by their key. The floor sends the last change of a row in a batch.

use bson::{Document, RawDocument, doc};

use super::documents::Maker;
use super::{Projection, Rows, Workload};
use crate::floor::batch::{Batch, Fold, Statement, Value};

const CUSTOMERS: usize = 20_000;
const CITIES: usize = 100;

pub struct Updates {
    maker: Maker,
    /// City, street, sequence and time of each customer; a sequence of 0: not registered yet.
    customers: Vec<(String, String, i64, i64)>,
}

impl Updates {
    pub fn new() -> Self {
        Self { maker: Maker::new(4), customers: vec![Default::default(); CUSTOMERS] }
    }
}

fn name(customer: usize) -> String {
    format!("customer-{customer:05}")
}

impl Workload for Updates {
    fn about(&self) -> &'static str {
        "`UPDATE ... SET ... WHERE key` of 20,000 rows"
    }

    fn projections(&self) -> Vec<Projection> {
        Projection::of("customers", "bench-updates")
    }

    fn next(&mut self) -> Document {
        let customer = self.maker.below(CUSTOMERS);
        let (city, street) =
            (format!("city {}", self.maker.below(CITIES)), format!("street {}", self.maker.below(CUSTOMERS)));
        let sequence = self.customers[customer].2 + 1;
        let event_type = if sequence == 1 { "CustomerRegistered" } else { "CustomerMoved" };
        let payload = doc! { "city": &city, "street": &street };
        let (document, time) =
            self.maker.document(event_type, "customer", &name(customer), sequence, payload);
        self.customers[customer] = (city, street, sequence, time);
        document
    }

    fn tables(&self) -> Vec<String> {
        let table = "CREATE TABLE IF NOT EXISTS customers (
            customer_id VARCHAR(64) NOT NULL PRIMARY KEY,
            city VARCHAR(64) NOT NULL,
            street VARCHAR(64) NOT NULL,
            last_sequence BIGINT NOT NULL,
            updated_at DATETIME(3) NOT NULL
        )";
        vec![table.to_owned()]
    }

    /// The loop knows that a customer is registered before it moves, so that one upsert does for both.
    fn statements(&self) -> Vec<Statement> {
        let head = "INSERT INTO customers (customer_id, city, street, last_sequence, updated_at) VALUES";
        let tail = "ON DUPLICATE KEY UPDATE city = VALUES(city), street = VALUES(street), \
                    last_sequence = VALUES(last_sequence), updated_at = VALUES(updated_at)";
        vec![Statement::new(head, "(?,?,?,?,?)", tail, Fold::Last)]
    }

    fn decode(&self, document: &RawDocument, batch: &mut Batch) -> anyhow::Result<()> {
        let payload = document.get_document("payload")?;
        batch.add(
            0,
            [
                Value::from(document.get_str("aggregateId")?),
                Value::from(payload.get_str("city")?),
                Value::from(payload.get_str("street")?),
                Value::Number(document.get_i64("sequence")?),
                Value::time(Some(document.get_datetime("occurredAt")?))?,
            ],
        );
        Ok(())
    }

    fn expected(&self) -> Vec<(String, Rows)> {
        let known = self.customers.iter().enumerate().filter(|(_, (_, _, sequence, _))| *sequence > 0);
        let row = |(at, (city, street, sequence, time)): (usize, &(String, String, i64, i64))| {
            vec![name(at), city.clone(), street.clone(), sequence.to_string(), time.to_string()]
        };
        let sql = "SELECT customer_id, city, street, last_sequence, updated_at FROM customers";
        vec![(sql.to_owned(), known.map(row).collect())]
    }
}
