//! How much a projection's queues may hold, over all its lanes: what is held, not what the documents weigh.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::sync::Semaphore;

/// The most bytes that may wait in all lanes of a projection together, with what they were decoded to.
pub const QUEUED_BYTES_MAX: u32 = 64 << 20;

/// The least that a projection has, however many share the host's memory.
const QUEUED_BYTES_MIN: u32 = 1 << 20;

/// What each projection of a host may hold in its queues: all have the same part, which changes with how many they are.
#[derive(Debug, Clone)]
pub struct RoomPart(Arc<AtomicU32>);

impl RoomPart {
    pub fn of(memory_bytes: u32, projections: usize) -> Self {
        Self(Arc::new(AtomicU32::new(part_of(memory_bytes, projections))))
    }

    /// Changes what each one has, from the next that it takes on. False where it stays.
    pub fn change(&self, memory_bytes: u32, projections: usize) -> bool {
        let part = part_of(memory_bytes, projections);
        self.0.swap(part, Ordering::Relaxed) != part
    }

    pub fn bytes(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl PartialEq for RoomPart {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A projection's part of what a host has for the queues of so many.
fn part_of(memory_bytes: u32, projections: usize) -> u32 {
    let projections = u32::try_from(projections).unwrap_or(u32::MAX).max(1);
    (memory_bytes / projections).clamp(QUEUED_BYTES_MIN, QUEUED_BYTES_MAX)
}

/// The room in the queues of one run.
pub struct Room {
    free: Arc<Semaphore>,
    part: RoomPart,
    /// How large it is: the part, as it was when something was taken last.
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
    pub fn new(part: RoomPart, held: Arc<AtomicU64>) -> Self {
        let bytes_max = part.bytes();
        Self { free: Arc::new(Semaphore::new(bytes_max as usize)), part, bytes_max, held }
    }

    /// Becomes as large as the part is now. One that shrinks waits until what it holds is so little.
    async fn resize(&mut self) {
        let bytes_max = self.part.bytes();
        if let Some(more) = bytes_max.checked_sub(self.bytes_max) {
            self.free.add_permits(more as usize);
        } else {
            let less = self.free.acquire_many(self.bytes_max - bytes_max).await;
            less.expect("nobody closes it").forget();
        }
        self.bytes_max = bytes_max;
    }

    /// Waits for room for pieces of so many bytes, and gives a share for each. What is larger than all of the room has
    /// it for itself.
    ///
    /// All pieces at once: a lane may wait for others to pass an event, which they only do when they have got theirs.
    pub async fn take(&mut self, pieces: &[usize]) -> Vec<Share> {
        self.resize().await;
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

    fn taken(room: &mut Room, pieces: &[usize]) -> Option<Vec<Share>> {
        let taking = std::pin::pin!(room.take(pieces));
        match taking.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(shares) => Some(shares),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn there_is_room_until_all_of_it_is_taken_and_again_when_a_share_is_given_back() {
        let held = Arc::new(AtomicU64::new(0));
        let mut room = Room::new(RoomPart::of(QUEUED_BYTES_MAX, 1), held.clone());
        let half = QUEUED_BYTES_MAX as usize / 2;
        let mut shares = taken(&mut room, &[half - 1, 1]).expect("there is room");
        let rest = taken(&mut room, &[half]).expect("there is as much as is left");
        assert_eq!(held.load(Ordering::Relaxed), u64::from(QUEUED_BYTES_MAX));
        assert!(taken(&mut room, &[1]).is_none());
        shares.pop();
        assert_eq!(taken(&mut room, &[1]).map(|shares| shares.len()), Some(1));
        drop((shares, rest));
        assert_eq!(held.load(Ordering::Relaxed), 0);
        assert!(
            taken(&mut room, &[usize::MAX]).is_some(),
            "what is larger than all of it is not waited for in vain"
        );
    }

    #[test]
    fn a_part_that_changes_counts_for_what_is_taken_next_and_nothing_is_lost_of_it() {
        let part = RoomPart::of(8 << 20, 2);
        let mut room = Room::new(part.clone(), Arc::default());
        let quarter = 1 << 20;
        let shares = taken(&mut room, &[quarter; 3]).expect("there is room");
        assert!(part.change(8 << 20, 4) && !part.change(8 << 20, 4));
        assert!(taken(&mut room, &[1]).is_none(), "it holds more than it has by now");
        drop(shares);
        let shares = taken(&mut room, &[2 * quarter]).expect("all of its part is free");
        assert!(taken(&mut room, &[1]).is_none());
        part.change(8 << 20, 1);
        let more = taken(&mut room, &[6 * quarter]).expect("there is as much as was added");
        assert!(taken(&mut room, &[1]).is_none());
        drop((shares, more));
        assert!(taken(&mut room, &[usize::MAX]).is_some());
    }

    #[test]
    fn projections_share_what_the_host_has_and_none_is_left_without() {
        let memory = 256 << 20;
        let parts = [0, 1, 4, 16, 10_000].map(|projections| part_of(memory, projections));
        assert_eq!(parts, [64 << 20, 64 << 20, 64 << 20, 16 << 20, 1 << 20]);
    }
}
