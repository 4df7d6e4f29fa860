//! What a run tells: the schedule before it, the account of everything after it.

use std::fmt;
use std::time::Duration;

use super::aside::Came;
use super::nemesis::Counts;
use super::waits::{self, Wait};
use crate::support::server::faketime;

pub struct Report {
    pub seed: u64,
    pub seconds: u64,
    pub counts: Counts,
    /// How often the proxies struck at a COMMIT or in an answer.
    pub struck: u64,
    pub acknowledged: usize,
    pub failed: usize,
    pub unknown: usize,
    pub documents: usize,
    /// How many of them were deleted on purpose.
    pub purged: usize,
    pub applied: usize,
    pub parked: usize,
    pub held: usize,
    pub discarded: usize,
    pub came: Came,
    /// What operators wished for.
    pub commands: i64,
    pub commits: usize,
    pub snapshots: u64,
    pub restarts: u32,
    pub take_overs: usize,
    pub longest_wait: Duration,
    /// How long each projection took when everything was healed.
    pub waits: Vec<Wait>,
    pub most_lines: usize,
    pub violations: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "== chaos: {} s with seed {}", self.seconds, self.seed)?;
        let all: u32 = self.counts.values().map(|[injected, ..]| injected).sum();
        writeln!(f, "faults injected: {all}, at {} commits or answers", self.struck)?;
        for (kind, [injected, missed, impossible]) in &self.counts {
            write!(f, "  {injected:>4}  {kind}")?;
            if *missed > 0 {
                write!(f, " (and {missed} that found nothing to strike)")?;
            }
            if *impossible > 0 {
                write!(f, " (and {impossible} that cannot be done on this machine)")?;
            }
            writeln!(f)?;
        }
        let came = &self.came;
        if faketime().is_none() {
            writeln!(f, "no clock jumped: libfaketime is not here")?;
        }
        writeln!(
            f,
            "events: {} acknowledged, {} failed, {} of unknown outcome; {} in the outbox, {} of them purged",
            self.acknowledged, self.failed, self.unknown, self.documents, self.purged
        )?;
        writeln!(
            f,
            "applied by the recorder: {}; letters of all projections: {} parked, {} held, {} discarded; {} commands",
            self.applied, self.parked, self.held, self.discarded, self.commands
        )?;
        writeln!(
            f,
            "generations: {} begun, {} became live, {} kept; {} deployments; {} comparisons, of which {} found something",
            came.begun, came.live, came.kept, came.deployed, came.compared, came.differ
        )?;
        writeln!(
            f,
            "hosts: {} restarts, {} take-overs, {} commits, {} snapshots, at most {} log lines in a second",
            self.restarts, self.take_overs, self.commits, self.snapshots, self.most_lines
        )?;
        writeln!(
            f,
            "the longest that an acknowledged event waited: {:.1} s",
            self.longest_wait.as_secs_f64()
        )?;
        self.waits(f)?;
        writeln!(f, "violations: {}", self.violations.len())?;
        for violation in &self.violations {
            writeln!(f, "  - {violation}")?;
        }
        Ok(())
    }
}

impl Report {
    /// How long events waited after everything was healed; what took longer than a lease and a little is explained.
    fn waits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Duration| format!("{:.1}", time.as_secs_f64());
        for Wait { projection, time, reasons, lacks } in &self.waits {
            let until = if lacks.is_some() { "and not yet" } else { "at the longest" };
            writeln!(
                f,
                "after everything was healed, events waited {} s for {projection}, {until}",
                seconds(*time)
            )?;
            for (from, to, reason) in reasons.iter().filter(|_| *time > waits::SHORT) {
                writeln!(f, "  {:>6} to {:>6} s  {reason}", seconds(*from), seconds(*to))?;
            }
        }
        Ok(())
    }
}
