//! The simulated source: reads the outbox, or the older copy that stands in its place, as the real reader does.

use std::sync::Arc;
use std::time::Duration;

use super::outbox::{OutboxModel, Placed, place, token};
use super::steps::{Life, Steps};
use crate::event::Delivery;
use crate::failure::{Failure, Lost};
use crate::position::{ClusterTime, Position};
use crate::source::{AWAIT, Feed, Look, Reading, ShownInserts};

/// How many inserts a look shows at a time.
const SHOWN_MAX: usize = 2;

/// Reads the outbox as the real reader does: open it behind a position, then take feeds.
pub struct SimulatedSource {
    pub outbox: Arc<OutboxModel>,
    pub steps: Steps,
    pub life: Life,
    pub trouble: SourceTrouble,
    pub feed_max: u64,
    pub place: Option<Place>,
    pub openings: u64,
}

/// How the source fails.
#[derive(Debug, Clone, Copy)]
pub struct SourceTrouble {
    /// One in so many times it is not there.
    pub unavailable: u32,
    /// During this time the place in the stream is gone.
    pub lost: Option<(Duration, Duration)>,
}

/// Where an open source stands.
pub struct Place {
    position: Position,
    next: usize,
    idle: u32,
    /// How often the source had been started anew when it was opened.
    starts: u64,
}

impl SimulatedSource {
    fn fails(&self) -> Result<(), Failure> {
        let now = self.outbox.began.elapsed();
        if self.trouble.lost.is_some_and(|(from, to)| from <= now && now < to) {
            return Err(Failure::ResumeLost {
                cause: Lost::History,
                reason: "the oplog is too short".to_owned(),
            });
        }
        if self.steps.fails(self.trouble.unavailable) {
            return Err(Failure::SourceUnavailable { message: "made up".to_owned() });
        }
        Ok(())
    }

    /// MongoDB does not resume at an event that it does not have, as soon as there is another one behind it.
    fn resumes(&self, from: &Position) -> Result<(), Failure> {
        let Position::Stream { token } = from else { return Ok(()) };
        let holds = self.outbox.holds();
        let behind = holds.visible(0).find(|placed| !from.covers(&placed.delivery.position));
        let is_there = token.is_high_water_mark()
            || holds.visible(0).any(|placed| placed.delivery.position.compare(from).is_eq());
        if is_there || behind.is_none() {
            return Ok(());
        }
        Err(Failure::ResumeLost { cause: Lost::UnknownToken, reason: "it has no such event".to_owned() })
    }
}

impl Reading for SimulatedSource {
    type Look = SimulatedLook;

    async fn open(&mut self, from: &Position) -> Result<(), Failure> {
        self.steps.step(&self.life, 1, || format!("source opens behind {}", place(from))).await;
        self.place = None;
        self.openings += 1;
        self.fails()?;
        self.outbox.is_opened(&self.steps);
        self.resumes(from)?;
        let starts = self.outbox.restored.starts();
        let holds = self.outbox.holds();
        let is_behind =
            |index: &usize| holds.at(*index).is_some_and(|placed| !from.covers(&placed.delivery.position));
        let mut next = (0..holds.count()).find(is_behind).unwrap_or(holds.count());
        if let Position::Scan { .. } = from {
            // A scan reads the document at its key again.
            next = next.saturating_sub(usize::try_from(self.steps.pick(0..=2)).unwrap_or_default());
        }
        self.place = Some(Place { position: from.clone(), next, idle: 0, starts });
        Ok(())
    }

    async fn next(&mut self) -> Result<Feed, Failure> {
        let Some(mut place) = self.place.take() else {
            self.steps.violated(|| "the source is read without being open".to_owned());
            return Err(Failure::SourceUnavailable { message: "it is not open".to_owned() });
        };
        self.steps.step(&self.life, 1, || "source is asked".to_owned()).await;
        self.fails()?;
        if self.steps.pick(0..=20) == 0 {
            // As the real reader does around an event that is too large.
            self.openings += 1;
            self.outbox.is_opened(&self.steps);
            place.starts = self.outbox.restored.starts();
        }
        if place.starts != self.outbox.restored.starts() {
            return Err(Failure::SourceUnavailable { message: "it was started anew".to_owned() });
        }
        let feed = self.feed(&mut place);
        if feed.deliveries.is_empty() && matches!(feed.position, Position::Stream { .. }) {
            tokio::time::sleep(AWAIT).await;
        }
        self.steps
            .note(|| format!("source gives {}, {}", feed.deliveries.len(), self::place(&feed.position)));
        self.place = Some(place);
        Ok(feed)
    }

    async fn look(&mut self, since: ClusterTime, _together: u32) -> Result<SimulatedLook, Failure> {
        self.steps.step(&self.life, 1, || format!("source shows what is since {since}")).await;
        self.fails()?;
        // That the oplog does not reach back so far says nothing about a source that is the same.
        if !self.outbox.restored.is_older() && self.steps.pick(0..=9) == 0 {
            return Err(Failure::ResumeLost { cause: Lost::History, reason: "made up".to_owned() });
        }
        let (outbox, steps, life) = (self.outbox.clone(), self.steps.clone(), self.life.clone());
        Ok(SimulatedLook { outbox, steps, life, since, shown: 0 })
    }

    fn openings(&self) -> u64 {
        self.openings
    }
}

/// The inserts that the source holds since a moment.
pub struct SimulatedLook {
    outbox: Arc<OutboxModel>,
    steps: Steps,
    life: Life,
    since: ClusterTime,
    shown: usize,
}

impl Look for SimulatedLook {
    async fn next(&mut self) -> Result<ShownInserts, Failure> {
        self.steps.step(&self.life, 1, || "source shows more".to_owned()).await;
        let holds = self.outbox.holds();
        let insert = |placed: &Placed| {
            let time = placed.delivery.time.filter(|time| *time >= self.since)?;
            Some((placed.delivery.id().cloned(), time))
        };
        let inserts: Vec<_> = holds.visible(0).filter_map(insert).skip(self.shown).take(SHOWN_MAX).collect();
        self.shown += inserts.len();
        if inserts.is_empty() {
            tokio::time::sleep(AWAIT).await;
        }
        let end = inserts.is_empty().then(|| holds.now());
        Ok(ShownInserts { reached: inserts.last().map(|(_, time)| *time).max(end), inserts })
    }
}

impl SimulatedSource {
    fn feed(&self, place: &mut Place) -> Feed {
        let now = self.outbox.began.elapsed();
        let (holds, history) = (self.outbox.holds(), self.outbox.history);
        let in_history = matches!(place.position, Position::Scan { .. });
        let end = if in_history { history } else { holds.count() };
        let most = usize::try_from(self.steps.pick(0..=self.feed_max)).unwrap_or_default();
        let visible = holds.visible(place.next).take(end.saturating_sub(place.next));
        let deliveries: Vec<Delivery> = visible.take(most).map(|placed| placed.delivery.clone()).collect();
        place.next += deliveries.len();
        if in_history && place.next >= history && deliveries.is_empty() {
            place.position = Position::Stream { token: self.outbox.start.clone() };
            return Feed { deliveries, position: place.position.clone() };
        }
        let mut reached = deliveries.last().map_or(place.position.clone(), |last| last.position.clone());
        if !in_history && holds.at(place.next).is_none_or(|next| next.visible > now) {
            // Nothing more is there: a high-water mark behind what was read, and before what will come.
            place.idle += 1;
            let idle = place.idle + u32::try_from(self.steps.pick(0..=3)).unwrap_or_default();
            let before = place.next.checked_sub(1).and_then(|last| holds.at(last)?.delivery.position.time());
            let seconds = before.map_or(1_000, |time| time.seconds.max(1_000)).max(holds.floor());
            let mark = Position::Stream { token: token(seconds, idle.min(0xffff), None) };
            if self.steps.pick(0..=2) > 0 && reached.compare(&mark).is_lt() {
                reached = mark;
            }
        }
        if place.position.compare(&reached).is_lt() {
            place.position = reached;
        }
        Feed { deliveries, position: place.position.clone() }
    }
}
