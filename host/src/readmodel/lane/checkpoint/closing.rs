//! The last statement of every transaction: it advances the rows of all lanes that wrote in it, and the witness with them.

use sqlx::mysql::MySqlConnection;
use sqlx::{Encode, MySql, QueryBuilder, Type};

use super::{BatchToken, packed_time, stored};
use crate::event::Anchor;
use crate::failure::Failure;
use crate::fingerprint::Fingerprint;
use crate::position::Position;
use crate::readmodel::control::schema::Control;
use crate::readmodel::lane::batch::{Batch, Passed, Verdict};
use crate::readmodel::lane::letter_limits::Volume;
use crate::readmodel::lane::witness;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;

/// The result of closing the batches of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The checkpoints and the witness were advanced.
    Done,
    /// The transaction that opened the batches is gone.
    NotOpen,
    /// The witness does not agree with the checkpoints; the transaction must not be committed.
    Unwitnessed,
}

/// What a transaction changes in a lane's row.
#[derive(Debug)]
pub struct Closing<'a> {
    pub token: &'a BatchToken,
    /// Dead letters that it adds, or takes away.
    pub letters: Volume,
    /// None where it was about a letter: the lane stays at its position.
    pub advance: Option<Advance<'a>>,
}

/// How far a batch brings its lane.
#[derive(Debug)]
pub struct Advance<'a> {
    position: &'a Position,
    digest: &'a str,
    events: u64,
    parked: u64,
    ignored: u64,
    /// That of all events of the lane, this batch's included.
    fingerprint: Fingerprint,
    /// The last event of the change stream in it.
    anchor: Option<Anchor>,
}

impl<'a> Advance<'a> {
    /// Returns how far this batch brings its lane, and which events the lane has taken by then.
    pub fn of(batch: &'a Batch, fingerprint: Fingerprint) -> Self {
        let count = |is_one: fn(&Verdict) -> bool| {
            let entries = batch.entries.iter().filter(|entry| is_one(&entry.verdict)).count();
            u64::try_from(entries).expect("a batch is bounded")
        };
        Self {
            position: &batch.position,
            digest: &batch.version.digest,
            events: count(|_| true),
            parked: count(|verdict| matches!(verdict, Verdict::Park { .. } | Verdict::Hold)),
            ignored: count(|verdict| *verdict == Verdict::Pass(Passed::Ignored)),
            fingerprint,
            anchor: batch.anchor(),
        }
    }
}

/// Closes what the transaction opened for these lanes of one projection. It is not open any more when that transaction is gone:
/// MySQL ends transactions silently, and would take what follows one by one.
pub async fn close(
    connection: &mut MySqlConnection,
    control: &Control,
    closings: &[Closing<'_>],
) -> Result<Closed, Failure> {
    let Some(Closing { token: first, .. }) = closings.first() else { return Ok(Closed::Done) };
    let witness = witness::table(control, &first.lane.projection);
    let mut sql = QueryBuilder::<MySql>::new(control.sql(&format!(
        "UPDATE laterna.checkpoint c FORCE INDEX (PRIMARY) LEFT JOIN `{witness}` w \
         ON w.lane = c.lane AND w.generation = c.generation AND w.batch = c.witness_batch AND w.stamp = c.witness_stamp \
         SET c.open_batch = NULL"
    )));
    let all = || closings.iter().map(|closing| (closing.token.lane.lane, closing));
    for column in ["c.batch", "c.witness_batch", "w.batch"] {
        set(&mut sql, column, "", all().map(|(lane, closing)| (lane, closing.token.batch + 1)));
    }
    for column in ["c.witness_stamp", "w.stamp"] {
        set(&mut sql, column, "", all().map(|(lane, closing)| (lane, closing.token.stamp)));
    }
    let letters = || all().map(|(lane, closing)| (lane, closing.letters));
    if letters().any(|(_, letters)| letters != Volume::default()) {
        set(&mut sql, "c.letters", "c.letters + ", letters().map(|(lane, more)| (lane, more.letters)));
        set(
            &mut sql,
            "c.letter_bytes",
            "c.letter_bytes + ",
            letters().map(|(lane, more)| (lane, more.bytes)),
        );
    }
    let advances = all().filter_map(|(lane, closing)| Some((lane, closing.advance.as_ref()?)));
    advance(&mut sql, &advances.collect::<Vec<_>>());
    sql.push(" WHERE c.projection = ").push_bind(&first.lane.projection);
    sql.push(" AND c.generation = ").push_bind(first.lane.generation);
    sql.push(" AND c.epoch = ").push_bind(first.epoch).push(" AND (");
    for (at, Closing { token, .. }) in closings.iter().enumerate() {
        sql.push(if at == 0 { "(c.lane = " } else { " OR (c.lane = " }).push_bind(token.lane.lane);
        sql.push(" AND c.batch = ").push_bind(token.batch);
        sql.push(" AND c.open_batch = ").push_bind(token.batch + 1).push(")");
    }
    sql.push(")");
    let changed = sql.build().run(connection).await;
    let changed = changed.map_err(|error| classify("advancing the checkpoint", &error))?.rows_affected();
    Ok(match changed {
        0 => Closed::NotOpen,
        // A lane's row and the witness's.
        rows if rows == 2 * closings.len() as u64 => Closed::Done,
        _ => Closed::Unwitnessed,
    })
}

/// Sets what belongs to a lane's position.
fn advance<'q>(sql: &mut QueryBuilder<'q, MySql>, lanes: &[(u32, &'q Advance<'q>)]) {
    if lanes.is_empty() {
        return;
    }
    let all = || lanes.iter().copied();
    set(sql, "c.position", "", all().map(|(lane, to)| (lane, stored(to.position))));
    set(sql, "c.digest", "", all().map(|(lane, to)| (lane, to.digest)));
    set(sql, "c.fingerprint", "", all().map(|(lane, to)| (lane, to.fingerprint.sum.to_be_bytes().to_vec())));
    set(sql, "c.fingerprint_events", "", all().map(|(lane, to)| (lane, to.fingerprint.events)));
    set(sql, "c.events", "c.events + ", all().map(|(lane, to)| (lane, to.events)));
    set(sql, "c.known_events", "c.known_events + ", all().map(|(lane, to)| (lane, to.events)));
    set(sql, "c.parked", "c.parked + ", all().map(|(lane, to)| (lane, to.parked)));
    set(sql, "c.ignored", "c.ignored + ", all().map(|(lane, to)| (lane, to.ignored)));
    let anchors = || all().filter_map(|(lane, to)| Some((lane, to.anchor.as_ref()?)));
    if anchors().next().is_some() {
        set(sql, "c.anchor", "", anchors().map(|(lane, anchor)| (lane, anchor.id.key())));
        set(sql, "c.anchor_time", "", anchors().map(|(lane, anchor)| (lane, packed_time(anchor.time))));
    }
}

/// Sets a column to another value for each lane; `plus` stands before the value.
fn set<'q, T: Encode<'q, MySql> + Type<MySql> + Send + 'q>(
    sql: &mut QueryBuilder<'q, MySql>,
    column: &str,
    plus: &str,
    lanes: impl IntoIterator<Item = (u32, T)>,
) {
    sql.push(format_args!(", {column} = CASE c.lane"));
    for (lane, value) in lanes {
        sql.push(" WHEN ").push_bind(lane).push(format_args!(" THEN {plus}")).push_bind(value);
    }
    // What else there is tells MySQL the type of the values.
    sql.push(format_args!(" ELSE {column} END"));
}
