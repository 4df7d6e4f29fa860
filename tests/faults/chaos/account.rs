//! The account of a run: after each of its parts all becomes quiet by itself, is tidied up, and is judged.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::checker::{self, Violations};
use super::generations;
use super::ground::Ground;
use super::load::{Load, Log, Writers};
use super::nemesis::{Counts, Injected};
use super::operator;
use super::truth::{self, Truth};
use super::waits::{self, Wait};

/// How long everything may take to be applied after the last fault. A full disk costs MySQL up to a minute by itself.
pub const PATIENCE: Duration = Duration::from_secs(150);

pub struct Account {
    pub log: Arc<Mutex<Log>>,
    pub violations: Violations,
    pub counts: Counts,
    /// Of each part, how long projections took to be quiet.
    pub waits: Vec<Wait>,
    /// What the outbox was when it was judged last.
    pub truth: Truth,
    /// How many documents were purged that nobody expects any rows of.
    pub purged: usize,
    /// The generations that became live because an operator took what a restored MongoDB has.
    pub accepted: BTreeSet<(String, u32)>,
}

impl Account {
    pub fn new(log: Arc<Mutex<Log>>) -> Self {
        Self {
            log,
            violations: Violations::default(),
            counts: Counts::default(),
            waits: vec![],
            truth: Truth::default(),
            purged: 0,
            accepted: BTreeSet::new(),
        }
    }

    /// Adds what became of the faults of one part.
    pub fn add(&mut self, counts: Counts) {
        for (kind, came_to) in counts {
            let all = self.counts.entry(kind).or_default();
            for (all, count) in all.iter_mut().zip(came_to) {
                *all += count;
            }
        }
    }

    pub fn count(&mut self, kind: &'static str, came_to: Injected) {
        self.counts.entry(kind).or_default()[came_to as usize] += 1;
    }

    /// Lets everything become quiet, when all is healed, and judges what is there.
    pub async fn settle(&mut self, ground: &Ground, load: Load) -> Writers {
        let resumed = generations::resume_all(ground, PATIENCE).await;
        let healed = Instant::now();
        let writers = load.stop().await;
        let documents = truth::documents(ground).await;
        let waits = waits::watch(ground, documents, healed, PATIENCE).await;
        let tidied = operator::tidy_up(ground, PATIENCE).await;
        // Another generation may be live by now.
        let after = waits::watch(ground, documents, Instant::now(), PATIENCE).await;
        let lacks = waits.iter().chain(&after).filter_map(|wait| wait.lacks.clone());
        for what in [resumed, tidied].into_iter().filter_map(Result::err).chain(lacks) {
            self.violations.add(format!("{PATIENCE:?} after the last fault: {what}"));
        }
        self.waits.extend(waits);
        let truth = Truth::read(ground).await;
        let log = self.log.lock().expect("nobody panics with it").clone();
        checker::source(&log, &truth, &mut self.violations);
        checker::read_models(ground, &log, &truth, &mut self.violations).await;
        checker::health(ground, &mut self.violations).await;
        self.truth = truth;
        writers
    }
}
