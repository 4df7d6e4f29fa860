//! Takes random bytes while it projects.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct Random;

laterna_sdk::export_projector!(Random);

impl Projector for Random {
    fn manifest() -> Manifest {
        guests::manifest("random")
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let number = getrandom::u64().map_err(|error| Rejection::Failed(error.to_string()))?;
        Ok(vec![guests::note(event, number.to_string())])
    }
}
