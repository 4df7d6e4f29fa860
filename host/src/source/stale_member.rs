//! Notices a change stream on a member that was cut off from its replica set: it answers without an error, and never shows the new
//! primary's writes.

use std::time::{Duration, Instant};

use super::{Feed, Outbox};
use crate::failure::Failure;
use crate::position::Position;

/// How long a stream may stand still before somebody else is asked: an idle primary writes every 10 s.
const STILL: Duration = Duration::from_secs(15);

/// How long the answer may take. Without a primary there is none, and nothing that could be read elsewhere.
const PATIENCE: Duration = Duration::from_secs(6);

/// Since when the stream has been where it is, or since somebody else was asked.
#[derive(Default)]
pub struct StaleMember {
    at: Option<(Position, Instant)>,
}

impl StaleMember {
    /// Fails when the stream has not moved for a while and the primary, whichever that is now, is further.
    pub async fn look(&mut self, outbox: &Outbox, feed: &Feed) -> Result<(), Failure> {
        match &mut self.at {
            Some((position, since)) if *position == feed.position => {
                if since.elapsed() < STILL {
                    return Ok(());
                }
                *since = Instant::now();
            }
            _ => {
                self.at = Some((feed.position.clone(), Instant::now()));
                return Ok(());
            }
        }
        let (Some(here), Ok(Ok(now))) =
            (feed.position.time(), tokio::time::timeout(PATIENCE, outbox.now()).await)
        else {
            return Ok(());
        };
        if now.seconds <= here.seconds {
            return Ok(());
        }
        Err(Failure::SourceUnusable {
            message: format!(
                "the change stream's server has been at {here} for {} s, and the primary is at {now}",
                STILL.as_secs()
            ),
        })
    }
}
