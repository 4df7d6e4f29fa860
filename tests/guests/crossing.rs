//! Writes two rows for each event, in the order that the event says, and whatever its aggregate: lanes get into each
//! other's way, so that MySQL ends one of their transactions.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, extjson::Long, statements};

struct Crossing;

laterna_sdk::export_projector!(Crossing);

statements! {
    ADD = "INSERT INTO crossed (row_id, total) VALUES (?, ?) ON DUPLICATE KEY UPDATE total = total + VALUES(total)";
}

#[derive(serde::Deserialize)]
struct Payload {
    first: Long,
    second: Long,
    ordinal: Long,
}

impl Projector for Crossing {
    fn manifest() -> Manifest {
        let crossed = "CREATE TABLE crossed (row_id BIGINT NOT NULL PRIMARY KEY, total BIGINT NOT NULL)";
        Manifest::new("crossing", env!("CARGO_PKG_VERSION")).table("crossed", crossed).statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let Payload { first, second, ordinal } = event.payload()?;
        Ok(vec![ADD.with((first, ordinal)), ADD.with((second, ordinal))])
    }
}
