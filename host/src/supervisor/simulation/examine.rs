//! What a right projection would have written: the checker of every transaction, and of the end.
//!
//! It knows the outbox and what is stored, and nothing of what the loop remembers.

use std::collections::BTreeSet;

use super::outbox::{HANDLED, OutboxModel, Placed, place};
use super::projector::{answer, deployed};
use super::read_model::Rules;
use super::store::{State, Tables, seed};
use crate::event::{Aggregate, lane_of};
use crate::failure::Failure;
use crate::fingerprint::Fingerprint;
use crate::readmodel::lane::batch::{Batch, Entry, Passed, Verdict};
use crate::readmodel::lane::dead_letter::Letter;
use crate::sql::fit::judge;
use crate::statement::{FittedOperation, Operation};

/// What a batch does to each document, by the index of its place.
pub fn indices(
    outbox: &OutboxModel,
    tables: &Tables,
    lane: u32,
    batch: &Batch,
) -> Result<Vec<usize>, String> {
    let row = &tables.lanes[lane as usize];
    if !batch.position.covers(&row.position) {
        return Err(format!("lane {lane} goes back to {}", place(&batch.position)));
    }
    let expected = outbox.between(&row.position, &batch.position, lane, tables.count());
    let given: Vec<&str> = batch.entries.iter().map(|entry| entry.verdict.name()).collect();
    let is_same = expected.len() == batch.entries.len()
        && expected
            .iter()
            .zip(&batch.entries)
            .all(|(index, entry)| outbox.documents[*index].delivery == entry.delivery);
    if is_same {
        return Ok(expected);
    }
    let places = |positions: Vec<&crate::position::Position>| {
        positions.into_iter().map(place).collect::<Vec<_>>().join(", ")
    };
    let wanted = expected.iter().map(|index| &outbox.documents[*index].delivery.position);
    let got = batch.entries.iter().map(|entry| &entry.delivery.position);
    Err(format!(
        "lane {lane} goes from {} to {} with [{}] {given:?} instead of [{}]",
        place(&row.position),
        place(&batch.position),
        places(got.collect()),
        places(wanted.collect()),
    ))
}

/// Nothing is taken from an older copy of the source, and no place in it is kept: it lacks an event that was taken.
pub fn put_back(outbox: &OutboxModel, batch: &Batch) -> Result<(), String> {
    match outbox.restored.limit() {
        Some(limit) if !limit.covers(&batch.position) => {
            Err(format!("comes to {} of a source that was put back", place(&batch.position)))
        }
        _ => Ok(()),
    }
}

/// Judges one entry, on the tables as they are when all entries before it are written.
pub fn entry(
    outbox: &OutboxModel,
    state: &State,
    tables: &Tables,
    lane: u32,
    index: usize,
    entry: &Entry,
    digest: &str,
) -> Result<(), String> {
    let placed = &outbox.documents[index];
    let number = placed.number;
    let wrong = |why: &str| {
        let verdict = entry.verdict.name();
        Err(format!(
            "lane {lane}: event {number} at {} is {verdict}: {why}",
            place(&placed.delivery.position)
        ))
    };
    let is_again = tables.marked[number] && placed.delivery.id().is_some();
    let is_discarded = tables.discarded.contains(&placed.delivery, &seed());
    let event_type = placed.delivery.event.as_ref().ok().map(|event| event.event_type.as_str());
    let is_unhandled = event_type.is_some_and(|event_type| !HANDLED.contains(&event_type));
    let is_behind = placed.key.as_ref().is_some_and(|key| tables.head(key).is_some());
    let answered = answer(&outbox.facts[number], number, version(digest));
    let expected = match (is_again, is_discarded, is_unhandled) {
        (true, _, _) => Some(Passed::Duplicate),
        (_, true, _) => Some(Passed::Discarded),
        (_, _, true) => Some(Passed::Unhandled),
        _ => None,
    };
    match (&entry.verdict, expected) {
        (Verdict::Pass(given), Some(expected)) if *given == expected => Ok(()),
        (_, Some(expected)) => wrong(&format!("it is {expected:?}")),
        (Verdict::Pass(_), None) => wrong("nothing lets it pass"),
        (Verdict::Hold, None) if is_behind => Ok(()),
        (Verdict::Hold, None) => wrong("its aggregate has no letter"),
        (_, None) if is_behind => wrong("its aggregate has a letter"),
        (Verdict::Apply(operations), None) => match answered {
            Ok(answered) if event_type.is_some() && is_fitted(&answered, digest, operations) => Ok(()),
            _ => wrong("the projector did not answer so"),
        },
        (Verdict::Park { failure, .. }, None) => {
            parked(outbox, state, tables, lane, placed, failure, digest).or_else(|why| wrong(&why))
        }
    }
}

/// Whether operations are what is sent for a projector's answer.
fn is_fitted(answered: &[Operation], digest: &str, operations: &[FittedOperation]) -> bool {
    judge(&deployed(version(digest)).schema, answered.to_vec()).is_ok_and(|fitted| fitted == operations)
}

/// Whether a failure is one for which an event is rightly parked.
fn parked(
    outbox: &OutboxModel,
    state: &State,
    tables: &Tables,
    lane: u32,
    placed: &Placed,
    failure: &Failure,
    digest: &str,
) -> Result<(), String> {
    let fact = &outbox.facts[placed.number];
    let is_decoded = placed.delivery.event.is_ok();
    let is_right = match failure {
        Failure::Undecodable { .. } => !is_decoded,
        Failure::Rejected { .. } | Failure::Trapped { .. } => {
            answer(fact, placed.number, version(digest)) == Err(failure.clone())
        }
        Failure::ParameterCount { .. } => fact.malformed && version(digest) < 2,
        Failure::RefusedValue { .. } => fact.refused && !state.mended,
        // How many are parked that are not at fault is bounded: see `blamed`.
        Failure::UnknownRefusal { .. } => (fact.strange || state.strange.is_some()) && !state.mended,
        Failure::TooSlow { .. } => fact.strange && !state.mended,
        Failure::KeyConflict { .. } => return conflict(outbox, state, tables, lane, placed),
        _ => false,
    };
    if is_right { Ok(()) } else { Err(format!("it is not at fault: {failure}")) }
}

/// A key conflict is judged when nothing that stands before it can still be written, and on what was so then.
fn conflict(
    outbox: &OutboxModel,
    state: &State,
    tables: &Tables,
    lane: u32,
    placed: &Placed,
) -> Result<(), String> {
    // Lanes whose commits were lost, and who do not know it yet, tell the others that they have passed.
    if state.lost_in == Some(tables.epoch) {
        return Ok(());
    }
    let here = &placed.delivery.position;
    let outstanding = tables.lanes.iter().filter(|row| row.lane != lane).find_map(|row| {
        outbox.between(&row.position, here, row.lane, tables.count()).first().map(|index| (row.lane, *index))
    });
    if let Some((other, index)) = outstanding {
        let number = outbox.documents[index].number;
        return Err(format!("event {number} of lane {other} stands before it and is not committed"));
    }
    let fact = &outbox.facts[placed.number];
    let needed = fact.needs.filter(|needed| tables.settled[*needed] == Some("applied"));
    let first = needed.map(|needed| &outbox.documents[outbox.first[needed]]);
    match first {
        Some(first) if !fact.impossible && first.delivery.position.compare(here).is_lt() => {
            Err(format!("event {}, which it needs, stands before it and was applied", first.number))
        }
        _ => Ok(()),
    }
}

/// Whether a lane may take events at all, and these.
pub fn may_take(
    state: &State,
    tables: &Tables,
    lane: u32,
    rules: &Rules,
    batch: &Batch,
) -> Result<(), String> {
    if batch.entries.is_empty() {
        return Ok(());
    }
    // Where the server has forgotten that an operator resumed it, a run notices a little later.
    let forgot = state.lost_in == Some(tables.epoch);
    if !forgot && tables.breaker.as_ref().is_some_and(|breaker| !breaker.resumed) {
        return Err("takes events while the breaker is open".to_owned());
    }
    let of_lane = |letter: &Letter| {
        let key = letter.aggregate_key.as_ref();
        key.map_or(0, |key| lane_of(key, tables.count())) == lane
    };
    if rules.holds_stream && tables.letters.values().any(|(_, letter)| of_lane(letter)) {
        return Err("takes events although a letter holds the stream".to_owned());
    }
    let before = &batch.entries[..batch.entries.len() - 1];
    if rules.holds_stream && before.iter().any(|entry| matches!(entry.verdict, Verdict::Park { .. })) {
        return Err("takes events behind one that is parked and holds the stream".to_owned());
    }
    Ok(())
}

/// A breaker that any share of parked events opens lets a run park those of too few aggregates only.
pub fn breaker(
    tables: &mut Tables,
    rules: &Rules,
    entry: &Entry,
    failure: &Failure,
    epoch: u64,
) -> Result<(), String> {
    let (Some(settings), Some(aggregate)) = (rules.breaker, entry.delivery.aggregate()) else {
        return Ok(());
    };
    if matches!(failure, Failure::Undecodable { .. }) || settings.percent > 0 {
        return Ok(());
    }
    if tables.parked.0 != epoch {
        tables.parked = (epoch, BTreeSet::new());
    }
    tables.parked.1.insert(aggregate.key());
    let parked = tables.parked.1.len();
    if parked >= settings.aggregates {
        return Err(format!("parks events of {parked} aggregates in one run"));
    }
    Ok(())
}

/// Where all events are refused, each lane of each host may blame an aggregate that is not at fault: it may not know yet
/// that another one met the same. Where an operator said so, all are parked.
pub fn blamed(
    state: &State,
    tables: &mut Tables,
    outbox: &OutboxModel,
    number: usize,
    entry: &Entry,
    failure: &Failure,
) -> Result<(), String> {
    let is_told = tables.breaker.as_ref().is_some_and(|breaker| breaker.resumed);
    if !matches!(failure, Failure::UnknownRefusal { .. }) || outbox.facts[number].strange || is_told {
        return Ok(());
    }
    tables.blamed.extend(entry.delivery.aggregate().map(Aggregate::key));
    let most = state.starts * (1 + if tables.count() > 1 { tables.count() } else { 0 });
    if tables.blamed.len() > most as usize {
        return Err(format!("events of {} aggregates are parked that are not at fault", tables.blamed.len()));
    }
    Ok(())
}

/// Tables never take the live ones' place without an event of theirs.
pub fn cut_over(live: &Tables, next: &Tables) -> Result<(), String> {
    let lacks = live.marked.iter().zip(&next.marked).position(|(live, next)| *live && !next);
    match lacks {
        Some(number) => Err(format!("it would be live without event {number}")),
        None => Ok(()),
    }
}

/// A letter is applied or given up only as the head of its aggregate.
pub fn head(tables: &Tables, letter: &Letter) -> Result<(), String> {
    let head = letter.aggregate_key.as_ref().and_then(|key| tables.head(key));
    match head {
        Some(head) if head.id != letter.id => {
            Err(format!("letter {} is taken before letter {}, the head", letter.id, head.id))
        }
        _ => Ok(()),
    }
}

/// The rows of an aggregate stand in the order of its events, each once.
pub fn order(outbox: &OutboxModel, tables: &Tables) -> Result<(), String> {
    for rows in tables.rows.values() {
        let places: Vec<(usize, usize)> =
            rows.iter().map(|(number, at)| (outbox.first[*number], *at)).collect();
        if let Some(pair) = places.windows(2).find(|pair| pair[0] >= pair[1]) {
            let numbers = [pair[0], pair[1]].map(|(index, _)| outbox.documents[index].number);
            return Err(format!(
                "the rows of event {} are written before those of event {}",
                numbers[0], numbers[1]
            ));
        }
    }
    Ok(())
}

/// When everything is through: each event is settled or has a letter, and has its rows or none.
pub fn complete(outbox: &OutboxModel, tables: &Tables) -> Result<(), String> {
    order(outbox, tables)?;
    fingerprint(outbox, tables)?;
    let waiting: BTreeSet<usize> = tables.letters.values().map(|(number, _)| *number).collect();
    for placed in &outbox.documents {
        let number = placed.number;
        let settled = tables.settled[number];
        if settled.is_some() == waiting.contains(&number) {
            return Err(format!("event {number} is {settled:?}, and has a letter: {}", settled.is_some()));
        }
        let key = placed.key.as_deref().unwrap_or_default();
        let rows = tables.rows.get(key).into_iter().flatten().filter(|(row, _)| *row == number).count();
        let has_rows = matches!(settled, Some("applied" | "replayed"));
        let expected = if has_rows { outbox.facts[number].operations } else { 0 };
        if rows != expected {
            return Err(format!("event {number} is {settled:?} and has {rows} rows instead of {expected}"));
        }
    }
    Ok(())
}

/// However often lanes were killed, fenced, undone and counted anew: each event with an id is in the sum, once.
fn fingerprint(outbox: &OutboxModel, tables: &Tables) -> Result<(), String> {
    let is_first = |(at, placed): &(usize, &Placed)| outbox.first[placed.number] == *at;
    let documents = outbox.documents.iter().enumerate().filter(is_first);
    let all = Fingerprint::of(&seed(), documents.filter_map(|(_, placed)| placed.delivery.id()));
    let found = tables.fingerprint();
    if found == all {
        Ok(())
    } else {
        Err(format!("the lanes have taken {found:?}, the outbox holds {all:?}"))
    }
}

fn version(digest: &str) -> u32 {
    digest.parse().unwrap_or_default()
}
