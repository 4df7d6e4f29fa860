//! Decides what follows a failure of the source, also when the oplog no longer reaches back: open it anew, rebuild, or pause. One pure
//! function.
//!
//! The change stream is never opened at "now" to get past something: events would be missing, and nobody would know.

use serde::Deserialize;

use crate::failure::{Failure, Fault, Lost};

/// The operator's choice where the place in the change stream is lost and the outbox is the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLost {
    /// Wait for an operator: queries go on seeing what was applied until then.
    #[default]
    Pause,
    /// Make the projection's tables anew from the outbox's history, beside those that there are, and put them in their place.
    Rebuild,
}

/// The next step after a failure of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResumePlan {
    /// The stream is opened again behind what was handed out last, after a wait.
    Reopen,
    /// The next event is read without its document, and the document by itself.
    Rescue,
    /// The tables are made anew from history.
    Rebuild,
    /// The projection waits for an operator; the reason has what happened and what to choose from.
    Pause { reason: String },
}

/// The next step after a failure of the source.
pub fn plan(failure: &Failure, wish: OnLost) -> ResumePlan {
    match failure {
        Failure::Oversized { .. } => ResumePlan::Rescue,
        Failure::ResumeLost { cause, .. } => lost(failure, *cause, wish),
        _ if failure.fault() == Fault::Environment => ResumePlan::Reopen,
        _ => ResumePlan::Pause { reason: failure.to_string() },
    }
}

fn lost(failure: &Failure, cause: Lost, wish: OnLost) -> ResumePlan {
    let heals_by_rebuild = match cause {
        // A collection that was renamed may come back under its name; what it took meanwhile is in no stream.
        Lost::History | Lost::UnknownToken | Lost::BadToken | Lost::Renamed => true,
        Lost::Ended | Lost::NoCollection | Lost::OtherOutbox | Lost::FromTheFuture | Lost::PutBack => false,
    };
    if heals_by_rebuild && wish == OnLost::Rebuild {
        return ResumePlan::Rebuild;
    }
    ResumePlan::Pause { reason: format!("{failure}. {}", choices(cause)) }
}

/// The choices of an operator, in words.
fn choices(cause: Lost) -> &'static str {
    match cause {
        Lost::History => {
            "Nothing is skipped; choose: enlarge the oplog first (storage.oplogMinRetentionHours), or this happens \
             again; then set `resume_lost = \"rebuild\"` for the projection and run `laterna reload` (its tables are made \
             anew from the outbox, beside these), or give it and its tables new names and build them beside the old ones"
        }
        Lost::UnknownToken | Lost::BadToken => {
            "Nothing is skipped; choose: restore the control schema together with the read model if the checkpoint was \
             damaged; or set `resume_lost = \"rebuild\"` for the projection and run `laterna reload` (its tables are made \
             anew from the outbox, beside these); or give it and its tables new names and build them beside the old ones"
        }
        Lost::Renamed => {
            "Choose: rename the collection back, and with `resume_lost = \"rebuild\"` the tables are made anew from \
             it; or name the new collection in `mongodb.outbox` and give the projection and its tables new names"
        }
        Lost::Ended | Lost::NoCollection => {
            "Nothing of a new collection is applied on top of the old one's events; choose: restore the collection \
             together with its oplog; or, if it was restored under its UUID, ask for `laterna rebuild`; or keep the tables as they are and remove the projection; or, when a new outbox \
             begins, give the projection and its tables new names, and they are built from it"
        }
        Lost::OtherOutbox => {
            "Choose: point `mongodb` at the outbox it was made from; or give the projection and its tables new names, \
             and they are built from this one"
        }
        Lost::PutBack => {
            "Rows of events that it does not have any more stay until you choose: point `mongodb` at the source as it was; or \
             restore the read model and the control schema from before the source's copy; or ask for `laterna rebuild`: tables \
             are built from what the outbox holds now, and wait for `laterna generations accept`, since those rows go"
        }
        Lost::FromTheFuture => {
            "Choose: point `mongodb` at the source as it was; or restore the read model and the control schema from \
             before the source's backup; or give the projection and its tables new names, and they are built from \
             what the outbox holds now"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Lost; 9] = [
        Lost::History,
        Lost::UnknownToken,
        Lost::BadToken,
        Lost::Renamed,
        Lost::Ended,
        Lost::NoCollection,
        Lost::OtherOutbox,
        Lost::FromTheFuture,
        Lost::PutBack,
    ];

    fn failure(cause: Lost) -> Failure {
        Failure::ResumeLost { cause, reason: "it is gone".into() }
    }

    #[test]
    fn without_the_operators_word_every_loss_pauses_with_choices() {
        for cause in ALL {
            let ResumePlan::Pause { reason } = plan(&failure(cause), OnLost::Pause) else {
                panic!("{cause:?} does not pause");
            };
            assert!(reason.contains("it is gone"), "{reason}");
            assert!(reason.to_lowercase().contains("choose:"), "{reason}");
        }
    }

    #[test]
    fn only_a_lost_place_in_the_same_outbox_is_rebuilt() {
        let rebuilt = |cause: &Lost| plan(&failure(*cause), OnLost::Rebuild) == ResumePlan::Rebuild;
        let rebuilt: Vec<Lost> = ALL.into_iter().filter(rebuilt).collect();
        assert_eq!(rebuilt, [Lost::History, Lost::UnknownToken, Lost::BadToken, Lost::Renamed]);
    }

    #[test]
    fn outages_reopen_and_an_event_too_large_is_rescued() {
        let outage = Failure::SourceUnavailable { message: String::new() };
        assert_eq!(plan(&outage, OnLost::Rebuild), ResumePlan::Reopen);
        let oversized = Failure::Oversized { message: String::new() };
        assert_eq!(plan(&oversized, OnLost::Pause), ResumePlan::Rescue);
    }

    #[test]
    fn what_is_no_loss_pauses_with_its_own_words() {
        let denied = Failure::AccessDenied { code: 13, message: "not authorized".into() };
        let paused = ResumePlan::Pause { reason: denied.to_string() };
        assert_eq!(plan(&denied, OnLost::Rebuild), paused);
    }
}
