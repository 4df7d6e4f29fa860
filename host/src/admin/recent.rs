//! How each projection stood during the last hour, in memory: what a chart begins with. It asks nobody but the snapshots.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::AdminContext;
use crate::status::snapshot::Snapshot;

/// How often a sample is taken.
const INTERVAL: Duration = Duration::from_secs(5);

/// How many are kept: those of an hour.
const SAMPLES_MAX: usize = 720;

/// The last hour of all projections.
#[derive(Debug, Clone, Default)]
pub struct RecentPast(Arc<Mutex<BTreeMap<String, RecentSamples>>>);

/// The samples of one projection, the oldest first.
#[derive(Debug, Default)]
struct RecentSamples {
    last_at: u64,
    samples: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    events_per_second: f64,
    lag_seconds: u32,
    lag_events: u64,
    letters: u64,
    latency: Option<(f64, f64)>,
}

/// How a projection stood: one number a sample, the oldest first.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub struct RecentFigures {
    /// When the last sample was taken, in seconds since 1970.
    pub last_at: u64,
    /// How many seconds lie between two samples.
    pub interval_seconds: u64,
    /// Events committed per second.
    pub events_per_second: Vec<f64>,
    /// How far the read model was behind the outbox.
    pub lag_seconds: Vec<u32>,
    /// About how many events were not applied yet.
    pub lag_events: Vec<u64>,
    /// Dead letters that failed, and those that wait behind them.
    pub letters: Vec<u64>,
    /// From an event's write to its commit, in milliseconds, in the minute before: what half of the events took no more than,
    /// and 99 of 100. None where nothing was measured.
    pub latency_p50_ms: Vec<Option<f64>>,
    pub latency_p99_ms: Vec<Option<f64>>,
}

impl RecentPast {
    /// Takes samples until a stop is asked for.
    pub async fn run(&self, shown: &AdminContext, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.add(since.as_secs(), &shown.snapshots());
        }
    }

    fn add(&self, at: u64, snapshots: &[Snapshot]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|projection, _| snapshots.iter().any(|snapshot| snapshot.projection == *projection));
        for snapshot in snapshots {
            let RecentSamples { last_at, samples } = all.entry(snapshot.projection.clone()).or_default();
            *last_at = at;
            samples.push_back(Sample {
                events_per_second: (snapshot.events_per_second * 10.0).round() / 10.0,
                lag_seconds: snapshot.lag_seconds,
                lag_events: snapshot.lag_events,
                letters: snapshot.parked + snapshot.held,
                latency: snapshot.last_minute.latency_ms.map(|of| (of.p50, of.p99)),
            });
            if samples.len() > SAMPLES_MAX {
                samples.pop_front();
            }
        }
    }

    /// What is known of a projection.
    pub fn of(&self, projection: &str) -> RecentFigures {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut figures = RecentFigures { interval_seconds: INTERVAL.as_secs(), ..RecentFigures::default() };
        if let Some(RecentSamples { last_at, samples }) = all.get(projection) {
            figures.last_at = *last_at;
            for sample in samples {
                figures.events_per_second.push(sample.events_per_second);
                figures.lag_seconds.push(sample.lag_seconds);
                figures.lag_events.push(sample.lag_events);
                figures.letters.push(sample.letters);
                let (p50, p99) = sample.latency.unzip();
                figures.latency_p50_ms.push(p50);
                figures.latency_p99_ms.push(p99);
            }
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn the_last_hour_is_kept_and_no_more() {
        let (past, snapshot) = (RecentPast::default(), Status::new("accounts").snapshot());
        for at in 0..SAMPLES_MAX as u64 + 3 {
            past.add(at * 5, std::slice::from_ref(&Snapshot { lag_events: at, ..snapshot.clone() }));
        }
        let figures = past.of("accounts");
        assert_eq!((figures.last_at, figures.interval_seconds), (722 * 5, 5));
        assert_eq!((figures.lag_events.len(), figures.lag_events[0], figures.lag_events[719]), (720, 3, 722));
        assert!(past.of("nobody").lag_seconds.is_empty());
    }
}
