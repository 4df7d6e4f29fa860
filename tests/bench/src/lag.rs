//! How long events take from their write in MongoDB to their committed row, at a rate that is given: the events of some
//! aggregates that take turns, and rows that tell the last sequence of each.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bson::RawDocumentBuf;
use mongodb::Client;
use sqlx::{Executor, MySqlConnection, Row};
use tokio::task::JoinHandle;

use crate::database;
use crate::record::Lag;

/// How often events are written, and how often it is looked what has become of them.
const WRITE_INTERVAL: Duration = Duration::from_millis(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// How long the last rows may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Aggregates: when those events were written that have no row yet, and how many have one.
struct Written(Mutex<Vec<(VecDeque<Instant>, usize)>>);

/// An event's write, and how long it took to its row.
pub type Sample = (Instant, Duration);

/// The next document; nothing when there is no more.
pub type Documents = Box<dyn FnMut() -> Option<RawDocumentBuf> + Send>;

/// A writer, and one who looks.
pub struct Traffic {
    written: Arc<Written>,
    writes: Arc<AtomicBool>,
    looks: Arc<AtomicBool>,
    writing: JoinHandle<anyhow::Result<usize>>,
    looking: JoinHandle<anyhow::Result<(MySqlConnection, Vec<Sample>)>>,
}

/// What is written and looked at.
pub struct Plan {
    /// Events a second.
    pub rate: usize,
    pub aggregates: usize,
    /// How many events each aggregate has had before.
    pub before: usize,
    /// Gives an aggregate, which ends with its number, and its last sequence.
    pub sql: String,
}

impl Traffic {
    pub fn begin(client: &Client, connection: MySqlConnection, plan: Plan, documents: Documents) -> Self {
        let written = Arc::new(Written(Mutex::new(vec![(VecDeque::new(), plan.before); plan.aggregates])));
        let (writes, looks) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let writing = tokio::spawn(write(
            client.clone(),
            written.clone(),
            writes.clone(),
            plan.rate,
            plan.aggregates,
            documents,
        ));
        let looking = tokio::spawn(look(connection, written.clone(), looks.clone(), plan.sql));
        Self { written, writes, looks, writing, looking }
    }

    /// Waits until everything is written, or says that nothing more is to be, and then for the last rows.
    pub async fn end(self, now: bool) -> anyhow::Result<(usize, MySqlConnection, Vec<Sample>)> {
        if now {
            self.writes.store(false, Ordering::Relaxed);
        }
        let events = self.writing.await??;
        let began = Instant::now();
        while !self.written.is_done() && !self.looking.is_finished() {
            ensure!(began.elapsed() < PATIENCE, "waited too long for the last rows");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        self.looks.store(false, Ordering::Relaxed);
        let (connection, samples) = self.looking.await??;
        Ok((events, connection, samples))
    }
}

impl Written {
    fn change<T>(&self, change: impl FnOnce(&mut Vec<(VecDeque<Instant>, usize)>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_done(&self) -> bool {
        self.change(|all| all.iter().all(|(waiting, _)| waiting.is_empty()))
    }
}

/// Writes so many events a second until there are no more, or it is told to stop; gives how many.
async fn write(
    client: Client,
    written: Arc<Written>,
    goes_on: Arc<AtomicBool>,
    rate: usize,
    aggregates: usize,
    mut documents: Documents,
) -> anyhow::Result<usize> {
    let mut ticks = tokio::time::interval(WRITE_INTERVAL);
    let (began, mut sent) = (Instant::now(), 0);
    while goes_on.load(Ordering::Relaxed) {
        ticks.tick().await;
        let due = usize::try_from(began.elapsed().as_millis())? * rate / 1000;
        let some: Vec<RawDocumentBuf> = (sent..due).map_while(|_| documents()).collect();
        let (next, is_last) = (sent + some.len(), sent + some.len() < due);
        if !some.is_empty() {
            let now = Instant::now();
            written.change(|all| (sent..next).for_each(|n| all[n % aggregates].0.push_back(now)));
            crate::workload::insert(&client, &some).await?;
        }
        sent = next;
        if is_last {
            break;
        }
    }
    Ok(sent)
}

/// Looks what has been committed, until it is told to stop.
async fn look(
    mut connection: MySqlConnection,
    written: Arc<Written>,
    goes_on: Arc<AtomicBool>,
    sql: String,
) -> anyhow::Result<(MySqlConnection, Vec<Sample>)> {
    connection.execute(format!("USE {}", database()).as_str()).await?;
    let mut samples = Vec::new();
    while goes_on.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let rows = connection.fetch_all(sql.as_str()).await?;
        let now = Instant::now();
        for row in rows {
            let name: String = row.try_get_unchecked(0)?;
            let digits = name.rsplit(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default();
            let aggregate: usize = digits.parse().with_context(|| format!("{name:?} ends with no number"))?;
            let sequence = usize::try_from(row.try_get::<i64, _>(1)?)?;
            written.change(|all| {
                let (waiting, seen) = &mut all[aggregate];
                let new = sequence.saturating_sub(*seen).min(waiting.len());
                samples.extend(waiting.drain(..new).map(|at| (at, now - at)));
                *seen += new;
            });
        }
    }
    Ok((connection, samples))
}

/// The shares of those samples that are wanted.
pub fn lag(samples: &[Sample], is_wanted: impl Fn(Instant) -> bool) -> Lag {
    let mut took: Vec<Duration> =
        samples.iter().filter(|(at, _)| is_wanted(*at)).map(|(_, took)| *took).collect();
    took.sort_unstable();
    let [p50, p99, p999, highest] = [0.5, 0.99, 0.999, 1.0].map(|share| quantile(&took, share));
    Lag { p50, p99, p999, highest }
}

/// In milliseconds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "few values"
)]
fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let place = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(place).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_wanted_samples() {
        let began = Instant::now();
        let samples: Vec<Sample> = (1..=1000).map(|ms| (began, Duration::from_millis(ms))).collect();
        let expect = Lag { p50: 500.0, p99: 990.0, p999: 999.0, highest: 1000.0 };
        assert_eq!(lag(&samples, |_| true), expect);
        assert!(lag(&samples, |_| false).p99.abs() < 1e-9);
    }
}
