//! How long projections wait once everything is healed, and for what: as the servers show it, and in the hosts' words. It
//! judges nothing.

use std::time::{Duration, Instant};

use super::ground::{Ground, PROJECTIONS};
use super::history;
use super::mysqld::admin;
use super::nemesis::run;
use super::schedule::LEASE_MS;
use crate::support::some_time;

/// A wait that needs no explanation: until the lease has run out, and a little more.
pub const SHORT: Duration = Duration::from_millis(LEASE_MS + 10_000);

/// How long MySQL may take to write one row, if it works.
const WRITES_WITHIN: Duration = Duration::from_secs(1);

/// How much of a host's words is told.
const CHARACTERS: usize = 200;

/// A projection that had to catch up.
#[derive(Debug, Clone)]
pub struct Wait {
    pub projection: &'static str,
    /// Since everything was healed, until all was applied or until it was given up.
    pub time: Duration,
    /// What it waited for, from when until when.
    pub reasons: Vec<(Duration, Duration, String)>,
    /// What it lacks, where it was given up.
    pub lacks: Option<String>,
}

/// Waits until every projection has committed all documents of the outbox, and tells of each how long that took.
pub async fn watch(ground: &Ground, documents: u64, healed: Instant, patience: Duration) -> Vec<Wait> {
    let mut waits: Vec<Wait> = PROJECTIONS
        .into_iter()
        .map(|projection| Wait {
            projection,
            time: Duration::ZERO,
            reasons: vec![],
            lacks: Some("nobody has looked".to_owned()),
        })
        .collect();
    let mut began = Duration::ZERO;
    while waits.iter().any(|wait| wait.lacks.is_some()) && began < patience {
        let writes = writes(ground).await;
        for wait in waits.iter_mut().filter(|wait| wait.lacks.is_some()) {
            wait.lacks = history::missing(ground, wait.projection, documents).await;
            wait.time = healed.elapsed();
            if wait.lacks.is_some() {
                let reason = if writes { told(ground, wait.projection).await } else { NO_WRITES.to_owned() };
                wait.note(began, reason);
            }
        }
        began = healed.elapsed();
        some_time(200).await;
    }
    waits
}

const NO_WRITES: &str = "MySQL takes no row";

impl Wait {
    fn note(&mut self, from: Duration, reason: String) {
        match self.reasons.last_mut() {
            Some((_, until, last)) if *last == reason => *until = self.time,
            _ => self.reasons.push((from, self.time, reason)),
        }
    }
}

/// Whether MySQL takes a row from an administrator.
async fn writes(ground: &Ground) -> bool {
    let insert = format!("INSERT INTO {}.weight (n) VALUES (0)", history::schema(ground));
    let writing = async {
        let mut session = admin(&ground.admin_url).await?;
        run(&mut session, &insert).await.ok()
    };
    matches!(tokio::time::timeout(WRITES_WITHIN, writing).await, Ok(Some(())))
}

/// What the hosts say that a projection waits for.
async fn told(ground: &Ground, projection: &str) -> String {
    let statuses = ground.fleet.statuses(projection).await;
    let text = |status: &serde_json::Value, name: &str| status[name].as_str().map(str::to_owned);
    let say = |status: &serde_json::Value| {
        let phase = text(status, "phase").unwrap_or_default();
        match text(status, "trouble").or_else(|| text(status, "reason")).or_else(|| text(status, "owner")) {
            Some(why) => format!("{phase}: {why}"),
            None => phase,
        }
    };
    let mut said: Vec<String> = statuses.iter().map(say).collect();
    said.sort();
    let said = if said.is_empty() { "no host answers".to_owned() } else { said.join(" | ") };
    said.chars().take(CHARACTERS).collect()
}
