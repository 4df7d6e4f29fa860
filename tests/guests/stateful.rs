//! Counts its events in a static, and answers with the count: it is not pure.

use std::sync::atomic::{AtomicU32, Ordering};

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct Stateful;

laterna_sdk::export_projector!(Stateful);

impl Projector for Stateful {
    fn manifest() -> Manifest {
        guests::manifest("stateful")
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        static EVENTS: AtomicU32 = AtomicU32::new(0);
        let count = EVENTS.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(vec![guests::note(event, count.to_string())])
    }
}
