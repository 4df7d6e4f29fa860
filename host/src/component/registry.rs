//! Loads and checks the components of one projection, those of its configuration and those that were deployed, and gives the lanes the
//! one that a row says is in force.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::fit::{HowItFits, fit};
use super::standing::StandingComponent;
use super::version::{Loaded, LoadedComponent};
use crate::failure::Failure;
use crate::pipeline::hot_swap::{Canary, Desired, DesiredVersion, TakenBack};
use crate::projector::{Budget, Engine};
use crate::readmodel::control::control_db::LeaderDb;
use crate::readmodel::control::deployment::{InForce, Origin, Proposal, StoredHalves};
use crate::readmodel::control::generation::{self, HistoryFilter, Purpose, Wanted};
use crate::readmodel::control::lease::UnderLease;
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// How many components stay loaded beside the one in force.
const KEPT_MAX: usize = 4;

/// A component, or a pair, as it was found: loaded here, or as bytes in the control schema.
pub enum FoundComponent {
    Loaded(Box<Loaded>),
    Stored { digest: String, halves: StoredHalves },
}

/// The component in force, as it was found.
pub enum FoundStanding {
    Nothing,
    Found(FoundComponent),
    /// It is not stored any more.
    Missing {
        digest: String,
        why: Failure,
    },
}

/// The components that are loaded, of one projection.
pub struct Versions {
    pub desired: Arc<DesiredVersion<Loaded>>,
    projection: String,
    configured: Loaded,
    engine: Engine,
    budget: Budget,
    loaded: Mutex<BTreeMap<String, Loaded>>,
}

impl Versions {
    pub fn new(engine: Engine, budget: Budget, configured: Loaded) -> Self {
        let desired = Arc::new(DesiredVersion::new(configured.clone()));
        let projection = configured.projection.clone();
        let loaded = Mutex::new(BTreeMap::from([(configured.digest().to_owned(), configured.clone())]));
        Self { desired, projection, configured, engine, budget, loaded }
    }

    pub(super) fn projection(&self) -> &str {
        &self.projection
    }

    /// Loads a component of these bytes, for this projection, or returns what is wrong with it.
    pub async fn load(&self, bytes: Arc<[u8]>) -> Result<LoadedComponent, String> {
        let (engine, budget, projection) =
            (self.engine.clone(), self.budget.clone(), self.projection.clone());
        on_a_thread(move || LoadedComponent::load(&engine, &projection, bytes, &budget)).await
    }

    /// Loads what is stored.
    async fn load_stored(&self, halves: StoredHalves) -> Result<Loaded, String> {
        let (engine, budget, projection) =
            (self.engine.clone(), self.budget.clone(), self.projection.clone());
        let loaded = on_a_thread(move || Loaded::load_halves(&engine, &projection, halves, &budget)).await?;
        self.keep(loaded.clone());
        Ok(loaded)
    }

    /// A component, or a pair, that is loaded here, or stored.
    pub async fn get(
        &self,
        session: &mut Session,
        servers: &Servers,
        digest: &str,
    ) -> Result<Loaded, Failure> {
        let found = self.find(session, servers, digest).await?;
        self.loaded(found).await
    }

    /// The component in force, or why it cannot be loaded here.
    pub async fn standing(
        &self,
        session: &mut Session,
        servers: &Servers,
        in_force: Option<&InForce>,
    ) -> Result<StandingComponent, Failure> {
        let found = self.find_standing(session, servers, in_force).await?;
        self.loaded_standing(found).await
    }

    /// The same in two steps: whoever shares a session gives it back before the bytes are compiled.
    pub async fn find_standing(
        &self,
        session: &mut Session,
        servers: &Servers,
        in_force: Option<&InForce>,
    ) -> Result<FoundStanding, Failure> {
        let Some(in_force) = in_force else { return Ok(FoundStanding::Nothing) };
        match self.find(session, servers, &in_force.digest).await {
            Ok(found) => Ok(FoundStanding::Found(found)),
            Err(why @ Failure::Misconfigured { .. }) => {
                Ok(FoundStanding::Missing { digest: in_force.digest.clone(), why })
            }
            Err(failure) => Err(failure),
        }
    }

    pub async fn loaded_standing(&self, found: FoundStanding) -> Result<StandingComponent, Failure> {
        let found = match found {
            FoundStanding::Nothing => return Ok(StandingComponent::Nothing),
            FoundStanding::Missing { digest, why } => {
                return Ok(StandingComponent::Unloadable { digest, may_have_upcaster: true, why });
            }
            FoundStanding::Found(found) => found,
        };
        let (digest, may_have_upcaster) = match &found {
            FoundComponent::Loaded(loaded) => (loaded.digest().to_owned(), loaded.upcaster.is_some()),
            FoundComponent::Stored { digest, halves } => (digest.clone(), halves.upcaster.is_some()),
        };
        match self.loaded(found).await {
            Ok(loaded) => Ok(StandingComponent::Loaded(Box::new(loaded))),
            Err(why @ Failure::Misconfigured { .. }) => {
                Ok(StandingComponent::Unloadable { digest, may_have_upcaster, why })
            }
            Err(failure) => Err(failure),
        }
    }

    /// Finds a component, or a pair, that is loaded here, or its bytes. Whoever shares a session gives it back before the bytes
    /// are compiled.
    pub async fn find(
        &self,
        session: &mut Session,
        servers: &Servers,
        digest: &str,
    ) -> Result<FoundComponent, Failure> {
        if let Some(loaded) = self.known(digest) {
            return Ok(FoundComponent::Loaded(Box::new(loaded)));
        }
        let missing = || {
            Failure::misconfigured(
                format!("the deployed component {} is not in the control schema", short(digest)),
                format!(
                    "`laterna rollback {}` goes back; or deploy it again, or another one",
                    self.projection
                ),
            )
        };
        let halves = servers.control.on(session).stored_halves(digest).await?.ok_or_else(missing)?;
        Ok(FoundComponent::Stored { digest: digest.to_owned(), halves })
    }

    /// Loads what was found, which may take seconds. Asks no server.
    pub async fn loaded(&self, found: FoundComponent) -> Result<Loaded, Failure> {
        let (digest, halves) = match found {
            FoundComponent::Loaded(loaded) => return Ok(*loaded),
            FoundComponent::Stored { digest, halves } => (digest, halves),
        };
        // Another one that found the same may have been faster.
        if let Some(loaded) = self.known(&digest) {
            return Ok(loaded);
        }
        let wrong = |problems: String| {
            Failure::misconfigured(
                format!("the deployed component {} cannot be loaded here: {problems}", short(&digest)),
                format!(
                    "`laterna rollback {}` goes back to the previous one; or deploy one that can be loaded",
                    self.projection
                ),
            )
        };
        self.load_stored(halves).await.map_err(wrong)
    }

    fn known(&self, digest: &str) -> Option<Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn keep(&self, loaded: Loaded) {
        let target = self.desired.get();
        let mut all = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > KEPT_MAX {
            let previous = target.canary.as_ref().map(|canary| canary.previous.digest());
            all.retain(|digest, _| {
                [Some(target.current.digest()), previous, Some(self.configured.digest())]
                    .contains(&Some(digest))
            });
        }
        all.insert(loaded.digest().to_owned(), loaded);
    }

    /// At the beginning of a run, under its epoch: what the configuration brings that was not there before is deployed,
    /// if it fits; then the lanes get what is in force.
    pub async fn settle(&self, servers: &Servers, owner: &str, epoch: u64) -> Result<Loaded, Failure> {
        let mut session = servers.applier.connect().await?;
        let control = &servers.control;
        // Before a projection has begun, there are no tables that a component would have to fit.
        let mut db = control.of(&mut session, &self.projection);
        let registered = db.registration().await?;
        let has_begun = registered.is_some_and(|found| found.lanes > 0 || found.live_generation > 1);
        // A run that ended by it may not have recorded it.
        self.record_taken_back(&mut db.under(epoch)).await?;
        let in_force = db.deployment_in_force().await?;
        let in_force = in_force.filter(|_| has_begun);
        if let Some(next) = self.undeployed_config(&mut session, servers).await? {
            self.deploy_config(&mut session, servers, owner, epoch, in_force.as_ref(), &next).await?;
        }
        let in_force = control.of(&mut session, &self.projection).deployment_in_force().await?;
        if let Some(in_force) = in_force {
            self.give(&mut session, servers, &in_force).await?;
        }
        let current = self.desired.get().current;
        if let (None, Some(upcaster)) = (&self.configured.upcaster, &current.deployed.upcaster) {
            tracing::info!(
                projection = self.projection,
                upcaster = upcaster.name,
                "an upcaster is in force that the configuration does not name; `laterna deploy FILE --projection {} \
                 --without-upcaster` takes it away",
                self.projection
            );
        }
        Ok(current)
    }

    /// What a run would begin with, and how what the configuration brings fits it, if it brings anything; nothing is written.
    pub async fn preview(
        &self,
        session: &mut Session,
        servers: &Servers,
    ) -> Result<(Loaded, Option<HowItFits>), Failure> {
        let in_force = servers.control.of(session, &self.projection).deployment_in_force().await?;
        let Some(in_force) = in_force else { return Ok((self.configured.clone(), None)) };
        let now = self.standing(session, servers, Some(&in_force)).await?;
        let now_runs = || Ok::<_, Failure>(now.loaded()?.unwrap_or(&self.configured).clone());
        let Some(next) = self.undeployed_config(session, servers).await? else {
            return Ok((now_runs()?, None));
        };
        let fits = fit(session, servers, &now, &next).await?;
        let runs = if fits == HowItFits::Live { next } else { now_runs()? };
        Ok((runs, Some(fits)))
    }

    /// What the configuration brings that it has not brought before, beside what else is in force. An upcaster that is new
    /// does not undo a projector that was deployed later than the configured one, nor the other way round.
    async fn undeployed_config(
        &self,
        session: &mut Session,
        servers: &Servers,
    ) -> Result<Option<Loaded>, Failure> {
        let (control, name) = (&servers.control, &self.projection);
        let Loaded { component, upcaster, .. } = &self.configured;
        let mut db = control.of(session, name);
        let is_known = db.was_configured(component.digest()).await?;
        let brings = match upcaster {
            Some(upcaster) => !db.was_configured(upcaster.component.digest()).await?,
            None => false,
        };
        if is_known && !brings {
            return Ok(None);
        }
        let Some(in_force) = db.deployment_in_force().await? else {
            return Ok(Some(self.configured.clone()));
        };
        let now = match self.standing(session, servers, Some(&in_force)).await? {
            // Where it may run behind an upcaster that the configuration does not name, that cannot be taken from there.
            StandingComponent::Unloadable { may_have_upcaster, .. }
                if !is_known && (upcaster.is_some() || !may_have_upcaster) =>
            {
                return Ok(Some(self.configured.clone()));
            }
            now => now.loaded()?.unwrap_or(&self.configured).clone(),
        };
        let upcaster = if brings { upcaster.clone() } else { now.upcaster.clone() };
        let projector = if is_known { now } else { self.configured.clone() };
        let next = projector.behind(upcaster);
        self.keep(next.clone());
        Ok(Some(next))
    }

    /// Deploys what the configuration brings, if it fits.
    async fn deploy_config(
        &self,
        session: &mut Session,
        servers: &Servers,
        owner: &str,
        epoch: u64,
        in_force: Option<&InForce>,
        next: &Loaded,
    ) -> Result<(), Failure> {
        let (control, digest) = (&servers.control, next.digest());
        let standing = control.of(session, &self.projection).generations().await?;
        let is_built = |one: &generation::Generation| {
            one.digest == digest && one.state != generation::GenerationState::Kept
        };
        if standing.iter().any(is_built) {
            return Ok(());
        }
        next.store(&mut control.on(session), None).await?;
        let proposal = Proposal {
            projection: &self.projection,
            digest,
            origin: Origin::Configuration,
            by: owner,
            canary: Duration::ZERO,
            command: None,
        };
        let now = self.standing(session, servers, in_force).await?;
        match fit(session, servers, &now, next).await? {
            HowItFits::Live => {
                match control
                    .of(session, proposal.projection)
                    .under(epoch)
                    .deploy_over_others(proposal)
                    .await?
                {
                    UnderLease::Done(()) => {
                        tracing::info!(projection = self.projection, digest, "deployed as configured");
                    }
                    // The next run tries again.
                    UnderLease::Blocked(reason) => self.not_yet(digest, &reason),
                }
            }
            HowItFits::OtherTables => self.open_generation(session, servers, proposal, epoch, next).await?,
            HowItFits::Not(reason) => {
                tracing::error!(
                    projection = self.projection,
                    digest,
                    "the configured component is not deployed, and the one before goes on: {reason}"
                );
                control.on(session).refuse_deployment(proposal, &reason).await?;
            }
        }
        Ok(())
    }

    fn not_yet(&self, digest: &str, reason: &str) {
        tracing::warn!(projection = self.projection, digest, "not deployed as configured yet: {reason}");
    }

    /// The configured component has other tables: they are built beside the live ones, once. Who drops them does not want
    /// them again.
    async fn open_generation(
        &self,
        session: &mut Session,
        servers: &Servers,
        proposal: Proposal<'_>,
        epoch: u64,
        next: &Loaded,
    ) -> Result<(), Failure> {
        let crate::statement::Deployed { digest, schema, .. } = &*next.deployed;
        let wanted = Wanted {
            projection: &self.projection,
            purpose: Purpose::Replace,
            digest,
            tables: &schema.table_names(),
            part: HistoryFilter::default(),
            expected: servers.outbox.estimate().await?,
            accepted: false,
            origin: Origin::Configuration,
            command: None,
            opened_by: None,
            by: proposal.by,
            overtakes: Some("superseded by the component that the configuration names"),
        };
        let mut db = servers.control.of(session, wanted.projection);
        match db.under(epoch).open_generation(wanted).await? {
            UnderLease::Done(generation) => {
                let reason =
                    format!("its tables are other ones, and are built first, as generation {generation}");
                db.refuse_deployment(proposal, &reason).await?;
                tracing::info!(
                    projection = self.projection,
                    digest,
                    "the configured component waits: {reason}"
                );
            }
            UnderLease::Blocked(reason) => self.not_yet(digest, &reason),
        }
        Ok(())
    }

    /// Gives the lanes what is in force.
    pub(super) async fn give(
        &self,
        session: &mut Session,
        servers: &Servers,
        in_force: &InForce,
    ) -> Result<(), Failure> {
        let target = self.desired.get();
        let canary = target.canary.as_ref().map(|canary| (canary.deployment, canary.previous.digest()));
        let wanted = in_force.previous.as_deref().filter(|_| in_force.canary.is_some());
        if target.current.digest() == in_force.digest && canary == wanted.map(|one| (in_force.id, one)) {
            return Ok(());
        }
        let current = self.get(session, servers, &in_force.digest).await?;
        let canary = match in_force.previous.as_ref().zip(in_force.canary) {
            Some((previous, left)) => {
                let previous = self.get(session, servers, previous).await?;
                Some(Canary { deployment: in_force.id, previous, until: Instant::now() + left })
            }
            None => None,
        };
        if target.current.digest() != in_force.digest {
            let Loaded { deployed, .. } = &current;
            let (digest, version) = (&deployed.digest, &deployed.manifest.version);
            tracing::info!(
                projection = self.projection,
                digest,
                version,
                "the lanes go over to another component"
            );
        }
        self.desired.set(Desired { current, canary });
        Ok(())
    }

    /// Records what the lanes took back on their own.
    pub(super) async fn record_taken_back(&self, db: &mut LeaderDb<'_>) -> Result<(), Failure> {
        let Some(taken_back) = self.desired.taken_back().borrow().clone() else { return Ok(()) };
        let TakenBack { deployment, digest, reason } = taken_back;
        tracing::error!(projection = self.projection, digest, "the deployment is taken back: {reason}");
        db.take_deployment_back(deployment, &reason).await?;
        self.desired.recorded();
        Ok(())
    }
}

/// Compiling takes seconds, and never on an async worker.
async fn on_a_thread<T: Send + 'static>(
    load: impl FnOnce() -> Result<T, Vec<String>> + Send + 'static,
) -> Result<T, String> {
    let loading = tokio::task::spawn_blocking(load).await;
    let loaded = loading.unwrap_or_else(|error| Err(vec![format!("loading it ended abnormally: {error}")]));
    loaded.map_err(|problems| problems.join("\n"))
}

/// A digest as people see it.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
