//! The projector's answers to the recorded events, by a worker as a lane has one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::{Delivery, Event};
use crate::operation::shown_sql::filled;
use crate::projector::{Chain, Outcome, Worker};
use crate::readmodel::lane::batch::{Entry, Passed, Verdict};
use crate::readmodel::tables::trial::TrialStatement;
use crate::statement::{Deployed, FittedOperation, Schema};

/// Events in one order, as many as a lane has on a busy day.
const AT_ONCE: usize = 256;

pub struct Answers {
    pub entries: Vec<Entry>,
    /// Events that failed, and those of their aggregates behind them.
    pub left_out: usize,
    pub took: Duration,
}

impl Answers {
    pub async fn of(deliveries: &[Delivery], chain: Chain, deployed: &Deployed) -> anyhow::Result<Self> {
        let worker = Worker::start(chain, "bench")?;
        let (mut entries, mut held, mut took) = (Vec::new(), BTreeSet::new(), Duration::ZERO);
        for some in deliveries.chunks(AT_ONCE) {
            let taken = |delivery: &&Delivery| {
                delivery.event.as_ref().is_ok_and(|event| deployed.takes(&event.event_type))
            };
            let events: Vec<Arc<Event>> =
                some.iter().filter(taken).filter_map(|delivery| delivery.event.clone().ok()).collect();
            let began = Instant::now();
            let mut answers = worker.project(events).await?.into_iter();
            took += began.elapsed();
            for delivery in some {
                let verdict = match &delivery.event {
                    Ok(event) if !deployed.takes(&event.event_type) => Some(Verdict::Pass(Passed::Unhandled)),
                    Ok(_) => match answers.next().map(|outcome| outcome.judged(&deployed.schema)) {
                        Some(Outcome::Unhandled) => Some(Verdict::Pass(Passed::Unhandled)),
                        Some(Outcome::Ignored) => Some(Verdict::Pass(Passed::Ignored)),
                        Some(Outcome::Apply(operations)) => Some(Verdict::Apply(operations)),
                        Some(Outcome::Failed(_)) | None => None,
                    },
                    Err(_) => None,
                };
                let is_held = delivery.aggregate().is_some_and(|aggregate| held.contains(aggregate));
                match verdict {
                    Some(verdict) if !is_held => {
                        entries.push(Entry { delivery: delivery.clone(), verdict, mark: None });
                    }
                    Some(_) => {}
                    None => held.extend(delivery.aggregate().cloned()),
                }
            }
        }
        let left_out = deliveries.len() - entries.len();
        Ok(Self { entries, left_out, took })
    }

    /// A sample of each statement that looks for rows, with its values.
    pub fn samples(&self, schema: &Schema) -> Vec<TrialStatement> {
        let mut samples: BTreeMap<u32, &FittedOperation> = BTreeMap::new();
        for operation in self.entries.iter().flat_map(Entry::operations) {
            samples.insert(operation.statement, operation);
        }
        let looks = |sql: &str| ["UPDATE", "DELETE"].iter().any(|verb| sql.starts_with(verb));
        let sample = |operation: &FittedOperation| {
            let declared = schema.statements.get(usize::try_from(operation.statement).ok()?)?;
            let sql = filled(declared, &operation.parameters);
            looks(&sql).then(|| TrialStatement { name: declared.name.clone(), sql })
        };
        samples.into_values().filter_map(sample).collect()
    }
}
