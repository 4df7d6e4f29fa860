//! What the control schema says of one projection, read with one query.
//!
//! A snapshot tells what there is to do. Whoever acts on it reads the rows again, under the lease or in the transaction that
//! changes them: a snapshot may be a moment old.

use super::command::CommandKind;
use super::control_db::ProjectionDb;
use super::control_sql::{ControlRow, ControlSql};
use super::pause;
use super::schema::Control;
use super::take_up::TakeUp;
use crate::failure::Failure;
use crate::readmodel::lane::dead_letter::{KIND, LetterCounts, LetterStand};
use crate::readmodel::lane::letter_limits::Volume;

/// The control rows of one projection at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlSnapshot {
    /// An operator's pause or an open breaker.
    pub pause: Option<Failure>,
    /// The deployment in force.
    pub deployment: Option<TakeUp>,
    /// A component may still be taken back to the one before it.
    pub is_canary: bool,
    /// The number of generations that something is to be done about: all but those that are kept.
    pub generations: u64,
    pub commands: PendingCommands,
    /// The live generation's dead letters.
    pub letters: LetterCounts,
    /// The same letters, so that it shows when one has come, gone or changed.
    pub letter_stand: LetterStand,
    /// The dead letters and their bytes, as the lanes of the live generation count them.
    pub volume: Volume,
    /// The number of events that the upcaster made nothing of.
    pub ignored: u64,
}

/// The number of commands that are not done, by who carries them out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PendingCommands {
    pub letters: u64,
    pub switches: u64,
    pub deployments: u64,
}

impl PendingCommands {
    /// All of them.
    pub fn all(self) -> u64 {
        self.letters + self.switches + self.deployments
    }
}

impl ProjectionDb<'_> {
    /// Reads the projection's rows at one moment.
    pub async fn snapshot(&mut self) -> Result<ControlSnapshot, Failure> {
        let row = sql(self.control).bind_each(self.projection).row(self.connection()).await?;
        let pause = match row.get("pause_class")? {
            Some(class) => Some(pause::from_row(&row, self.projection, class)?),
            None => None,
        };
        let count = |column: &str| -> Result<u64, Failure> { row.get(column) };
        let letters = letters(row.get("letter_kinds")?)?;
        let letter_stand = LetterStand {
            parked: letters.parked(),
            held: letters.held,
            newest: row.get("newest_letter")?,
            attempts: count("letter_attempts")?,
            erased: count("letters_erased")?,
            total: count("letters_ever")?,
        };
        Ok(ControlSnapshot {
            pause,
            deployment: deployment(&row)?,
            is_canary: count("is_canary")? > 0,
            generations: count("generations")?,
            commands: PendingCommands {
                letters: count("command_letters")?,
                switches: count("command_switches")?,
                deployments: count("command_deployments")?,
            },
            letters,
            letter_stand,
            volume: Volume { letters: row.get("letters")?, bytes: row.get("letter_bytes")? },
            ignored: count("ignored")?,
        })
    }
}

impl ControlSnapshot {
    /// Returns true where more differs than the counts of events and letters.
    pub fn differs(&self, before: &Self) -> bool {
        let Self { letters, letter_stand, volume, ignored, .. } = before.clone();
        *before != Self { letters, letter_stand, volume, ignored, ..self.clone() }
    }
}

/// The counts of letters, from a JSON object of their kinds; none where there is no letter.
fn letters(kinds: Option<String>) -> Result<LetterCounts, Failure> {
    let Some(text) = kinds else { return Ok(LetterCounts::default()) };
    let kinds = serde_json::from_str(&text);
    let kinds = kinds.map_err(|error| Failure::Bug { what: format!("counts of dead letters: {error}") })?;
    Ok(LetterCounts::of(kinds))
}

fn deployment(row: &ControlRow) -> Result<Option<TakeUp>, Failure> {
    let Some(id) = row.get("deployment_id")? else { return Ok(None) };
    Ok(Some(TakeUp {
        id,
        digest: row.get("digest")?,
        is_whole: row.is("is_taken_up")?,
        waits: row.get("waits")?,
        taken_back: None,
    }))
}

/// One row, whatever there is. Each `?` is the projection's name.
fn sql(control: &Control) -> ControlSql<'static> {
    let pending = |kind: CommandKind| format!("CAST(COALESCE(SUM({}), 0) AS UNSIGNED)", kind.condition());
    control.statement("reading the state of the projection", format!(
        "SELECT p.*, d.*, CAST(COALESCE(d.canary_until > CURRENT_TIMESTAMP(6), 0) AS UNSIGNED) AS is_canary, g.*, m.*, l.*, c.* \
         FROM (SELECT 1) AS one \
         LEFT JOIN (SELECT class AS pause_class, reason AS pause_reason, paused_by, \
             DATE_FORMAT(paused_at, '%Y-%m-%dT%H:%i:%sZ') AS paused_since FROM laterna.pause \
             WHERE projection = ? AND resumed_at IS NULL ORDER BY class DESC LIMIT 1) AS p ON TRUE \
         LEFT JOIN (SELECT id AS deployment_id, digest, canary_until, waits, \
             CAST(taken_up_at IS NOT NULL AS SIGNED) AS is_taken_up FROM laterna.deployment \
             WHERE projection = ? AND state = 'deployed' ORDER BY id DESC LIMIT 1) AS d ON TRUE \
         JOIN (SELECT CAST(COUNT(*) AS UNSIGNED) AS generations FROM laterna.generation WHERE projection = ? AND state <> 'kept') AS g \
         JOIN (SELECT {} AS command_letters, {} AS command_switches, {} AS command_deployments \
             FROM laterna.command WHERE projection = ? AND state = 'pending') AS m \
         JOIN (SELECT CAST(JSON_OBJECTAGG(k.kind, k.letters) AS CHAR) AS letter_kinds, MAX(k.newest) AS newest_letter, \
             CAST(COALESCE(SUM(k.attempts), 0) AS UNSIGNED) AS letter_attempts, \
             CAST(COALESCE(SUM(k.erased), 0) AS UNSIGNED) AS letters_erased FROM \
             (SELECT {KIND} AS kind, COUNT(*) AS letters, MAX(d.id) AS newest, SUM(d.attempts) AS attempts, \
             COUNT(d.erased_at) AS erased FROM laterna.dead_letter d \
             JOIN laterna.projection p ON p.projection = d.projection AND p.live_generation = d.generation \
             WHERE d.projection = ? GROUP BY 1) AS k) AS l \
         JOIN (SELECT CAST(COALESCE(SUM(c.ignored), 0) AS UNSIGNED) AS ignored, \
             CAST(COALESCE(SUM(c.parked), 0) AS UNSIGNED) AS letters_ever, \
             CAST(COALESCE(SUM(c.letters), 0) AS SIGNED) AS letters, \
             CAST(COALESCE(SUM(c.letter_bytes), 0) AS SIGNED) AS letter_bytes FROM laterna.checkpoint c \
             JOIN laterna.projection p ON p.projection = c.projection AND p.live_generation = c.generation \
             WHERE c.projection = ?) AS c",
        pending(CommandKind::Letters),
        pending(CommandKind::Switches),
        pending(CommandKind::Deployments),
    ))
}
