//! Looks after a generation while its lanes run: how far it is, what it waits for, and when it meets the live one.
//!
//! It meets the live one while both run: its lanes come so near that little is left, then both readers get one position as their
//! end, and the run ends when all lanes stand there. So the live tables stand for as long as the little takes, and one start.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::approach::Approach;
use super::effort::Effort;
use super::pace::{BEHIND_MAX, GenerationPace, PaceSample};
use super::ports::{GenerationPorts, ShadowPorts};
use super::shadow_run::ShadowRun;
use super::{MEETING_PATIENCE, PATIENCE, late, meeting};
use crate::failure::Failure;
use crate::pipeline::rendezvous::Rendezvous;
use crate::position::Position;
use crate::readmodel::control::command;
use crate::readmodel::control::generation::{Generation, GenerationState, Purpose};
use crate::readmodel::mysql::session::within;
use crate::status::snapshot::Beside;
use crate::supervisor::startup::readiness::{FIRST_GENERATION, nothing_was_applied};

/// How often it is looked for work, and whether what is being built has caught up.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// How long to wait when an operator has to act.
pub const SETUP_INTERVAL: Duration = Duration::from_secs(15);

/// How often it is looked whether the lanes are near the live ones, and for how long at a time.
const TICK: Duration = Duration::from_millis(20);
const ROUND: Duration = Duration::from_millis(400);

/// How long is between two such looks.
const BETWEEN: Duration = Duration::from_millis(50);

/// How long the live reader waits at most for lanes that come no nearer all the same; then it is left alone for a while.
const IN_VAIN_MAX: Duration = Duration::from_secs(30);

/// How often the pace is measured.
const MEASURED: Duration = Duration::from_secs(1);

/// Why lanes beside the live ones end.
pub enum End {
    /// They have caught up, and both generations are to meet in the next run.
    Meets,
    /// They stand where the live ones end.
    Met,
    /// They did not come where the live ones end.
    Apart(String),
    /// The generation is not to be built any more.
    Over,
    /// It is compared, or cut over, which others do.
    Elsewhere,
}

/// Looks after a generation while its lanes run.
pub struct Watch<'a, P: GenerationPorts> {
    ports: P,
    shadow: &'a ShadowRun<P::Shadow>,
    rendezvous: Arc<Rendezvous>,
    since: Instant,
    /// What it waits for, as was told last.
    told: Option<String>,
    pace: GenerationPace,
    /// When its pace was measured last.
    measured: Option<Instant>,
    approach: Approach,
    /// The lanes have caught up, and are to come near the live ones.
    is_aligning: bool,
    /// Since when the live reader has waited for lanes that come no nearer.
    in_vain_since: Option<Instant>,
    /// Until when the live reader is left alone.
    rests_until: Instant,
}

impl<'a, P: GenerationPorts> Watch<'a, P> {
    pub fn new(ports: P, shadow: &'a ShadowRun<P::Shadow>) -> Self {
        let (rendezvous, now) = (ports.term().rendezvous.clone(), Instant::now());
        let (told, share) = (shadow.lanes.generation().reason.clone(), ports.settings().rebuild_percent);
        Self {
            ports,
            shadow,
            rendezvous,
            since: now,
            told,
            pace: GenerationPace::new(share),
            measured: None,
            approach: Approach::default(),
            is_aligning: false,
            in_vain_since: None,
            rests_until: now,
        }
    }

    /// Looks after lanes that run: whether they have caught up, and whether they are still wanted.
    pub async fn run(mut self) -> Result<End, Failure> {
        loop {
            tokio::time::sleep(self.between_looks()).await;
            if let Some(end) = within(PATIENCE, "looking after a generation", self.look()).await? {
                return Ok(end);
            }
            if self.rendezvous.is_fixed() {
                tokio::time::sleep(MEETING_PATIENCE).await;
                return Ok(End::Apart(late()));
            }
        }
    }

    async fn look(&mut self) -> Result<Option<End>, Failure> {
        let number = self.shadow.lanes.generation().generation;
        let found = self.ports.list().await?;
        // Another one goes first; this one is built on behind it.
        if meeting::first(&found).is_some_and(|first| first.state == GenerationState::Dropping) {
            return Ok(Some(End::Over));
        }
        let found = found.into_iter().find(|one| one.generation == number);
        let Some(now) = found.filter(|one| one.state == GenerationState::Building) else {
            return Ok(Some(End::Over));
        };
        report_progress(&mut self.ports, &now).await?;
        // Live lanes that are slower than their source are met where they are.
        self.is_aligning = self.has_caught_up(&now).await? || self.is_near();
        let why_not = if self.is_aligning {
            let given_up = self.ports.given_up(number).await?;
            if !given_up.is_empty() {
                Box::pin(self.shadow.give_up(&given_up)).await?;
                return Ok(None);
            }
            self.why_not_yet(&now).await?
        } else if now.attempts == 0 && self.told.take().is_some() {
            // What kept it before is over.
            return self.ports.explain(number, None).await.map(|()| None);
        } else {
            if self.pace.effort().live_waits().is_some() {
                self.comes_near().await;
            }
            return Ok(None);
        };
        if let Some(why) = why_not {
            // It may wait for days: nobody needs to look twenty times a second.
            self.is_aligning = false;
            self.makes(Effort::Share);
            if self.told.as_ref() != Some(&why) {
                let (projection, generation) = (&self.ports.settings().name, number);
                tracing::warn!(projection, generation, "it waits: {why}");
                self.ports.explain(number, Some(&why)).await?;
                self.told = Some(why);
            }
            return Ok(None);
        }
        let is_looked_at = now.purpose == Purpose::Look;
        // Live lanes that cannot go on are met where they stand, in a run of its own.
        let meets = !is_looked_at && self.rendezvous.has_live() && !self.ports.term().alone.is_cancelled();
        if meets {
            self.makes(self.pace.effort().max(Effort::All));
            if !self.comes_near().await {
                return Ok(None);
            }
        }
        let to = if is_looked_at { GenerationState::Kept } else { GenerationState::Meeting };
        let moved = self.ports.advance(&now, to, now.purpose, None).await?;
        // Both end at one position from here on, while the live lanes run.
        if moved && meets && self.rendezvous.fix() {
            let (projection, generation) = (&self.ports.settings().name, number);
            tracing::info!(
                projection,
                generation,
                "it and the live one end at one position, near which both are"
            );
            return Ok(None);
        }
        Ok(Some(if moved && !is_looked_at { End::Meets } else { End::Over }))
    }

    /// How long it is until the next look. Live lanes that wait go on meanwhile.
    fn between_looks(&self) -> Duration {
        match self.pace.effort().live_waits() {
            Some((_, goes)) => goes,
            None if self.is_aligning => BETWEEN,
            None => INTERVAL,
        }
    }

    /// Waits a little for the lanes to come near the live ones, and returns true where they are. The live reader waits as well, as far
    /// as the effort says.
    async fn comes_near(&mut self) -> bool {
        let now = Instant::now();
        if now < self.rests_until {
            return false;
        }
        let waits = self.pace.effort().live_waits().map(|(waits, _)| waits);
        if let Some(waits) = waits {
            self.rendezvous.holds_live(waits);
        }
        let until = now + waits.unwrap_or(ROUND);
        while !self.is_near() {
            if Instant::now() >= until {
                self.rendezvous.lets_live_go();
                self.may_rest(now);
                return false;
            }
            tokio::time::sleep(TICK).await;
        }
        if waits.is_some() {
            // Until both have their end.
            self.rendezvous.holds_live(ROUND);
        }
        true
    }

    fn is_near(&mut self) -> bool {
        let distance = self.rendezvous.distance();
        distance.is_some_and(|distance| self.approach.is_near(Instant::now(), &distance))
    }

    /// Does so much for the lanes.
    fn makes(&mut self, effort: Effort) {
        self.pace.makes(effort);
        self.shadow.lanes.takes_share(effort.percent(self.ports.settings().rebuild_percent));
    }

    /// Leaves the live lanes alone for a while where the others come no nearer however much these wait.
    fn may_rest(&mut self, now: Instant) {
        if self.pace.effort() != Effort::Most || !self.pace.is_stuck() {
            self.in_vain_since = None;
            return;
        }
        if now - *self.in_vain_since.get_or_insert(now) < IN_VAIN_MAX {
            return;
        }
        let (projection, generation) =
            (&self.ports.settings().name, self.shadow.lanes.generation().generation);
        tracing::warn!(
            projection,
            generation,
            "it does not come near the live one, although the live lanes wait for it; they go on for {} s, then it is tried again",
            SETUP_INTERVAL.as_secs()
        );
        self.in_vain_since = None;
        self.rests_until = now + SETUP_INTERVAL;
        self.pace.makes(Effort::All);
    }

    async fn has_caught_up(&mut self, next: &Generation) -> Result<bool, Failure> {
        let (rows, now) = (self.ports.rows(next.generation).await?, self.ports.source_now().await?);
        let behind = |position: &Position| {
            let time = position.time().filter(|_| matches!(position, Position::Stream { .. }))?;
            Some(u64::from(now.seconds.saturating_sub(time.seconds)))
        };
        let each: Option<Vec<u64>> = rows.iter().map(|row| behind(&row.position)).collect();
        let behind = each.and_then(|each| each.into_iter().max());
        self.measures(next, behind).await?;
        Ok(behind.is_some_and(|behind| behind <= BEHIND_MAX))
    }

    /// Measures the pace now and then, and tells how long it will take.
    async fn measures(&mut self, next: &Generation, behind: Option<u64>) -> Result<(), Failure> {
        if self.measured.is_some_and(|then| then.elapsed() < MEASURED) {
            return Ok(());
        }
        let at = Instant::now();
        self.measured = Some(at);
        let (events, _) = self.ports.progress(next.generation).await?;
        let live = self.ports.live().await?.unwrap_or(FIRST_GENERATION);
        let (live, _) = self.ports.progress(live).await?;
        if at >= self.rests_until {
            self.pace.add(PaceSample { at, events, live, behind });
            self.makes(self.pace.effort());
        }
        let left = self.pace.left(next.expected, next.seconds).filter(|_| at >= self.rests_until);
        self.ports.record_left(next.generation, left).await
    }

    /// Why a generation that has caught up does not meet the live one yet.
    async fn why_not_yet(&mut self, next: &Generation) -> Result<Option<String>, Failure> {
        let name = self.ports.settings().name.clone();
        if let Some(word) = meeting::awaits_word(&name, next) {
            return Ok(Some(word));
        }
        if next.attempts > 0 {
            // Each try stops the live lanes for a moment.
            let wait = SETUP_INTERVAL * 2_u32.pow(next.attempts.min(6) - 1);
            if self.since.elapsed() < wait {
                return Ok(Some(next.reason.clone().unwrap_or_default()));
            }
        }
        if next.purpose.is_compared() {
            return Ok((!self.ports.status().is_streaming())
                .then(|| format!("`{name}` is not streaming: both are compared when it is")));
        }
        if next.purpose != Purpose::Replace || next.accepted {
            return Ok(None);
        }
        let live = self.ports.live().await?.unwrap_or(FIRST_GENERATION);
        if nothing_was_applied(&self.ports.rows(live).await?) {
            return Ok(None);
        }
        let first = self.ports.first_new_letter(next.generation, live).await?;
        let Some(first) = first else { return Ok(None) };
        let (_, letters) = self.ports.progress(next.generation).await?;
        Ok(Some(format!(
            "it is ready, but of its {letters} dead letters some are of events that the live one took (the first: {first}); \
             `laterna generations accept {name} {0}` takes it as it is, `laterna generations drop {name} {0}` gives it up",
            next.generation
        )))
    }
}

impl<P: GenerationPorts> Drop for Watch<'_, P> {
    fn drop(&mut self) {
        // Nobody waits for lanes that nobody looks after.
        self.rendezvous.lets_live_go();
    }
}

/// Tells whoever looks how far a generation is.
pub async fn report_progress<P: GenerationPorts>(ports: &mut P, now: &Generation) -> Result<(), Failure> {
    let (events, _) = ports.progress(now.generation).await?;
    ports.status().builds(Some(Beside {
        generation: now.generation,
        purpose: now.purpose.name().to_owned(),
        events,
        expected: now.expected,
        waits: now.reason.clone(),
    }));
    let Some(command) = now.command else { return Ok(()) };
    let Some(reason) = &now.reason else {
        let left = now.seconds_left.filter(|left| *left >= 0);
        let left = left.map_or_else(String::new, |left| format!(", about {left} s left"));
        let progress = format!("generation {}: {events} of {} events{left}", now.generation, now.expected);
        return ports.report_progress(command, &progress).await;
    };
    // What a command waits for whose generation does not come on is given up after an hour.
    let told = format!("generation {} waits: {reason}", now.generation);
    let waited = Duration::from_secs(ports.waits(command, &told).await?);
    let Some(why) = command::bound(waited, &told) else { return Ok(()) };
    ports.advance(now, now.given_up(), now.purpose, Some(&why)).await.map(|_| ())
}
