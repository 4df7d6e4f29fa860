//! Behaves well, and wants the order of the whole stream: it notes each event's payload.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct StreamOrder;

laterna_sdk::export_projector!(StreamOrder);

impl Projector for StreamOrder {
    fn manifest() -> Manifest {
        guests::manifest("stream-order").in_stream_order()
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        Ok(vec![guests::note(event, event.payload.as_str())])
    }
}
