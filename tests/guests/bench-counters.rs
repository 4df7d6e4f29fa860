//! Counters that plain updates add to. For measuring.

use laterna_sdk::sql::{insert, update};
use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

struct Counters;

laterna_sdk::export_projector!(Counters);

statements! {
    OPEN = insert("counters").set(&["counter_id", "n", "last_sequence"]);
    ADD = update("counters").add(&["n"]).set(&["last_sequence"]).key(&["counter_id"]);
}

#[derive(serde::Deserialize)]
struct Counted {
    by: i64,
}

impl Projector for Counters {
    fn manifest() -> Manifest {
        let counters = "CREATE TABLE counters (
            counter_id VARCHAR(64) NOT NULL PRIMARY KEY,
            n BIGINT NOT NULL,
            last_sequence BIGINT NOT NULL
        )";
        Manifest::new("counters", env!("CARGO_PKG_VERSION"))
            .events(["CounterOpened", "Counted"])
            .table("counters", counters)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let (id, sequence) = (&event.aggregate_id, event.require_sequence()?);
        let Counted { by } = event.payload()?;
        Ok(vec![match event.event_type.as_str() {
            "CounterOpened" => OPEN.with((id, by, sequence)),
            _ => ADD.with((by, sequence, id)),
        }])
    }
}
