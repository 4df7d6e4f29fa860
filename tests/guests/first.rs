//! Writes its own name beside each event, so that a row tells which component made it. The other components of this family
//! are the same code under another name, and differ in what the name says.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

/// `first`, `second`, or what is wrong with it.
const NAME: &str = env!("CARGO_CRATE_NAME");

struct Stamped;

laterna_sdk::export_projector!(Stamped);

statements! {
    STAMP = "INSERT INTO stamped (event_id, aggregate_id, sequence, component) VALUES (?, ?, ?, ?)";
    SEE = "INSERT INTO last_seen (aggregate_id, sequence, events, disorder) VALUES (?, ?, 1, ?) \
           ON DUPLICATE KEY UPDATE disorder = disorder + (VALUES(sequence) <> sequence + 1), \
           events = events + 1, sequence = VALUES(sequence)";
}

impl Projector for Stamped {
    fn manifest() -> Manifest {
        let more = if matches!(NAME, "other_tables" | "picky_tables") { ", more BIGINT NULL" } else { "" };
        let stamped = format!(
            "CREATE TABLE stamped (
                event_id VARCHAR(64) NOT NULL PRIMARY KEY,
                aggregate_id VARCHAR(64) NOT NULL,
                sequence BIGINT NOT NULL,
                component VARCHAR(12) NOT NULL CHECK (component <> 'refused'){more}
            )"
        );
        let last_seen = "CREATE TABLE last_seen (
            aggregate_id VARCHAR(64) NOT NULL PRIMARY KEY,
            sequence BIGINT NOT NULL,
            events BIGINT NOT NULL,
            disorder BIGINT NOT NULL
        )";
        Manifest::new("stamped", NAME)
            .table("stamped", &stamped)
            .table("last_seen", last_seen)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let Event { id, aggregate_id, .. } = event;
        let sequence = event.require_sequence()?;
        // Not every event, so that some are taken before the first one fails.
        let is_bad = sequence % 3 == 0;
        let component = match NAME {
            "traps" if is_bad => panic!("on purpose"),
            "loops" if is_bad => loop {
                std::hint::black_box(sequence);
            },
            "rejects" | "picky_tables" if is_bad => return Err(Rejection::invalid("on purpose")),
            "slower" => {
                (0..20_000).for_each(|turn| {
                    std::hint::black_box(turn);
                });
                NAME
            }
            "too_long" if is_bad => "refused",
            _ => NAME,
        };
        Ok(vec![
            STAMP.with((id, aggregate_id, sequence, component)),
            SEE.with((aggregate_id, sequence, i64::from(sequence != 1))),
        ])
    }
}
