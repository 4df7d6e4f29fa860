//! How far the lanes of a run are, seen from each other.
//!
//! A duplicate or foreign key may be a matter of timing: the row it is about may still be on its way in another lane.
//! So such an event is judged only when every other lane has passed its position. Lanes that wait for each other are
//! distinguished by what they wait with: of all that wait, the earliest has been passed by the others.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::position::Position;

pub struct Frontiers {
    state: Mutex<FrontierState>,
    /// Wakes who waits, in the order in which they began to.
    moved: Notify,
}

struct FrontierState {
    /// How often a lane moved.
    moves: u64,
    /// Everything up to here was handed to the lanes.
    handed_out: Option<Position>,
    lanes: Vec<LaneProgress>,
}

/// The other lanes at one moment.
pub struct OtherLanes {
    moves: u64,
    handed_out: Option<Position>,
    lanes: Vec<LaneProgress>,
}

impl OtherLanes {
    /// Returns true where no other lane can still write what comes before a position.
    pub fn passed(&self, position: &Position) -> bool {
        let all_handed_out = self.handed_out.as_ref().is_some_and(|handed| handed.covers(position));
        self.lanes.iter().all(|other| {
            other.committed.covers(position)
                || (all_handed_out && other.waiting == 0)
                || other.stuck_at.as_ref().is_some_and(|stuck| stuck.compare(position).is_gt())
        })
    }
}

#[derive(Clone)]
struct LaneProgress {
    committed: Position,
    /// Deliveries that were handed to the lane and are not committed.
    waiting: u64,
    /// Position that the lane cannot commit before others have passed it; everything before it is committed.
    stuck_at: Option<Position>,
}

impl Frontiers {
    /// The lanes of a run, with what they had committed before it.
    pub fn new(committed: impl IntoIterator<Item = Position>) -> Self {
        let lane = |committed| LaneProgress { committed, waiting: 0, stuck_at: None };
        let lanes = committed.into_iter().map(lane).collect();
        Self { state: Mutex::new(FrontierState { moves: 0, handed_out: None, lanes }), moved: Notify::new() }
    }

    /// Deliveries are about to be handed to a lane.
    pub fn hands_out(&self, lane: usize, deliveries: usize) {
        self.change(|state| {
            state.lanes[lane].waiting += deliveries as u64;
            false
        });
    }

    /// Everything up to a position was handed to the lanes.
    pub fn handed_out(&self, position: &Position) {
        self.change(|state| {
            let news = state.handed_out.as_ref() != Some(position);
            state.handed_out = Some(position.clone());
            news
        });
    }

    /// A lane committed so many deliveries, up to a position.
    pub fn committed(&self, lane: usize, deliveries: usize, position: &Position) {
        self.change(|state| {
            let lane = &mut state.lanes[lane];
            lane.waiting = lane.waiting.saturating_sub(deliveries as u64);
            lane.committed.clone_from(position);
            lane.stuck_at = None;
            true
        });
    }

    /// Everything up to here is committed.
    pub fn done(&self) -> Position {
        let state = self.lock();
        let done = |lane: &LaneProgress| match &state.handed_out {
            Some(handed) if lane.waiting == 0 && lane.committed.compare(handed).is_lt() => handed.clone(),
            _ => lane.committed.clone(),
        };
        let least = state.lanes.iter().map(done).min_by(Position::compare);
        least.expect("a projection has at least one lane")
    }

    /// A lane can go no further than what stands before a position. Ends when any other lane has moved since it was
    /// looked at.
    pub async fn stuck(&self, lane: usize, position: &Position, seen: &OtherLanes) {
        let reported = self.change(|state| {
            let stuck_at = &mut state.lanes[lane].stuck_at;
            let news = stuck_at.as_ref() != Some(position);
            *stuck_at = Some(position.clone());
            news
        });
        // Its own word is no move of another.
        let moves = seen.moves + u64::from(reported);
        loop {
            let news = self.moved.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if self.lock().moves > moves {
                return;
            }
            news.await;
        }
    }

    /// How a lane sees the others now. What MySQL refuses from now on, it refuses with all in place that they have
    /// committed.
    pub fn seen_by(&self, lane: usize) -> OtherLanes {
        let state = self.lock();
        let others = state.lanes.iter().enumerate().filter(|(number, _)| *number != lane);
        OtherLanes {
            moves: state.moves,
            handed_out: state.handed_out.clone(),
            lanes: others.map(|(_, other)| other.clone()).collect(),
        }
    }

    /// Changes the state; true is news for the other lanes.
    fn change(&self, change: impl FnOnce(&mut FrontierState) -> bool) -> bool {
        let mut state = self.lock();
        let news = change(&mut state);
        if news {
            state.moves += 1;
            self.moved.notify_waiters();
        }
        news
    }

    fn lock(&self) -> MutexGuard<'_, FrontierState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Token;

    fn at(place: u32) -> Position {
        Position::Stream { token: Token { data: format!("82{place:04}").into(), type_bits: None } }
    }

    fn stuck(progress: &Frontiers, lane: usize, place: u32) {
        let seen = progress.seen_by(lane);
        let at = at(place);
        let waiting = std::pin::pin!(progress.stuck(lane, &at, &seen));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.poll(&mut context).is_pending(), "its own word does not wake it");
    }

    #[test]
    fn a_single_lane_waits_for_nobody() {
        assert!(Frontiers::new([at(0)]).seen_by(0).passed(&at(5)));
    }

    #[test]
    fn another_lane_has_passed_what_it_committed_and_what_it_was_never_given() {
        let progress = Frontiers::new([at(0), at(0)]);
        assert!(!progress.seen_by(0).passed(&at(5)), "who knows what the other lane will be given");
        progress.hands_out(1, 1);
        progress.handed_out(&at(5));
        assert!(!progress.seen_by(0).passed(&at(5)), "the other lane has something to do");
        progress.committed(1, 1, &at(4));
        assert!(progress.seen_by(0).passed(&at(5)), "it was given nothing else up to there");
        assert!(!progress.seen_by(0).passed(&at(6)));
        progress.committed(1, 0, &at(6));
        assert!(progress.seen_by(0).passed(&at(6)));
    }

    #[test]
    fn a_move_between_the_look_and_the_wait_is_not_missed() {
        let progress = Frontiers::new([at(0), at(0)]);
        let seen = progress.seen_by(0);
        progress.committed(1, 0, &at(1));
        let at = at(5);
        let waiting = std::pin::pin!(progress.stuck(0, &at, &seen));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.poll(&mut context).is_ready());
    }

    #[test]
    fn of_lanes_that_wait_for_each_other_the_earliest_is_judged() {
        let progress = Frontiers::new([at(0), at(0)]);
        for lane in [0, 1] {
            progress.hands_out(lane, 3);
        }
        stuck(&progress, 0, 2);
        stuck(&progress, 1, 3);
        assert!(progress.seen_by(0).passed(&at(2)));
        assert!(!progress.seen_by(1).passed(&at(3)));
        progress.committed(0, 1, &at(2));
        assert!(!progress.seen_by(1).passed(&at(3)), "lane 0 has more to do, which may come before");
        stuck(&progress, 0, 4);
        assert!(progress.seen_by(1).passed(&at(3)));
    }
}
