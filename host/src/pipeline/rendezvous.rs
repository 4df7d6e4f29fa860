//! Brings the reader of the live tables and the reader of tables that are to take their place to one position while both run.
//!
//! The position is one that neither has passed. Each reads up to it and ends, and so do its lanes: nobody is stopped early, and
//! nobody has to catch up in a run of its own while the live tables stand.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::frontier::Frontiers;
use crate::position::Position;

/// Which of the two readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Live,
    Beside,
}

/// The meeting of two readers, of which one may be missing.
#[derive(Default)]
pub struct Rendezvous {
    state: Mutex<RendezvousState>,
    changed: Notify,
}

#[derive(Default)]
struct RendezvousState {
    live: Option<Course>,
    beside: Option<Course>,
    /// The position at which both end.
    until: Option<Position>,
    /// Until then the live reader waits for the other one.
    held_until: Option<Instant>,
    /// Nobody has to wait for the other side any more.
    is_over: bool,
}

/// How far a reader is.
struct Course {
    /// It has handed out nothing behind this.
    reached: Position,
    /// Where the last event stands that it handed out; before the first one, where it began.
    last_event: Position,
    frontiers: Arc<Frontiers>,
}

/// How far both sides are.
#[derive(Debug, Clone, PartialEq)]
pub struct ReaderDistance {
    /// Where the last event stands that the live reader handed out.
    pub live: Position,
    /// Up to here the other side has committed everything.
    pub beside: Position,
}

impl Rendezvous {
    /// The part of one reader in it.
    pub fn party(self: &Arc<Self>, side: Side) -> Party {
        Party { rendezvous: self.clone(), side }
    }

    /// Returns true where the live reader reads, and may end anywhere.
    pub fn has_live(&self) -> bool {
        self.lock().live.is_some()
    }

    /// How far both are, while both read.
    pub fn distance(&self) -> Option<ReaderDistance> {
        let state = self.lock();
        let (live, beside) = (state.live.as_ref()?, state.beside.as_ref()?);
        Some(ReaderDistance { live: live.last_event.clone(), beside: beside.frontiers.done() })
    }

    /// Has the live reader wait for so long from now on. It goes on by itself, whoever is late to say so.
    pub fn holds_live(&self, time: Duration) {
        self.change(|state| {
            state.held_until = Some(Instant::now() + time).filter(|_| state.until.is_none());
        });
    }

    /// Has the live reader go on.
    pub fn lets_live_go(&self) {
        self.change(|state| state.held_until = None);
    }

    /// Both end at one position, which neither has passed. False where one of them does not read.
    pub fn fix(&self) -> bool {
        self.change(|state| {
            let (Some(live), Some(beside)) = (&state.live, &state.beside) else { return false };
            let both = [&live.reached, &beside.reached];
            state.until = both.into_iter().max_by(|a, b| a.compare(b)).cloned();
            state.held_until = None;
            true
        })
    }

    /// Returns true where both have a position at which they end.
    pub fn is_fixed(&self) -> bool {
        self.lock().until.is_some()
    }

    /// Nobody has to wait for the other side any more.
    pub fn ends(&self) {
        self.change(|state| (state.is_over, state.held_until) = (true, None));
    }

    /// Waits until the other side is there too, or nobody waits for it any more; not at all where there is no such meeting.
    pub async fn over(&self) {
        self.until(|state| state.until.is_none() || state.is_over).await;
    }

    async fn until(&self, is_so: impl Fn(&RendezvousState) -> bool + Send) {
        loop {
            let news = self.changed.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if is_so(&self.lock()) {
                return;
            }
            news.await;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut RendezvousState) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_waiters();
        changed
    }

    fn lock(&self) -> MutexGuard<'_, RendezvousState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One reader's part in a meeting.
pub struct Party {
    rendezvous: Arc<Rendezvous>,
    side: Side,
}

impl Party {
    /// The reader begins. Everything up to `reached` was handed out before, to one lane at least.
    pub fn begins(&self, reached: Position, frontiers: Arc<Frontiers>) {
        let mut state = self.rendezvous.lock();
        *self.course(&mut state) = Some(Course { last_event: reached.clone(), reached, frontiers });
    }

    /// How far the reader may hand out what it has read up to a position: not beyond the one at which both end. From now on that
    /// one is not before this.
    pub fn reaches(&self, position: Position) -> Position {
        let mut state = self.rendezvous.lock();
        let position =
            state.until.clone().filter(|until| until.compare(&position).is_lt()).unwrap_or(position);
        if let Some(course) = self.course(&mut state)
            && course.reached.compare(&position).is_lt()
        {
            course.reached.clone_from(&position);
        }
        position
    }

    /// The reader handed out an event that stands there.
    pub fn handed_out(&self, event: Position) {
        let mut state = self.rendezvous.lock();
        if let Some(course) = self.course(&mut state) {
            course.last_event = event;
        }
    }

    /// The position at which both end.
    pub fn until(&self) -> Option<Position> {
        self.rendezvous.lock().until.clone()
    }

    /// Waits until a reader that is at a position ends there.
    pub async fn arrives(&self, position: &Position) {
        let is_there = |state: &RendezvousState| {
            state.until.as_ref().is_some_and(|until| position.compare(until).is_ge())
        };
        self.rendezvous.until(is_there).await;
    }

    /// Waits as long as the live reader has to.
    pub async fn goes_on(&self) {
        if self.side == Side::Beside {
            return;
        }
        loop {
            let held_until = self.rendezvous.lock().held_until;
            let Some(until) = held_until.filter(|until| *until > Instant::now()) else { return };
            let changes = self.rendezvous.until(|state| state.held_until != Some(until));
            // Either way it is looked again.
            let _ = timeout_at(until, changes).await;
        }
    }

    fn course<'a>(&self, state: &'a mut RendezvousState) -> &'a mut Option<Course> {
        match self.side {
            Side::Live => &mut state.live,
            Side::Beside => &mut state.beside,
        }
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        *self.course(&mut self.rendezvous.lock()) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Token;

    fn at(place: u32) -> Position {
        Position::Stream { token: Token { data: format!("82{place:04}").into(), type_bits: None } }
    }

    fn is_ready(waiting: impl Future<Output = ()>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(waiting).poll(&mut context).is_ready()
    }

    fn both(live: u32, beside: u32) -> (Arc<Rendezvous>, Party, Party) {
        let rendezvous = Arc::new(Rendezvous::default());
        let parties = [(Side::Live, live), (Side::Beside, beside)].map(|(side, place)| {
            let party = rendezvous.party(side);
            party.begins(at(place), Arc::new(Frontiers::new([at(place)])));
            party
        });
        let [live, beside] = parties;
        (rendezvous, live, beside)
    }

    #[test]
    fn both_end_at_a_position_that_neither_has_passed() {
        for (live_at, beside_at, until) in [(7, 4, 7), (4, 7, 7), (5, 5, 5)] {
            let (rendezvous, live, beside) = both(live_at, beside_at);
            assert!(rendezvous.fix());
            assert_eq!(live.until(), Some(at(until)));
            assert_eq!((live.reaches(at(9)), beside.reaches(at(9))), (at(until), at(until)));
            assert_eq!(beside.reaches(at(3)), at(3), "what is before it is handed out");
            assert!(is_ready(live.arrives(&at(until))) && !is_ready(beside.arrives(&at(until - 1))));
        }
    }

    #[test]
    fn a_reader_that_handed_out_more_meanwhile_moves_the_position() {
        let (rendezvous, live, _beside) = both(4, 5);
        live.reaches(at(8));
        assert!(rendezvous.fix());
        assert_eq!(live.until(), Some(at(8)));
    }

    #[test]
    fn nobody_meets_who_is_not_there() {
        let (rendezvous, live, beside) = both(4, 5);
        drop(beside);
        assert!(!rendezvous.fix() && rendezvous.has_live() && rendezvous.distance().is_none());
        assert!(is_ready(rendezvous.over()), "who has nobody to meet waits for nobody");
        assert!(!is_ready(live.arrives(&at(4))));
        drop(live);
        assert!(!rendezvous.has_live());
    }

    #[tokio::test(start_paused = true)]
    async fn the_live_reader_waits_as_long_as_it_is_held_and_for_the_other_side_in_the_end() {
        const WAITS: Duration = Duration::from_millis(400);
        let (rendezvous, live, beside) = both(4, 5);
        let began = Instant::now();
        rendezvous.holds_live(WAITS);
        live.goes_on().await;
        assert_eq!(began.elapsed(), WAITS, "it goes on by itself");
        rendezvous.holds_live(WAITS);
        assert!(!is_ready(live.goes_on()));
        rendezvous.lets_live_go();
        assert!(is_ready(live.goes_on()));
        rendezvous.holds_live(WAITS);
        assert!(!is_ready(live.goes_on()) && is_ready(beside.goes_on()));
        assert!(rendezvous.fix());
        assert!(is_ready(live.goes_on()), "it has to come to the end");
        rendezvous.holds_live(WAITS);
        assert!(is_ready(live.goes_on()));
        assert!(!is_ready(rendezvous.over()));
        rendezvous.ends();
        assert!(is_ready(rendezvous.over()));
    }

    #[test]
    fn what_was_handed_out_and_not_committed_is_not_done() {
        let (rendezvous, live, _beside) = both(4, 4);
        live.handed_out(at(6));
        let progress = Arc::new(Frontiers::new([at(4), at(5)]));
        let again = rendezvous.party(Side::Beside);
        again.begins(at(5), progress.clone());
        progress.hands_out(0, 2);
        progress.handed_out(&at(7));
        assert_eq!(rendezvous.distance(), Some(ReaderDistance { live: at(6), beside: at(4) }));
        progress.committed(0, 2, &at(6));
        assert_eq!(rendezvous.distance().map(|found| found.beside), Some(at(7)));
    }
}
