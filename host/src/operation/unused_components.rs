//! The leader of a projection looks from time to time for components that nothing refers to any more.

use std::time::{Duration, Instant};

use super::commands::{Commands, PATIENCE};
use crate::failure::Failure;
use crate::readmodel::mysql::session::within;

/// Interval of the looks: a component more or less for an hour does no harm.
const INTERVAL: Duration = Duration::from_hours(1);

/// Interval in which it is seen whether this host leads.
const TICK: Duration = Duration::from_secs(1);

impl Commands {
    /// Removes what is not needed, while this host leads, until it is dropped.
    pub(super) async fn remove_unused_components(&self) {
        if self.settings.component_retention_days == 0 {
            return;
        }
        let mut looked: Option<Instant> = None;
        loop {
            self.rest(TICK).await;
            let is_due = looked.is_none_or(|looked| looked.elapsed() >= INTERVAL);
            if !is_due || self.letter_queues.lanes().is_empty() {
                continue;
            }
            looked = Some(Instant::now());
            if let Err(failure) = self.look_for_unused_components().await {
                let reason = failure.without_values();
                tracing::warn!(
                    projection = self.settings.name,
                    "unused components: {reason}; looking again in an hour"
                );
            }
        }
    }

    async fn look_for_unused_components(&self) -> Result<(), Failure> {
        let days = self.settings.component_retention_days;
        let mut session = self.servers.applier.connect().await?;
        let mut db = self.db(&mut session);
        let removing = db.remove_unused_components(days);
        for digest in within(PATIENCE, "removing components that nothing refers to", removing).await? {
            tracing::info!(
                projection = self.settings.name,
                digest,
                "removed a component that nothing has referred to for {days} days"
            );
        }
        Ok(())
    }
}
