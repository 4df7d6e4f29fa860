//! What tests stand on: servers, a world of databases of their own, the host as a process, and waiting.

pub mod browser;
pub mod clock;
pub mod cluster;
pub mod described;
pub mod host;
pub mod http;
pub mod lane;
pub mod mysqld;
pub mod proxy;
pub mod receiver;
pub mod server;
pub mod world;

use std::time::{Duration, Instant};

pub use host::Host;
pub use mysqld::Mysqld;
pub use server::PrivateServers;
pub use world::{Options, World};

/// How long a state may take to come, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// Waits until a condition holds, and says what was waited for when it does not come.
pub async fn until(what: &str, condition: impl AsyncFnMut() -> bool) {
    until_within(PATIENCE, what, condition).await;
}

/// The same, with another patience.
pub async fn until_within(patience: Duration, what: &str, condition: impl AsyncFnMut() -> bool) {
    assert!(comes_within(patience, condition).await, "waited {patience:?} in vain until {what}");
}

/// Returns true when a condition holds, and false when it does not come.
pub async fn comes_within(patience: Duration, mut condition: impl AsyncFnMut() -> bool) -> bool {
    let began = Instant::now();
    while !condition().await {
        if began.elapsed() >= patience {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    true
}

/// Waits for what lasts for a moment only, e.g. that a fault strikes.
pub async fn until_often(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Lets some time pass in which something else has to go on, e.g. before a random kill.
pub async fn some_time(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Lets time pass until then, for a fault that lasts for so long, whatever is done meanwhile.
pub async fn until_then(moment: Instant) {
    tokio::time::sleep_until(moment.into()).await;
}

/// A random number generator whose seed is printed, and can be given as `SEED`.
pub fn random(test: &str) -> rand::rngs::StdRng {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("{test}: SEED={seed}");
    rand::SeedableRng::seed_from_u64(seed)
}
