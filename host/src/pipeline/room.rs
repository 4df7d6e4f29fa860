//! How much a projection's queues may hold, over all its lanes: what is held, not what the documents weigh.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

/// How many bytes may wait in all lanes of a projection together, with what they were decoded to.
pub const QUEUED_BYTES_MAX: u32 = 64 << 20;

/// The room in the queues of one run.
pub struct Room {
    free: Arc<Semaphore>,
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
    pub fn new(held: Arc<AtomicU64>) -> Self {
        Self { free: Arc::new(Semaphore::new(QUEUED_BYTES_MAX as usize)), held }
    }

    /// Waits for room for pieces of so many bytes, and gives a share for each. What is larger than all of the room has
    /// it for itself.
    ///
    /// All pieces at once: a lane may wait for others to pass an event, which they only do when they have got theirs.
    pub async fn take(&self, pieces: &[usize]) -> Vec<Share> {
        let all = u32::try_from(pieces.iter().sum::<usize>()).unwrap_or(u32::MAX).min(QUEUED_BYTES_MAX);
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
        let room = Room::new(held.clone());
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
}
