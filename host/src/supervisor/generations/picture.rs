//! The picture of two generations at one position, and their comparison on real servers.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::completeness;
use super::meeting::BothLanes;
use crate::component::version::Loaded;
use crate::failure::Failure;
use crate::readmodel::compare::{Bounds, ComparisonReport, ReadView, Sides, compare};
use crate::readmodel::control::generation::{Generation, GenerationState};
use crate::supervisor::on_servers::OnServers;

/// Interval in which the progress of a comparison is reported.
const INTERVAL: Duration = Duration::from_secs(1);

pub struct Picture {
    view: ReadView,
    loaded: Loaded,
    /// What is known before a row is read.
    report: ComparisonReport,
}

impl Picture {
    /// Takes it. No lane of the projection may run.
    pub async fn take(
        host: &OnServers,
        live: u32,
        generation: &Generation,
        lanes: BothLanes<'_>,
    ) -> Result<Self, Failure> {
        let OnServers { servers, settings, versions, .. } = host;
        let (control, name) = (&servers.control, settings.name.as_str());
        let mut session = servers.applier.connect().await?;
        let loaded = versions.get(&mut session, servers, &generation.digest).await?;
        let mut db = control.of(&mut session, name);
        let changes = db.lane_changes(live).await?;
        let digests: BTreeSet<String> = changes.into_iter().map(|change| change.digest).collect();
        let discarded = db.discarded_events().await?.len();
        let (_, letters) = db.generation_progress(live).await?;
        let (_, rebuilt_letters) = db.generation_progress(generation.generation).await?;
        let report = ComparisonReport {
            projection: name.to_owned(),
            position: lanes.live.first().map(|row| row.position.to_string()).unwrap_or_default(),
            digests: digests.into_iter().collect(),
            discarded: u64::try_from(discarded).unwrap_or(u64::MAX),
            letters,
            rebuilt_letters,
            lacks: completeness::lacks(lanes.live, lanes.beside, false),
            ..ComparisonReport::default()
        };
        Ok(Self { view: ReadView::take(session).await?, loaded, report })
    }

    /// Compares both, row for row, until somebody gives the generation up.
    pub async fn compare(
        mut self,
        host: &OnServers,
        generation: &Generation,
    ) -> Result<ComparisonReport, Failure> {
        let began = Instant::now();
        let progress = Mutex::new(String::new());
        let sides = Sides { live: host.servers.applier.database(), rebuilt: &generation.place };
        let comparing =
            compare(&mut self.view, sides, &self.loaded.deployed.schema, Bounds::default(), |now| {
                let told =
                    format!("comparing `{}`: {} of about {} rows", now.table, now.rows, now.rows_about);
                *progress.lock().unwrap_or_else(PoisonError::into_inner) = told;
            });
        let telling = report_progress(host, generation, &progress);
        let found = tokio::select! {
            found = comparing => found?,
            failure = telling => return Err(failure),
        };
        Ok(ComparisonReport { tables: found.tables, seconds: began.elapsed().as_secs_f64(), ..self.report })
    }
}

/// Tells whoever waits how far the comparison is, until nobody wants it any more.
async fn report_progress(host: &OnServers, generation: &Generation, progress: &Mutex<String>) -> Failure {
    let (control, name) = (&host.servers.control, host.settings.name.as_str());
    let telling = async {
        let mut session = host.servers.applier.connect().await?;
        if let Some(command) = generation.command {
            control.of(&mut session, name).command_goes_on(command).await?;
        }
        loop {
            tokio::time::sleep(INTERVAL).await;
            let mut db = control.of(&mut session, name);
            let next_step = db.generations().await?;
            let still = |one: &Generation| {
                (one.generation, one.state) == (generation.generation, GenerationState::Comparing)
            };
            if !next_step.iter().any(still) {
                let reason = format!("generation {} was given up", generation.generation);
                return Err(Failure::misconfigured(reason, "ask again if it is still wanted"));
            }
            let told = progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(command) = generation.command {
                db.record_command_progress(command, &told, &host.settings.owner).await?;
            }
        }
    };
    match telling.await {
        Ok(never) => never,
        Err(failure) => failure,
    }
}
