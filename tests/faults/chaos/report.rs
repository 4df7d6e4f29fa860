//! What a run tells: the schedule before it, the account of everything after it.

use std::fmt;
use std::time::Duration;

use super::nemesis::Counts;
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
    pub applied: usize,
    pub parked: usize,
    pub held: usize,
    pub discarded: usize,
    /// What operators wished for about letters.
    pub commands: i64,
    pub commits: usize,
    pub snapshots: u64,
    pub restarts: u32,
    pub take_overs: usize,
    pub longest_wait: Duration,
    pub recovery: Option<Duration>,
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
        if faketime().is_none() {
            writeln!(f, "no clock jumped: libfaketime is not here")?;
        }
        writeln!(
            f,
            "events: {} acknowledged, {} failed, {} of unknown outcome; {} in the outbox",
            self.acknowledged, self.failed, self.unknown, self.documents
        )?;
        writeln!(
            f,
            "applied by the recorder: {}; letters of all projections: {} parked, {} held, {} discarded; {} commands \
             about them",
            self.applied, self.parked, self.held, self.discarded, self.commands
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
        if let Some(recovery) = self.recovery {
            writeln!(f, "all applied {:.1} s after the last fault was healed", recovery.as_secs_f64())?;
        }
        writeln!(f, "violations: {}", self.violations.len())?;
        for violation in &self.violations {
            writeln!(f, "  - {violation}")?;
        }
        Ok(())
    }
}
