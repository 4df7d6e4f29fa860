//! Reads the configuration anew while the host runs: on SIGHUP, or when the API asks. All of it is checked first; then what can be
//! is taken over, and the rest is named.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use metrics::counter;
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::Targets;

use super::compose;
use super::fleet::{Fleet, FleetChanges};
use crate::admin::reload::{ReloadRequest, Reloaded};
use crate::admin::tokens::{Tokens, TokensInForce};
use crate::config::{Config, TakenOver};
use crate::failure::{Failure, Fault};
use crate::readmodel::control::recorded_change::{ChangedBy, RecordedChange};
use crate::readmodel::mysql::session::{Connector, within};
use crate::servers::Servers;
use crate::source::Outbox;
use crate::telemetry::{LOG_VARIABLE, LogFilter};

/// How long a server may take to say whether it takes an account.
const TRIAL: Duration = Duration::from_secs(10);

/// How long MySQL may take to record a reload.
const RECORDING: Duration = Duration::from_secs(5);

/// The settings that are compared by what stands in their files, and told apart from the others.
const COMPARED: [&str; 8] = [
    "host.tokens",
    "host.log_filter",
    "mongodb.uri",
    "mongodb.uri_file",
    "mysql.url",
    "mysql.url_file",
    "mysql.ddl_url",
    "mysql.ddl_url_file",
];

/// Reads the configuration anew.
pub struct Reloader {
    pub path: PathBuf,
    /// The configuration in force.
    pub config: Arc<Config>,
    pub in_force: InForceSecrets,
    pub servers: Servers,
    pub tokens: TokensInForce,
    pub filter: LogFilter,
    pub requests: mpsc::Receiver<ReloadRequest>,
    pub fleet: Fleet,
}

/// The values in force of the settings that are taken over.
pub struct InForceSecrets {
    mongodb: SecretString,
    applier: SecretString,
    ddl: SecretString,
    filter: String,
}

impl InForceSecrets {
    pub fn of(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            mongodb: with_files(config.mongodb.uri()?),
            applier: config.mysql.url()?,
            ddl: config.mysql.ddl_url()?,
            filter: config.host.log_filter.clone(),
        })
    }
}

/// A configuration that was read and checked, with what is to be taken over.
struct CheckedConfig {
    reloaded: Reloaded,
    config: Arc<Config>,
    changes: FleetChanges,
    figures: Servers,
    tokens: Tokens,
    filter: Option<(Targets, String)>,
    applier: Option<(Connector, SecretString)>,
    ddl: Option<(Connector, SecretString)>,
    outbox: Option<(Outbox, SecretString)>,
}

impl Reloader {
    /// Shows its counters, before there is anything to count.
    pub fn shows_counters() {
        for outcome in ["done", "refused"] {
            counter!("laterna_reloads_total", "outcome" => outcome).increment(0);
        }
    }

    /// Waits for signals and requests, until a stop is asked for and all projections have ended.
    pub async fn run(mut self, mut hangups: Signal, stop: CancellationToken) {
        // A reload that a stop comes upon is dropped: what it was to change, nobody needs any more.
        stop.run_until_cancelled(self.reload_whenever_asked(&mut hangups)).await;
        let Self { mut fleet, requests, .. } = self;
        // Whoever waits to ask is told that nobody answers any more.
        drop(requests);
        fleet.ended().await;
    }

    async fn reload_whenever_asked(&mut self, hangups: &mut Signal) {
        loop {
            tokio::select! {
                _ = hangups.recv() => {
                    let _ = self.reload(false, "signal").await;
                }
                Some(ReloadRequest { is_dry, by, answer }) = self.requests.recv() => {
                    // Whoever asked may have gone away.
                    let _ = answer.send(self.reload(is_dry, &by).await);
                }
                () = self.fleet.ended() => return,
            }
        }
    }

    async fn reload(&mut self, is_dry: bool, by: &str) -> Result<Reloaded, String> {
        let checked = self.check().await.map_err(|error| format!("{error:#}"));
        if is_dry {
            return checked.map(|checked| checked.reloaded);
        }
        let reloaded = match checked {
            Ok(checked) => self.take_over(checked).await.map_err(|error| format!("{error:#}")),
            Err(why) => Err(why),
        };
        let outcome = if reloaded.is_ok() { "done" } else { "refused" };
        counter!("laterna_reloads_total", "outcome" => outcome).increment(1);
        match &reloaded {
            Ok(Reloaded { applied, needs_restart }) => tracing::info!(
                by,
                applied = applied.join(", "),
                needs_restart = needs_restart.join(", "),
                "the configuration was read anew"
            ),
            Err(why) => tracing::error!(by, "the configuration stays as it was: {why}"),
        }
        self.record(by, &reloaded).await;
        reloaded
    }

    /// Records it for the audit. Where MySQL is away, the log has it: a reload may be what mends that.
    async fn record(&self, who: &str, reloaded: &Result<Reloaded, String>) {
        let recording = async {
            let by = ChangedBy { projection: "", who, carried_out_by: &self.config.host.id };
            let Reloaded { applied, needs_restart } = reloaded.clone().unwrap_or_default();
            let change = RecordedChange::Reload { applied, needs_restart };
            let told = reloaded.as_ref().map(Reloaded::told);
            let result = told.as_deref().map_err(|why| why.as_str());
            let mut session = self.servers.applier.connect().await?;
            self.servers.control.on(&mut session).record_change(by, &change, result).await
        };
        if let Err(failure) = within(RECORDING, "recording the reload", recording).await {
            tracing::warn!(by = who, "the audit does not have the reload: {}", failure.without_values());
        }
    }

    /// Reads and checks all of it, and changes nothing.
    async fn check(&self) -> anyhow::Result<CheckedConfig> {
        let next = Config::load(&self.path)?;
        let filter = LogFilter::read(&next.host.log_filter)?;
        let tokens = Tokens::read(next.host.tokens.as_deref())?;
        stays_guarded(self.config.host.admin, &tokens)?;
        let (servers, secrets) = (compose::servers(&next)?, InForceSecrets::of(&next)?);
        let TakenOver { config, applied, staying } = self.config.taking_over(next);
        let config = Arc::new(config);
        let (loading, engine) = (config.clone(), self.fleet.engine.clone());
        let loaded = tokio::task::spawn_blocking(move || compose::components(&loading, &engine)).await??;
        let changes = self.fleet.changes(&config, loaded);
        let differing = applied.into_iter().filter(|path| !COMPARED.contains(&path.as_str())).collect();
        let mut told = Reloaded { applied: self.fleet.told(&changes, differing), needs_restart: staying };
        if *self.tokens.get() != tokens {
            told.applied.push("host.tokens".to_owned());
        }
        let mut other_filter = None;
        if secrets.filter != self.in_force.filter && std::env::var_os(LOG_VARIABLE).is_some() {
            told.needs_restart.push(format!("host.log_filter ({LOG_VARIABLE} is set, and wins)"));
        } else if secrets.filter != self.in_force.filter {
            told.applied.push("host.log_filter".to_owned());
            other_filter = Some((filter, secrets.filter));
        }
        let (own, known) = (&self.servers, &self.in_force);
        let applier =
            account(&mut told, "mysql.url", &own.applier, &servers.applier, &known.applier, secrets.applier);
        let applier = applier.await?;
        let ddl =
            account(&mut told, "mysql.ddl_url", &own.ddl, &servers.ddl, &known.ddl, secrets.ddl).await?;
        let outbox = self.outbox(&mut told, servers.outbox.clone(), secrets.mongodb).await?;
        let (filter, figures) = (other_filter, servers);
        Ok(CheckedConfig { reloaded: told, config, changes, figures, tokens, filter, applier, ddl, outbox })
    }

    async fn outbox(
        &self,
        told: &mut Reloaded,
        next: Outbox,
        secret: SecretString,
    ) -> anyhow::Result<Option<(Outbox, SecretString)>> {
        if secret.expose_secret() == self.in_force.mongodb.expose_secret() {
            return Ok(None);
        }
        if !self.servers.outbox.is_same_place(&next) {
            told.needs_restart.push("mongodb.uri (other servers)".to_owned());
            return Ok(None);
        }
        is_taken("mongodb.uri", within(TRIAL, "asking MongoDB who it is", next.identify()).await)?;
        told.applied.push("mongodb.uri".to_owned());
        Ok(Some((next, secret)))
    }

    /// Takes over what was checked.
    async fn take_over(&mut self, checked: CheckedConfig) -> anyhow::Result<Reloaded> {
        let CheckedConfig { reloaded, config, changes, figures, tokens, filter, applier, ddl, outbox } =
            checked;
        if let Some((filter, text)) = filter {
            self.filter.change(filter)?;
            self.in_force.filter = text;
        }
        self.tokens.replace(tokens);
        if let Some((next, secret)) = applier {
            self.servers.applier.takes_over(&next);
            self.in_force.applier = secret;
        }
        if let Some((next, secret)) = ddl {
            self.servers.ddl.takes_over(&next);
            self.in_force.ddl = secret;
        }
        if let Some((next, secret)) = outbox {
            self.servers.outbox.takes_over(&next).await;
            self.in_force.mongodb = secret;
        }
        self.servers.applier.takes_figures_of(&figures.applier);
        self.servers.ddl.takes_figures_of(&figures.ddl);
        self.servers.decoder.takes_payloads_up_to(config.mongodb.payload_bytes_max);
        self.fleet.follow(&config, changes).await;
        self.config = config;
        Ok(reloaded)
    }
}

/// Fails where other machines would reach the API without a token. A new address counts from the next start on only; until then
/// the host listens where it does.
fn stays_guarded(admin: SocketAddr, tokens: &Tokens) -> anyhow::Result<()> {
    if tokens.is_empty() && !admin.ip().is_loopback() {
        anyhow::bail!(
            "`host.tokens` is gone, and this host listens on {admin}, where other machines reach it: name a file of tokens, or \
             start the host again with `host.admin` on the loopback"
        );
    }
    Ok(())
}

/// An account of MySQL that is reached in another way, where it is; tried before it is taken.
async fn account(
    told: &mut Reloaded,
    setting: &str,
    own: &Connector,
    next: &Connector,
    known: &SecretString,
    secret: SecretString,
) -> anyhow::Result<Option<(Connector, SecretString)>> {
    if secret.expose_secret() == known.expose_secret() {
        return Ok(None);
    }
    if !own.is_same_account(next) {
        told.needs_restart.push(format!("{setting} (another server, account or database)"));
        return Ok(None);
    }
    is_taken(setting, within(TRIAL, "connecting to MySQL", next.connect()).await)?;
    told.applied.push(setting.to_owned());
    Ok(Some((next.clone(), secret)))
}

/// Fails where a server refuses what a setting says. One that does not answer refuses nothing: it does not answer to what is in
/// force either.
fn is_taken<T>(setting: &str, tried: Result<T, Failure>) -> anyhow::Result<()> {
    match tried {
        Err(failure) if failure.fault() != Fault::Environment => {
            bail!("`{setting}` is not taken: {}; {}", failure.without_values(), failure.remedy())
        }
        _ => Ok(()),
    }
}

/// A URI of MongoDB with what stands in the files that it names: the driver reads them when it connects first.
fn with_files(uri: SecretString) -> SecretString {
    const FILES: [&str; 2] = ["tlsCAFile=", "tlsCertificateKeyFile="];
    let options = uri.expose_secret().split_once('?').map_or("", |(_, options)| options);
    let files =
        options.split('&').filter_map(|option| FILES.iter().find_map(|name| option.strip_prefix(name)));
    let read = |file| {
        let file = percent_encoding::percent_decode_str(file).decode_utf8_lossy().into_owned();
        std::fs::read_to_string(file).unwrap_or_default()
    };
    let contents: Vec<String> = files.map(read).collect();
    if contents.is_empty() { uri } else { format!("{} {}", uri.expose_secret(), contents.concat()).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_certificate_in_the_same_file_is_a_difference() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        let uri = || SecretString::from(format!("mongodb://h/?tls=true&tlsCAFile={}", file.display()));
        let told = |text: &str| {
            std::fs::write(&file, text).expect("it can be written");
            with_files(uri()).expose_secret().to_owned()
        };
        assert_ne!(told("one"), told("another"));
        assert_eq!(with_files("mongodb://h/".into()).expose_secret(), "mongodb://h/");
    }

    #[test]
    fn no_reload_takes_the_tokens_of_a_host_that_other_machines_reach() {
        let guarded = |admin: &str| {
            stays_guarded(admin.parse().expect("an address"), &Tokens::read(None).expect("none"))
        };
        assert!(guarded("127.0.0.1:7420").is_ok());
        let refused = guarded("0.0.0.0:7420").expect_err("anybody could do anything").to_string();
        assert!(refused.contains("`host.tokens` is gone"), "{refused}");
    }
}
