//! Behaves well, and is as far from idempotent as can be: it counts, and no key notices an event that is counted twice.
//! Its family is the same code under other names: `counter-again` does the same, and `counter-wider` in a table with a column
//! more.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, extjson::Long, statements};

/// Which of the family it is.
const NAME: &str = env!("CARGO_CRATE_NAME");

struct Counter;

laterna_sdk::export_projector!(Counter);

statements! {
    COUNT = "INSERT INTO counted (aggregate_id, events, total) VALUES (?, 1, ?) \
             ON DUPLICATE KEY UPDATE events = events + 1, total = total + VALUES(total)";
}

#[derive(serde::Deserialize)]
struct Payload {
    ordinal: Long,
}

impl Projector for Counter {
    fn manifest() -> Manifest {
        let more = if NAME.ends_with("wider") { ", more BIGINT NULL" } else { "" };
        let counted = format!(
            "CREATE TABLE counted (
                aggregate_id VARCHAR(64) NOT NULL PRIMARY KEY,
                events BIGINT NOT NULL,
                total BIGINT NOT NULL{more}
            )"
        );
        Manifest::new(NAME, env!("CARGO_PKG_VERSION"))
            .events(["Happened"])
            .table("counted", &counted)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let Payload { ordinal } = event.payload()?;
        Ok(vec![COUNT.with((&event.aggregate_id, ordinal))])
    }
}
