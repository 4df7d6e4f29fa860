//! Reports in the control schema whether the lanes work with what is deployed, and if not, why: whoever deployed it waits for that,
//! and may be anywhere.

use super::commands::{Commands, INTERVAL, LOOK};
use crate::failure::Failure;
use crate::readmodel::control::take_up::{TakeUp, TakenUp};
use crate::readmodel::mysql::session::within;
use crate::retry::Backoff;
use crate::status::snapshot::DeploymentSnapshot;
use crate::status::{OperationSpan, TakeUpProgress};

impl Commands {
    /// Reports, for ever.
    pub(super) async fn report_take_up(&self) {
        let mut feed = self.feed.clone();
        let mut backoff = Backoff::new();
        let mut wait = INTERVAL;
        // The deployment that was recorded as taken up: a snapshot may be older than that.
        let mut whole = None;
        loop {
            self.rest(wait).await;
            wait = INTERVAL;
            let Some(snapshot) = feed.poll().snapshot else { continue };
            let Some(deployment) = &snapshot.deployment else {
                self.status.shows_deployment(None);
                continue;
            };
            whole = whole.filter(|id| *id == deployment.id);
            if whole.is_some() || !self.is_news(deployment) {
                let taken_up = deployment.is_whole || whole.is_some();
                let waits = deployment.waits.clone().filter(|_| !taken_up);
                let digest = deployment.digest.clone();
                self.status.shows_deployment(Some(DeploymentSnapshot {
                    digest,
                    taken_up,
                    waits,
                    canary: None,
                }));
                continue;
            }
            let recording = within(LOOK, "recording how far the deployment is", self.record_take_up());
            let recorded = recording.await.map(|recorded| whole = recorded);
            wait = self.wait_after(recorded, &mut backoff);
        }
    }

    /// Whether this host knows more about a deployment than its row says.
    fn is_news(&self, deployment: &TakeUp) -> bool {
        !deployment.is_whole
            && match self.status.take_up(&deployment.digest) {
                TakeUpProgress::Whole { .. } => true,
                TakeUpProgress::Waits(why) => deployment.waits.as_ref() != Some(&why),
                TakeUpProgress::NotHere => false,
            }
    }

    /// Records how far the lanes are with the deployment in force, and gives its id when all of them have taken it up.
    async fn record_take_up(&self) -> Result<Option<u64>, Failure> {
        let Self { servers, settings, status, .. } = self;
        let projection = &settings.name;
        let control = &servers.control;
        let mut session = servers.applier.connect().await?;
        let mut db = control.of(&mut session, projection);
        let Some(found) = db.take_up_in_force().await? else {
            status.shows_deployment(None);
            return Ok(None);
        };
        let (mut is_whole, mut waits) = (found.is_whole, found.waits);
        if !is_whole {
            match status.take_up(&found.digest) {
                TakeUpProgress::Whole { epoch } => {
                    let taken_up = db.under(epoch).record_taken_up(found.id).await?;
                    // Any host may have carried the command out; the lanes are this one's.
                    if let Some(TakenUp { command: id, took }) = taken_up {
                        let span = OperationSpan { id, took, error: None };
                        status.traces().operation(projection, "take-up", span);
                    }
                    tracing::info!(
                        projection,
                        digest = found.digest,
                        "every lane works with what is deployed"
                    );
                    (is_whole, waits) = (true, None);
                }
                TakeUpProgress::Waits(why) if waits.as_ref() != Some(&why) => {
                    db.record_deployment_waits(found.id, &why).await?;
                    waits = Some(why);
                }
                TakeUpProgress::Waits(_) | TakeUpProgress::NotHere => {}
            }
        }
        status.shows_deployment(Some(DeploymentSnapshot {
            digest: found.digest,
            taken_up: is_whole,
            waits,
            canary: None,
        }));
        Ok(is_whole.then_some(found.id))
    }
}
