//! A source that is put back to an older copy of itself, goes on from there, and later stands as it was again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::outbox::{OutboxModel, Placed, token};
use super::steps::Steps;
use crate::event::{Anchor, Delivery};
use crate::position::{ClusterTime, Position};

/// How many transactions more than the newest one that was taken an older copy may lack.
const LOST_MAX: u64 = 4;

/// The older copy that stands in an outbox's place, if one does, and how often the source was started anew.
#[derive(Default)]
pub struct Restored(Mutex<RestoredStanding>);

#[derive(Default, Clone)]
struct RestoredStanding {
    older: Option<Arc<Older>>,
    starts: u64,
    /// Whoever opens the source next finds one that was put back just then: it lacks this event.
    next: Option<Anchor>,
}

/// An older copy.
pub struct Older {
    /// How many documents it has of the outbox.
    kept: usize,
    /// What it took since.
    written: Vec<Placed>,
    /// The second in which it was put back; all of the outbox's documents that could be read are older.
    since: u32,
    /// The last place that anybody can have come to before.
    limit: Position,
}

impl Restored {
    fn get(&self) -> RestoredStanding {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, older: Option<Older>, next: Option<Anchor>) {
        let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *standing = RestoredStanding { older: older.map(Arc::new), starts: standing.starts + 1, next };
    }

    pub fn is_older(&self) -> bool {
        self.get().older.is_some()
    }

    pub fn starts(&self) -> u64 {
        self.get().starts
    }

    /// The last place that a projection may come to, while an older copy stands there.
    pub fn limit(&self) -> Option<Position> {
        self.get().older.map(|older| older.limit.clone())
    }
}

/// What a source holds.
pub struct Holds<'a> {
    outbox: &'a OutboxModel,
    older: Option<Arc<Older>>,
}

impl Holds<'_> {
    pub fn count(&self) -> usize {
        let all = self.outbox.documents.len();
        self.older.as_ref().map_or(all, |older| older.kept + older.written.len())
    }

    pub fn at(&self, index: usize) -> Option<&Placed> {
        match &self.older {
            Some(older) if index >= older.kept => older.written.get(index - older.kept),
            _ => self.outbox.documents.get(index),
        }
    }

    /// The documents from an index on that are written by now.
    pub fn visible(&self, from: usize) -> impl Iterator<Item = &Placed> {
        let now = self.outbox.began.elapsed();
        (from..).map_while(|index| self.at(index)).take_while(move |placed| placed.visible <= now)
    }

    /// No mark of the stream is of an earlier second.
    pub fn floor(&self) -> u32 {
        self.older.as_ref().map_or(0, |older| older.since)
    }

    /// The source's own time.
    pub fn now(&self) -> ClusterTime {
        let newest = self.visible(0).filter_map(|placed| placed.delivery.position.time()).max();
        let seconds = newest.map_or(0, |time| time.seconds).max(self.floor()).max(1_000);
        ClusterTime { seconds, increment: u32::MAX }
    }
}

impl OutboxModel {
    pub fn holds(&self) -> Holds<'_> {
        Holds { outbox: self, older: self.restored.get().older }
    }

    /// Puts an older copy in its place: one that lacks the last event that was taken, at the least. What it takes from then on
    /// are documents that it had before, in other places.
    pub fn put_back(&self, steps: &Steps, taken: &Anchor) {
        let of_group = |placed: &Placed| placed.delivery.time == Some(taken.time);
        let Some(first) = self.documents.iter().position(of_group) else { return };
        let mut starts: Vec<usize> = (self.history..=first).filter(|at| self.begins(*at)).collect();
        let fewer = usize::try_from(steps.pick(0..=LOST_MAX)).unwrap_or_default();
        let kept = starts.split_off(starts.len().saturating_sub(fewer + 1)).first().copied();
        let kept = kept.unwrap_or(self.history);
        let holds = self.holds();
        let readable: Vec<&Placed> = holds.visible(0).collect();
        let newest = readable.iter().filter_map(|placed| placed.delivery.position.time()).max();
        let since = newest.map_or(1_000, |time| time.seconds) + 1;
        let now = self.began.elapsed();
        let mut written = Vec::new();
        for number in 0..u32::try_from(steps.pick(0..=6)).unwrap_or_default() {
            let some = readable.len() as u64 - 1;
            let like = readable[usize::try_from(steps.pick(0..=some)).unwrap_or_default()];
            let position = Position::Stream { token: token(since + 1 + number, 0, Some(1)) };
            let delivery = Delivery { time: position.time(), position, ..like.delivery.clone() };
            let visible = now + Duration::from_millis(steps.pick(0..=2_000) * u64::from(number));
            let visible = u64::try_from(visible.as_millis()).unwrap_or(u64::MAX);
            written.push(Placed::new(like.number, delivery, visible));
        }
        written.sort_by_key(|placed: &Placed| placed.delivery.position.time());
        steps.note(|| {
            let (all, more) = (readable.len(), written.len());
            format!("the source is put back: {kept} of {all} documents, and {more} others")
        });
        let limit = Position::Stream { token: token(since - 1, u32::MAX, None) };
        self.restored.replace(Some(Older { kept, written, since, limit }), None);
    }

    /// Ends what is open, and puts an older copy in its place as soon as it is opened again.
    pub fn put_back_when_opened(&self, taken: Anchor) {
        self.restored.replace(None, Some(taken));
    }

    /// The source is opened.
    pub fn is_opened(&self, steps: &Steps) {
        if let Some(taken) = self.restored.get().next {
            self.put_back(steps, &taken);
        }
    }

    /// The source stands as it was.
    pub fn put_right(&self, steps: &Steps) {
        steps.note(|| "the source stands as it was".to_owned());
        self.restored.replace(None, None);
    }

    /// Whether a transaction begins with this document.
    fn begins(&self, at: usize) -> bool {
        let time = |at: usize| self.documents.get(at).and_then(|placed| placed.delivery.time);
        at == 0 || time(at) != time(at - 1)
    }
}
