//! Rows that need rows of other aggregates: a foreign key between them. `{"is": true}` makes a person of the aggregate,
//! `{"knows": "x"}` makes it know another one.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

struct Family;

laterna_sdk::export_projector!(Family);

statements! {
    BORN = "INSERT INTO person (id) VALUES (?)";
    KNOWS = "INSERT INTO knows (person, number, other) VALUES (?, ?, ?)";
}

#[derive(serde::Deserialize)]
struct Happened {
    knows: Option<String>,
}

impl Projector for Family {
    fn manifest() -> Manifest {
        Manifest::new("family", env!("CARGO_PKG_VERSION"))
            .events(["Happened"])
            .table("person", "CREATE TABLE person (id VARCHAR(64) NOT NULL PRIMARY KEY)")
            .table(
                "knows",
                "CREATE TABLE knows (
                    person VARCHAR(64) NOT NULL,
                    number BIGINT NOT NULL,
                    other VARCHAR(64) NOT NULL,
                    PRIMARY KEY (person, number),
                    FOREIGN KEY (other) REFERENCES person (id)
                )",
            )
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let Happened { knows } = event.payload()?;
        Ok(vec![match knows {
            None => BORN.with((&event.aggregate_id,)),
            Some(other) => KNOWS.with((&event.aggregate_id, event.require_sequence()?, other)),
        }])
    }
}
