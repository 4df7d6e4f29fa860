//! What was measured, for people: ratios first. The tables are Markdown, so that they can be put into a document.

use comfy_table::{CellAlignment, Table, presets};

use crate::measure::{Part, Run};

/// Both followers, one after the other.
#[derive(Debug, Clone)]
pub struct Round {
    pub native: Run,
    pub laterna: Run,
}

/// Which part of a run.
type Which = fn(&Run) -> &Part;

const PARTS: [(&str, Which); 2] = [("history", |run| &run.history), ("live", |run| &run.live)];

impl Round {
    fn ratio(&self, part: Which) -> f64 {
        rate(part(&self.laterna)) / rate(part(&self.native))
    }

    /// Everything about one round, in one line.
    pub fn line(&self) -> String {
        let part = |(name, part): (&str, Which)| {
            let (laterna, native) = (part(&self.laterna), part(&self.native));
            format!(
                "{name} {:.2} ({} / {} events/s, elsewhere {:.1} / {:.1} cores)",
                self.ratio(part),
                thousands(rate(laterna)),
                thousands(rate(native)),
                laterna.cpu.elsewhere() / laterna.seconds,
                native.cpu.elsewhere() / native.seconds,
            )
        };
        format!("{}; load {} / {}", PARTS.map(part).join("; "), self.laterna.load, self.native.load)
    }
}

/// Medians over the rounds.
pub fn table(rounds: &[Round]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "part",
        "laterna / native",
        "lowest - highest",
        "laterna events/s",
        "native events/s",
        "CPU s per 100,000: laterna, mysqld, mongod",
        "native, mysqld, mongod",
    ]);
    for (name, part) in PARTS {
        let ratios: Vec<f64> = rounds.iter().map(|round| round.ratio(part)).collect();
        let laterna: Vec<&Part> = rounds.iter().map(|round| part(&round.laterna)).collect();
        let native: Vec<&Part> = rounds.iter().map(|round| part(&round.native)).collect();
        let (lowest, highest) =
            ratios.iter().fold((f64::MAX, 0.0_f64), |(low, high), x| (low.min(*x), high.max(*x)));
        table.add_row([
            name.to_owned(),
            format!("**{:.2}**", median(ratios)),
            format!("{lowest:.2} - {highest:.2}"),
            thousands(median(laterna.iter().map(|part| rate(part)).collect())),
            thousands(median(native.iter().map(|part| rate(part)).collect())),
            processors(&laterna),
            processors(&native),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// Seconds of processor time that 100,000 events took: the follower's, MySQL's, MongoDB's.
fn processors(parts: &[&Part]) -> String {
    let each = |seconds: fn(&Part) -> f64| {
        median(parts.iter().map(|part| seconds(part) * 100_000.0 / count(part.events)).collect())
    };
    let [follower, mysqld, mongod] =
        [each(|part| part.cpu.follower), each(|part| part.cpu.mysqld), each(|part| part.cpu.mongod)];
    format!("{follower:.1}, {mysqld:.1}, {mongod:.1}")
}

fn rate(part: &Part) -> f64 {
    count(part.events) / part.seconds
}

#[expect(clippy::cast_precision_loss, reason = "a benchmark has fewer events than an f64 has digits")]
fn count(events: u64) -> f64 {
    events as f64
}

fn thousands(rate: f64) -> String {
    format!("{:.1} k", rate / 1000.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
