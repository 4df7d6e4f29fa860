//! Never comes back from an event.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct EndlessLoop;

laterna_sdk::export_projector!(EndlessLoop);

impl Projector for EndlessLoop {
    fn manifest() -> Manifest {
        guests::manifest("endless-loop")
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        loop {
            std::hint::black_box(event);
        }
    }
}
