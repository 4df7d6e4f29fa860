//! Settings of the read model's server: its accounts, the control schema and the time of a transaction.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use super::secret::secret;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mysql {
    pub(super) url: Option<SecretString>,
    pub(super) url_file: Option<PathBuf>,
    /// The account that creates tables; the other one then needs no more than DML. The same one unless given.
    pub(super) ddl_url: Option<SecretString>,
    pub(super) ddl_url_file: Option<PathBuf>,
    #[serde(default = "default_control_schema")]
    pub control_schema: String,
    /// How long a transaction of a lane may take, in seconds.
    #[serde(default = "default_statement_seconds")]
    pub statement_seconds: u32,
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

fn default_statement_seconds() -> u32 {
    30
}

fn default_control_schema() -> String {
    "laterna".to_owned()
}
