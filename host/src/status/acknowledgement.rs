//! What is told of the acknowledgement of the outbox.

use super::Status;
use crate::failure::Failure;

impl Status {
    /// The outbox was told so of some events.
    pub fn acknowledged(&self, kind: &'static str, events: u64) {
        metrics::counter!("laterna_acknowledged_total", "projection" => self.projection.clone(), "kind" => kind)
            .increment(events);
    }

    pub fn acknowledgements_waiting(&self, events: u64) {
        self.change(|state| state.acknowledgement.get_or_insert_default().waiting = events);
    }

    pub fn acknowledgement_fails(&self, failure: &Failure) {
        self.count_failure(failure);
        let told = failure.without_values();
        self.acknowledgement_waits_for(Some(format!("the outbox is not acknowledged: {told}")));
    }

    /// What keeps the outbox from being told. It is logged when it is new.
    pub fn acknowledgement_waits_for(&self, trouble: Option<String>) {
        let told = self.change(|state| {
            let acknowledgement = state.acknowledgement.get_or_insert_default();
            std::mem::replace(&mut acknowledgement.trouble, trouble.clone())
        });
        match trouble {
            Some(trouble) if told.is_none() => tracing::warn!(projection = self.projection, "{trouble}"),
            _ => {}
        }
    }
}
