//! From a guest's journal to the host's log: each line with the projection, the component and the event it is about,
//! and no more lines than people can read.
//!
//! Lines are published once a run's answer counts, so that a list that is run again event by event does not speak twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;

use super::component::Component;
use super::metrics::Metrics;
use super::output::Output;
use super::world::World;

/// So many lines of a component are published within so much time; others are counted.
const LINES_MAX: u64 = 1000;
const WINDOW: Duration = Duration::from_secs(10);

/// How much a component may still say; all its guests share it.
#[derive(Default)]
pub(super) struct Limit(Mutex<LogWindow>);

#[derive(Default)]
struct LogWindow {
    began: Option<Instant>,
    said: u64,
    dropped: u64,
}

/// Publishes for one guest.
pub(super) struct LogForwarder<R: World> {
    projection: Arc<str>,
    component: Component<R>,
}

impl<R: World> LogForwarder<R> {
    pub(super) fn new(component: Component<R>, projection: Arc<str>) -> Self {
        Self { projection, component }
    }

    /// Says how many lines were dropped, once that is over.
    pub(super) fn settle(&self) {
        if let Some(dropped) = self.limit().settle(Instant::now()) {
            let seconds = WINDOW.as_secs();
            self.warn(&format!("{dropped} lines were dropped within {seconds} s: {LINES_MAX} are taken"));
        }
    }

    /// Whether another line would be published.
    pub(super) fn has_room(&self) -> bool {
        self.settle();
        self.limit().window().said < LINES_MAX
    }

    /// Publishes what was said about something, as far as there is room, and counts the rest.
    pub(super) fn publish(&self, said: &GuestLog, about: impl FnOnce() -> String, meter: &Metrics) {
        if said.is_empty() {
            return;
        }
        self.settle();
        let heading = Heading { log_forwarder: self, event: Some(about()) };
        let mut lines = said.lines.iter();
        for (level, line) in lines.by_ref() {
            if !self.limit().admit(Instant::now()) {
                return self.drop_lines(1 + lines.len() as u64 + said.cut, meter);
            }
            heading.line(*level, line);
        }
        if said.cut > 0 {
            meter.dropped(said.cut);
            heading.line(Level::WARN, &format!("{} more lines were dropped", said.cut));
        }
    }

    fn drop_lines(&self, lines: u64, meter: &Metrics) {
        meter.dropped(lines);
        if self.limit().drop_lines(lines) {
            let seconds = WINDOW.as_secs();
            self.warn(&format!(
                "the {} says too much: {LINES_MAX} lines within {seconds} s are taken, the others are counted",
                R::KIND.noun()
            ));
        }
    }

    fn limit(&self) -> &Limit {
        self.component.record().limit()
    }

    fn warn(&self, told: &str) {
        Heading { log_forwarder: self, event: None }.line(Level::WARN, told);
    }
}

/// What a guest said that the log would take.
pub(super) struct GuestLog {
    lines: Vec<(Level, String)>,
    /// How many lines there was no room for.
    cut: u64,
}

impl GuestLog {
    /// Takes it out of the journal.
    pub(super) fn take(output: &Output) -> Self {
        let (mut lines, cut) = output.take();
        lines.retain(|(level, _)| is_enabled(*level));
        Self { lines, cut: cut as u64 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.cut == 0
    }

    /// Forgets what is also in another one.
    pub(super) fn forget(&mut self, other: &Self) {
        for line in &other.lines {
            match self.lines.iter().position(|mine| mine == line) {
                Some(place) => drop(self.lines.remove(place)),
                None => self.cut = self.cut.saturating_sub(1),
            }
        }
        self.cut = self.cut.saturating_sub(other.cut);
    }
}

impl Limit {
    /// How many lines were dropped in a window that is over.
    fn settle(&self, now: Instant) -> Option<u64> {
        let mut window = self.window();
        let is_over = window.began.is_none_or(|began| now.duration_since(began) >= WINDOW);
        if !is_over {
            return None;
        }
        let before = std::mem::replace(&mut *window, LogWindow { began: Some(now), said: 0, dropped: 0 });
        (before.dropped > 0).then_some(before.dropped)
    }

    fn admit(&self, now: Instant) -> bool {
        let mut window = self.window();
        window.began.get_or_insert(now);
        let admits = window.said < LINES_MAX;
        window.said += u64::from(admits);
        admits
    }

    /// Says whether these are the first ones.
    fn drop_lines(&self, lines: u64) -> bool {
        let mut window = self.window();
        window.dropped += lines;
        window.dropped == lines
    }

    fn window(&self) -> MutexGuard<'_, LogWindow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands beside a line.
struct Heading<'a, R: World> {
    log_forwarder: &'a LogForwarder<R>,
    event: Option<String>,
}

impl<R: World> Heading<'_, R> {
    /// A log event's level is fixed where it is written, so there are five of them.
    fn line(&self, level: Level, line: &str) {
        let projection = &*self.log_forwarder.projection;
        let digest = self.log_forwarder.component.short_digest();
        let event = self.event.as_ref().map(tracing::field::display);
        macro_rules! publish {
            ($level:ident) => {
                tracing::event!(target: "projector", Level::$level, projection, digest, event, "{line}")
            };
        }
        match level {
            Level::ERROR => publish!(ERROR),
            Level::WARN => publish!(WARN),
            Level::INFO => publish!(INFO),
            Level::DEBUG => publish!(DEBUG),
            Level::TRACE => publish!(TRACE),
        }
    }
}

fn is_enabled(level: Level) -> bool {
    match level {
        Level::ERROR => tracing::enabled!(target: "projector", Level::ERROR),
        Level::WARN => tracing::enabled!(target: "projector", Level::WARN),
        Level::INFO => tracing::enabled!(target: "projector", Level::INFO),
        Level::DEBUG => tracing::enabled!(target: "projector", Level::DEBUG),
        Level::TRACE => tracing::enabled!(target: "projector", Level::TRACE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_too_much_is_counted_until_the_window_is_over() {
        let (limit, began) = (Limit::default(), Instant::now());
        assert_eq!(limit.settle(began), None);
        assert!((0..LINES_MAX).all(|_| limit.admit(began)));
        assert!(!limit.admit(began));
        assert!(limit.drop_lines(3), "the first ones are told at once");
        assert!(!limit.drop_lines(4));
        assert_eq!(limit.settle(began + WINDOW / 2), None);
        assert_eq!(limit.settle(began + WINDOW), Some(7));
        assert!(limit.admit(began + WINDOW), "there is room again");
        assert_eq!(limit.settle(began + WINDOW * 2), None);
    }
}
