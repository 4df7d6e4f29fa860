//! An outbox that a host follows, and what has to hold whatever happens to it.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;

use crate::support::cluster::Cluster;
use crate::support::world::event;
use crate::support::{Host, Options, World, until, until_within};

/// How many aggregates the events belong to.
pub const AGGREGATES: i64 = 10;

/// A world whose events are followed by a host.
pub struct Watched {
    running: Option<Host>,
    pub world: World,
    pub written: i64,
}

impl Watched {
    /// On the shared servers, with the first events applied.
    pub async fn start() -> Self {
        Self::on(Options { lanes: 2, ..Options::mysql() }).await
    }

    pub async fn on(options: Options) -> Self {
        let mut watched = Self::new(World::new("recorder", options).await);
        watched.start_host("");
        watched.host().until_phase("recorder", "streaming").await;
        watched.write(20).await;
        watched.settled().await;
        watched
    }

    pub fn new(world: World) -> Self {
        Self { running: None, world, written: 0 }
    }

    pub fn host(&self) -> &Host {
        self.running.as_ref().expect("a host runs")
    }

    /// Starts a host with settings that differ, as [`World::start_with`] takes them.
    pub async fn restart_with(&mut self, settings: &[(&str, &str)]) {
        self.stop().await;
        self.running = Some(self.world.start_with(settings));
        self.host().until_phase("recorder", "streaming").await;
    }

    /// Starts a host with further lines in its projection's section.
    pub fn start_host(&mut self, extra: &'static str) {
        self.world.options.extra = extra;
        self.running = Some(self.world.start());
    }

    pub async fn stop(&mut self) {
        assert!(self.running.take().expect("a host runs").stop().await.success(), "it stops");
    }

    pub fn kill(&mut self) {
        self.running.take().expect("a host runs").kill();
    }

    /// Another host in the place of this one.
    pub async fn restart(&mut self, extra: &'static str) {
        self.stop().await;
        self.start_host(extra);
        self.host().until_phase("recorder", "streaming").await;
    }

    /// Writes further events until a majority has each of them, whatever happens meanwhile.
    pub async fn write(&mut self, events: i64) {
        let documents: Vec<Document> = (self.written..self.written + events).map(numbered).collect();
        until("the outbox takes documents", async || {
            // Ids make repeating safe: what is there already is refused as a duplicate.
            let inserted = self.world.outbox.insert_many(&documents).ordered(false).await;
            inserted.is_ok() || inserted.is_err_and(|error| only_duplicates(&error))
        })
        .await;
        self.written += events;
    }

    /// Everything written is applied: once, in order, and nothing was parked for it.
    pub async fn settled(&self) {
        self.settled_within(Duration::from_mins(2)).await;
    }

    pub async fn settled_within(&self, patience: Duration) {
        self.applied_within(patience).await;
        assert_eq!(self.world.letters().await, (0, 0), "an outage is never an event's fault");
    }

    /// The same within a limit from when the fault began, or was over.
    pub async fn settled_since(&self, since: Instant, limit: Duration) {
        self.settled_within(limit.saturating_sub(since.elapsed())).await;
        println!("settled after {:.2?} of {limit:?}", since.elapsed());
    }

    /// Everything written is applied, whatever else was.
    pub async fn applied(&self) {
        self.applied_within(Duration::from_mins(2)).await;
    }

    async fn applied_within(&self, patience: Duration) {
        let written = self.written;
        until_within(patience, "everything written is applied", async || {
            self.world.number_if_any("SELECT COUNT(*) FROM recorded").await.unwrap_or_default() >= written
        })
        .await;
        self.world.assert_recorded(written, AGGREGATES).await;
    }

    /// Waits until the host says what it waits for.
    pub async fn until_trouble(&self, says: &str, patience: Duration) {
        let began = Instant::now();
        until_within(patience, &format!("the host says {says:?}"), async || {
            let status = self.host().status("recorder").await;
            status.is_some_and(|status| {
                status["trouble"].as_str().is_some_and(|trouble| trouble.contains(says))
            })
        })
        .await;
        println!("told {says:?} after {:.2?} of {patience:?}", began.elapsed());
    }

    /// What `/readyz` answers.
    pub async fn readiness(&self) -> (u16, String) {
        self.host().get("/readyz").await.expect("it answers")
    }

    /// Waits until the projection is paused, and gives the reason.
    pub async fn until_paused(&self) -> String {
        self.host().until_phase("recorder", "paused").await;
        let status = self.host().status("recorder").await.expect("it answers");
        status["reason"].as_str().expect("a pause has a reason").to_owned()
    }

    /// How many failures of the source were tried again.
    pub async fn failures(&self) -> f64 {
        let (_, text) = self.host().get("/metrics").await.expect("it answers");
        let counted =
            |line: &&str| line.starts_with("laterna_failures_total") && line.contains("source-unavailable");
        let value = |line: &str| line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok());
        text.lines().filter(counted).filter_map(value).sum()
    }
}

/// The same on a replica set of the test's own.
pub struct Followed {
    watched: Watched,
    pub cluster: Cluster,
}

impl Followed {
    pub async fn start(members: usize, arguments: &[&str]) -> Self {
        Self::on(Cluster::start(members, arguments).await, Options::mysql()).await
    }

    pub async fn on(cluster: Cluster, options: Options) -> Self {
        let options = Options { mongodb: cluster.uri(), lanes: 2, ..options };
        Self { watched: Watched::on(options).await, cluster }
    }

    pub fn of(watched: Watched, cluster: Cluster) -> Self {
        Self { watched, cluster }
    }

    /// The next so many commands of this name that the host sends fail with a code.
    pub async fn fail(&self, command: &str, code: i32, times: i32) {
        self.fail_labelled(command, code, times, &[]).await;
    }

    /// The same with labels for the driver.
    pub async fn fail_labelled(&self, command: &str, code: i32, times: i32, labels: &[&str]) {
        let mut data = doc! { "failCommands": [command], "errorCode": code, "appName": "laterna" };
        data.insert("errorLabels", labels.to_vec());
        self.cluster.fail(0, "failCommand", doc! { "times": times }, data).await;
    }
}

impl Deref for Followed {
    type Target = Watched;

    fn deref(&self) -> &Watched {
        &self.watched
    }
}

impl DerefMut for Followed {
    fn deref_mut(&mut self) -> &mut Watched {
        &mut self.watched
    }
}

/// The event with this number in the test's own count.
pub fn numbered(n: i64) -> Document {
    let (aggregate, sequence) = (n % AGGREGATES, n / AGGREGATES + 1);
    event(&format!("e{n}"), &format!("a{aggregate}"), sequence, doc! { "ordinal": n })
}

fn only_duplicates(error: &mongodb::error::Error) -> bool {
    match &*error.kind {
        ErrorKind::InsertMany(failed) => {
            let errors = failed.write_errors.as_deref().unwrap_or_default();
            failed.write_concern_error.is_none() && errors.iter().all(|error| error.code == 11000)
        }
        _ => false,
    }
}
