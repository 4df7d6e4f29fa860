//! Writing the answers, by so many lanes and with batches of so many events.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::event::Aggregate;
use crate::failure::{Failure, Fault};
use crate::position::Position;
use crate::readmodel::lane::apply::LaneModel;
use crate::readmodel::lane::batch::{Batch, Entry};
use crate::readmodel::lane::writers::{PATIENCE, Writers};
use crate::readmodel::mysql::query::counting;
use crate::readmodel::tables::scratch_lanes::ScratchLanes;
use crate::sql::coalesce;
use crate::statement::Deployed;

/// How a projection is configured to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    pub lanes: u32,
    pub batch_max: usize,
}

/// What was measured with a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeasuredSetting {
    pub setting: Setting,
    pub events: usize,
    pub took: Duration,
    /// How long a transaction takes.
    pub batch: Duration,
    /// How many of the projector's statements a transaction has.
    pub statements: f64,
    /// Events that the server refused, and those that would wait behind them.
    pub refused: usize,
}

impl MeasuredSetting {
    #[expect(clippy::cast_precision_loss, reason = "a number of events")]
    pub fn throughput(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64()
    }
}

pub struct Writing<'a> {
    pub entries: &'a [Entry],
    pub begin: &'a Position,
    pub window: usize,
    pub version: &'a Arc<Deployed>,
}

/// How often a batch is tried again that the server has ended, as it ends one of two that wait for each other.
const TRIES: usize = 20;

/// One lane's part.
#[derive(Default)]
struct LaneDone {
    batches: usize,
    busy: Duration,
    refused: usize,
}

impl Writing<'_> {
    /// Writes everything to empty tables.
    pub async fn run(
        &self,
        scratch: &mut ScratchLanes,
        setting: Setting,
    ) -> Result<MeasuredSetting, Failure> {
        let lanes = scratch.lanes(setting.lanes, self.window, self.begin).await?;
        let batches: Vec<Vec<Arc<Batch>>> =
            (0..setting.lanes).map(|lane| self.batches(lane, setting)).collect();
        let statements = batches
            .iter()
            .flatten()
            .map(|batch| coalesce::coalesce(&self.version.schema, batch.operations()).len());
        let (statements, count): (usize, usize) = (statements.sum(), batches.iter().map(Vec::len).sum());
        let writers = Writers::new(setting.lanes, setting.batch_max, PATIENCE);
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for (lane, batches) in lanes.into_iter().zip(batches) {
            tasks.spawn(commit(lane.taking_turns(&writers), batches));
        }
        let mut all = LaneDone::default();
        while let Some(done) = tasks.join_next().await {
            let gone =
                |error: tokio::task::JoinError| Failure::Bug { what: format!("a lane ended: {error}") };
            let done = done.map_err(gone)??;
            all.batches += done.batches;
            all.busy += done.busy;
            all.refused += done.refused;
        }
        Ok(MeasuredSetting {
            setting,
            events: self.entries.len(),
            took: began.elapsed(),
            batch: all.busy / u32::try_from(all.batches.max(1)).unwrap_or(u32::MAX),
            statements: per(statements, count),
            refused: all.refused,
        })
    }

    fn batches(&self, lane: u32, setting: Setting) -> Vec<Arc<Batch>> {
        let own = |entry: &&Entry| {
            entry.delivery.aggregate().is_none_or(|aggregate| aggregate.lane(setting.lanes) == lane)
        };
        let own: Vec<Entry> = self.entries.iter().filter(own).cloned().collect();
        let batch = |entries: &[Entry]| Batch {
            entries: entries.to_vec(),
            position: entries.last().map_or(self.begin, |last| &last.delivery.position).clone(),
            version: self.version.clone(),
        };
        own.chunks(setting.batch_max).map(batch).map(Arc::new).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn per(all: usize, count: usize) -> f64 {
    all as f64 / count.max(1) as f64
}

async fn commit(mut lane: LaneModel, batches: Vec<Arc<Batch>>) -> Result<LaneDone, Failure> {
    let (mut done, mut held) = (LaneDone::default(), BTreeSet::new());
    for mut batch in batches {
        done.refused += leave_out(Arc::make_mut(&mut batch), &held);
        let began = Instant::now();
        match tried(&mut lane, &batch).await {
            Err(failure) if failure.fault() == Fault::Event => {
                let refused = lane.probe(&batch, &|_, _| true).await?;
                let aggregate =
                    |(at, _): &(usize, Failure)| batch.entries.get(*at)?.delivery.aggregate().cloned();
                let found: Vec<Aggregate> = refused.iter().filter_map(aggregate).collect();
                // A refusal that does not come again is nobody's.
                if found.is_empty() {
                    return Err(failure);
                }
                held.extend(found);
                done.refused += leave_out(Arc::make_mut(&mut batch), &held);
                tried(&mut lane, &batch).await?;
            }
            committed => committed?,
        }
        done.batches += 1;
        done.busy += began.elapsed();
    }
    Ok(done)
}

/// Commits a batch, again where lanes were in each other's way.
async fn tried(lane: &mut LaneModel, batch: &Arc<Batch>) -> Result<(), Failure> {
    for _ in 1..TRIES {
        match counting(lane.commit(batch)).await.0 {
            Err(failure) if failure.fault() == Fault::Environment => {}
            committed => return committed,
        }
    }
    counting(lane.commit(batch)).await.0
}

/// Takes the events of these aggregates out of a batch.
fn leave_out(batch: &mut Batch, held: &BTreeSet<Aggregate>) -> usize {
    let before = batch.entries.len();
    batch
        .entries
        .retain(|entry| entry.delivery.aggregate().is_none_or(|aggregate| !held.contains(aggregate)));
    before - batch.entries.len()
}
