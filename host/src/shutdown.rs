//! Signals: the first SIGTERM or SIGINT asks for a stop, the second ends the process at once. Correctness does not
//! depend on either.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code after a second signal.
const IMPATIENT: i32 = 130;

/// Signals that follow the first one this closely are the same wish: shells and `timeout` send it twice.
const SAME_WISH: Duration = Duration::from_secs(1);

/// A token that is cancelled by the first signal.
pub fn on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let first = Signals::listen()?;
    let asked = stop.clone();
    tokio::spawn(async move {
        first.received().await;
        tracing::info!("stopping");
        asked.cancel();
        tokio::time::sleep(SAME_WISH).await;
        if let Ok(second) = Signals::listen() {
            second.received().await;
            tracing::warn!("stopping at once");
            std::process::exit(IMPATIENT);
        }
    });
    Ok(stop)
}

/// Requests to read the configuration anew, from now on: without somebody who listens, such a signal would end the process.
pub fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// The signals that arrive from now on.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
