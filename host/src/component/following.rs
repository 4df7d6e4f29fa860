//! Follows what is deployed while the host writes: gives it to the lanes, and records what they took back.

use std::time::Duration;

use super::registry::Versions;
use crate::failure::Failure;
use crate::readmodel::control::poller::ControlFeed;
use crate::readmodel::control::snapshot::ControlSnapshot;
use crate::servers::Servers;
use crate::status::Status;

/// How long to wait after a deployment could not be followed.
const TRY_INTERVAL: Duration = Duration::from_secs(2);

impl Versions {
    /// Follows what is deployed while this host writes, and records what its lanes took back. Ends when the next component
    /// needs other lanes: then the run has to end.
    pub async fn follow(
        &self,
        servers: &Servers,
        status: &Status,
        epoch: u64,
        mut feed: ControlFeed,
    ) -> Result<(), Failure> {
        let ordering = self.desired.get().current.deployed.manifest.ordering;
        let mut taken_back = self.desired.taken_back();
        let mut is_due = false;
        loop {
            let snapshot = feed.poll().snapshot;
            is_due |= snapshot.is_some_and(|snapshot| !self.is_followed(&snapshot, status));
            let looked = if is_due { self.look(servers, status, epoch).await } else { Ok(()) };
            match looked {
                Ok(()) => status.cannot_follow(None),
                Err(failure @ Failure::Fenced { .. }) => return Err(failure),
                // An outage is the lanes' business; a component that cannot be had leaves the old one running.
                Err(failure) => {
                    let reason = failure.without_values();
                    tracing::warn!(projection = self.projection(), "following the deployment: {reason}");
                    status.cannot_follow(Some(failure));
                    tokio::time::sleep(TRY_INTERVAL).await;
                }
            }
            let desired = self.desired.get();
            if desired.current.deployed.manifest.ordering != ordering {
                return Ok(());
            }
            let (digest, canary) = (desired.current.digest(), desired.canary.as_ref());
            let window = canary.map(|canary| (canary.previous.digest(), canary.until.into_std()));
            status.shows_canary(digest, window);
            is_due = tokio::select! {
                _ = feed.next() => false,
                Ok(()) = taken_back.changed() => true,
            };
        }
    }

    /// Whether the lanes are given what a snapshot says is deployed.
    fn is_followed(&self, snapshot: &ControlSnapshot, status: &Status) -> bool {
        let Some(deployment) = &snapshot.deployment else { return true };
        let desired = self.desired.get();
        let current = desired.current.digest();
        (current, desired.canary.is_some()) == (deployment.digest.as_str(), snapshot.is_canary)
            && status.digest() == current
    }

    async fn look(&self, servers: &Servers, status: &Status, epoch: u64) -> Result<(), Failure> {
        let (control, name) = (&servers.control, self.projection());
        let mut session = servers.applier.connect().await?;
        self.record_taken_back(&mut control.of(&mut session, name).under(epoch)).await?;
        if let Some(in_force) = control.of(&mut session, name).deployment_in_force().await? {
            self.give(&mut session, servers, &in_force).await?;
        }
        let current = self.desired.get().current;
        if status.digest() != current.digest() {
            status.changes(&current.title(), current.digest());
            status.shows(&current.component);
            // Events that it holds back go on: this component may do better.
            control.of(&mut session, name).under(epoch).close_breaker_of_others(current.digest()).await?;
        }
        Ok(())
    }
}
