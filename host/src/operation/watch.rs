//! Watches the files of components, for development: one that has changed, and then stays as it is, is deployed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use crate::component::registry::{Versions, short};
use crate::failure::Failure;
use crate::readmodel::control::command::{CANARY_SECONDS_DEFAULT, Request};
use crate::readmodel::control::recorded_change::ChangedBy;
use crate::servers::Servers;

/// Interval in which a file is checked. It is complete when two checks find the same size and time.
const INTERVAL: Duration = Duration::from_millis(700);

/// Who deploys it.
const WATCH: &str = "the watched file";

/// The file of one projection's component, or of its upcaster.
pub struct FileWatch {
    pub servers: Servers,
    pub projection: String,
    /// This host, as it takes leases.
    pub owner: String,
    pub file: PathBuf,
    pub versions: Arc<Versions>,
    pub stop: CancellationToken,
}

/// The size and time of a file, by which a change is noticed.
type Stamp = (u64, SystemTime);

impl FileWatch {
    /// Runs until a stop is asked for. A file that is not there, or is no component, changes nothing.
    pub async fn run(self) {
        let mut done = self.stamp();
        let mut seen = done;
        while self.stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
            let now = self.stamp();
            if now.is_none() || now == done || now != seen {
                seen = now;
                continue;
            }
            match self.deploy_config().await {
                Ok(()) => done = now,
                Err(failure) => {
                    tracing::warn!(
                        projection = self.projection,
                        "the component's file: {}; trying again",
                        failure.without_values()
                    );
                }
            }
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        let found = std::fs::metadata(&self.file).ok()?;
        Some((found.len(), found.modified().ok()?))
    }

    /// Loads, stores and asks for it. A fault of the file is logged once; it is tried again when it changes.
    async fn deploy_config(&self) -> Result<(), Failure> {
        let (projection, file) = (&self.projection, self.file.display());
        let Ok(bytes) = std::fs::read(&self.file) else { return Ok(()) };
        let half = match self.versions.load(bytes.into()).await {
            Ok(half) => half,
            Err(problems) => {
                tracing::error!(projection, "{file} is not deployed: {problems}");
                return Ok(());
            }
        };
        let mut session = self.servers.applier.connect().await?;
        let control = &self.servers.control;
        let in_force = control.of(&mut session, projection).deployment_in_force().await?;
        let now = self.versions.standing(&mut session, &self.servers, in_force.as_ref()).await?;
        let next = match now.beside(half, false) {
            Ok(next) => next,
            Err(why) => {
                tracing::error!(projection, "{file} is not deployed: {why}");
                return Ok(());
            }
        };
        let digest = next.digest();
        if in_force.is_some_and(|in_force| in_force.digest == digest) {
            return Ok(());
        }
        let by = ChangedBy { projection, who: WATCH, carried_out_by: &self.owner };
        next.store(&mut control.on(&mut session), Some(by)).await?;
        let request = Request::Deploy { digest: digest.to_owned(), canary_seconds: CANARY_SECONDS_DEFAULT };
        control.of(&mut session, projection).submit(&request, WATCH).await?;
        tracing::info!(projection, "{file} has changed: {} is to be deployed", short(digest));
        Ok(())
    }
}
