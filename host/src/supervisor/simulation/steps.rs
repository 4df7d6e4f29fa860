//! The steps of a schedule: one seeded source of chance for all parts, the places where a host can crash, and the
//! record of what happened.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

/// More steps than any schedule needs: a loop that spins without waiting is found by it.
const STEPS_MAX: u64 = 500_000;

/// Shared by all parts of a schedule.
#[derive(Clone)]
pub struct Steps(Arc<Mutex<StepsState>>);

struct StepsState {
    chance: StdRng,
    taken: u64,
    /// The steps at which whoever takes them crashes.
    crashes: VecDeque<u64>,
    /// How many failures may still be made up: in the end everything works.
    failures: u32,
    began: Instant,
    /// What happened, where somebody wants to read it.
    record: Option<Vec<String>>,
    violation: Option<String>,
}

/// Whether a host, as started once, is still there.
#[derive(Clone, Default)]
pub struct Life(Arc<AtomicBool>);

impl Life {
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Steps {
    pub fn new(seed: u64, mut crashes: Vec<u64>, failures: u32, recorded: bool) -> Self {
        crashes.sort_unstable();
        Self(Arc::new(Mutex::new(StepsState {
            chance: StdRng::seed_from_u64(seed),
            taken: 0,
            crashes: crashes.into(),
            failures,
            began: Instant::now(),
            record: recorded.then(Vec::new),
            violation: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, StepsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step of a part: some time passes, and this may be where its host crashes. What comes behind a step that
    /// crashed is never reached.
    pub async fn step(&self, life: &Life, slowness: u64, what: impl FnOnce() -> String) {
        let wait = {
            let mut state = self.state();
            state.taken += 1;
            if state.taken > STEPS_MAX {
                state.violation.get_or_insert_with(|| format!("more than {STEPS_MAX} steps"));
            }
            if !life.is_over() && state.crashes.front().is_some_and(|crash| *crash <= state.taken) {
                state.crashes.pop_front();
                life.end();
                state.note(|| "crash".to_owned());
            }
            let number = state.taken;
            state.note(|| format!("{number} {}", what()));
            match state.chance.random_range(0..20) {
                0..8 => 0,
                8..19 => state.chance.random_range(1..=5) * slowness,
                _ => state.chance.random_range(1..=300) * slowness,
            }
        };
        if wait == 0 {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        if life.is_over() || self.violation().is_some() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether a failure happens here that is made up for one in `rarity` times.
    pub fn fails(&self, rarity: u32) -> bool {
        let mut state = self.state();
        let fails = rarity > 0 && state.failures > 0 && state.chance.random_ratio(1, rarity);
        state.failures -= u32::from(fails);
        fails
    }

    /// Nothing fails or crashes any more.
    pub fn calm(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.crashes.clear();
    }

    pub fn pick(&self, range: RangeInclusive<u64>) -> u64 {
        self.state().chance.random_range(range)
    }

    pub fn note(&self, what: impl FnOnce() -> String) {
        self.state().note(what);
    }

    pub fn violated(&self, what: impl FnOnce() -> String) {
        let mut state = self.state();
        if state.violation.is_none() {
            let what = what();
            state.note(|| format!("VIOLATION: {what}"));
            state.violation = Some(what);
        }
    }

    pub fn violation(&self) -> Option<String> {
        self.state().violation.clone()
    }

    pub fn taken(&self) -> u64 {
        self.state().taken
    }

    pub fn record(&self) -> Vec<String> {
        self.state().record.clone().unwrap_or_default()
    }
}

impl StepsState {
    fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(record) = &mut self.record {
            record.push(format!("{:>9.3} {}", self.began.elapsed().as_secs_f64(), what()));
        }
    }
}
