//! What a committed batch changes in what is told: counters, histograms, spans, and a line of the log for each parked event.

use super::snapshot::Phase;
use super::{Status, measures};
use crate::event::{Aggregate, Id};
use crate::readmodel::lane::batch::{Batch, Verdict};

impl Status {
    pub fn committed(&self, lane: usize, batch: &Batch) {
        let events = batch.entries.len() as u64;
        let (retries, phase) = self.change(|state| {
            let (number, lane) = (lane, &mut state.lanes[lane]);
            lane.position.clone_from(&batch.position);
            lane.wall_ms =
                batch.entries.iter().rev().find_map(|entry| entry.delivery.wall_ms).or(lane.wall_ms);
            lane.events += events;
            lane.waiting = lane.waiting.saturating_sub(events);
            lane.trouble = None;
            let lines = lane.retries.passed().into_iter();
            let retries = lines.map(|line| (number, line)).collect();
            state.rate.add(events);
            state.batches += 1;
            if let Some(canary) = &mut state.canary {
                canary.committed(&batch.version.digest, events);
            }
            // The reader may have been in the stream for long.
            let is_over = state.phase == Phase::History && state.course() == Phase::Streaming;
            (retries, is_over.then_some(Phase::Streaming))
        });
        if let Some(phase) = phase {
            self.enter(phase);
        }
        self.log_retries(retries);
        self.count(batch);
        measures::committed(self, batch);
        let took = self.traces_batch(lane, batch);
        self.count_types(batch, took);
        let projection = &self.projection;
        for entry in &batch.entries {
            if let Verdict::Park { failure, .. } = &entry.verdict {
                let (event, aggregate) = (entry.delivery.id(), entry.delivery.aggregate());
                let (event, aggregate) = (event.map(Id::spelled), aggregate.map(Aggregate::spelled));
                let (class, reason) = (failure.class(), failure.without_values());
                let parent = entry.delivery.event.as_ref().ok().and_then(|event| event.trace_parent());
                let trace_id = parent.map(|parent| hex::encode(parent.trace_id));
                let remedy = failure.remedy();
                tracing::warn!(projection, class, remedy, event, aggregate, trace_id, "parked: {reason}");
                let labels = [("projection", projection.clone()), ("class", class.to_owned())];
                metrics::counter!("laterna_parked_events_total", &labels).increment(1);
            }
        }
    }

    fn count(&self, batch: &Batch) {
        let mut counts = [0; Verdict::NAMES.len()];
        for entry in &batch.entries {
            counts[entry.verdict.word()] += 1;
        }
        let projection = self.projection.clone();
        let counted = Verdict::NAMES.into_iter().zip(counts).filter(|(_, events)| *events > 0);
        for (verdict, events) in counted {
            metrics::counter!("laterna_events_total", "projection" => projection.clone(), "verdict" => verdict)
                .increment(events);
        }
        metrics::counter!("laterna_batches_total", "projection" => projection).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{Position, Token};
    use crate::readmodel::lane::checkpoint::LaneRow;
    use crate::source::Feed;
    use crate::statement::Deployed;
    use crate::status::tests::row;

    #[test]
    fn it_is_history_until_the_last_lane_has_applied_it() {
        let start = Token { data: "82".into(), type_bits: None };
        let history = Position::Scan { start: start.clone(), key: None, beside: 0 };
        let stream = Position::Stream { token: start };
        let status = Status::new("accounts");
        let rows = [0, 1].map(|lane| LaneRow { position: history.clone(), ..row(lane, 1000) });
        status.starts("accounts 1", "", 1, &rows);
        let phase = || status.snapshot().phase;
        status.source_answers(&Feed { deliveries: vec![], position: history });
        assert_eq!(phase(), Phase::History);
        status.source_answers(&Feed { deliveries: vec![], position: stream.clone() });
        assert_eq!(phase(), Phase::History, "the lanes have it before them");
        let applied = |lane| {
            let batch = Batch { version: Deployed::empty("d"), entries: vec![], position: stream.clone() };
            status.committed(lane, &batch);
        };
        applied(0);
        assert_eq!(phase(), Phase::History);
        applied(1);
        assert_eq!(phase(), Phase::Streaming);
    }
}
