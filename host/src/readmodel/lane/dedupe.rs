//! The rows of the dedupe window: the ids of events that were applied lately, one row per batch. `pipeline::plan` compares ids
//! with them.
//!
//! Ids are stored as they are: the outbox is acknowledged from these rows ([`super::acknowledge`]).

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{MySql, QueryBuilder, Row};

use super::Lane;
use super::batch::{Batch, IdsByOutcome};
use super::checkpoint::stored;
use super::dead_letter::Letter;
use crate::event::Id;
use crate::failure::Failure;
use crate::position::Position;
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;
use crate::readmodel::mysql::session::Session;

/// A stored row: its id, and how many events it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupeMark {
    pub row: u64,
    pub lane: u32,
    pub events: u32,
}

/// The newest events of all lanes, by which one that is sent again is known.
#[derive(Debug, Default)]
pub struct Remembered {
    /// The marks of their ids, oldest first.
    pub marks: Vec<u128>,
    /// The rows they stand in, oldest first.
    pub rows: Vec<DedupeMark>,
}

/// A batch whose events are to be marked, and its lane.
#[derive(Debug, Clone, Copy)]
pub struct Marking<'a> {
    pub lane: &'a Lane,
    pub batch: &'a Batch,
}

/// Marks the events of these batches of one projection, in their transaction: a row for each that has any, which is returned.
pub async fn mark(
    connection: &mut MySqlConnection,
    control: &Control,
    markings: &[Marking<'_>],
) -> Result<Vec<Option<DedupeMark>>, Failure> {
    let outcomes: Vec<IdsByOutcome<'_>> = markings.iter().map(|marking| marking.batch.outcomes()).collect();
    let marked = markings.iter().zip(&outcomes).filter(|(_, ids)| ids.events() > 0);
    let mut first_row = None;
    if outcomes.iter().any(|ids| ids.events() > 0) {
        let mut sql = QueryBuilder::<MySql>::new(control.sql(
            "INSERT INTO laterna.dedupe \
             (projection, generation, lane, events, event_ids, bound, ignored_from, discarded_from, plain) ",
        ));
        sql.push_values(marked, |mut values, (marking, ids)| {
            let (Lane { projection, generation, lane }, row) = (marking.lane, OutcomeRow::of(ids));
            values.push_bind(projection).push_bind(generation).push_bind(lane).push_bind(ids.events());
            values.push_bind(row.event_ids).push_bind(stored(&marking.batch.position));
            values.push_bind(row.ignored_from).push_bind(row.discarded_from).push_bind(row.is_plain);
        });
        let inserted = sql.build().run(connection).await;
        let inserted = inserted.map_err(|error| classify("marking the batch's events", &error))?;
        first_row = Some(inserted.last_insert_id());
    }
    let mut marks = Vec::with_capacity(markings.len());
    for (Marking { lane, batch }, ids) in markings.iter().zip(&outcomes) {
        if !ids.letters.is_empty() {
            leave_open(connection, control, lane, &ids.letters, &batch.position).await?;
        }
        // The rows of one statement have numbers that follow each other, or, in a cluster, larger ones: a row that is taken for
        // an older one is only kept longer.
        let row = first_row.filter(|_| ids.events() > 0);
        first_row = first_row.map(|next| next + u64::from(row.is_some()));
        marks.push(row.map(|row| DedupeMark { row, lane: lane.lane, events: ids.events() }));
    }
    Ok(marks)
}

/// Leaves a row that says of letters' events that nothing is said yet, behind the one that counts them: where a host that leaves
/// no note takes a letter away, or the note is gone, its event is not taken for applied.
async fn leave_open(
    connection: &mut MySqlConnection,
    control: &Control,
    lane: &Lane,
    letters: &[&Id],
    bound: &Position,
) -> Result<(), Failure> {
    let sql = control.sql(
        "INSERT INTO laterna.dedupe (projection, generation, lane, events, event_ids, bound, ignored_from, plain) \
         VALUES (?, ?, ?, 0, ?, ?, 0, 0)",
    );
    sqlx::query(&sql)
        .bind(&lane.projection)
        .bind(lane.generation)
        .bind(lane.lane)
        .bind(packed(letters))
        .bind(stored(bound))
        .run(connection)
        .await
        .map_err(|error| classify("marking the events that became letters", &error))?;
    Ok(())
}

/// What a letter's event came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterOutcome<'a> {
    /// It failed again.
    Tried,
    /// With the component of this digest.
    Applied(&'a str),
    /// It came to no operation, with the component of this digest.
    Ignored(&'a str),
    Discarded,
}

/// Leaves a row about a letter's event, in the transaction that changes or removes the letter and before it does: what it
/// came to stands there, and its document is acknowledged once more.
pub async fn note_letter(
    connection: &mut MySqlConnection,
    control: &Control,
    lane: &Lane,
    letter: &Letter,
    outcome: LetterOutcome<'_>,
) -> Result<(), Failure> {
    // Behind the end of every row.
    const NONE: u32 = u32::MAX;
    let Some(key) = &letter.event_key else { return Ok(()) };
    let event_ids = with_length(key);
    let (ignored_from, discarded_from, digest) = match outcome {
        LetterOutcome::Tried => (None, None, None),
        LetterOutcome::Applied(digest) => (Some(NONE), Some(NONE), Some(digest)),
        LetterOutcome::Ignored(digest) => (Some(0), Some(NONE), Some(digest)),
        LetterOutcome::Discarded => (Some(0), Some(0), None),
    };
    let sql = control.sql(
        "INSERT INTO laterna.dedupe \
         (projection, generation, lane, events, event_ids, bound, ignored_from, discarded_from, plain, digest) \
         SELECT projection, generation, ?, 0, ?, position, ?, ?, ?, ? FROM laterna.dead_letter WHERE id = ?",
    );
    sqlx::query(&sql)
        .bind(lane.lane)
        .bind(&event_ids)
        .bind(ignored_from)
        .bind(discarded_from)
        .bind(is_plain(&event_ids))
        .bind(digest)
        .bind(letter.id)
        .run(connection)
        .await
        .map_err(|error| classify("noting what a letter's event came to", &error))?;
    Ok(())
}

/// Leaves a row for events that are in the window already: it counts nothing there, and has their documents
/// acknowledged again.
pub async fn reack(
    connection: &mut MySqlConnection,
    control: &Control,
    lane: &Lane,
    ids: &[&Id],
    bound: &Position,
) -> Result<(), Failure> {
    let sql = control.sql(
        "INSERT INTO laterna.dedupe (projection, generation, lane, events, event_ids, bound) VALUES (?, ?, ?, 0, ?, ?)",
    );
    sqlx::query(&sql)
        .bind(&lane.projection)
        .bind(lane.generation)
        .bind(lane.lane)
        .bind(packed(ids))
        .bind(stored(bound))
        .run(connection)
        .await
        .map_err(|error| classify("marking events that came again", &error))?;
    Ok(())
}

/// Drops a lane's marks up to and including a row, in the batch's transaction. Where documents are acknowledged,
/// those stay whose documents are not acknowledged up to `level`; they go with a later batch, some at a
/// time.
pub async fn prune(
    connection: &mut MySqlConnection,
    control: &Control,
    lane: &Lane,
    row: u64,
    level: u8,
) -> Result<(), Failure> {
    let acknowledged = match level {
        0 => "",
        1 => " AND acknowledged IN (1, 2) LIMIT 256",
        _ => " AND acknowledged = 2 LIMIT 256",
    };
    let sql = control.sql(&format!(
        "DELETE FROM laterna.dedupe WHERE projection = ? AND generation = ? AND id <= ? AND lane = ?{acknowledged}"
    ));
    sqlx::query(&sql)
        .bind(&lane.projection)
        .bind(lane.generation)
        .bind(row)
        .bind(lane.lane)
        .run(connection)
        .await
        .map_err(|error| classify("pruning the dedupe window", &error))?;
    Ok(())
}

/// The newest marks of all lanes, newest first, of at least `events` events where there are so many; with what is made of
/// each id.
pub async fn load<T>(
    session: &mut Session,
    control: &Control,
    projection: &str,
    generation: u32,
    events: usize,
    made: impl Fn(Id) -> T,
) -> Result<Vec<(DedupeMark, Vec<T>)>, Failure> {
    const PAGE: u32 = 200;
    let failed = |error: sqlx::Error| classify("loading the dedupe window", &error);
    let sql = control.sql(
        "SELECT id, lane, events, event_ids FROM laterna.dedupe \
         WHERE projection = ? AND generation = ? AND id < ? AND events > 0 ORDER BY id DESC LIMIT ?",
    );
    let (mut marks, mut before, mut found) = (Vec::new(), u64::MAX, 0);
    while found < events {
        let rows = sqlx::query(&sql).bind(projection).bind(generation).bind(before).bind(PAGE);
        let rows = rows.rows(&mut session.connection).await.map_err(failed)?;
        let Some(last) = rows.last() else { break };
        before = last.try_get(0).map_err(failed)?;
        for row in &rows {
            let mark = mark_of(row).map_err(failed)?;
            let ids = unpacked(row.try_get(3).map_err(failed)?);
            found += ids.len();
            marks.push((mark, ids.into_iter().map(&made).collect()));
        }
    }
    Ok(marks)
}

fn mark_of(row: &MySqlRow) -> Result<DedupeMark, sqlx::Error> {
    Ok(DedupeMark { row: row.try_get(0)?, lane: row.try_get(1)?, events: row.try_get(2)? })
}

/// What a row says of its events.
struct OutcomeRow {
    event_ids: Vec<u8>,
    ignored_from: u32,
    discarded_from: u32,
    is_plain: bool,
}

impl OutcomeRow {
    fn of(ids: &IdsByOutcome<'_>) -> Self {
        let offset = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a batch is bounded");
        let mut event_ids = packed(&ids.done);
        let ignored_from = offset(&event_ids);
        event_ids.extend(packed(&ids.ignored));
        let discarded_from = offset(&event_ids);
        event_ids.extend(packed(&ids.discarded));
        let is_plain = is_plain(&event_ids);
        Self { event_ids, ignored_from, discarded_from, is_plain }
    }
}

fn packed(ids: &[&Id]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ids.len() * 28);
    for id in ids {
        bytes.extend_from_slice(&length_of(id.key_bytes()));
        id.write_key(|piece| bytes.extend_from_slice(piece));
    }
    bytes
}

fn length_of(key_bytes: usize) -> [u8; 2] {
    u16::try_from(key_bytes).expect("an id's length was checked when it was decoded").to_be_bytes()
}

/// An id's key as a row has it.
fn with_length(key: &[u8]) -> Vec<u8> {
    [&length_of(key.len())[..], key].concat()
}

/// Returns false where a search for bytes in the row could find an id that the row does not hold: writers choose ids, and one may
/// contain what reads like another. Empty texts and those with control characters are not searched for.
fn is_plain(bytes: &[u8]) -> bool {
    let mut next = 0;
    for at in 0..bytes.len() {
        let found = first_key(&bytes[at..]);
        if at == next {
            next += 2 + found.map_or(0, <[u8]>::len);
        } else if found.is_some_and(is_looked_for) {
            return false;
        }
    }
    true
}

fn is_looked_for(key: &[u8]) -> bool {
    match Id::from_key(key) {
        Ok(Id::Text(text)) => !text.is_empty() && !text.contains(char::is_control),
        read => read.is_ok(),
    }
}

/// The key that stands first, behind its length.
fn first_key(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// Unpacks marks, and leaves out what cannot be read: a mark less can only let a duplicate through to the projector.
pub fn unpacked(mut bytes: &[u8]) -> Vec<Id> {
    let mut ids = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let Some((key, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) else {
            break;
        };
        ids.extend(Id::from_key(key));
        bytes = rest;
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_from_a_row() {
        let ids =
            [Id::Integer(5), Id::Text("a".repeat(512).into()), Id::Uuid([1; 16]), Id::ObjectId([2; 12])];
        let bytes = packed(&ids.iter().collect::<Vec<_>>());
        assert_eq!(unpacked(&bytes), ids);
        assert_eq!(unpacked(&bytes[..bytes.len() - 1]), ids[..3]);
        assert!(unpacked(&[]).is_empty());
    }

    #[test]
    fn a_row_says_where_it_can_be_searched_for_an_id() {
        let (one, two) = (Id::Integer(5), Id::Text("a\u{0}b".into()));
        let row = OutcomeRow::of(&IdsByOutcome {
            done: vec![&one],
            letters: vec![],
            ignored: vec![&two],
            discarded: vec![&one],
        });
        assert_eq!((row.ignored_from, row.discarded_from, row.event_ids.len()), (11, 17, 28));
        assert!(row.is_plain);
        let hidden = |id: Id| !is_plain(&packed(&[&Id::ObjectId([7; 12]), &id, &Id::Integer(1)]));
        let needle = String::from_utf8(with_length(b"sabc")).expect("text");
        assert!(hidden(Id::Text(format!("x{needle}y").into())), "a text that holds another one");
        let mut uuid = [0xff; 16];
        uuid[3..14].copy_from_slice(&with_length(&Id::Integer(7).key()));
        assert!(hidden(Id::Uuid(uuid)), "a UUID that holds an integer");
        // The integer's last bytes and the length of what follows it.
        assert!(hidden(Id::Integer(0x0969)) && !hidden(Id::Integer(2410)));
        assert!(is_plain(&packed(&(0..500).map(Id::Integer).collect::<Vec<_>>().iter().collect::<Vec<_>>())));
    }
}
