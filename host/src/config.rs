//! `laterna.toml`: read, overridden by the environment, checked as a whole before anything starts.
//!
//! Every value may be overridden: `LATERNA_` + its path in capitals, with two underscores between the parts, e.g.
//! `LATERNA_MYSQL__URL` or `LATERNA_PROJECTION__ACCOUNTS__LANES`. Unknown keys are refused. Secrets may stand in
//! files of their own (`uri_file`, `url_file`, `ddl_url_file`) and never show in logs.

mod check;
mod paths;
#[cfg(test)]
mod random;
mod read;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::SecretString;
use serde::Deserialize;

use crate::projector::Budget;
use crate::readmodel::lane::acknowledge::Acknowledge;
use crate::source::{Fields, OnLost};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub host: Host,
    pub mongodb: Mongodb,
    pub mysql: Mysql,
    /// What brings events of old versions into the form of today, before every projection.
    pub upcaster: Option<Upcaster>,
    #[serde(default)]
    pub projection: BTreeMap<String, Projection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Who this host is, for the lease and for people; the machine's name unless given.
    pub id: String,
    /// Where health and metrics are served, for whoever looks after the process.
    pub health: SocketAddr,
    /// Where the API is served.
    pub admin: SocketAddr,
    /// Names that it answers to beside the loopback's, with commas between.
    admin_names: String,
    /// The file with the tokens of the API.
    pub tokens: Option<PathBuf>,
    /// Where compiled components are kept; `.laterna` in the working directory unless given.
    pub state: Option<PathBuf>,
    /// How long a lease is good without being renewed, in seconds.
    pub lease_seconds: u32,
    /// How long a stop may take, in seconds.
    pub stop_seconds: u32,
    pub log: LogFormat,
    /// Whether a component's file that changes is deployed: for development.
    pub watch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    Text,
    Json,
}

impl Host {
    /// The names that the API answers to beside the loopback's.
    pub fn admin_names(&self) -> Vec<String> {
        let names = self.admin_names.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(ToOwned::to_owned).collect()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self {
            id: machine_name(),
            health: SocketAddr::from(([127, 0, 0, 1], 7421)),
            admin: SocketAddr::from(([127, 0, 0, 1], 7420)),
            admin_names: String::new(),
            tokens: None,
            state: None,
            lease_seconds: 10,
            stop_seconds: 20,
            log: LogFormat::Text,
            watch: false,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mongodb {
    uri: Option<SecretString>,
    uri_file: Option<PathBuf>,
    pub database: String,
    #[serde(default = "default_outbox")]
    pub outbox: String,
    #[serde(default)]
    pub preset: Preset,
    /// Names that differ from the preset.
    #[serde(default)]
    pub fields: FieldNames,
    /// The longest payload, as JSON text, in bytes.
    #[serde(default = "default_payload_bytes_max")]
    pub payload_bytes_max: usize,
    /// What becomes of documents that are projected.
    #[serde(default)]
    pub acknowledge: Acknowledging,
    #[serde(default = "default_delete_after_seconds")]
    pub delete_after_seconds: u32,
    /// How long documents stay, e.g. `30d`.
    pub retain: Option<String>,
}

/// What becomes of the outbox's documents when they are projected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acknowledging {
    #[default]
    Keep,
    /// Each says how it stands with each projection.
    Mark,
    /// They are deleted `delete_after_seconds` after they were projected.
    Delete,
    /// They are deleted when they were kept as long as `retain` says.
    Retain,
}

/// The names of an event's fields, where they are given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FieldNames {
    event_type: Option<String>,
    version: Option<String>,
    aggregate_type: Option<String>,
    aggregate_id: Option<String>,
    sequence: Option<String>,
    occurred_at: Option<String>,
    payload: Option<String>,
    metadata: Option<String>,
}

/// Sets of field names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    #[default]
    Default,
    Debezium,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mysql {
    url: Option<SecretString>,
    url_file: Option<PathBuf>,
    /// The account that creates tables; the other one then needs no more than DML. The same one unless given.
    ddl_url: Option<SecretString>,
    ddl_url_file: Option<PathBuf>,
    #[serde(default = "default_control_schema")]
    pub control_schema: String,
    /// How long a transaction of a lane may take, in seconds.
    #[serde(default = "default_statement_seconds")]
    pub statement_seconds: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upcaster {
    /// The component's file.
    pub component: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projection {
    /// The component's file.
    pub component: PathBuf,
    #[serde(default = "default_lanes")]
    pub lanes: u32,
    /// How many events a transaction takes at most.
    #[serde(default = "default_batch_max")]
    pub batch_max: usize,
    /// How many recent event ids are remembered.
    #[serde(default = "default_dedupe_window")]
    pub dedupe_window: usize,
    #[serde(default)]
    pub start: Start,
    /// What is done where the place in the change stream is lost.
    #[serde(default)]
    pub resume_lost: OnLost,
    #[serde(default)]
    pub budget: Budget,
    /// How many dead letters there may be.
    #[serde(default = "default_dead_letters_max")]
    pub dead_letters_max: u64,
    /// How many bytes their documents may have together.
    #[serde(default = "default_dead_letter_bytes_max")]
    pub dead_letter_bytes_max: u64,
    /// After how many days letters are erased; 0: never.
    #[serde(default)]
    pub letter_retention_days: u32,
    /// Whether another component tries again what others failed.
    #[serde(default)]
    pub replay_after_deployment: bool,
    /// How much of the time lanes beside the live ones may take while a generation is built, in percent.
    #[serde(default = "default_rebuild_percent")]
    pub rebuild_percent: u32,
    /// What a parked event holds back; as the projector's ordering says unless given.
    pub hold: Option<HoldSetting>,
    #[serde(default)]
    pub breaker: BreakerConfig,
}

/// What a parked event holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldSetting {
    /// The later events of its aggregate.
    Aggregate,
    /// Everything behind it.
    Stream,
}

/// When a projection pauses because its projector looks broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// So many different aggregates were parked; 0: never.
    pub aggregates: usize,
    /// Within so many seconds.
    pub seconds: u32,
    /// And they were more than this share of the events that were projected meanwhile.
    pub percent: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { aggregates: 50, seconds: 60, percent: 50 }
    }
}

/// Where a projection begins that has no checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With everything the outbox holds.
    #[default]
    History,
    /// With what is written from now on: the tables stay without whatever came before.
    Now,
}

impl Config {
    /// Reads a file and the environment, and checks all of it.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let overrides =
            std::env::vars().filter(|(name, _)| name.starts_with("LATERNA_") && name.contains("__"));
        Self::from_sources(path, overrides.collect())
    }

    /// What is no obstacle, but should be known: each in one line that names the setting and the remedy.
    pub fn advice(&self) -> Vec<String> {
        check::advice(self)
    }

    fn from_sources(
        path: &Path,
        overrides: std::collections::HashMap<String, String>,
    ) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read the configuration {}; name another with --config", path.display())
        })?;
        let read::Read { mut settings, mut problems } = read::read::<Self>(&text, overrides);
        let folder = path.parent().unwrap_or(Path::new(""));
        if let Some(settings) = &mut settings {
            settings.resolve_paths(folder);
        }
        problems.extend(settings.iter().flat_map(check::problems));
        match settings {
            Some(settings) if problems.is_empty() => Ok(settings),
            _ => bail!("the configuration {} is not valid:\n  {}", path.display(), problems.join("\n  ")),
        }
    }
}

impl Mongodb {
    pub fn uri(&self) -> anyhow::Result<SecretString> {
        secret("mongodb.uri", self.uri.as_ref(), self.uri_file.as_deref())
    }

    /// What becomes of documents, and after which time.
    pub fn acknowledging(&self) -> anyhow::Result<Acknowledge> {
        let age = match self.acknowledge {
            Acknowledging::Keep => return Ok(Acknowledge::Keep),
            Acknowledging::Mark => return Ok(Acknowledge::Mark),
            Acknowledging::Delete => Duration::from_secs(self.delete_after_seconds.into()),
            Acknowledging::Retain => {
                let retain = self.retain.as_deref();
                let retain =
                    retain.context("`mongodb.acknowledge` is \"retain\", so give `mongodb.retain`")?;
                humantime::parse_duration(retain).with_context(|| {
                    format!("`mongodb.retain` is {retain:?}; it must be like \"30d\" or \"12h\"")
                })?
            }
        };
        Ok(Acknowledge::Delete { age })
    }

    /// The names of the fields: the preset's, unless they are given.
    pub fn field_names(&self) -> Fields {
        let preset = match self.preset {
            Preset::Default => Fields::default(),
            Preset::Debezium => Fields::debezium(),
        };
        let given = self.fields.clone();
        Fields {
            event_type: given.event_type.unwrap_or(preset.event_type),
            version: given.version.unwrap_or(preset.version),
            aggregate_type: given.aggregate_type.unwrap_or(preset.aggregate_type),
            aggregate_id: given.aggregate_id.unwrap_or(preset.aggregate_id),
            sequence: given.sequence.unwrap_or(preset.sequence),
            occurred_at: given.occurred_at.unwrap_or(preset.occurred_at),
            payload: given.payload.unwrap_or(preset.payload),
            metadata: given.metadata.unwrap_or(preset.metadata),
        }
    }
}

impl Mysql {
    pub fn url(&self) -> anyhow::Result<SecretString> {
        secret("mysql.url", self.url.as_ref(), self.url_file.as_deref())
    }

    pub fn ddl_url(&self) -> anyhow::Result<SecretString> {
        match (&self.ddl_url, &self.ddl_url_file) {
            (None, None) => self.url(),
            (value, file) => secret("mysql.ddl_url", value.as_ref(), file.as_deref()),
        }
    }
}

/// A secret that stands in the configuration or in a file, without the line's end.
fn secret(name: &str, value: Option<&SecretString>, file: Option<&Path>) -> anyhow::Result<SecretString> {
    match (value, file) {
        (Some(value), None) => Ok(value.clone()),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read `{name}_file` {}", file.display()))?;
            let text = text.trim_end_matches(['\r', '\n']);
            if text.is_empty() {
                bail!("`{name}_file` {} is empty", file.display());
            }
            Ok(text.into())
        }
        (Some(_), Some(_)) => bail!("`{name}` and `{name}_file` are both given; give one"),
        (None, None) => bail!("`{name}` is missing; give it, or `{name}_file`"),
    }
}

fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "laterna".to_owned(),
        name => name.to_owned(),
    }
}

fn default_outbox() -> String {
    "outbox".to_owned()
}

fn default_statement_seconds() -> u32 {
    30
}

fn default_control_schema() -> String {
    "laterna".to_owned()
}

fn default_payload_bytes_max() -> usize {
    1 << 20
}

fn default_delete_after_seconds() -> u32 {
    3600
}

fn default_lanes() -> u32 {
    4
}

fn default_batch_max() -> usize {
    1000
}

fn default_dedupe_window() -> usize {
    100_000
}

fn default_rebuild_percent() -> u32 {
    50
}

fn default_dead_letters_max() -> u64 {
    100_000
}

fn default_dead_letter_bytes_max() -> u64 {
    1 << 30
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use secrecy::ExposeSecret;

    use super::*;

    pub(super) const VALID: &str = r#"
        [mongodb]
        uri = "mongodb://127.0.0.1/?replicaSet=rs0"
        database = "bank"
        [mysql]
        url = "mysql://app:hunter2@127.0.0.1/bank"
        [projection.accounts]
        component = "accounts.wasm"
    "#;

    pub(super) fn load(text: &str, overrides: &[(&str, &str)]) -> anyhow::Result<Config> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("laterna.toml");
        std::fs::write(&path, text)?;
        let overrides: HashMap<_, _> =
            overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::from_sources(&path, overrides)
    }

    /// What is said about a configuration that must be refused.
    pub(super) fn refusal(text: &str, overrides: &[(&str, &str)]) -> String {
        format!("{:#}", load(text, overrides).expect_err("it must be refused"))
    }

    #[test]
    fn what_is_not_given_has_a_default() {
        let config = load(VALID, &[]).expect("it is valid");
        let accounts = &config.projection["accounts"];
        assert_eq!((accounts.lanes, accounts.batch_max, accounts.start), (4, 1000, Start::History));
        assert_eq!(config.mongodb.outbox, "outbox");
        assert!(config.host.admin.ip().is_loopback());
        assert!(!config.host.id.is_empty());
    }

    #[test]
    fn every_value_can_be_overridden_by_the_environment() {
        let overrides = [
            ("LATERNA_PROJECTION__ACCOUNTS__LANES", "8"),
            ("LATERNA_MYSQL__URL", "mysql://other@h/db"),
            ("LATERNA_HOST__LEASE_SECONDS", "3"),
            ("LATERNA_PROJECTION__ACCOUNTS__BUDGET__FUEL", "5000000"),
        ];
        let config = load(VALID, &overrides).expect("it is valid");
        assert_eq!(config.projection["accounts"].lanes, 8);
        assert_eq!(config.mysql.url().expect("given").expose_secret(), "mysql://other@h/db");
        assert_eq!(config.host.lease_seconds, 3);
        assert_eq!(config.projection["accounts"].budget.fuel, 5_000_000);
    }

    #[test]
    fn a_field_name_replaces_the_one_of_the_preset_and_no_other() {
        let text = VALID.replace("[mysql]", "preset = \"debezium\"\nfields.payload = \"data\"\n[mysql]");
        let names = load(&text, &[]).expect("it is valid").mongodb.field_names();
        assert_eq!(names, Fields { payload: "data".into(), ..Fields::debezium() });
    }

    #[test]
    fn what_becomes_of_documents_is_keeping_them_unless_something_else_is_said() {
        let acknowledging = |lines: &str| {
            let config =
                load(&VALID.replace("[mysql]", &format!("{lines}\n[mysql]")), &[]).expect("it is valid");
            config.mongodb.acknowledging().expect("it is valid")
        };
        let after = |seconds| Acknowledge::Delete { age: Duration::from_secs(seconds) };
        assert_eq!(acknowledging(""), Acknowledge::Keep);
        assert_eq!(acknowledging("acknowledge = \"mark\""), Acknowledge::Mark);
        assert_eq!(acknowledging("acknowledge = \"delete\""), after(3600));
        assert_eq!(acknowledging("acknowledge = \"delete\"\ndelete_after_seconds = 5"), after(5));
        assert_eq!(acknowledging("acknowledge = \"retain\"\nretain = \"30d\""), after(30 * 86400));
    }

    #[test]
    fn an_age_that_makes_no_sense_is_refused() {
        for (lines, says) in [
            ("acknowledge = \"retain\"", "give `mongodb.retain`"),
            ("acknowledge = \"retain\"\nretain = \"a while\"", "like \"30d\""),
            ("acknowledge = \"retain\"\nretain = \"0s\"", "1 s to"),
            ("retain = \"30d\"", "acknowledge = \"retain\""),
            ("acknowledge = \"delete\"\ndelete_after_seconds = 99_999_999", "`mongodb.delete_after_seconds`"),
            ("fields.payload = \"laterna\"", "reserved"),
        ] {
            let refused = refusal(&VALID.replace("[mysql]", &format!("{lines}\n[mysql]")), &[]);
            assert!(refused.contains(says), "{lines}: {refused}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_its_name() {
        for (text, key) in [
            (VALID.replace("component", "kompnent"), "kompnent"),
            (VALID.replace("[mysql]", "[mysql]\nhost = \"x\""), "host"),
            (format!("{VALID}\n[extra]\na = 1"), "extra"),
        ] {
            let refused = refusal(&text, &[]);
            assert!(refused.contains(key) && refused.contains("laterna.toml"), "{refused}");
        }
        assert!(refusal(VALID, &[("LATERNA_MYSQL__HOST", "x")]).contains("host"));
    }

    #[test]
    fn what_is_wrong_is_told_all_at_once() {
        let text = VALID
            .replace("component = \"accounts.wasm\"", "component = \"a.wasm\"\nlanes = 0\nbatch_max = 0");
        let refused = refusal(&text, &[]);
        assert!(refused.contains("`projection.accounts.lanes`"), "{refused}");
        assert!(refused.contains("`projection.accounts.batch_max`"), "{refused}");
    }

    #[test]
    fn an_editors_marks_and_line_ends_are_no_obstacle() {
        let text = format!("\u{feff}{}", VALID.replace('\n', "\r\n"));
        load(&text, &[]).expect("it is valid");
    }

    #[test]
    fn a_broken_line_is_named_but_not_repeated() {
        let refused = refusal(&VALID.replace("hunter2@127.0.0.1/bank\"", "hunter2@127.0.0.1/bank"), &[]);
        assert!(refused.contains("line 6") && !refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_by_its_line() {
        let refused =
            refusal(&VALID.replace("database = \"bank\"", "database = \"a\"\ndatabase = \"b\""), &[]);
        assert!(refused.contains("duplicate key") && refused.contains("line 5"), "{refused}");
    }

    #[test]
    fn text_that_is_not_toml_is_refused_with_its_line() {
        assert!(refusal("[mongodb\n", &[]).contains("line 1"));
        assert!(refusal("", &[]).contains("mongodb"));
    }

    #[test]
    fn secrets_come_from_files_and_never_show() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("url");
        std::fs::write(&path, "mysql://app:hunter3@h/bank\n").expect("written");
        let text = VALID.replace(
            "url = \"mysql://app:hunter2@127.0.0.1/bank\"",
            &format!("url_file = {:?}", path.display().to_string()),
        );
        let config = load(&text, &[]).expect("it is valid");
        assert_eq!(config.mysql.url().expect("readable").expose_secret(), "mysql://app:hunter3@h/bank");
        assert!(!format!("{:?}", load(VALID, &[]).expect("it is valid")).contains("hunter2"));
        std::fs::write(&path, "\n").expect("written");
        assert!(refusal(&text, &[]).contains("is empty"));
        std::fs::remove_file(&path).expect("removed");
        assert!(refusal(&text, &[]).contains("cannot read `mysql.url_file`"));
    }

    #[test]
    fn a_secret_that_is_everybodys_to_read_is_told_of() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("url");
        std::fs::write(&path, "mysql://app:hunter3@h/bank\n").expect("written");
        let url_file = format!("url_file = {:?}", path.display().to_string());
        let text = VALID.replace("url = \"mysql://app:hunter2@127.0.0.1/bank\"", &url_file);
        let advice = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("it is mine");
            load(&text, &[]).expect("it is valid").advice()
        };
        assert_eq!([advice(0o600), advice(0o640)], [vec![], Vec::<String>::new()]);
        for mode in [0o644, 0o604] {
            let advice = advice(mode);
            let told = |says: &str| advice.len() == 1 && advice[0].contains(says);
            assert!(told("`mysql.url_file`") && told("chmod 600") && !told("hunter3"), "{advice:?}");
        }
    }

    #[test]
    fn the_examples_are_valid() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let servers = [
            ("LATERNA_MYSQL__URL", "mysql://app@mysql/bank"),
            ("LATERNA_MYSQL__DDL_URL", "mysql://ddl@mysql/bank"),
        ];
        for name in ["laterna.toml", "laterna.compose.toml"] {
            let text = std::fs::read_to_string(examples.join(name)).expect("the example is there");
            load(&text, &servers).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let missing = Config::load(Path::new("/nowhere/laterna.toml")).expect_err("there is none");
        assert!(format!("{missing:#}").contains("/nowhere/laterna.toml"));
    }
}
