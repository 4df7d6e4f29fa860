//! Sessions, whose rows come and go. For measuring.

use laterna_sdk::sql::{delete, insert};
use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

struct Sessions;

laterna_sdk::export_projector!(Sessions);

statements! {
    OPEN = insert("sessions").set(&["session_id", "visitor", "opened_at"]);
    CLOSE = delete("sessions").key(&["session_id"]);
}

#[derive(serde::Deserialize)]
struct Opened {
    visitor: String,
}

impl Projector for Sessions {
    fn manifest() -> Manifest {
        let sessions = "CREATE TABLE sessions (
            session_id VARCHAR(64) NOT NULL PRIMARY KEY,
            visitor VARCHAR(64) NOT NULL,
            opened_at DATETIME(3) NOT NULL
        )";
        Manifest::new("sessions", env!("CARGO_PKG_VERSION"))
            .events(["SessionOpened", "SessionClosed"])
            .table("sessions", sessions)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let id = &event.aggregate_id;
        if event.event_type == "SessionClosed" {
            return Ok(vec![CLOSE.with((id,))]);
        }
        let Opened { visitor } = event.payload()?;
        Ok(vec![OPEN.with((id, visitor, event.require_occurred_at()?))])
    }
}
