//! From a guest's output to the host's log: each line with the projection, the component and the event it is about,
//! and no more lines than people can read.
//!
//! Lines are published once a run's answer counts, so that a list that is run again event by event does not speak twice.

use std::sync::Arc;
use std::time::Instant;

use tracing::Level;

use super::component::Component;
use super::log_limit::{LINES_MAX, LogLimit, WINDOW};
use super::metrics::Metrics;
use super::output::Output;
use super::world::World;

/// Publishes for one guest.
pub(super) struct LogForwarder<R: World> {
    projection: Arc<str>,
    component: Component<R>,
}

impl<R: World> LogForwarder<R> {
    pub(super) fn new(component: Component<R>, projection: Arc<str>) -> Self {
        Self { projection, component }
    }

    /// Reports how many lines were dropped, once that is over.
    pub(super) fn settle(&self) {
        if let Some(dropped) = self.limit().settle(Instant::now()) {
            let seconds = WINDOW.as_secs();
            self.warn(&format!("{dropped} lines were dropped within {seconds} s: {LINES_MAX} are taken"));
        }
    }

    /// Returns true where another line would be published.
    pub(super) fn has_room(&self) -> bool {
        self.settle();
        self.limit().has_room()
    }

    /// Publishes the lines about something, as far as there is room, and counts the rest.
    pub(super) fn publish(&self, log: &GuestLog, about: impl FnOnce() -> String, meter: &Metrics) {
        if log.is_empty() {
            return;
        }
        self.settle();
        let heading = Heading { log_forwarder: self, event: Some(about()) };
        let mut lines = log.lines.iter();
        for (level, line) in lines.by_ref() {
            if !self.limit().admit(Instant::now()) {
                return self.drop_lines(1 + lines.len() as u64 + log.cut, meter);
            }
            heading.line(*level, line);
        }
        if log.cut > 0 {
            meter.dropped(log.cut);
            heading.line(Level::WARN, &format!("{} more lines were dropped", log.cut));
        }
    }

    fn drop_lines(&self, lines: u64, meter: &Metrics) {
        meter.dropped(lines);
        if self.limit().drop_lines(lines) {
            let seconds = WINDOW.as_secs();
            self.warn(&format!(
                "the {} logs too much: {LINES_MAX} lines within {seconds} s are taken, the others are counted",
                R::KIND.noun()
            ));
        }
    }

    fn limit(&self) -> &LogLimit {
        self.component.record().limit()
    }

    fn warn(&self, message: &str) {
        Heading { log_forwarder: self, event: None }.line(Level::WARN, message);
    }
}

/// The guest's lines that the log would take.
pub(super) struct GuestLog {
    lines: Vec<(Level, String)>,
    /// How many lines there was no room for.
    cut: u64,
}

impl GuestLog {
    /// Takes it out of the output.
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

/// The fields beside a line.
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
