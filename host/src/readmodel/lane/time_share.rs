//! How much of the time lanes beside the live ones may keep the server busy.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// A share of the time, in percent, which may change while the lanes run. Clones are one.
#[derive(Debug, Clone)]
pub struct TimeShare(Arc<watch::Sender<u32>>);

impl Default for TimeShare {
    /// All of it.
    fn default() -> Self {
        Self::of(100)
    }
}

impl TimeShare {
    pub fn of(percent: u32) -> Self {
        Self(Arc::new(watch::Sender::new(percent.clamp(1, 100))))
    }

    /// From now on it is this; who rests goes on as soon as the new share lets it.
    pub fn set(&self, percent: u32) {
        self.0.send_replace(percent.clamp(1, 100));
    }

    /// Rests after work of so long.
    pub async fn rest(&self, worked: Duration) {
        let (since, mut shares) = (Instant::now(), self.0.subscribe());
        loop {
            let percent = *shares.borrow_and_update();
            let rests_until = since + worked * (100 - percent) / percent;
            tokio::select! {
                () = tokio::time::sleep_until(rests_until) => return,
                // The sender is in `self`.
                _ = shares.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_share_of_the_time_is_kept_by_resting() {
        let worked = Duration::from_millis(60);
        let share = TimeShare::of(0);
        let mut rested = vec![];
        for percent in [100, 75, 50, 10, 1] {
            share.set(percent);
            let since = Instant::now();
            share.rest(worked).await;
            rested.push(since.elapsed().as_millis());
        }
        assert_eq!(rested, [0, 20, 60, 540, 5940]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_rests_goes_on_when_it_gets_more_of_the_time() {
        let (share, since) = (TimeShare::of(1), Instant::now());
        let hurries = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            share.set(50);
            tokio::time::sleep(Duration::from_millis(100)).await;
            share.set(100);
        };
        tokio::join!(share.rest(Duration::from_secs(1)), hurries);
        assert_eq!(since.elapsed().as_millis(), 200);
    }
}
