//! Waits for the host: until it follows the outbox, and until everything that was written is applied.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bank::{Model, Writer};

use crate::host::{Host, Status};
use crate::probe::Probe;
use crate::progress::{Moment, Progress};
use crate::settings::Settings;
use crate::setup::Servers;
use crate::stream::{self, Counter};

const POLL: Duration = Duration::from_millis(100);

/// How long nothing may happen before it counts as stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// What was written, and how the other side followed.
pub struct Written {
    /// What MySQL should have.
    pub model: Model,
    pub events: u64,
    /// Until the last one was committed to MongoDB.
    pub writing: Duration,
    /// From then until the host had applied all of it.
    pub catching_up: Duration,
    pub lags: Vec<Duration>,
}

/// Waits until the projection has its lease, its tables and its place in the stream.
pub async fn until_streaming(host: &mut Host) -> anyhow::Result<Duration> {
    let since = Instant::now();
    loop {
        let status = host.status().await?.unwrap_or_default();
        if status.phase == "streaming" {
            return Ok(since.elapsed());
        }
        if since.elapsed() > PATIENCE {
            bail!("the host is not ready after {} s: {}", PATIENCE.as_secs(), obstacle(&status));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Writes everything, shows how both sides stand, and waits until there is no lag.
pub async fn until_applied(
    settings: &Settings,
    servers: &Servers,
    host: &mut Host,
) -> anyhow::Result<Written> {
    let (counter, since) = (Counter::default(), Instant::now());
    let writer = Writer::new(&servers.mongodb, &settings.mongodb_database());
    let mut writers = stream::start(settings, &writer, &counter);
    let mut probe = Probe::start(&writer, &servers.app_url, &counter);
    let mut progress = Progress::start(settings.events);
    let (mut model, mut writing) = (Model::default(), None);
    let mut watchdog = Watchdog::new();
    loop {
        while let Some(finished) = writers.try_join_next() {
            model.rows.extend(finished.context("a writer")??.rows);
        }
        if writers.is_empty() && writing.is_none() {
            model.rows.extend(probe.stop().await?.rows);
            writing = Some(since.elapsed());
        }
        let status = host.status().await?.unwrap_or_default();
        let written = counter.get();
        progress.show(&Moment { written, applied: status.events, lag: probe.latest.borrow().lag() });
        match writing {
            Some(writing) if status.events >= written && status.lag_events == 0 => {
                progress.finish();
                let catching_up = since.elapsed().saturating_sub(writing);
                return Ok(Written {
                    model,
                    events: written,
                    writing,
                    catching_up,
                    lags: probe.lags().await?,
                });
            }
            _ => watchdog.look(written, &status)?,
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Notices when nothing moves any more.
struct Watchdog {
    seen: (u64, u64),
    since: Instant,
}

impl Watchdog {
    fn new() -> Self {
        Self { seen: (0, 0), since: Instant::now() }
    }

    fn look(&mut self, written: u64, status: &Status) -> anyhow::Result<()> {
        if status.parked > 0 {
            bail!("{} event(s) became dead letters, though all of them are good", status.parked);
        }
        let now = (written, status.events);
        if now != self.seen {
            *self = Self { seen: now, since: Instant::now() };
        } else if self.since.elapsed() > PATIENCE {
            let (written, applied) = now;
            bail!(
                "nothing has moved for {} s: written {written}, applied {applied}, {}",
                PATIENCE.as_secs(),
                obstacle(status)
            );
        }
        Ok(())
    }
}

fn obstacle(status: &Status) -> String {
    match &status.trouble {
        Some(trouble) => trouble.clone(),
        None if status.phase.is_empty() => "it does not answer".to_owned(),
        None => format!("its phase is {}, its lag {} s", status.phase, status.lag_seconds),
    }
}
