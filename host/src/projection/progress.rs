//! How far the lanes of a run are, seen from each other.
//!
//! A duplicate or foreign key may be a matter of timing: the row it is about may still be on its way in another lane.
//! So such an event is judged only when every other lane has passed its position. Lanes that wait for each other are
//! told apart by what they wait with: of all that wait, the earliest has been passed by the others.
//!
//! A verdict rests on two looks, in this order: which lanes have passed, then what MySQL says. The other way round, a
//! lane could write the missing row and pass between them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::position::Position;

pub struct Progress {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Clone)]
struct State {
    /// Everything up to here was handed to the lanes.
    handed_out: Option<Position>,
    lanes: Vec<LaneProgress>,
}

#[derive(Clone)]
struct LaneProgress {
    committed: Position,
    /// Deliveries that were handed to the lane and are not committed.
    waiting: u64,
    /// What the lane cannot commit before others have passed it; everything before it is committed.
    stuck_at: Option<Position>,
}

impl Progress {
    /// The lanes of a run, with what they had committed before it.
    pub fn new(committed: impl IntoIterator<Item = Position>) -> Self {
        let lane = |committed| LaneProgress { committed, waiting: 0, stuck_at: None };
        let state = State { handed_out: None, lanes: committed.into_iter().map(lane).collect() };
        Self { state: Mutex::new(state), moved: Notify::new() }
    }

    /// Deliveries are about to be handed to a lane.
    pub fn hands_out(&self, lane: usize, deliveries: usize) {
        self.change(|state| state.lanes[lane].waiting += deliveries as u64);
    }

    /// Everything up to a position was handed to the lanes.
    pub fn handed_out(&self, position: &Position) {
        self.change(|state| state.handed_out = Some(position.clone()));
    }

    /// A lane committed so many deliveries, up to a position.
    pub fn committed(&self, lane: usize, deliveries: usize, position: &Position) {
        self.change(|state| {
            let lane = &mut state.lanes[lane];
            lane.waiting = lane.waiting.saturating_sub(deliveries as u64);
            lane.committed.clone_from(position);
            lane.stuck_at = None;
        });
    }

    /// A lane can go no further than what stands before a position.
    pub fn stuck(&self, lane: usize, position: &Position) {
        let stuck_at = Some(position.clone());
        let is_known = self.lock().lanes[lane].stuck_at == stuck_at;
        if !is_known {
            self.change(|state| state.lanes[lane].stuck_at = stuck_at);
        }
    }

    /// How far the other lanes are now.
    pub fn others(&self, lane: usize) -> Others {
        let mut state = self.lock().clone();
        state.lanes.remove(lane);
        Others(state)
    }

    /// Ends when any lane has moved since it was enabled.
    pub fn moved(&self) -> Notified<'_> {
        self.moved.notified()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.moved.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the other lanes were at one moment.
pub struct Others(State);

impl Others {
    /// Whether nothing that comes before a position can still be written by one of them.
    pub fn passed(&self, position: &Position) -> bool {
        let Self(state) = self;
        let all_handed_out = state.handed_out.as_ref().is_some_and(|handed| handed.covers(position));
        state.lanes.iter().all(|other| {
            other.committed.covers(position)
                || (all_handed_out && other.waiting == 0)
                || other.stuck_at.as_ref().is_some_and(|stuck| stuck.compare(position).is_gt())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Token;

    fn at(place: u32) -> Position {
        Position::Stream { token: Token { data: format!("82{place:04}"), type_bits: None } }
    }

    #[test]
    fn a_single_lane_waits_for_nobody() {
        assert!(Progress::new([at(0)]).others(0).passed(&at(5)));
    }

    #[test]
    fn another_lane_has_passed_what_it_committed_and_what_it_was_never_given() {
        let progress = Progress::new([at(0), at(0)]);
        assert!(!progress.others(0).passed(&at(5)), "who knows what the other lane will be given");
        progress.hands_out(1, 1);
        progress.handed_out(&at(5));
        assert!(!progress.others(0).passed(&at(5)), "the other lane has something to do");
        progress.committed(1, 1, &at(4));
        assert!(progress.others(0).passed(&at(5)), "it was given nothing else up to there");
        assert!(!progress.others(0).passed(&at(6)));
        progress.committed(1, 0, &at(6));
        assert!(progress.others(0).passed(&at(6)));
    }

    #[test]
    fn of_lanes_that_wait_for_each_other_the_earliest_is_judged() {
        let progress = Progress::new([at(0), at(0)]);
        for lane in [0, 1] {
            progress.hands_out(lane, 3);
        }
        progress.stuck(0, &at(2));
        progress.stuck(1, &at(3));
        assert!(progress.others(0).passed(&at(2)));
        assert!(!progress.others(1).passed(&at(3)));
        progress.committed(0, 1, &at(2));
        assert!(!progress.others(1).passed(&at(3)), "lane 0 has more to do, which may come before");
        progress.stuck(0, &at(4));
        assert!(progress.others(1).passed(&at(3)));
    }

    #[test]
    fn what_was_looked_at_before_does_not_change_with_what_comes_later() {
        let progress = Progress::new([at(0), at(0)]);
        progress.hands_out(1, 1);
        progress.handed_out(&at(5));
        let before = progress.others(0);
        progress.committed(1, 1, &at(5));
        assert!(!before.passed(&at(5)));
        assert!(progress.others(0).passed(&at(5)));
    }
}
