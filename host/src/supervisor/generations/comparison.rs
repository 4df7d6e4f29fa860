//! Compares the live generation with one that was made anew, as both were at one position, while the live one goes on.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::context::GenerationContext;
use super::{PATIENCE, completeness, meeting};
use crate::component::version::Loaded;
use crate::failure::{Failure, Fault};
use crate::readmodel::compare::{Bounds, ComparisonReport, ReadView, Sides, compare};
use crate::readmodel::control::command::{self, CommandOutcome};
use crate::readmodel::control::deployment;
use crate::readmodel::control::generation::{self, Generation, GenerationState, Purpose};
use crate::readmodel::lane::checkpoint::LaneRow;
use crate::readmodel::lane::dead_letter;
use crate::readmodel::mysql::session::{Session, within};

/// How often it is told how far it is.
const INTERVAL: Duration = Duration::from_secs(1);

pub struct Comparison {
    view: ReadView,
    generation: Generation,
    loaded: Loaded,
    /// What is known before a row is read.
    report: ComparisonReport,
}

impl Comparison {
    /// Takes the picture. No lane of the projection may run. None when an operator gave it up meanwhile.
    pub async fn open(
        context: &GenerationContext,
        session: &mut Session,
        live: u32,
        generation: Generation,
        (here, there): (&[LaneRow], &[LaneRow]),
    ) -> Result<Option<Self>, Failure> {
        let GenerationContext { servers, settings, versions, epoch, .. } = context;
        let (control, name) = (&servers.control, settings.name.as_str());
        let loaded = versions.get(session, servers, &generation.digest).await?;
        let changes = deployment::lane_changes(session, control, name, live).await?;
        let digests: BTreeSet<String> = changes.into_iter().map(|change| change.digest).collect();
        let discarded = dead_letter::discarded(session, control, name).await?.len();
        let (_, letters) = generation::progress(session, control, name, live).await?;
        let (_, rebuilt_letters) =
            generation::progress(session, control, name, generation.generation).await?;
        let report = ComparisonReport {
            projection: name.to_owned(),
            position: here.first().map(|row| row.position.to_string()).unwrap_or_default(),
            digests: digests.into_iter().collect(),
            discarded: u64::try_from(discarded).unwrap_or(u64::MAX),
            letters,
            rebuilt_letters,
            lacks: completeness::lacks(here, there, false),
            ..ComparisonReport::default()
        };
        let to = (GenerationState::Comparing, generation.purpose);
        let moved = generation::advance(session, control, (name, *epoch), &generation, to, None).await?;
        let generation = Generation { state: GenerationState::Comparing, ..generation };
        let view = ReadView::take(servers.applier.connect().await?).await?;
        Ok(moved.then_some(Self { view, generation, loaded, report }))
    }

    /// Compares, and lets go of the generation, or lets it take the live one's place.
    pub async fn run(self, context: GenerationContext) -> Result<(), Failure> {
        let (number, purpose) = (self.generation.generation, self.generation.purpose);
        let (projection, generation) = (context.settings.name.clone(), self.generation.clone());
        let ended = self.compare(&context).await;
        let (to, why) = match &ended {
            Ok(report) => {
                let after = meeting::compared(purpose, report.is_clean(), report.lacks.as_ref());
                if after.0.1 == Purpose::Replace && after.1.is_none() {
                    tracing::warn!(
                        projection,
                        generation = number,
                        "the live tables differ: it takes their place"
                    );
                }
                after
            }
            Err(failure) if matches!(failure.fault(), Fault::Environment | Fault::Fenced) => (
                (GenerationState::Building, purpose),
                Some(format!("the comparison was interrupted: {}", failure.without_values())),
            ),
            Err(failure) => ((GenerationState::Dropping, purpose), Some(failure.without_values())),
        };
        let (control, lease) = (&context.servers.control, (projection.as_str(), context.epoch));
        let mut session = context.servers.applier.connect().await?;
        let recording = async {
            if let Some((report, command)) = ended.as_ref().ok().zip(generation.command) {
                let report = serde_json::to_string(report).expect("a report holds only text and numbers");
                command::finish(&mut session, control, command, &CommandOutcome::Done(report)).await?;
            }
            match (to, &why) {
                ((GenerationState::Building, Purpose::Replace), Some(lacks)) => {
                    let to = (Purpose::Replace, lacks.as_str());
                    generation::record_lacks(&mut session, control, lease, &generation, to).await
                }
                _ => generation::advance(&mut session, control, lease, &generation, to, why.as_deref()).await,
            }
        };
        within(PATIENCE, "recording what a comparison found", recording).await?;
        Ok(())
    }

    async fn compare(mut self, context: &GenerationContext) -> Result<ComparisonReport, Failure> {
        let began = Instant::now();
        let progress = Mutex::new(String::new());
        let sides = Sides { live: context.servers.applier.database(), rebuilt: &self.generation.place };
        let comparing =
            compare(&mut self.view, sides, &self.loaded.deployed.schema, Bounds::default(), |now| {
                let told =
                    format!("comparing `{}`: {} of about {} rows", now.table, now.rows, now.rows_about);
                *progress.lock().unwrap_or_else(PoisonError::into_inner) = told;
            });
        let telling = report_progress(context, &self.generation, &progress);
        let found = tokio::select! {
            found = comparing => found?,
            failure = telling => return Err(failure),
        };
        Ok(ComparisonReport { tables: found.tables, seconds: began.elapsed().as_secs_f64(), ..self.report })
    }
}

/// Tells whoever waits how far the comparison is, until nobody wants it any more.
async fn report_progress(
    context: &GenerationContext,
    generation: &Generation,
    progress: &Mutex<String>,
) -> Failure {
    let (control, name) = (&context.servers.control, context.settings.name.as_str());
    let telling = async {
        let mut session = context.servers.applier.connect().await?;
        loop {
            tokio::time::sleep(INTERVAL).await;
            let next_step = generation::list(&mut session, control, name).await?;
            let still = |one: &Generation| {
                (one.generation, one.state) == (generation.generation, GenerationState::Comparing)
            };
            if !next_step.iter().any(still) {
                let reason = format!("generation {} was given up", generation.generation);
                return Err(Failure::misconfigured(reason, "ask again if it is still wanted"));
            }
            let told = progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(command) = generation.command {
                command::record_progress(&mut session, control, command, &told).await?;
            }
        }
    };
    match telling.await {
        Ok(never) => never,
        Err(failure) => failure,
    }
}
