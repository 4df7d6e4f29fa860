//! Behaves well: it reads the clock in `describe`, as some languages do when they start, and never again.

use std::time::{Duration, SystemTime};

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct EarlyClock;

laterna_sdk::export_projector!(EarlyClock);

impl Projector for EarlyClock {
    fn manifest() -> Manifest {
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Manifest { version: format!("1.0.{}", age.as_secs()), ..guests::manifest("early-clock") }
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        Ok(vec![guests::note(event, "noted")])
    }
}
