//! Why an aggregate's rows are as they are: its events in their order, what became of each, with which component, and the SQL
//! that it makes of each, run again in the sandbox; beside them the rows that this SQL names, as they are now.
//!
//! It reads pages, never all of an aggregate: from the outbox by the history index, from MySQL by keys. What is not known any
//! more is said to be unknown. Nothing is written.

mod outcome;
mod rows;
mod run;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ask::{self, Refusal};
use crate::component::registry::{FoundComponent, Versions};
use crate::component::version::Loaded;
use crate::event::{Aggregate, Event, Id, Undecodable};
use crate::failure::Failure;
use crate::readmodel::lane::applied_by::{GivenUpBy, TakenBy};
use crate::readmodel::lane::dead_letter::{Letter, MASKED};
use crate::readmodel::lane::taken::{AskedEvent, TakenAs, TakenFound};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;
use crate::source::{AggregatePage, PageFrom, PageMark};
use outcome::settled;

pub use crate::component::registry::short;
pub use outcome::EventFate;
pub use rows::RowsNow;
pub use run::{ShownAnswer, ShownStatement};

/// How many events a page has at most, and unless that is said.
pub const EVENTS_MAX: usize = 50;
pub const EVENTS: usize = 20;

/// How many components are loaded for one page beside the one in force.
const COMPONENTS_MAX: usize = 3;

/// An aggregate's story, a page of it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Why {
    pub aggregate: String,
    /// The aggregate as only this one is written.
    pub aggregate_exact: String,
    /// The component in force.
    pub digest: String,
    /// In their order.
    pub events: Vec<EventStory>,
    /// The rows that the statements of these events name, as they are now; none where they are masked.
    pub rows: Option<Vec<RowsNow>>,
    /// What `before` of the page with earlier events is, and `after` of the page with later ones.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// An event, what became of it, and what the projector makes of it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventStory {
    /// None where it cannot be read.
    pub event_id: Option<String>,
    pub event_type: Option<String>,
    pub sequence: Option<i64>,
    pub occurred_at: Option<String>,
    pub became: EventFate,
    /// What is not known of that, and why.
    pub unknown: Option<String>,
    /// When that was committed, by MySQL's clock.
    pub at: Option<String>,
    /// It was a dead letter, which was replayed or given up.
    pub was_letter: bool,
    /// The component that it was taken with; none where it is not remembered which.
    pub digest: Option<String>,
    /// The component that gave the answer below.
    pub answered_by: Option<String>,
    pub answer: ShownAnswer,
    pub letter: Option<Letter>,
    pub given_up: Option<GivenUpBy>,
}

impl Why {
    /// Takes out what events, rows and people said.
    pub fn mask(&mut self) {
        self.rows = None;
        for story in &mut self.events {
            story.answer.mask();
            story.letter.iter_mut().for_each(Letter::mask);
            if let Some(given_up) = &mut story.given_up {
                MASKED.clone_into(&mut given_up.why);
            }
        }
    }
}

/// A page of an aggregate's documents.
pub struct Documents {
    pub aggregate: Aggregate,
    page: AggregatePage,
    events: Vec<Result<Arc<Event>, Undecodable>>,
    /// The aggregate's newest event, where the page ends before it.
    newest: Option<Id>,
}

/// The page with everything that MySQL knows of it, and the components that answer, as they were found.
pub struct KnownStory {
    documents: Documents,
    taken: Vec<TakenFound>,
    by: std::collections::BTreeMap<u64, TakenBy>,
    given_up: Vec<Option<GivenUpBy>>,
    in_force: FoundComponent,
    others: Vec<FoundComponent>,
}

/// Reads a page of the aggregate that is meant. Several that read so are told apart by their exact names.
pub async fn read(
    servers: &Servers,
    meant: &[Aggregate],
    from: &PageFrom,
    limit: usize,
) -> Result<Documents, Refusal> {
    let (outbox, decoder) = (&servers.outbox, &servers.decoder);
    let mut there = Vec::new();
    for aggregate in meant {
        if !outbox.documents_of(decoder, aggregate, &PageFrom::Newest, 1).await?.documents.is_empty() {
            there.push(aggregate.clone());
        }
    }
    let aggregate = match &there[..] {
        [one] => one.clone(),
        [] => {
            let names: Vec<String> = meant.iter().map(Aggregate::exact).collect();
            let why = "the outbox has no event of it, or none any more";
            return Err(Refusal::NotThere(format!("{}: {why}", names.join(", or "))));
        }
        several => {
            let names: Vec<String> = several.iter().map(Aggregate::exact).collect();
            let all = names.join("\n  ");
            return Err(Refusal::Wrong(format!("it may be any of these; name the one you mean:\n  {all}")));
        }
    };
    let page = outbox.documents_of(decoder, &aggregate, from, limit).await?;
    let newest = if page.after.is_some() {
        let newest = outbox.documents_of(decoder, &aggregate, &PageFrom::Newest, 1).await?;
        newest
            .documents
            .first()
            .and_then(|document| decoder.decode(document).ok())
            .map(|event| event.id.clone())
    } else {
        None
    };
    let events = page.documents.iter().map(|document| decoder.decode(document));
    Ok(Documents { aggregate, events: events.collect(), page, newest })
}

impl Documents {
    /// The events whose outcome is to be asked for, the aggregate's newest one last.
    pub fn asked(&self) -> Vec<AskedEvent> {
        let time = Some(self.page.time);
        let ids = self.events.iter().filter_map(id).chain(&self.newest);
        ids.map(|id| AskedEvent { id: id.clone(), time }).collect()
    }

    /// Finds what MySQL knows of these events: `taken` answers what was asked.
    pub async fn known(
        self,
        session: &mut Session,
        servers: &Servers,
        versions: &Versions,
        projection: &str,
        taken: Vec<TakenFound>,
    ) -> Result<KnownStory, Refusal> {
        let control = &servers.control;
        let generation = ask::registered(session, servers, projection).await?.live_generation;
        let none = || Refusal::InTheWay("no component is in force yet: nothing was applied".to_owned());
        let in_force = control.of(session, projection).deployment_in_force().await?.ok_or_else(none)?;
        let digest_in_force = in_force.digest;
        let in_force = versions.find(session, servers, &digest_in_force).await?;
        let mut answers = taken.into_iter();
        let unread = || TakenFound { what: TakenAs::Unknown("its id cannot be read"), row: None };
        let taken: Vec<TakenFound> = self
            .events
            .iter()
            .map(|event| id(event).and_then(|_| answers.next()).unwrap_or_else(unread))
            .collect();
        let taken = settled(taken, answers.next().map(|newest| newest.what).as_ref());
        let rows: Vec<u64> = taken.iter().filter_map(|one| one.row).collect();
        let mut db = control.of(session, projection);
        let by = db.taken_by(generation, &rows).await?;
        let mut given_up = Vec::with_capacity(taken.len());
        for (event, taken) in self.events.iter().zip(&taken) {
            given_up.push(match (id(event), &taken.what) {
                (Some(id), TakenAs::Discarded) => db.given_up_by(id).await?,
                _ => None,
            });
        }
        let digests: BTreeSet<&str> = by.values().filter_map(|one| one.digest.as_deref()).collect();
        let mut others = Vec::new();
        for digest in digests.into_iter().filter(|digest| *digest != digest_in_force).take(COMPONENTS_MAX) {
            match versions.find(session, servers, digest).await {
                Ok(found) => others.push(found),
                // It is not stored any more: the one in force answers.
                Err(Failure::Misconfigured { .. }) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Ok(KnownStory { documents: self, taken, by, given_up, in_force, others })
    }
}

fn id(event: &Result<Arc<Event>, Undecodable>) -> Option<&Id> {
    match event {
        Ok(event) => Some(&event.id),
        Err(undecodable) => undecodable.id.as_ref(),
    }
}

impl KnownStory {
    /// Loads the components, runs the events again in the sandbox, and tells their story. No server is asked.
    pub async fn told(self, versions: &Versions) -> Result<(Why, rows::WantedRows), Failure> {
        let Self { documents, taken, by, given_up, in_force, others: found } = self;
        let in_force = versions.loaded(in_force).await?;
        let mut others = Vec::with_capacity(found.len());
        for found in found {
            match versions.loaded(found).await {
                Ok(loaded) => others.push(loaded),
                // This host cannot load it: the one in force answers.
                Err(Failure::Misconfigured { .. }) => {}
                Err(failure) => return Err(failure),
            }
        }
        let components: Vec<&Loaded> = std::iter::once(&in_force).chain(&others).collect();
        let by = |taken: &TakenFound| taken.row.and_then(|row| by.get(&row).cloned());
        let answering: Vec<usize> = taken
            .iter()
            .map(|taken| {
                let digest = by(taken).and_then(|by| by.digest);
                let at = components.iter().position(|one| Some(one.digest()) == digest.as_deref());
                at.unwrap_or_default()
            })
            .collect();
        let (answers, wanted) = run::answers(&components, &documents.events, &answering).await?;
        let stories = documents.events.iter().zip(taken).zip(answers).zip(answering.iter().zip(given_up));
        let stories = stories.map(|(((event, taken), answer), (at, given_up))| {
            let by = by(&taken);
            let mut story = EventStory::of(event, taken, by, answer);
            story.given_up = given_up;
            let asked = !matches!(story.answer, ShownAnswer::Undecodable { .. });
            story.answered_by = asked.then(|| components[*at].digest().to_owned());
            story
        });
        let AggregatePage { before, after, .. } = documents.page;
        let mark = |mark: Option<PageMark>| mark.map(|mark| mark.to_string());
        let why = Why {
            aggregate: documents.aggregate.spelled(),
            aggregate_exact: documents.aggregate.exact(),
            digest: in_force.digest().to_owned(),
            events: stories.collect(),
            rows: None,
            before: mark(before),
            after: mark(after),
        };
        Ok((why, wanted))
    }
}

impl EventStory {
    fn of(
        event: &Result<Arc<Event>, Undecodable>,
        taken: TakenFound,
        by: Option<TakenBy>,
        answer: ShownAnswer,
    ) -> Self {
        let (became, unknown, letter) = EventFate::of(taken.what);
        let read = event.as_ref().ok();
        let by = by.unwrap_or(TakenBy { at: String::new(), was_letter: false, digest: None });
        // One that waits was never tried.
        let tried = letter.as_ref().filter(|letter| !letter.is_held());
        let digest = by.digest.or_else(|| tried.map(|letter| letter.digest.clone()));
        Self {
            event_id: id(event).map(Id::spelled),
            event_type: read.map(|event| event.event_type.to_string()),
            sequence: read.and_then(|event| event.sequence),
            occurred_at: read.and_then(|event| event.occurred_at.as_ref().map(ToString::to_string)),
            became,
            unknown,
            at: Some(by.at).filter(|at| !at.is_empty()),
            was_letter: by.was_letter,
            digest,
            answered_by: None,
            answer,
            letter,
            given_up: None,
        }
    }

    /// What is said of the component that it was taken with.
    pub fn with(&self) -> String {
        match &self.digest {
            Some(digest) => short(digest).to_owned(),
            None => "not remembered which".to_owned(),
        }
    }
}
