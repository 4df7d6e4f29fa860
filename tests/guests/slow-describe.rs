//! Never comes back from `describe`.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct SlowDescribe;

laterna_sdk::export_projector!(SlowDescribe);

impl Projector for SlowDescribe {
    fn manifest() -> Manifest {
        loop {
            std::hint::black_box(());
        }
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        Ok(vec![guests::note(event, "at last")])
    }
}
