//! Commands that act on MySQL and MongoDB themselves, with the accounts of the configuration: also where no host runs.

use super::{AskedAggregate, CandidateFile, Console, LetterFilter};
use crate::cli::{compose, own_host};
use crate::component::registry::{Versions, short};
use crate::component::standing::StandingComponent;
use crate::component::version::{Loaded, LoadedComponent};
use crate::config::{Config, Projection};
use crate::failure::Failure;
use crate::operation::choice::LetterBoundary;
use crate::operation::deployments::{self, Deployments};
use crate::operation::dry_run::{DryDeployment, DryRun};
use crate::operation::hosts::Hosts;
use crate::operation::load::Uploaded;
use crate::operation::shadow::{self, ShadowReport};
use crate::operation::standing::{self, Generations};
use crate::operation::standstill::{self, PauseProgress};
use crate::operation::whole_letter::{self, WholeLetter};
use crate::operation::why::{self, Why};
use crate::operation::wish::{Wish, Wished};
use crate::operation::{ask, choice, export, load};
use crate::projector::Engine;
use crate::readmodel::control::command::{Cancellation, CommandRecord, RecordFilter, Request};
use crate::readmodel::control::recorded_change::ChangedBy;
use crate::readmodel::control::take_up;
use crate::readmodel::lane::dead_letter::{Letter, Selection};
use crate::readmodel::lane::taken::RecentlyTaken;
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;
use crate::status::snapshot::Snapshot;

/// A session at MySQL, and what the configuration names.
pub struct ByDatabases<'a> {
    config: &'a Config,
    servers: Servers,
    session: Session,
}

/// A component that was loaded here.
pub struct LoadedCandidate {
    next: Loaded,
    /// The one in force.
    before: StandingComponent,
    told: Uploaded,
}

impl<'a> ByDatabases<'a> {
    pub async fn connect(config: &'a Config) -> anyhow::Result<Self> {
        let servers = compose::servers(config)?;
        let session = servers.applier.connect().await?;
        Ok(Self { config, servers, session })
    }

    fn settings(&self, projection: &str) -> anyhow::Result<&'a Projection> {
        let settings = self.config.projection.get(projection);
        settings.ok_or_else(|| {
            anyhow::anyhow!(
                "there is no projection `{projection}` in the configuration: add [projection.{projection}]"
            )
        })
    }

    async fn in_force(&mut self, engine: &Engine, projection: &str) -> anyhow::Result<StandingComponent> {
        let (session, control, settings) =
            (&mut self.session, &self.servers.control, self.config.projection.get(projection));
        let mut db = control.of(session, projection);
        let found = db.deployment_in_force().await?;
        let (Some(found), Some(settings)) = (found, settings) else { return Ok(StandingComponent::Nothing) };
        let unloadable = |may_have_upcaster, why: String| StandingComponent::Unloadable {
            digest: found.digest.clone(),
            may_have_upcaster,
            why: Failure::misconfigured(
                format!("the component in force, {}, cannot be loaded here: {why}", short(&found.digest)),
                format!("deploy another one, or run `laterna rollback {projection}`"),
            ),
        };
        let Some(halves) = db.stored_halves(&found.digest).await? else {
            return Ok(unloadable(true, "it is not stored whole".to_owned()));
        };
        let has_upcaster = halves.upcaster.is_some();
        let (engine, budget, name) = (engine.clone(), settings.budget.clone(), projection.to_owned());
        let loading =
            tokio::task::spawn_blocking(move || Loaded::load_halves(&engine, &name, halves, &budget));
        Ok(match loading.await? {
            Ok(loaded) => StandingComponent::Loaded(Box::new(loaded)),
            Err(problems) => unloadable(has_upcaster, problems.join("; ")),
        })
    }
}

impl LetterFilter {
    /// The selection of a list: every letter whose aggregate reads as given.
    fn selection(&self) -> Selection {
        let Self { id, aggregate, class, heads_only, after } = self.clone();
        let rest = Selection { id, class, heads_only, after, ..Selection::default() };
        choice::reading(rest, aggregate)
    }
}

impl Console for ByDatabases<'_> {
    type Candidate = LoadedCandidate;

    async fn registered(&mut self, projection: &str) -> anyhow::Result<()> {
        ask::registered(&mut self.session, &self.servers, projection).await?;
        Ok(())
    }

    async fn letters(
        &mut self,
        projection: &str,
        filter: &LetterFilter,
        limit: u32,
    ) -> anyhow::Result<Vec<Letter>> {
        let (session, control, selection) = (&mut self.session, &self.servers.control, filter.selection());
        Ok(control.of(session, projection).letters(&selection, limit).await?)
    }

    async fn count(&mut self, projection: &str, filter: &LetterFilter) -> anyhow::Result<u64> {
        Ok(choice::count(&mut self.session, &self.servers, projection, filter.selection()).await?)
    }

    async fn letter(&mut self, projection: &str, id: u64) -> anyhow::Result<WholeLetter> {
        Ok(whole_letter::read(&mut self.session, &self.servers, projection, id).await?.whole())
    }

    async fn export(
        &mut self,
        projection: &str,
        filter: &LetterFilter,
        write: &mut impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (session, servers) = (&mut self.session, &self.servers);
        let LetterFilter { id, aggregate, class, .. } = filter.clone();
        let selection = Selection { id, class, ..Selection::default() };
        let selection = choice::of_one(session, servers, projection, selection, aggregate).await?;
        let until = servers.control.of(session, projection).newest_letter().await?;
        let mut selection = Selection { until: Some(until), ..selection };
        while let Some(page) = export::page(session, servers, projection, &mut selection).await? {
            page.lines().lines().try_for_each(&mut *write)?;
        }
        Ok(())
    }

    async fn boundary(&mut self, projection: &str) -> anyhow::Result<LetterBoundary> {
        Ok(choice::boundary(&mut self.session, &self.servers, projection).await?)
    }

    async fn would_be_about(&mut self, projection: &str, wish: &Wish) -> anyhow::Result<u64> {
        let wished = wish.clone().request(&mut self.session, &self.servers, projection).await?;
        Ok(wished.letters.unwrap_or_default())
    }

    async fn ask(&mut self, projection: &str, wish: Wish) -> anyhow::Result<u64> {
        let (session, servers) = (&mut self.session, &self.servers);
        let request = wish.request(session, servers, projection).await?.request;
        let by = own_host::who(self.config);
        Ok(servers.control.of(session, projection).submit(&request, &by).await?)
    }

    async fn operation(&mut self, id: u64) -> anyhow::Result<CommandRecord> {
        let (session, control) = (&mut self.session, &self.servers.control);
        let mut db = control.on(session);
        match db.command_record(id).await {
            Ok(found) => found.ok_or_else(|| anyhow::anyhow!("there is no operation {id}")),
            // The hosts may be of a version that keeps less of it.
            Err(_) => Ok(CommandRecord::of_outcome(id, db.command_outcome(id).await?)),
        }
    }

    async fn operations(&mut self, filter: &RecordFilter, limit: u32) -> anyhow::Result<Vec<CommandRecord>> {
        Ok(self.servers.control.on(&mut self.session).command_records(filter, limit).await?)
    }

    async fn cancel(&mut self, id: u64, is_dry: bool) -> anyhow::Result<Cancellation> {
        let by = own_host::who(self.config);
        let mut db = self.servers.control.on(&mut self.session);
        // The command line has no metrics in which it could count what it ended.
        let (cancellation, _) = db.cancel_command(id, &by, is_dry).await?;
        Ok(cancellation)
    }

    async fn pause(&mut self, projection: &str) -> anyhow::Result<PauseProgress> {
        Ok(standstill::look(&mut self.session, &self.servers, projection).await?)
    }

    /// The host of this configuration tells what it does, where it runs.
    async fn hosts(&mut self) -> anyhow::Result<Hosts> {
        let phases =
            own_host::status(self.config).unwrap_or_default().iter().map(Snapshot::named_phase).collect();
        let here = &self.config.host.id;
        Ok(Hosts::read(&mut self.session, &self.servers, here, phases).await?)
    }

    async fn reports_take_up(&mut self) -> anyhow::Result<bool> {
        let version = self.servers.control.version(&mut self.session).await?;
        Ok(version.is_some_and(|version| version >= take_up::SINCE))
    }

    async fn deployments(&mut self, projection: &str, limit: u32) -> anyhow::Result<Deployments> {
        Ok(deployments::deployments(&mut self.session, &self.servers, projection, limit).await?)
    }

    async fn generations(&mut self, projection: &str) -> anyhow::Result<Generations> {
        ask::registered(&mut self.session, &self.servers, projection).await?;
        Ok(standing::generations(&mut self.session, &self.servers, projection).await?)
    }

    async fn why(&mut self, asked: AskedAggregate<'_>) -> anyhow::Result<Why> {
        let AskedAggregate { projection, aggregate, from, limit } = asked;
        let settings = self.settings(projection)?;
        let engine = compose::engine(self.config)?;
        let configured = load::load(&engine, projection, &settings.component, &settings.budget)?;
        let configured = configured.behind(compose::upcaster(self.config, &engine, settings)?);
        let versions = Versions::new(engine, settings.budget.clone(), configured);
        let (session, servers) = (&mut self.session, &self.servers);
        let documents = why::read(servers, &aggregate.readings(), &from, limit).await?;
        let mut recent = RecentlyTaken::new(settings.dedupe_window);
        let taken = recent.look(&mut servers.control.of(session, projection), &documents.asked()).await?;
        let known = documents.known(session, servers, &versions, projection, taken).await?;
        let (mut why, wanted) = known.told(&versions).await?;
        why.rows = Some(wanted.look(session).await?);
        Ok(why)
    }

    /// Loads and checks the file here before anything is stored.
    async fn candidate(&mut self, file: CandidateFile<'_>) -> anyhow::Result<LoadedCandidate> {
        let CandidateFile { projection, file, without_upcaster } = file;
        let settings = self.settings(projection)?;
        let engine = compose::engine(self.config)?;
        let half = load::load_either(&engine, projection, file, &settings.budget)?;
        let is_upcaster = matches!(half, LoadedComponent::Upcaster(_));
        self.registered(projection).await?;
        let before = self.in_force(&engine, projection).await?;
        let next = before.beside(half, without_upcaster);
        let next = next.map_err(|why| anyhow::anyhow!("{}: {why}", file.display()))?;
        let told = Uploaded::of(&next, is_upcaster);
        Ok(LoadedCandidate { next, before, told })
    }

    fn told<'c>(&self, candidate: &'c LoadedCandidate) -> &'c Uploaded {
        &candidate.told
    }

    async fn dry_deployment(
        &mut self,
        _: &str,
        LoadedCandidate { next, before, .. }: &LoadedCandidate,
        canary_seconds: u32,
    ) -> anyhow::Result<DryDeployment> {
        let request = Request::Deploy { digest: next.digest().to_owned(), canary_seconds };
        let dry = DryRun::of(&Wished { request, letters: None });
        let (session, servers) = (&mut self.session, &self.servers);
        Ok(DryDeployment::look(session, servers, before, next, dry).await?)
    }

    async fn shadow(
        &mut self,
        _: &str,
        LoadedCandidate { next, before, .. }: &LoadedCandidate,
        documents: u32,
    ) -> anyhow::Result<ShadowReport> {
        let none = || anyhow::anyhow!("no component is in force yet: there is nothing to compare with");
        let before = before.loaded()?.ok_or_else(none)?;
        Ok(shadow::compare(&self.servers, before, next, documents).await?)
    }

    async fn store(
        &mut self,
        projection: &str,
        LoadedCandidate { next, .. }: LoadedCandidate,
    ) -> anyhow::Result<String> {
        let who = own_host::who(self.config);
        let by = ChangedBy { projection, who: &who, carried_out_by: &who };
        next.store(&mut self.servers.control.on(&mut self.session), Some(by)).await?;
        Ok(next.digest().to_owned())
    }
}
