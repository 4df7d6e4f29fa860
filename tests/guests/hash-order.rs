//! Answers with the order of a `HashMap`: it is not pure. Even where the first seed is a constant, each map of an
//! instance gets the next one, so that an event's answer depends on the events before it.

use std::collections::HashMap;

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct HashOrder;

laterna_sdk::export_projector!(HashOrder);

impl Projector for HashOrder {
    fn manifest() -> Manifest {
        guests::manifest("hash-order")
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let numbers: HashMap<u32, u32> = (0..20).map(|number| (number, number)).collect();
        let order: Vec<String> = numbers.keys().map(u32::to_string).collect();
        Ok(vec![guests::note(event, order.join(" "))])
    }
}
