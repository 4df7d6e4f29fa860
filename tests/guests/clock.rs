//! Reads the clock while it projects.

use std::time::SystemTime;

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct Clock;

laterna_sdk::export_projector!(Clock);

impl Projector for Clock {
    fn manifest() -> Manifest {
        guests::manifest("clock")
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let now = format!("{:?}", SystemTime::now());
        Ok(vec![guests::note(event, now)])
    }
}
