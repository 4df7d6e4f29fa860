//! Settings of the source: how MongoDB is reached, where the outbox is, and what becomes of its documents.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use serde::Deserialize;

use super::secret::secret;
use crate::readmodel::lane::acknowledge::Acknowledge;
use crate::source::Fields;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mongodb {
    pub(super) uri: Option<SecretString>,
    pub(super) uri_file: Option<PathBuf>,
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
    /// Treatment of documents that are projected.
    #[serde(default)]
    pub acknowledge: Acknowledging,
    #[serde(default = "default_delete_after_seconds")]
    pub delete_after_seconds: u32,
    /// How long documents stay, e.g. `30d`.
    pub retain: Option<String>,
}

/// Treatment of the outbox's documents when they are projected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acknowledging {
    #[default]
    Keep,
    /// Each has a mark of each projection.
    Mark,
    /// They are deleted `delete_after_seconds` after they were projected.
    Delete,
    /// They are deleted when they are older than `retain`.
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

impl Mongodb {
    pub fn uri(&self) -> anyhow::Result<SecretString> {
        secret("mongodb.uri", self.uri.as_ref(), self.uri_file.as_deref())
    }

    /// Treatment of documents, and the time after which they are deleted.
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

fn default_outbox() -> String {
    "outbox".to_owned()
}

fn default_payload_bytes_max() -> usize {
    1 << 20
}

fn default_delete_after_seconds() -> u32 {
    3600
}
