//! Notices a primary that the driver does not take, and never will.
//!
//! A driver takes no primary that was elected earlier than one that it has seen: nobody may follow it any more. A replica
//! set that was put back to a copy of its files counts its elections from there, so that a client which has seen it before
//! finds no primary until it has held as many again. A new client has seen none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mongodb::ServerType;
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;

/// How long a primary is not taken before a new client is made. One that its set does not follow any more gives up by itself
/// within 10 s, unless the set says otherwise.
const LASTING: Duration = Duration::from_secs(20);

/// How long ago it may have been heard.
const RECENTLY: Duration = Duration::from_secs(5);

/// A client's view of primaries.
#[derive(Debug, Clone, Default)]
pub struct RefusedPrimary(Arc<Mutex<SeenServers>>);

#[derive(Debug, Default)]
struct SeenServers {
    /// True where the client knows of a primary.
    is_taken: bool,
    /// When a server first and last reported that it is the primary while the client knows of none.
    claims: Option<[Instant; 2]>,
}

impl RefusedPrimary {
    /// The handler of the client's events about servers.
    pub fn watch(&self) -> EventHandler<SdamEvent> {
        let refusal = self.clone();
        EventHandler::callback(move |event| match event {
            SdamEvent::ServerHeartbeatSucceeded(beat)
                if beat.reply.get_bool("isWritablePrimary").unwrap_or_default() =>
            {
                refusal.claimed(Instant::now());
            }
            SdamEvent::TopologyDescriptionChanged(change) => {
                let servers = change.new_description.servers();
                refusal.knows(servers.values().any(|server| is_taken(server.server_type())));
            }
            _ => {}
        })
    }

    /// Returns true where a new client is needed.
    pub fn lasts(&self) -> bool {
        self.lasts_at(Instant::now())
    }

    fn lasts_at(&self, now: Instant) -> bool {
        self.seen().claims.is_some_and(|[first, last]| {
            last.duration_since(first) >= LASTING && now.duration_since(last) <= RECENTLY
        })
    }

    fn claimed(&self, now: Instant) {
        let mut seen = self.seen();
        if !seen.is_taken {
            let kept = seen.claims.filter(|[_, last]| now.duration_since(*last) <= RECENTLY);
            seen.claims = Some([kept.map_or(now, |[first, _]| first), now]);
        }
    }

    /// Records whether the client knows of a primary from now on, and logs changes only.
    fn knows(&self, is_taken: bool) {
        let mut seen = self.seen();
        seen.is_taken = is_taken;
        if is_taken {
            seen.claims = None;
        }
    }

    fn seen(&self) -> MutexGuard<'_, SeenServers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns true where the client knows a server as the primary, or as what stands for one.
fn is_taken(server: ServerType) -> bool {
    matches!(server, ServerType::RsPrimary | ServerType::Mongos | ServerType::Standalone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_primary_that_is_there_and_not_taken_for_long_asks_for_a_new_client() {
        let (refusal, began) = (RefusedPrimary::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(!refusal.lasts_at(at(0)));
        (0..=19).for_each(|second| refusal.claimed(at(second)));
        assert!(!refusal.lasts_at(at(19)));
        refusal.claimed(at(20));
        assert!(refusal.lasts_at(at(20)));
        assert!(!refusal.lasts_at(at(26)), "it does not report so any more");
        refusal.claimed(at(26));
        assert!(!refusal.lasts_at(at(26)), "it begins anew");
        (27..=50).for_each(|second| refusal.claimed(at(second)));
        refusal.knows(true);
        assert!(!refusal.lasts_at(at(50)));
        (51..=90).for_each(|second| refusal.claimed(at(second)));
        assert!(!refusal.lasts_at(at(90)), "it is the one that the client knows");
        refusal.knows(false);
        (91..=111).for_each(|second| refusal.claimed(at(second)));
        assert!(refusal.lasts_at(at(111)));
    }
}
