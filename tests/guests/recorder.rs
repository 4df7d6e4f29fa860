//! Behaves well, and makes order visible: `recorded` refuses an event that is applied twice, and `last_seen` counts
//! the events that did not follow their predecessor. Its family is the same code under other names: `recorder-again` does
//! the same, and `recorder-wider` in a table with a column more.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, extjson::Long, statements};

/// Which of the family it is.
const NAME: &str = env!("CARGO_CRATE_NAME");

struct Recorder;

laterna_sdk::export_projector!(Recorder);

statements! {
    RECORD = "INSERT INTO recorded (aggregate_type, aggregate_id, sequence, event_id, event_type, ordinal) \
              VALUES (?, ?, ?, ?, ?, ?)";
    SEE = "INSERT INTO last_seen (aggregate_id, sequence, events, disorder) VALUES (?, ?, 1, ?) \
           ON DUPLICATE KEY UPDATE disorder = disorder + (VALUES(sequence) <> sequence + 1), \
           events = events + 1, sequence = VALUES(sequence)";
}

#[derive(serde::Deserialize)]
struct Payload {
    /// The number that a test gave the event in its own count.
    ordinal: Option<Long>,
}

impl Projector for Recorder {
    fn manifest() -> Manifest {
        let more = if NAME.ends_with("wider") { "more BIGINT NULL," } else { "" };
        let recorded = format!(
            "CREATE TABLE recorded (
                aggregate_type VARCHAR(64) NOT NULL,
                aggregate_id VARCHAR(64) NOT NULL,
                sequence BIGINT NOT NULL,
                event_id VARCHAR(64) NOT NULL,
                event_type VARCHAR(64) NOT NULL,
                ordinal BIGINT NULL,
                {more}
                PRIMARY KEY (aggregate_id, sequence)
            )"
        );
        let last_seen = "CREATE TABLE last_seen (
            aggregate_id VARCHAR(64) NOT NULL PRIMARY KEY,
            sequence BIGINT NOT NULL,
            events BIGINT NOT NULL,
            disorder BIGINT NOT NULL
        )";
        Manifest::new(NAME, env!("CARGO_PKG_VERSION"))
            .table("recorded", &recorded)
            .table("last_seen", last_seen)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let Event { id, event_type, aggregate_type, aggregate_id, .. } = event;
        let sequence = event.require_sequence()?;
        let Payload { ordinal } = event.payload()?;
        Ok(vec![
            RECORD.with((aggregate_type, aggregate_id, sequence, id, event_type, ordinal)),
            SEE.with((aggregate_id, sequence, i64::from(sequence != 1))),
        ])
    }
}
