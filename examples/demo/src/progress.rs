//! How far both sides are, while it goes on: two bars on a terminal, otherwise a line every few seconds.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::show::{milliseconds, number};

const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// Both sides at one moment.
pub struct Moment {
    pub written: u64,
    pub applied: u64,
    /// The one of the newest probe.
    pub lag: Option<Duration>,
}

pub struct Progress {
    since: Instant,
    view: View,
}

enum View {
    Bars { written: ProgressBar, applied: ProgressBar, note: ProgressBar },
    Lines { last: Instant },
}

impl Progress {
    pub fn start(planned: u64) -> Self {
        let now = Instant::now();
        let view = if std::io::stderr().is_terminal() { bars(planned) } else { View::Lines { last: now } };
        Self { since: now, view }
    }

    pub fn show(&mut self, moment: &Moment) {
        let Moment { written, applied, .. } = *moment;
        let behind = format!("behind {:>5}   lag {}", number(written.saturating_sub(applied)), lag(moment));
        let elapsed = self.since.elapsed();
        match &mut self.view {
            View::Bars { written: upper, applied: lower, note } => {
                for (bar, position) in [(upper, written), (lower, applied)] {
                    // The probe's events come on top of what was planned.
                    bar.set_length(bar.length().unwrap_or_default().max(written));
                    bar.set_position(position);
                    bar.set_message(rate(position, elapsed));
                }
                note.set_message(behind);
            }
            View::Lines { last } if last.elapsed() >= LINE_INTERVAL => {
                *last = Instant::now();
                let (written, applied) = (number(written), number(applied));
                println!(
                    "{:>4} s   written to MongoDB {written:>7}   applied to MySQL {applied:>7}   {behind}",
                    elapsed.as_secs()
                );
            }
            View::Lines { .. } => {}
        }
    }

    /// The bars stay as they are.
    pub fn finish(&mut self) {
        if let View::Bars { written, applied, note } = &self.view {
            note.finish_and_clear();
            for bar in [written, applied] {
                bar.set_length(written.position());
                bar.abandon();
            }
        }
    }
}

fn bars(planned: u64) -> View {
    // As often as they change: otherwise the bars would show different moments.
    let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(u8::MAX));
    let bar = |name: &'static str| {
        let style = ProgressStyle::with_template("{prefix:18} {bar:26} {pos:>7} of {len}   {msg}");
        let style = style.expect("the template is valid").progress_chars("█▌ ");
        all.add(ProgressBar::new(planned).with_style(style).with_prefix(name))
    };
    let (written, applied) = (bar("written to MongoDB"), bar("applied to MySQL"));
    let note = ProgressBar::no_length()
        .with_style(ProgressStyle::with_template("{msg}").expect("the template is valid"));
    View::Bars { written, applied, note: all.add(note) }
}

fn lag(moment: &Moment) -> String {
    moment.lag.map_or_else(|| "not measured yet".to_owned(), milliseconds)
}

fn rate(events: u64, elapsed: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = events as f64 / elapsed.as_secs_f64().max(0.001);
    format!("{rate:.0}/s")
}
