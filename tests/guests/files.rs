//! Reads a file while it projects; the answer is the error, as a rejection.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct Files;

laterna_sdk::export_projector!(Files);

impl Projector for Files {
    fn manifest() -> Manifest {
        guests::manifest("files")
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let text =
            std::fs::read_to_string("/etc/hostname").map_err(|error| Rejection::Failed(error.to_string()))?;
        Ok(vec![guests::note(event, text)])
    }
}
