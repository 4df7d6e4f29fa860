//! Other tables than those of `named`, and a foreign key under the name that it has there.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

struct Alike;

laterna_sdk::export_projector!(Alike);

statements! {
    NODE = "INSERT INTO node (id, parent) VALUES (?, ?)";
}

impl Projector for Alike {
    fn manifest() -> Manifest {
        let node = "CREATE TABLE node (
            id VARCHAR(64) NOT NULL PRIMARY KEY,
            parent VARCHAR(64) NOT NULL,
            CONSTRAINT has_parent FOREIGN KEY (parent) REFERENCES node (id)
        )";
        Manifest::new("alike", "1").table("node", node).statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        Ok(vec![NODE.with((&event.id, &event.id))])
    }
}
