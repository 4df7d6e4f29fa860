//! What operators' commands act through: MySQL and MongoDB themselves, or a host's API. Both give the same results.

mod host_api;
mod by_api;
mod by_databases;

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::config::Config;
use crate::event::Named;
use crate::operation::choice::LetterBoundary;
use crate::operation::deployments::Deployments;
use crate::operation::dry_run::DryDeployment;
use crate::operation::hosts::Hosts;
use crate::operation::load::Uploaded;
use crate::operation::shadow::ShadowReport;
use crate::operation::standing::Generations;
use crate::operation::standstill::PauseProgress;
use crate::operation::whole_letter::WholeLetter;
use crate::operation::why::Why;
use crate::operation::wish::Wish;
use crate::readmodel::control::command::{Cancellation, CommandRecord, RecordFilter};
use crate::readmodel::lane::dead_letter::Letter;
use crate::source::PageFrom;

pub use by_databases::ByDatabases;
pub use host_api::{Call, HostApi, HostIsAway};

/// The host that commands ask, where one is named.
#[derive(Debug, Clone, clap::Args)]
pub struct HostArguments {
    /// Ask the API of this host instead of MySQL, e.g. `http://127.0.0.1:7420`: no configuration is needed.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "LATERNA_HOST",
        hide_env_values = true,
        help_heading = "Host"
    )]
    host: Option<String>,
    /// File that holds nothing but the token to ask it with.
    #[arg(long, global = true, value_name = "FILE", env = "LATERNA_TOKEN_FILE", help_heading = "Host")]
    token_file: Option<PathBuf>,
}

impl HostArguments {
    /// The host's API, where a host is named.
    pub fn api(&self) -> anyhow::Result<Option<HostApi>> {
        let Some(url) = &self.host else { return Ok(None) };
        Ok(Some(HostApi::new(url, self.token_file.as_deref())?))
    }
}

/// Where a command goes.
pub enum Target<'a> {
    Config(&'a Config),
    Host(HostApi),
}

impl<'a> Target<'a> {
    /// The configuration, for a command that no host's API covers.
    pub fn config(self, command: &str) -> anyhow::Result<&'a Config> {
        match self {
            Self::Config(config) => Ok(config),
            Self::Host(_) => bail!(
                "`laterna {command}` works with this machine's configuration, and no host does it for others: leave \
                 `--host` and LATERNA_HOST out"
            ),
        }
    }
}

/// Which letters are listed.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    pub id: Option<u64>,
    pub aggregate: Option<Named>,
    pub class: Option<String>,
    pub heads_only: bool,
    /// Those behind this id.
    pub after: u64,
}

/// A component that is to be deployed.
pub struct CandidateFile<'a> {
    pub projection: &'a str,
    pub file: &'a Path,
    pub without_upcaster: bool,
}

/// An aggregate that is asked about.
pub struct AskedAggregate<'a> {
    pub projection: &'a str,
    pub aggregate: &'a Named,
    pub from: PageFrom,
    pub limit: usize,
}

/// What commands look at and ask for.
pub trait Console {
    /// A component that was loaded and checked, and not stored yet where that can be put off.
    type Candidate;

    async fn registered(&mut self, projection: &str) -> anyhow::Result<()>;
    async fn letters(
        &mut self,
        projection: &str,
        filter: &LetterFilter,
        limit: u32,
    ) -> anyhow::Result<Vec<Letter>>;
    async fn count(&mut self, projection: &str, filter: &LetterFilter) -> anyhow::Result<u64>;
    async fn letter(&mut self, projection: &str, id: u64) -> anyhow::Result<WholeLetter>;
    /// Gives each line of an export to whoever writes it.
    async fn export(
        &mut self,
        projection: &str,
        filter: &LetterFilter,
        write: &mut impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()>;
    async fn boundary(&mut self, projection: &str) -> anyhow::Result<LetterBoundary>;
    /// How many letters a wish is about.
    async fn would_be_about(&mut self, projection: &str, wish: &Wish) -> anyhow::Result<u64>;
    /// Asks for what is wished, and gives the operation's number.
    async fn ask(&mut self, projection: &str, wish: Wish) -> anyhow::Result<u64>;
    async fn operation(&mut self, id: u64) -> anyhow::Result<CommandRecord>;
    async fn operations(&mut self, filter: &RecordFilter, limit: u32) -> anyhow::Result<Vec<CommandRecord>>;
    async fn cancel(&mut self, id: u64, is_dry: bool) -> anyhow::Result<Cancellation>;
    async fn pause(&mut self, projection: &str) -> anyhow::Result<PauseProgress>;
    async fn hosts(&mut self) -> anyhow::Result<Hosts>;
    /// Returns true where hosts report whether their lanes work with what is deployed.
    async fn reports_take_up(&mut self) -> anyhow::Result<bool>;
    async fn deployments(&mut self, projection: &str, limit: u32) -> anyhow::Result<Deployments>;
    async fn generations(&mut self, projection: &str) -> anyhow::Result<Generations>;
    async fn why(&mut self, asked: AskedAggregate<'_>) -> anyhow::Result<Why>;
    async fn candidate(&mut self, file: CandidateFile<'_>) -> anyhow::Result<Self::Candidate>;
    /// What it would be deployed as.
    fn told<'c>(&self, candidate: &'c Self::Candidate) -> &'c Uploaded;
    /// What would come of a deployment of it. Nothing is deployed.
    async fn dry_deployment(
        &mut self,
        projection: &str,
        candidate: &Self::Candidate,
        canary_seconds: u32,
    ) -> anyhow::Result<DryDeployment>;
    async fn shadow(
        &mut self,
        projection: &str,
        candidate: &Self::Candidate,
        documents: u32,
    ) -> anyhow::Result<ShadowReport>;
    /// Stores a component for a projection, and gives the digest that a deployment of it names.
    async fn store(&mut self, projection: &str, candidate: Self::Candidate) -> anyhow::Result<String>;
}
