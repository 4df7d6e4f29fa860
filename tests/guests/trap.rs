//! Panics on every event.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct Trap;

laterna_sdk::export_projector!(Trap);

impl Projector for Trap {
    fn manifest() -> Manifest {
        guests::manifest("trap")
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        panic!("{} {} is not to my taste", event.event_type, event.id)
    }
}
