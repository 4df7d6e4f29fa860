//! Changes rows by a column that no index begins with, so that each change reads the whole table.

use laterna_sdk::sql::{insert, update};
use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

struct NoIndex;

laterna_sdk::export_projector!(NoIndex);

statements! {
    NOTE = insert("noted").set(&["event_id", "place", "seen"]);
    SEE = update("noted").add(&["seen"]).key(&["place"]);
}

impl Projector for NoIndex {
    fn manifest() -> Manifest {
        let noted = "CREATE TABLE noted (
            event_id VARCHAR(64) NOT NULL PRIMARY KEY,
            place VARCHAR(64) NOT NULL,
            seen BIGINT NOT NULL
        )";
        Manifest::new("no-index", env!("CARGO_PKG_VERSION")).table("noted", noted).statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let place = &event.aggregate_id;
        Ok(match event.require_sequence()? {
            1 => vec![NOTE.with((&event.id, place, 0))],
            _ => vec![SEE.with((1, place))],
        })
    }
}
