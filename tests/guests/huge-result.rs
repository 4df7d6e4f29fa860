//! Answers with 16 MiB of text for each event.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct HugeResult;

laterna_sdk::export_projector!(HugeResult);

impl Projector for HugeResult {
    fn manifest() -> Manifest {
        guests::manifest("huge-result")
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        Ok(vec![guests::note(event, "x".repeat(16 << 20))])
    }
}
