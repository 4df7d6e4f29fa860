//! What a committed batch changes in what is told: counters, histograms, spans, and a line of the log for each parked event.

use super::{Status, measures};
use crate::event::{Aggregate, Id};
use crate::readmodel::lane::batch::{Batch, Verdict};

impl Status {
    pub fn committed(&self, lane: usize, batch: &Batch) {
        let events = batch.entries.len() as u64;
        self.change(|state| {
            let lane = &mut state.lanes[lane];
            lane.position.clone_from(&batch.position);
            lane.wall_ms =
                batch.entries.iter().rev().find_map(|entry| entry.delivery.wall_ms).or(lane.wall_ms);
            lane.events += events;
            lane.waiting = lane.waiting.saturating_sub(events);
            lane.trouble = None;
            state.rate.add(events);
            state.batches += 1;
            if let Some(canary) = &mut state.canary {
                canary.committed(&batch.digest, events);
            }
        });
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
                tracing::warn!(projection, class, event, aggregate, trace_id, "parked: {reason}");
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
