//! Tables whose check and foreign key have names of their own. `named-wider` has a column more.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

struct Named;

laterna_sdk::export_projector!(Named);

statements! {
    PARENT = "INSERT INTO parent (id, events) VALUES (?, 1) ON DUPLICATE KEY UPDATE events = events + 1";
    CHILD = "INSERT INTO child (id, parent) VALUES (?, ?)";
}

impl Projector for Named {
    fn manifest() -> Manifest {
        let more = if env!("CARGO_CRATE_NAME") == "named_wider" { ", more BIGINT NULL" } else { "" };
        let parent = format!(
            "CREATE TABLE parent (
                id VARCHAR(64) NOT NULL PRIMARY KEY,
                events BIGINT NOT NULL{more},
                CONSTRAINT has_events CHECK (events > 0)
            )"
        );
        let child = "CREATE TABLE child (
            id VARCHAR(64) NOT NULL PRIMARY KEY,
            parent VARCHAR(64) NOT NULL,
            CONSTRAINT has_parent FOREIGN KEY (parent) REFERENCES parent (id)
        )";
        Manifest::new("named", "1").table("parent", &parent).table("child", child).statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        Ok(vec![PARENT.with((&event.aggregate_id,)), CHILD.with((&event.id, &event.aggregate_id))])
    }
}
