//! Finds out what holds the events of a projection back: a row of a pause, dead letters in the stream's order, or no room for
//! another letter. The lanes stand ready for requests about letters meanwhile.
//!
//! It is looked at again with each snapshot of the control schema, and ends by itself.

use super::settings::{Hold, Settings};
use crate::component::version::Loaded;
use crate::failure::Failure;
use crate::readmodel::control::poller::ControlFeed;
use crate::readmodel::control::snapshot::ControlSnapshot;
use crate::readmodel::lane::dead_letter::Selection;
use crate::readmodel::lane::letter_limits::Volume;
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;
use crate::statement::Ordering;

/// What is asked about a projection.
#[derive(Clone)]
pub struct HoldCheck {
    pub servers: Servers,
    pub projection: String,
    pub generation: u32,
    pub holds_stream: bool,
    /// There was no room for a letter, and this is what it looked like.
    pub full: Option<Failure>,
}

/// Whether a parked event holds back the whole stream, or only its aggregate.
pub fn holds_stream(settings: &Settings, loaded: &Loaded) -> bool {
    match settings.letters.hold {
        Some(hold) => hold == Hold::Stream,
        None => loaded.deployed.manifest.ordering == Ordering::Stream,
    }
}

impl HoldCheck {
    /// What keeps the events back, if anything does.
    pub async fn ask(&self, session: &mut Session) -> Result<Option<Failure>, Failure> {
        let control = &self.servers.control;
        let mut db = control.of(session, &self.projection);
        if let Some(pause) = db.find_pause().await? {
            return Ok(Some(pause));
        }
        if self.holds_stream {
            let letters = db.count_letters(&Selection::default()).await?.all();
            if letters > 0 {
                return Ok(Some(Failure::StreamHeld { letters }));
            }
        }
        let Some(full) = &self.full else { return Ok(None) };
        let used = db.letters_used(self.generation).await?;
        Ok(is_full(full, used).then(|| full.clone()))
    }

    /// What keeps the events back, by a snapshot.
    fn judge(&self, snapshot: &ControlSnapshot) -> Option<Failure> {
        if let Some(pause) = &snapshot.pause {
            return Some(pause.clone());
        }
        let letters = snapshot.letters.all();
        if self.holds_stream && letters > 0 {
            return Some(Failure::StreamHeld { letters });
        }
        self.full.clone().filter(|full| is_full(full, snapshot.volume))
    }

    /// Waits until something else, or nothing, keeps the events back than what did.
    pub async fn until_it_changes(&self, feed: &mut ControlFeed, standing: Option<&Failure>) {
        loop {
            // An outage is the lanes' business.
            let Some(snapshot) = feed.next().await.snapshot else { continue };
            if !is_same_reason(self.judge(&snapshot).as_ref(), standing) {
                return;
            }
        }
    }
}

/// Returns true where both failures have one reason; how many letters there are may differ.
fn is_same_reason(found: Option<&Failure>, standing: Option<&Failure>) -> bool {
    match (found, standing) {
        (Some(Failure::StreamHeld { .. }), Some(Failure::StreamHeld { .. })) => true,
        _ => found == standing,
    }
}

/// Whether there is as little room as when there was none. Smaller letters may still find some: the next run tells.
fn is_full(full: &Failure, now: Volume) -> bool {
    let Failure::LettersFull { letters, bytes, .. } = full else { return false };
    let count = |value: i64| u64::try_from(value).unwrap_or_default();
    count(now.letters) >= *letters && count(now.bytes) >= *bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_when_a_letter_has_gone() {
        let full = Failure::LettersFull { letters: 5, bytes: 50, letters_max: 5, bytes_max: 1000 };
        assert!(is_full(&full, Volume { letters: 5, bytes: 50 }));
        assert!(!is_full(&full, Volume { letters: 4, bytes: 40 }));
    }
}
