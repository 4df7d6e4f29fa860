//! How much a projection's queues may hold, over all its lanes: what is held, not what the documents weigh.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

/// The most bytes that may wait in all lanes of a projection together, with what they were decoded to.
pub const QUEUED_BYTES_MAX: u32 = 64 << 20;

/// The least that a projection has, however many share the host's memory.
const QUEUED_BYTES_MIN: u32 = 1 << 20;

/// A projection's part of what a host has for the queues of so many.
pub fn part_of(memory_bytes: u32, projections: usize) -> u32 {
    let projections = u32::try_from(projections).unwrap_or(u32::MAX).max(1);
    (memory_bytes / projections).clamp(QUEUED_BYTES_MIN, QUEUED_BYTES_MAX)
}

/// The room in the queues of one run.
pub struct Room {
    free: Arc<Semaphore>,
    bytes_max: u32,
    /// Bytes that the queues hold, for the status.
    held: Arc<AtomicU64>,
}

/// A share of the room, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    free: Arc<Semaphore>,
    held: Arc<AtomicU64>,
    permits: u32,
    bytes: u64,
}

impl Room {
    pub fn new(bytes_max: u32, held: Arc<AtomicU64>) -> Self {
        Self { free: Arc::new(Semaphore::new(bytes_max as usize)), bytes_max, held }
    }

    /// Waits for room for pieces of so many bytes, and gives a share for each. What is larger than all of the room has
    /// it for itself.
    ///
    /// All pieces at once: a lane may wait for others to pass an event, which they only do when they have got theirs.
    pub async fn take(&self, pieces: &[usize]) -> Vec<Share> {
        let all = u32::try_from(pieces.iter().sum::<usize>()).unwrap_or(u32::MAX).min(self.bytes_max);
        let permit = self.free.acquire_many(all).await.expect("nobody closes it");
        permit.forget();
        let mut left = all;
        let share = |bytes: &usize| {
            let permits = u32::try_from(*bytes).unwrap_or(u32::MAX).min(left);
            left -= permits;
            let bytes = *bytes as u64;
            self.held.fetch_add(bytes, Ordering::Relaxed);
            Share { free: self.free.clone(), held: self.held.clone(), permits, bytes }
        };
        pieces.iter().map(share).collect()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.free.add_permits(self.permits as usize);
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(room: &Room, pieces: &[usize]) -> Option<Vec<Share>> {
        let taking = std::pin::pin!(room.take(pieces));
        match taking.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(shares) => Some(shares),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn there_is_room_until_all_of_it_is_taken_and_again_when_a_share_is_given_back() {
        let held = Arc::new(AtomicU64::new(0));
        let room = Room::new(QUEUED_BYTES_MAX, held.clone());
        let half = QUEUED_BYTES_MAX as usize / 2;
        let mut shares = taken(&room, &[half - 1, 1]).expect("there is room");
        let rest = taken(&room, &[half]).expect("there is as much as is left");
        assert_eq!(held.load(Ordering::Relaxed), u64::from(QUEUED_BYTES_MAX));
        assert!(taken(&room, &[1]).is_none());
        shares.pop();
        assert_eq!(taken(&room, &[1]).map(|shares| shares.len()), Some(1));
        drop((shares, rest));
        assert_eq!(held.load(Ordering::Relaxed), 0);
        assert!(
            taken(&room, &[usize::MAX]).is_some(),
            "what is larger than all of it is not waited for in vain"
        );
    }

    #[test]
    fn projections_share_what_the_host_has_and_none_is_left_without() {
        let memory = 256 << 20;
        let parts = [0, 1, 4, 16, 10_000].map(|projections| part_of(memory, projections));
        assert_eq!(parts, [64 << 20, 64 << 20, 64 << 20, 16 << 20, 1 << 20]);
    }
}
