//! What was measured, for people: ratios first. The tables are Markdown, so that they can be put into a document.

use comfy_table::{CellAlignment, Table, presets};

use crate::machine::QUIET_CORES;
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

/// How many times the wanted number of rounds are tried, for as many undisturbed ones.
const TRIES: usize = 3;

impl Round {
    fn ratio(&self, part: Which) -> f64 {
        part(&self.laterna).rate() / part(&self.native).rate()
    }

    /// Nobody else used the machine to speak of.
    fn is_quiet(&self, part: Which) -> bool {
        [&self.laterna, &self.native].iter().all(|run| part(run).elsewhere() < QUIET_CORES)
    }

    /// Everything about one round, in one line.
    pub fn line(&self) -> String {
        let part = |(name, part): (&str, Which)| {
            let (laterna, native) = (part(&self.laterna), part(&self.native));
            format!(
                "{name} {:.2} ({} / {} events/s, others on {:.1} / {:.1} cores)",
                self.ratio(part),
                thousands(laterna.rate()),
                thousands(native.rate()),
                laterna.elsewhere(),
                native.elsewhere(),
            )
        };
        format!("{}; load {} / {}", PARTS.map(part).join("; "), self.laterna.load, self.native.load)
    }
}

/// Whether there are as many undisturbed rounds as wanted, or it was tried often enough.
pub fn suffices(rounds: &[Round], wanted: usize) -> bool {
    let quiet = |(_, part): (_, Which)| rounds.iter().filter(|round| round.is_quiet(part)).count() >= wanted;
    rounds.len() >= TRIES * wanted || PARTS.into_iter().all(quiet)
}

/// Medians over the undisturbed rounds, or over all where there are none.
pub fn table(rounds: &[Round]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "part",
        "laterna / native",
        "lowest - highest",
        "undisturbed rounds",
        "laterna events/s",
        "native events/s",
        "CPU s per 100,000: laterna, its MySQL, MongoDB",
        "native, its MySQL, MongoDB",
    ]);
    for (name, part) in PARTS {
        let quiet: Vec<&Round> = rounds.iter().filter(|round| round.is_quiet(part)).collect();
        let shown = format!("{} of {}", quiet.len(), rounds.len());
        let counted = if quiet.is_empty() { rounds.iter().collect() } else { quiet };
        let ratios: Vec<f64> = counted.iter().map(|round| round.ratio(part)).collect();
        let laterna: Vec<&Part> = counted.iter().map(|round| part(&round.laterna)).collect();
        let native: Vec<&Part> = counted.iter().map(|round| part(&round.native)).collect();
        let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = ratios.iter().copied().fold(0.0, f64::max);
        table.add_row([
            name.to_owned(),
            format!("**{:.2}**", median(ratios)),
            format!("{lowest:.2} - {highest:.2}"),
            shown,
            thousands(median(laterna.iter().map(|part| part.rate()).collect())),
            thousands(median(native.iter().map(|part| part.rate()).collect())),
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
        median(parts.iter().map(|part| seconds(part) / part.seconds / part.rate() * 100_000.0).collect())
    };
    let [follower, mysqld, mongod] =
        [each(|part| part.cpu.follower), each(|part| part.cpu.mysqld), each(|part| part.cpu.mongod)];
    format!("{follower:.2}, {mysqld:.2}, {mongod:.2}")
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
