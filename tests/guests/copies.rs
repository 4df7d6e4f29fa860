//! Copies what it finds in a table of its own: `{"value": 7}` is what the aggregate has from then on, `{"reads": "x"}` copies
//! what the aggregate `x` has. Right for the event's own aggregate; for others under the order of the whole stream, for
//! which `copies-in-order` asks.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

/// Which of the family it is.
const NAME: &str = env!("CARGO_CRATE_NAME");

struct Copies;

laterna_sdk::export_projector!(Copies);

statements! {
    HAS = "INSERT INTO latest (aggregate_id, value) VALUES (?, ?) ON DUPLICATE KEY UPDATE value = VALUES(value)";
    COPY = "INSERT INTO copied (event_id, value) \
            SELECT ?, COALESCE(MAX(l.value), -1) FROM latest l WHERE l.aggregate_id = ?";
}

#[derive(serde::Deserialize)]
struct Happened {
    value: Option<i64>,
    reads: Option<String>,
}

impl Projector for Copies {
    fn manifest() -> Manifest {
        let manifest = Manifest::new(NAME, env!("CARGO_PKG_VERSION"))
            .table(
                "latest",
                "CREATE TABLE latest (aggregate_id VARCHAR(64) NOT NULL PRIMARY KEY, value BIGINT NOT NULL)",
            )
            .table(
                "copied",
                "CREATE TABLE copied (event_id VARCHAR(64) NOT NULL PRIMARY KEY, value BIGINT NOT NULL)",
            )
            .statements(STATEMENTS);
        if NAME.ends_with("in_order") { manifest.in_stream_order() } else { manifest }
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let Happened { value, reads } = event.payload()?;
        let has = value.map(|value| HAS.with((&event.aggregate_id, value)));
        let copy = reads.map(|other| COPY.with((&event.id, other)));
        Ok(has.into_iter().chain(copy).collect())
    }
}
