//! Says in the control schema whether the lanes work with what is deployed, and if not, why: whoever deployed it waits for that,
//! and may be anywhere.

use super::commands::Commands;
use crate::failure::Failure;
use crate::readmodel::control::take_up;
use crate::readmodel::mysql::session::Session;
use crate::status::TakeUpProgress;
use crate::status::snapshot::DeploymentSnapshot;

/// One look.
pub(super) async fn tell(commands: &Commands, session: &mut Session) -> Result<(), Failure> {
    let Commands { servers, projection, status, .. } = commands;
    let control = &servers.control;
    let Some(found) = take_up::in_force(session, control, projection).await? else {
        status.shows_deployment(None);
        return Ok(());
    };
    let (mut is_whole, mut waits) = (found.is_whole, found.waits);
    if !is_whole {
        match status.take_up(&found.digest) {
            TakeUpProgress::Whole { epoch } => {
                take_up::record_whole(session, control, (projection, epoch), found.id).await?;
                tracing::info!(projection, digest = found.digest, "every lane works with what is deployed");
                (is_whole, waits) = (true, None);
            }
            TakeUpProgress::Waits(why) if waits.as_ref() != Some(&why) => {
                take_up::record_wait(session, control, found.id, &why).await?;
                waits = Some(why);
            }
            TakeUpProgress::Waits(_) | TakeUpProgress::NotHere => {}
        }
    }
    status.shows_deployment(Some(DeploymentSnapshot { digest: found.digest, taken_up: is_whole, waits }));
    Ok(())
}
