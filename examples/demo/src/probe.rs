//! Measures the lag as a reader of MySQL sees it: from a commit in MongoDB to the row in MySQL.
//!
//! One task deposits a cent to an account of its own every so often, whether the last one has arrived or not. Another
//! one reads that account in MySQL, over a connection of its own, until the deposit shows. The clock runs from
//! MongoDB's answer to the commit to MySQL's answer to the reader, so waiting for the next look counts as lag.

use std::time::{Duration, Instant};

use anyhow::Context;
use bank::{Change, Event, Model, Writer};
use bson::{DateTime, Uuid};
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Row};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::stream::Counter;

const ACCOUNT: &str = "account-probe";
const OWNER: &str = "The probe";
const INTERVAL: Duration = Duration::from_millis(50);

/// How long the reader waits before it looks again.
const LOOK: Duration = Duration::from_millis(1);

/// How long it waits before it connects again to a server that went away.
const RECONNECT: Duration = Duration::from_millis(200);

/// How long the last deposit may take to show, once the host says that it has applied everything.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many deposits may be on their way. With more, the probe waits: the lag is minutes then anyway.
const ON_THE_WAY: usize = 4096;

/// A deposit that MongoDB has confirmed.
struct Committed {
    sequence: i64,
    at: Instant,
}

/// What the reader knows just now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latest {
    measured: Option<Duration>,
    /// When the deposit was committed that it looks for.
    waiting_since: Option<Instant>,
}

impl Latest {
    /// The last lag that was measured, or the one that goes on already, if that is longer.
    pub fn lag(&self) -> Option<Duration> {
        self.measured.max(self.waiting_since.map(|since| since.elapsed()))
    }
}

pub struct Probe {
    stop: watch::Sender<bool>,
    pub latest: watch::Receiver<Latest>,
    writing: JoinSet<anyhow::Result<Model>>,
    reading: JoinSet<Vec<Duration>>,
}

impl Probe {
    /// `mysql` is the address of the read model.
    pub fn start(writer: &Writer, mysql: &str, written: &Counter) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (sender, committed) = mpsc::channel(ON_THE_WAY);
        let (show, latest) = watch::channel(Latest::default());
        let (mut writing, mut reading) = (JoinSet::new(), JoinSet::new());
        writing.spawn(write(writer.clone(), written.clone(), sender, stopped));
        reading.spawn(read(mysql.to_owned(), committed, show));
        Self { stop, latest, writing, reading }
    }

    /// Writes no more, and gives what MySQL should have of the probe's account. The reader goes on until it has seen
    /// all of it.
    pub async fn stop(&mut self) -> anyhow::Result<Model> {
        self.stop.send_replace(true);
        self.writing.join_next().await.context("the probe writes once")??
    }

    /// All lags that were measured.
    pub async fn lags(mut self) -> anyhow::Result<Vec<Duration>> {
        let read = timeout(PATIENCE, self.reading.join_next()).await;
        Ok(read
            .context("the probe's last deposit does not show in MySQL")?
            .context("the probe reads once")??)
    }
}

async fn write(
    writer: Writer,
    written: Counter,
    committed: mpsc::Sender<Committed>,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<Model> {
    let mut model = Model::default();
    let mut pace = interval(INTERVAL);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for sequence in 1.. {
        tokio::select! {
            _ = pace.tick() => {}
            _ = stopped.changed() => break,
        }
        let change = match sequence {
            1 => Change::Opened { owner: OWNER.to_owned(), balance_cents: 0 },
            _ => Change::Deposited { amount_cents: 1, balance_cents: sequence - 1 },
        };
        let event = Event {
            id: Uuid::new(),
            account_id: ACCOUNT.to_owned(),
            sequence,
            occurred_at: DateTime::now(),
            change,
        };
        let event = [event];
        writer.write(&event).await.context("the probe")?;
        let at = Instant::now();
        model.apply(&event[0]);
        written.add(1);
        if committed.send(Committed { sequence, at }).await.is_err() {
            break;
        }
    }
    Ok(model)
}

/// A server that goes away meanwhile makes the lag longer, and ends nothing.
async fn read(
    url: String,
    mut committed: mpsc::Receiver<Committed>,
    show: watch::Sender<Latest>,
) -> Vec<Duration> {
    let (mut lags, mut mysql) = (Vec::new(), None);
    while let Some(Committed { sequence, at }) = committed.recv().await {
        show.send_modify(|latest| latest.waiting_since = Some(at));
        loop {
            match last_sequence(&url, &mut mysql).await {
                Ok(seen) if seen >= sequence => break,
                Ok(_) => sleep(LOOK).await,
                Err(_) => {
                    mysql = None;
                    sleep(RECONNECT).await;
                }
            }
        }
        lags.push(at.elapsed());
        show.send_replace(Latest { measured: lags.last().copied(), waiting_since: None });
    }
    lags
}

async fn last_sequence(url: &str, kept: &mut Option<MySqlConnection>) -> sqlx::Result<i64> {
    let mysql = match kept {
        Some(mysql) => mysql,
        None => kept.insert(MySqlConnection::connect(url).await?),
    };
    let found = sqlx::query("SELECT last_sequence FROM accounts WHERE account_id = ?").bind(ACCOUNT);
    found.fetch_optional(mysql).await?.map_or(Ok(0), |row| row.try_get(0))
}
