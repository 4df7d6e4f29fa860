//! Which letters a command will be about: those that were there when they were chosen, each by its id, and no other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ask::{self, Refusal};
use crate::event::{Aggregate, Named};
use crate::failure::Failure;
use crate::readmodel::control::command::Letters;
use crate::readmodel::lane::dead_letter::{Ids, Letter, LetterCounts, Selection, ShownLetters};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// How many letters are read at a time, to tell them apart.
const PAGE: u32 = 200;

/// Page size where only the ids of letters are read.
const IDS_PAGE: u32 = 10_000;

/// How letters are chosen: those that fit everything that is given.
#[derive(Debug, Clone, Default)]
pub struct LetterChoice {
    pub id: Option<u64>,
    /// What the event's id reads: of one event.
    pub event: Option<String>,
    /// One aggregate.
    pub aggregate: Option<Named>,
    pub class: Option<String>,
    pub heads_only: bool,
    /// These only.
    pub among: Option<Vec<u64>>,
    /// Those up to this id.
    pub until: Option<u64>,
}

/// Up to where letters were shown: a change that names it leaves those alone that came later.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Boundary)]
#[serde(deny_unknown_fields)]
pub struct LetterBoundary {
    /// The generation that was live.
    pub generation: u32,
    /// The newest letter's id.
    pub until: u64,
}

/// Reads up to where there are letters now.
pub async fn boundary(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
) -> Result<LetterBoundary, Refusal> {
    let generation = ask::registered(session, servers, projection).await?.live_generation;
    let until = servers.control.of(session, projection).newest_letter().await?;
    Ok(LetterBoundary { generation, until })
}

/// The letters that are meant, and how many they are; a refusal where there are none, which says why.
pub async fn choose(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    choice: LetterChoice,
) -> Result<(Letters, u64), Refusal> {
    let LetterChoice { id, event, aggregate, class, heads_only, among, until } = choice;
    let by_event = event.is_some();
    let like = Selection { id, event, class, heads_only, until, among, ..Selection::default() };
    let like = of_one(session, servers, projection, like, aggregate).await?;
    let (letters, count) = chosen(session, servers, projection, like).await?;
    if by_event && count > 1 {
        one_event(session, servers, projection, &letters).await?;
    }
    Ok((letters, count))
}

/// The letters of one aggregate, by its key.
pub fn of(selection: Selection, aggregate: &Aggregate) -> Selection {
    Selection { aggregate_key: Some(hex::encode(aggregate.key())), ..selection }
}

/// The letters of whatever reads as the aggregate.
pub fn reading(selection: Selection, named: Option<Named>) -> Selection {
    match named {
        Some(Named::Exact(aggregate)) => of(selection, &aggregate),
        Some(Named::Reads(text)) => Selection { aggregate: Some(text), ..selection },
        None => selection,
    }
}

/// The selection, of the one aggregate that is named. One whose text is that of several is refused, with what tells them
/// apart.
pub async fn of_one(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    selection: Selection,
    named: Option<Named>,
) -> Result<Selection, Refusal> {
    let text = match named {
        None => return Ok(selection),
        Some(Named::Exact(aggregate)) => return Ok(of(selection, &aggregate)),
        Some(Named::Reads(text)) => text,
    };
    match &servers.control.of(session, projection).aggregates_reading(&text).await?[..] {
        // Nothing fits; whoever asks says so.
        [] => Ok(Selection { aggregate: Some(text), ..selection }),
        [aggregate] => Ok(of(selection, aggregate)),
        several => {
            let all: Vec<String> = several
                .iter()
                .map(|aggregate| format!("  --aggregate '{}'", in_a_shell(aggregate)))
                .collect();
            Err(Refusal::Wrong(format!(
                "`{text}` may be any of these aggregates; name the one you mean:\n{}",
                all.join("\n")
            )))
        }
    }
}

/// An aggregate exactly, fit to stand between single quotation marks.
fn in_a_shell(aggregate: &Aggregate) -> String {
    aggregate.exact().replace('\'', "\\u0027")
}

/// How many letters fit.
pub async fn count(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    mut selection: Selection,
) -> Result<u64, Failure> {
    let mut count = 0;
    loop {
        let page = servers.control.of(session, projection).letter_ids(&selection, IDS_PAGE).await?;
        let Some(last) = page.last() else { return Ok(count) };
        selection.after = *last;
        count += page.len() as u64;
    }
}

/// One letter, without its document.
pub async fn find(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    id: u64,
) -> Result<Letter, Refusal> {
    let selection = Selection { id: Some(id), ..Selection::default() };
    let mut found = servers.control.of(session, projection).letters(&selection, 1).await?;
    found.pop().ok_or_else(|| {
        Refusal::NotThere(format!(
            "`{projection}` has no dead letter {id}; laterna dlq list {projection} shows those it has"
        ))
    })
}

/// The letters that are there just now, each by its id, and how many.
async fn chosen(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    like: Selection,
) -> Result<(Letters, u64), Refusal> {
    let control = &servers.control;
    let mut db = control.of(session, projection);
    let found = db.registration().await?;
    let generation = found.map_or(1, |found| found.live_generation);
    let (mut letters, mut page) = (Ids::default(), like.clone());
    let mut kinds = BTreeMap::new();
    loop {
        let found = db.letter_kinds(&page, IDS_PAGE).await?;
        let Some((last, _)) = found.last() else { break };
        page.after = *last;
        for (id, kind) in found {
            letters.push(id).map_err(|bad| Refusal::Wrong(bad.to_string()))?;
            *kinds.entry(kind).or_insert(0) += 1;
        }
    }
    let count = letters.count();
    if count > 0 {
        // Counted as they were read: another look would count what came or changed since.
        let classes = LetterCounts::of(kinds).by_class;
        // The letters are named; what fits as well and came later is counted in the end.
        let like = Selection { until: None, ..like };
        let shown = ShownLetters { generation, letters, classes };
        return Ok((Letters::Shown { shown, like }, count));
    }
    if let Some(id) = like.id {
        let letter = find(session, servers, projection, id).await?;
        return Err(Refusal::InTheWay(format!(
            "letter {id} is held behind an older one of {}; laterna dlq list {projection} --heads shows it",
            letter.aggregate_spelled().unwrap_or_default()
        )));
    }
    Err(Refusal::NotThere(format!("no dead letter of `{projection}` fits")))
}

/// An event's id may read as another's: then its letter is named.
async fn one_event(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    letters: &Letters,
) -> Result<(), Refusal> {
    let Letters::Shown { like, .. } = letters else { return Ok(()) };
    let found = servers.control.of(session, projection).letters(like, PAGE).await?;
    let one = |letter: &Letter| {
        let (event, aggregate) = (letter.event_spelled(), letter.aggregate_spelled());
        let (event, aggregate) = (event.unwrap_or_default(), aggregate.unwrap_or_default());
        format!("  --id {}  the event {event} of {aggregate}", letter.id)
    };
    let all: Vec<String> = found.iter().map(one).collect();
    Err(Refusal::Wrong(format!("several events read so; name the letter you mean:\n{}", all.join("\n"))))
}
