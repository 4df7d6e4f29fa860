//! Takes memory until there is none.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection};

struct MemoryBomb;

laterna_sdk::export_projector!(MemoryBomb);

impl Projector for MemoryBomb {
    fn manifest() -> Manifest {
        guests::manifest("memory-bomb")
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let mut bomb = Vec::new();
        loop {
            bomb.push(vec![1_u8; 1 << 20]);
            std::hint::black_box((&bomb, event));
        }
    }
}
