//! What is told of the two servers, as the monitor finds them from time to time.

use super::oplog::Alarm;
use super::{Server, Status};
use crate::failure::Failure;
use crate::position::ClusterTime;
use crate::readmodel::control::command::{CommandEnd, EndedCommands};
use crate::readmodel::lane::dead_letter::{LetterCounts, LetterStand};

impl Status {
    /// What a server answered to an observation, or that it did not.
    pub fn observes(&self, server: Server, silence: Option<Failure>) {
        self.change(|state| state.silence[server as usize] = silence);
    }

    /// What the source says, from time to time.
    pub fn observed_source(&self, source_time: ClusterTime, documents: u64) {
        self.change(|state| {
            state.source_time = Some(source_time);
            state.documents = documents;
        });
    }

    /// How many letters there are; of how many events the upcaster made nothing, where that was counted, too.
    pub fn observed_letters(&self, letters: LetterCounts, ignored: Option<u64>) {
        self.change(|state| (state.letters, state.ignored) = (letters, ignored.unwrap_or(state.ignored)));
    }

    /// How the letters stand, by the last look at MySQL.
    pub fn observed_letter_stand(&self, stand: LetterStand) {
        self.change(|state| state.letter_stand = Some(stand));
    }

    /// How the letters stand; none while another host writes.
    pub fn letter_stand(&self) -> Option<LetterStand> {
        self.change(|state| state.letter_stand.clone())
    }

    /// How many commands are not over.
    pub fn observed_commands(&self, pending: u64) {
        metrics::gauge!("laterna_operations_pending", "projection" => self.projection.clone())
            .set(u32::try_from(pending).unwrap_or(u32::MAX));
    }

    /// This host has ended commands: each is counted by whoever ended its row, and so once.
    pub fn counts_ended(ended: &EndedCommands) {
        for end in CommandEnd::ALL {
            let count = ended.count(end);
            if count > 0 {
                let labels =
                    [("projection", ended.projection().to_owned()), ("outcome", end.name().to_owned())];
                metrics::counter!("laterna_operations_total", &labels).increment(count);
            }
        }
    }

    /// Letters were erased.
    pub fn erased(&self, letters: u64) {
        metrics::counter!("laterna_letters_erased_total", "projection" => self.projection.clone())
            .increment(letters);
    }

    /// How far the oplog reaches back, from time to time.
    pub fn observed_oplog(&self, begin: Option<ClusterTime>) {
        let (raised, window) = self.change(|state| {
            state.oplog_begin = begin;
            let (before, window) = (state.oplog_alarm, state.window());
            state.oplog_alarm = state.alarm();
            ((state.oplog_alarm > before).then_some(state.oplog_alarm), window)
        });
        let (Some(alarm), Some(window)) = (raised, window) else { return };
        if alarm == Alarm::Loud {
            tracing::error!(projection = self.projection, "{}", window.warning());
        } else {
            tracing::warn!(projection = self.projection, "{}", window.warning());
        }
    }
}
