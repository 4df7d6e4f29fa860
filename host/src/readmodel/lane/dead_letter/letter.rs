//! A letter: its columns, and how people see it.

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use crate::event::{Aggregate, Id};
use crate::readmodel::named::named;
use crate::text::{harmless, quoted};

pub(super) const COLUMNS: &str = "d.id, d.state, d.document_key, d.aggregate_key, d.aggregate, d.event_id, d.event_type, d.class, \
    d.reason, d.digest, d.attempts, d.created_at, d.updated_at, d.erased_at, d.parts, d.event_key, \
    CAST(COALESCE(d.document_bytes, LENGTH(d.document)) AS UNSIGNED) AS document_bytes";

/// What stands in the place of a value that whoever asks may not see.
pub const MASKED: &str = "(masked)";

/// Whether a letter failed, or waits behind one that did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LetterState {
    Parked,
    Held,
}

named!(LetterState { Parked = "parked", Held = "held" });

/// A stored letter, without its document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Letter {
    pub id: u64,
    pub state: LetterState,
    pub aggregate: Option<String>,
    /// The aggregate as only this one is written: what `--aggregate` takes for it.
    pub aggregate_exact: Option<String>,
    pub event_id: Option<String>,
    pub event_type: Option<String>,
    pub class: Option<String>,
    pub reason: Option<String>,
    pub digest: String,
    pub attempts: u32,
    pub created_at: String,
    pub updated_at: String,
    pub document_bytes: u64,
    /// When its document, operations and reason were erased.
    pub erased_at: Option<String>,
    /// In how many parts the document is stored; 0: in the letter itself.
    #[serde(skip)]
    pub parts: u32,
    #[serde(skip)]
    pub aggregate_key: Option<Vec<u8>>,
    #[serde(skip)]
    pub document_key: Vec<u8>,
    #[serde(skip)]
    pub event_key: Option<Vec<u8>>,
}

impl Letter {
    /// The aggregate as people see it, and no other one reads.
    pub fn aggregate_spelled(&self) -> Option<String> {
        let aggregate = self.aggregate_key.as_deref().map(Aggregate::from_key)?;
        aggregate.ok().map(|aggregate| aggregate.spelled())
    }

    /// The event's id as people see it. The first version of the control schema kept its text only.
    pub fn event_spelled(&self) -> Option<String> {
        let id = self.event_key.as_deref().and_then(|key| Id::from_key(key).ok());
        id.map(|id| id.spelled()).or_else(|| self.event_id.as_deref().map(harmless))
    }

    /// Takes out what the event, the projector or the row said.
    pub fn mask(&mut self) {
        if self.reason.is_some() {
            self.reason = Some(MASKED.to_owned());
        }
    }

    /// Reads a row of these [`COLUMNS`].
    pub(super) fn read(row: &MySqlRow) -> Result<Self, sqlx::Error> {
        let rfc3339 = time::format_description::well_known::Rfc3339;
        let text = |time: time::OffsetDateTime| time.format(&rfc3339).unwrap_or_default();
        let aggregate_key: Option<Vec<u8>> = row.try_get("aggregate_key")?;
        let aggregate = aggregate_key.as_deref().and_then(|key| Aggregate::from_key(key).ok());
        Ok(Self {
            aggregate_exact: aggregate.map(|aggregate| aggregate.exact()),
            id: row.try_get("id")?,
            state: state(row.try_get("state")?)?,
            aggregate: row.try_get("aggregate")?,
            event_id: row.try_get("event_id")?,
            event_type: row.try_get("event_type")?,
            class: row.try_get("class")?,
            reason: row.try_get("reason")?,
            digest: row.try_get("digest")?,
            attempts: row.try_get("attempts")?,
            created_at: text(row.try_get("created_at")?),
            updated_at: text(row.try_get("updated_at")?),
            document_bytes: row.try_get("document_bytes")?,
            erased_at: row.try_get::<Option<_>, _>("erased_at")?.map(text),
            parts: row.try_get("parts")?,
            aggregate_key,
            document_key: row.try_get("document_key")?,
            event_key: row.try_get("event_key")?,
        })
    }

    /// An event that waits behind a parked one. As the head of its aggregate, it was not tried yet.
    pub fn is_held(&self) -> bool {
        self.state == LetterState::Held
    }
}

fn state(name: &str) -> Result<LetterState, sqlx::Error> {
    let unknown = || sqlx::Error::ColumnDecode { index: "state".into(), source: quoted(name).into() };
    LetterState::from_name(name).ok_or_else(unknown)
}
