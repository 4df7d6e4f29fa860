//! Behaves well: writes down each event byte by byte as it got it, whatever is in it.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

struct Verbatim;

laterna_sdk::export_projector!(Verbatim);

statements! {
    WRITE = "INSERT INTO verbatim (event_id, event_type, version, aggregate_type, aggregate_id, sequence, occurred_at, \
             payload, metadata) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
}

impl Projector for Verbatim {
    fn manifest() -> Manifest {
        // No collation: texts that differ in a byte are different.
        let verbatim = "CREATE TABLE verbatim (
            event_id VARBINARY(512) NOT NULL PRIMARY KEY,
            event_type VARBINARY(128) NOT NULL,
            version BIGINT NOT NULL,
            aggregate_type VARBINARY(128) NOT NULL,
            aggregate_id VARBINARY(512) NOT NULL,
            sequence BIGINT NULL,
            occurred_at VARBINARY(40) NULL,
            payload LONGBLOB NOT NULL,
            metadata LONGBLOB NOT NULL
        )";
        Manifest::new("verbatim", env!("CARGO_PKG_VERSION"))
            .table("verbatim", verbatim)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let Event { id, event_type, version, aggregate_type, aggregate_id, sequence, .. } = event;
        let occurred_at = event.occurred_at.as_deref();
        let texts = (event.payload.as_str(), event.metadata.as_str());
        Ok(vec![WRITE.with((
            id,
            event_type,
            *version,
            aggregate_type,
            aggregate_id,
            *sequence,
            occurred_at,
            texts.0,
            texts.1,
        ))])
    }
}
