//! Behaves well: it uses a `HashMap`, whose seed is a random number, in a way that does not depend on it.

use std::collections::HashMap;

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct HashMaps;

laterna_sdk::export_projector!(HashMaps);

impl Projector for HashMaps {
    fn manifest() -> Manifest {
        guests::manifest("hash-map")
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let numbers: HashMap<u32, u32> = (0..20).map(|number| (number, number)).collect();
        Ok(vec![guests::note(event, numbers[&7].to_string())])
    }
}
