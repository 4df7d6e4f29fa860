//! Rows that come and go: half of the events delete one by its key.

use bson::{Document, RawDocument, doc};

use super::documents::Maker;
use super::{Projection, Rows, Workload};
use crate::floor::batch::{Batch, Fold, Statement, Value};

/// Sessions that are open at the same time, at most.
const PLACES: usize = 5_000;

pub struct Deletes {
    maker: Maker,
    opened: u64,
    /// The session in each place, with its visitor and its time.
    places: Vec<Option<(String, String, i64)>>,
}

impl Deletes {
    pub fn new() -> Self {
        Self { maker: Maker::new(5), opened: 0, places: vec![None; PLACES] }
    }
}

impl Workload for Deletes {
    fn about(&self) -> &'static str {
        "rows that are inserted and deleted by key"
    }

    fn projections(&self) -> Vec<Projection> {
        Projection::of("sessions", "bench-deletes")
    }

    fn next(&mut self) -> Document {
        let place = self.maker.below(PLACES);
        if let Some((id, ..)) = self.places[place].take() {
            return self.maker.document("SessionClosed", "session", &id, 2, doc! {}).0;
        }
        self.opened += 1;
        let (id, visitor) =
            (format!("session-{:08}", self.opened), format!("visitor-{:05}", self.maker.below(PLACES)));
        let (document, time) =
            self.maker.document("SessionOpened", "session", &id, 1, doc! { "visitor": &visitor });
        self.places[place] = Some((id, visitor, time));
        document
    }

    fn tables(&self) -> Vec<String> {
        let table = "CREATE TABLE IF NOT EXISTS sessions (
            session_id VARCHAR(64) NOT NULL PRIMARY KEY,
            visitor VARCHAR(64) NOT NULL,
            opened_at DATETIME(3) NOT NULL
        )";
        vec![table.to_owned()]
    }

    /// A session never comes back, so that a batch can insert first.
    fn statements(&self) -> Vec<Statement> {
        let open = "INSERT INTO sessions (session_id, visitor, opened_at) VALUES";
        vec![
            Statement::new(open, "(?,?,?)", "", Fold::Each),
            Statement::new("DELETE FROM sessions WHERE session_id IN (", "?", ")", Fold::Each),
        ]
    }

    fn decode(&self, document: &RawDocument, batch: &mut Batch) -> anyhow::Result<()> {
        let id = Value::from(document.get_str("aggregateId")?);
        if document.get_str("type")? == "SessionClosed" {
            batch.add(1, [id]);
        } else {
            let visitor = Value::from(document.get_document("payload")?.get_str("visitor")?);
            batch.add(0, [id, visitor, Value::time(Some(document.get_datetime("occurredAt")?))?]);
        }
        Ok(())
    }

    fn expected(&self) -> Vec<(String, Rows)> {
        let rows = self.places.iter().flatten();
        let rows =
            rows.map(|(id, visitor, time)| vec![id.clone(), visitor.clone(), time.to_string()]).collect();
        vec![("SELECT session_id, visitor, opened_at FROM sessions".to_owned(), rows)]
    }
}
