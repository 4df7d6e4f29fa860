//! Commands as they are looked at: who asked for what, when, and what came of it. Nothing here changes one.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::{MySql, QueryBuilder};

use super::{CommandOutcome, Request};
use crate::failure::Failure;
use crate::readmodel::control::control_db::ControlDb;
use crate::readmodel::control::control_sql::{ControlQuery, ControlRow};
use crate::readmodel::control::recorded_change::RecordedChange;
use crate::readmodel::lane::dead_letter::{ClassCount, with_remedies};

/// The longest request and result that lists read, in bytes; those of one command are read whole.
const LISTED_BYTES_MAX: u32 = 16 << 10;

/// How a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommandState {
    /// It is written down, or being carried out.
    Pending,
    /// A host tries it in vain, and will for an hour.
    Waits,
    Done,
    Failed,
    /// It was ended before it was done.
    Cancelled,
}

impl CommandState {
    /// The words for all states.
    pub const NAMES: [&'static str; 5] = ["pending", "waits", "done", "failed", "cancelled"];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waits => "waits",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Pending, Self::Waits, Self::Done, Self::Failed, Self::Cancelled];
        all.into_iter().find(|state| state.name() == name)
    }

    /// The SQL condition for commands in it.
    fn condition(self) -> &'static str {
        match self {
            Self::Pending => " AND state = 'pending' AND waits IS NULL",
            Self::Waits => " AND state = 'pending' AND waits IS NOT NULL",
            Self::Done => " AND state = 'done'",
            Self::Failed => " AND state = 'failed' AND cancelled_by IS NULL",
            Self::Cancelled => " AND state = 'failed' AND cancelled_by IS NOT NULL",
        }
    }
}

/// A command as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommandRecord {
    pub id: u64,
    /// Empty where it concerns a host as a whole.
    pub projection: String,
    /// What is asked for, in one word.
    pub kind: String,
    /// The same in words.
    pub request: String,
    /// What it was asked for with. Letters are counted, not listed.
    pub parameters: Map<String, Value>,
    /// The parked ones of its letters by class, as they were when it was asked for, each class with what to do about it.
    #[serde(default)]
    pub letters: Vec<ClassCount>,
    pub state: CommandState,
    /// How far it is, while it is not over.
    pub progress: Option<String>,
    /// What it waits for.
    pub waits: Option<String>,
    /// What came of it: a text, or a report. Lists leave long ones out.
    pub result: Option<Value>,
    pub requested_by: String,
    /// The host that carries it out, or has done so: the last one that took it up. What a command line did by itself has the name of
    /// whoever ran that.
    #[serde(default)]
    pub carried_out_by: Option<String>,
    pub requested_at: String,
    pub finished_at: Option<String>,
    /// Who cancelled it. While it is not over, the host that carries it out ends it before the next letter.
    pub cancelled_by: Option<String>,
}

/// Which commands are looked at: those that fit everything that is given.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    pub projection: Option<String>,
    pub by: Option<String>,
    pub kind: Option<String>,
    pub is_over: Option<bool>,
    pub state: Option<CommandState>,
    /// Those before this id.
    pub before: Option<u64>,
}

impl CommandRecord {
    /// What hosts of a version before this one tell of a command: how it stands.
    pub fn of_outcome(id: u64, outcome: CommandOutcome) -> Self {
        let (state, progress, waits, result) = match outcome {
            CommandOutcome::Pending(progress) => (CommandState::Pending, first_line(&progress), None, None),
            CommandOutcome::Waits(reason) => (CommandState::Waits, None, Some(reason), None),
            CommandOutcome::Done(result) => (CommandState::Done, None, None, Some(told(result))),
            CommandOutcome::Failed(reason) => (CommandState::Failed, None, None, Some(told(reason))),
        };
        let unknown = String::new;
        Self {
            id,
            projection: unknown(),
            kind: unknown(),
            request: unknown(),
            parameters: Map::new(),
            letters: vec![],
            state,
            progress,
            waits,
            result,
            requested_by: unknown(),
            carried_out_by: None,
            requested_at: unknown(),
            finished_at: None,
            cancelled_by: None,
        }
    }
}

const COLUMNS: &str = "id, projection, CAST(state AS CHAR), waits, requested_by, \
    DATE_FORMAT(requested_at, '%Y-%m-%dT%H:%i:%s.%fZ'), DATE_FORMAT(finished_at, '%Y-%m-%dT%H:%i:%s.%fZ'), \
    LEFT(request, 64)";

impl ControlDb<'_> {
    /// One command.
    pub async fn command_record(&mut self, id: u64) -> Result<Option<CommandRecord>, Failure> {
        let sql = self.statement(
            "reading a command",
            format!("SELECT {COLUMNS}, request, result, cancelled_by, carried_out_by FROM laterna.command WHERE id = ?"),
        );
        let found = sql.bind(id).first(self.connection()).await?;
        found.as_ref().map(read).transpose()
    }

    /// Commands, the newest first.
    pub async fn command_records(
        &mut self,
        filter: &RecordFilter,
        limit: u32,
    ) -> Result<Vec<CommandRecord>, Failure> {
        let short = |column: &str| format!("IF(LENGTH({column}) <= {LISTED_BYTES_MAX}, {column}, NULL)");
        let start = format!(
            "SELECT {COLUMNS}, {}, {}, cancelled_by, carried_out_by FROM laterna.command WHERE id < ",
            short("request"),
            short("result")
        );
        let mut sql = QueryBuilder::<MySql>::new(self.control.sql(&start));
        sql.push_bind(filter.before.unwrap_or(u64::MAX));
        if let Some(projection) = filter.projection.clone() {
            sql.push(" AND projection = ").push_bind(projection);
        }
        if let Some(by) = filter.by.clone() {
            sql.push(" AND requested_by = ").push_bind(by);
        }
        if let Some(kind) = &filter.kind {
            sql.push(" AND LEFT(request, 64) LIKE ")
                .push_bind(format!(r#"{{"do":"{}"%"#, kind.replace(['%', '_', '\\'], "")));
        }
        if let Some(is_over) = filter.is_over {
            sql.push(if is_over { " AND state <> 'pending'" } else { " AND state = 'pending'" });
        }
        if let Some(state) = filter.state {
            sql.push(state.condition());
        }
        sql.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
        let query = ControlQuery::built("reading commands", sql.build());
        query.rows(self.connection()).await?.iter().map(read).collect()
    }
}

fn read(row: &ControlRow) -> Result<CommandRecord, Failure> {
    let (state, waits): (String, Option<String>) = (row.get(2)?, row.get(3)?);
    let (beginning, request, result): (String, Option<String>, Option<String>) =
        (row.get(7)?, row.get(8)?, row.get(9)?);
    let cancelled_by: Option<String> = row.get(10)?;
    let state = match (state.as_str(), &waits) {
        ("done", _) => CommandState::Done,
        ("failed", _) if cancelled_by.is_some() => CommandState::Cancelled,
        ("failed", _) => CommandState::Failed,
        (_, Some(_)) => CommandState::Waits,
        (_, None) => CommandState::Pending,
    };
    let is_over = matches!(state, CommandState::Done | CommandState::Failed | CommandState::Cancelled);
    let kind = beginning.split('"').nth(3).unwrap_or_default().to_owned();
    let parsed = request.as_deref().and_then(|text| serde_json::from_str::<Request>(text).ok());
    let change = request.as_deref().and_then(|text| serde_json::from_str::<RecordedChange>(text).ok());
    let change = change.map(|change| change.told());
    let classes = parsed.as_ref().and_then(Request::shown).map(|shown| with_remedies(&shown.classes));
    let progress = result.as_ref().filter(|_| !is_over).and_then(|text| first_line(text));
    Ok(CommandRecord {
        id: row.get(0)?,
        projection: row.get(1)?,
        request: parsed.map(|request| request.told()).or(change).unwrap_or_else(|| kind.clone()),
        kind,
        parameters: request.as_deref().map(parameters).unwrap_or_default(),
        letters: classes.unwrap_or_default(),
        state,
        progress,
        waits: waits.filter(|_| !is_over),
        result: result.filter(|_| is_over).map(told),
        requested_by: row.get(4)?,
        carried_out_by: row.get(11)?,
        requested_at: row.get(5)?,
        finished_at: row.get(6)?,
        cancelled_by,
    })
}

/// How far a command is, as people read it: what is for the host is left out, and counts are told in words.
fn first_line(progress: &str) -> Option<String> {
    let text = progress.lines().next().unwrap_or_default();
    if text.starts_with('{') {
        return counts(text);
    }
    (!text.is_empty()).then(|| text.to_owned())
}

/// The counts of a command about letters, as far as it has come: of the letters that are meant, so many were given to their
/// lanes, each with those behind it.
fn counts(progress: &str) -> Option<String> {
    const COUNTS: [(&str, &str); 5] = [
        ("discarded", "discarded"),
        ("applied", "applied"),
        ("still_parked", "still parked"),
        ("erased", "erased"),
        ("would_apply", "would be applied"),
    ];
    let progress: Value = serde_json::from_str(progress).ok()?;
    let count = |(name, word): (&str, &str)| {
        let count = progress[name].as_u64().filter(|count| *count > 0)?;
        Some(format!("{count} {word}"))
    };
    let counts: Vec<String> = COUNTS.into_iter().filter_map(count).collect();
    let of = progress["of"].as_u64().filter(|of| *of > 0);
    let share = of.map(|of| format!("{} of {of}", progress["given"].as_u64().unwrap_or_default()));
    let counts = (!counts.is_empty()).then(|| counts.join(", "));
    let told: Vec<String> = share.into_iter().chain(counts).collect();
    (!told.is_empty()).then(|| told.join(": "))
}

/// A report is one, and everything else a text.
fn told(result: String) -> Value {
    match serde_json::from_str(&result) {
        Ok(report @ Value::Object(_)) => report,
        _ => Value::String(result),
    }
}

impl Request {
    /// What it asks with, as a command's record tells it.
    pub fn parameters(&self) -> Map<String, Value> {
        parameters(&serde_json::to_string(self).expect("a request holds only text and numbers"))
    }
}

/// What a command was asked for with. Letters may be a million: how many, and by what they were chosen, is enough.
fn parameters(request: &str) -> Map<String, Value> {
    let Ok(Value::Object(mut all)) = serde_json::from_str(request) else { return Map::new() };
    all.remove("do");
    let ids = all.get("shown").and_then(|shown| shown["letters"].as_str()?.parse::<super::Ids>().ok());
    if let (Some(Value::Object(shown)), Some(ids)) = (all.get_mut("shown"), ids) {
        shown.insert("letters".to_owned(), ids.count().into());
        shown.remove("classes");
    }
    if let Some(Value::Object(like)) = all.get_mut("like") {
        like.retain(|_, value| !matches!(value, Value::Null | Value::Bool(false)) && *value != 0);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted_and_what_is_for_the_host_is_left_out() {
        let request = r#"{"do":"discard","shown":{"generation":1,"letters":"3-17,20","classes":{"rejected":16}},"like":{"id":null,"class":"rejected","heads_only":true,"after":0},"why":"seen"}"#;
        let expected = serde_json::json!({
            "shown": { "generation": 1, "letters": 16 }, "like": { "class": "rejected", "heads_only": true }, "why": "seen"
        });
        assert_eq!(Value::Object(parameters(request)), expected);
        assert_eq!(
            first_line(r#"{"still_parked":1,"applied":3,"erased":0,"generation":1}"#).as_deref(),
            Some("3 applied, 1 still parked")
        );
        assert_eq!(
            first_line(r#"{"applied":3,"still_parked":1,"generation":1,"given":2,"of":5}"#).as_deref(),
            Some("2 of 5: 3 applied, 1 still parked")
        );
        assert_eq!(first_line(r#"{"generation":1,"given":0,"of":5}"#).as_deref(), Some("0 of 5"));
        assert_eq!(first_line(r#"{"generation":1}"#), None);
        assert_eq!(first_line("comparing\n{}").as_deref(), Some("comparing"));
        assert_eq!(told("resumed".into()), Value::String("resumed".into()));
        assert_eq!(told("{\"tables\":[]}".into()), serde_json::json!({ "tables": [] }));
    }
}
