//! Counters: plain updates that add. The floor adds up what a batch has for one counter.

use bson::{Document, RawDocument, doc};

use super::documents::Maker;
use super::{Projection, Rows, Workload};
use crate::floor::batch::{Batch, Fold, Statement, Value};

const COUNTERS: usize = 2_000;

pub struct Counters {
    maker: Maker,
    /// The sum and the last sequence of each counter; a sequence of 0: it was not opened yet.
    counters: Vec<(i64, i64)>,
}

impl Counters {
    pub fn new() -> Self {
        Self { maker: Maker::new(3), counters: vec![(0, 0); COUNTERS] }
    }
}

fn name(counter: usize) -> String {
    format!("counter-{counter:05}")
}

impl Workload for Counters {
    fn about(&self) -> &'static str {
        "`UPDATE ... SET n = n + ?` of 2,000 counters"
    }

    fn projections(&self) -> Vec<Projection> {
        Projection::of("counters", "bench-counters")
    }

    fn next(&mut self) -> Document {
        let counter = self.maker.below(COUNTERS);
        let by = self.maker.number(100);
        let (n, sequence) = &mut self.counters[counter];
        (*n, *sequence) = (*n + by, *sequence + 1);
        let event_type = if *sequence == 1 { "CounterOpened" } else { "Counted" };
        self.maker.document(event_type, "counter", &name(counter), *sequence, doc! { "by": by }).0
    }

    fn tables(&self) -> Vec<String> {
        let table = "CREATE TABLE IF NOT EXISTS counters (
            counter_id VARCHAR(64) NOT NULL PRIMARY KEY,
            n BIGINT NOT NULL,
            last_sequence BIGINT NOT NULL
        )";
        vec![table.to_owned()]
    }

    /// The loop knows that a counter is opened before anything is added to it, so that one upsert does for both.
    fn statements(&self) -> Vec<Statement> {
        let head = "INSERT INTO counters (counter_id, n, last_sequence) VALUES";
        let tail = "ON DUPLICATE KEY UPDATE n = n + VALUES(n), last_sequence = VALUES(last_sequence)";
        vec![Statement::new(head, "(?,?,?)", tail, Fold::Sum(1))]
    }

    fn decode(&self, document: &RawDocument, batch: &mut Batch) -> anyhow::Result<()> {
        batch.add(
            0,
            [
                Value::from(document.get_str("aggregateId")?),
                Value::Number(document.get_document("payload")?.get_i64("by")?),
                Value::Number(document.get_i64("sequence")?),
            ],
        );
        Ok(())
    }

    fn expected(&self) -> Vec<(String, Rows)> {
        let opened = self.counters.iter().enumerate().filter(|(_, (_, sequence))| *sequence > 0);
        let rows =
            opened.map(|(at, (n, sequence))| vec![name(at), n.to_string(), sequence.to_string()]).collect();
        vec![("SELECT counter_id, n, last_sequence FROM counters".to_owned(), rows)]
    }
}
