//! What was measured, for people: ratios first. The tables are Markdown, so that they can be put into a document.

use std::collections::BTreeSet;

use comfy_table::{CellAlignment, Table, presets};

use crate::record::{Cell, Measured, Part, Record, Results};

/// Everything about one round, in one line.
pub fn line(round: &[Record]) -> String {
    let follower = |record: &Record| {
        let part = |part: &Measured| {
            let what = part.lag_ms.map_or_else(
                || format!("{}/s", thousands(part.throughput())),
                |lag| format!("99 % in {:.1} ms", lag.p99),
            );
            format!("{} {what}, others on {:.1} cores", part.part.name(), part.elsewhere())
        };
        let parts: Vec<String> = record.parts.iter().map(part).collect();
        format!("{}: {} (load {})", record.follower, parts.join(", "), record.load)
    };
    round.iter().map(follower).collect::<Vec<_>>().join("; ")
}

/// A table for each cell.
pub fn tables(results: &Results) -> String {
    let mut cells: Vec<&Cell> = Vec::new();
    for record in &results.records {
        if !cells.contains(&&record.cell) {
            cells.push(&record.cell);
        }
    }
    let tables = cells.into_iter().map(|cell| format!("{}\n\n{}\n", cell.title(), table(results, cell)));
    tables.collect::<Vec<_>>().join("\n")
}

/// A part of one follower in one round.
struct Run<'a> {
    follower: &'a str,
    round: usize,
    measured: &'a Measured,
}

const HEADINGS: [&str; 12] = [
    "part",
    "follower",
    "ratio",
    "lowest - highest",
    "rounds",
    "events/s",
    "CPU us an event: follower, MySQL, MongoDB",
    "peak MB",
    "statements an event",
    "events a commit",
    "turns a commit: MySQL; turns an event: MongoDB",
    "ms to the row: 50, 99, 99.9 %",
];

/// Medians over the undisturbed rounds, or over all where there are none.
fn table(results: &Results, cell: &Cell) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(HEADINGS);
    let of_cell: Vec<&Record> = results.records.iter().filter(|record| record.cell == *cell).collect();
    for part in [Part::History, Part::Live, Part::Paced] {
        let runs: Vec<Run> = of_cell.iter().flat_map(|record| runs(record, part)).collect();
        for follower in &results.followers {
            if let Some(row) = row(&runs, &results.followers[0], follower) {
                table.add_row([vec![part.name().to_owned()], row].concat());
            }
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn runs(record: &Record, part: Part) -> impl Iterator<Item = Run<'_>> {
    let parts = record.parts.iter().filter(move |measured| measured.part == part);
    parts.map(|measured| Run { follower: &record.follower, round: record.round, measured })
}

fn row(runs: &[Run], first: &str, follower: &str) -> Option<Vec<String>> {
    let own: Vec<&Run> = runs.iter().filter(|run| run.follower == follower).collect();
    let disturbed: BTreeSet<usize> =
        runs.iter().filter(|run| !run.measured.is_quiet()).map(|run| run.round).collect();
    let quiet: Vec<&Run> = own.iter().copied().filter(|run| !disturbed.contains(&run.round)).collect();
    let shown = format!("{} of {}", quiet.len(), own.len());
    let counted = if quiet.is_empty() { own } else { quiet };
    let ratio = |run: &&Run| {
        let other = runs.iter().find(|other| other.follower == first && other.round == run.round)?;
        Some(match (run.measured.lag_ms, other.measured.lag_ms) {
            (Some(own), Some(other)) => own.p99 / other.p99,
            _ => run.measured.throughput() / other.measured.throughput(),
        })
    };
    let ratios: Vec<f64> = counted.iter().filter_map(ratio).collect();
    let of =
        |value: &dyn Fn(&Measured) -> f64| median(counted.iter().map(|run| value(run.measured)).collect());
    let optional = |value: &dyn Fn(&Measured) -> Option<f64>| {
        median(counted.iter().filter_map(|run| value(run.measured)).collect())
    };
    let lowest = ratios.iter().copied().reduce(f64::min);
    let highest = ratios.iter().copied().reduce(f64::max);
    let turns =
        [optional(&Measured::turns_per_commit), optional(&|part| Some(part.each(part.mongodb_turns?)))];
    let lags = [
        optional(&|part| Some(part.lag_ms?.p50)),
        optional(&|part| Some(part.lag_ms?.p99)),
        optional(&|part| Some(part.lag_ms?.p999)),
    ];
    Some(vec![
        follower.to_owned(),
        shown_number(median(ratios), 2),
        format!("{} - {}", shown_number(lowest, 2), shown_number(highest, 2)),
        shown,
        thousands(of(&Measured::throughput)?),
        [
            of(&|part| part.micros(part.cpu.follower)),
            of(&|part| part.micros(part.cpu.mysqld)),
            of(&|part| part.micros(part.cpu.mongod)),
        ]
        .map(|micros| shown_number(micros, 1))
        .join(", "),
        shown_number(of(&Measured::peak_megabytes), 0),
        shown_number(of(&|part| part.each(part.statements)), 3),
        shown_number(of(&|part| part.each(part.commits).recip()), 0),
        turns.map(|turns| shown_number(turns, 2)).join("; "),
        lags.map(|lag| shown_number(lag, 1)).join(", "),
    ])
}

fn shown_number(number: Option<f64>, digits: usize) -> String {
    // A part without events, where the first look found everything done, has no figures.
    let number = number.filter(|number| number.is_finite());
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.digits$}"))
}

fn thousands(rate: f64) -> String {
    if rate < 10_000.0 { format!("{rate:.0}") } else { format!("{:.1} k", rate / 1000.0) }
}

/// None of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        Some(values[middle])
    } else {
        Some(f64::midpoint(*values.get(middle.checked_sub(1)?)?, values[middle]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let close =
            |values: Vec<f64>, expect: f64| (median(values).expect("there are some") - expect).abs() < 1e-9;
        assert!(close(vec![3.0, 1.0, 2.0], 2.0));
        assert!(close(vec![4.0, 1.0, 2.0, 3.0], 2.5));
        assert_eq!(median(vec![]), None);
    }
}
