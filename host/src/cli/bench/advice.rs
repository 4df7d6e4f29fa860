//! What would help, in words, from what was measured. Pure.

use std::time::Duration;

use super::BenchReport;
use super::writing::{MeasuredSetting, Setting};

/// By how much another setting has to be faster to be worth a change.
const WORTH: f64 = 1.15;
/// Which is as fast as another.
const AS_FAST: f64 = 0.92;
/// Turns of a transaction besides the projector's statements: it is opened, its marks and its checkpoint are written, it is closed.
const TURNS: f64 = 5.0;

/// The stages, each with the events that it alone could do in a second.
pub fn stages(report: &BenchReport) -> Vec<(&'static str, f64)> {
    let lanes = f64::from(report.configured.lanes.min(cores()));
    let each = |took: Duration| whole(report.events) / took.as_secs_f64().max(1e-9);
    let mut stages = vec![
        ("reading from MongoDB", each(report.read + report.decode)),
        ("the projector", each(report.project) * lanes),
    ];
    stages.extend(report.written.first().map(|written| ("writing to MySQL", written.throughput())));
    stages
}

pub fn advice(report: &BenchReport) -> Vec<String> {
    let mut said = Vec::new();
    let stages = stages(report);
    if let Some((slowest, rate)) = stages.iter().min_by(|one, other| one.1.total_cmp(&other.1)) {
        said.push(format!(
            "What limits this projection is {slowest}: about {} events a second.",
            thousands(*rate)
        ));
    }
    if let Some(written) = report.written.first() {
        let of_lanes: Vec<&MeasuredSetting> =
            with(report, |setting| setting.batch_max == written.setting.batch_max);
        said.extend(better(written, &of_lanes, |setting| format!("lanes = {}", setting.lanes)));
        let of_batches: Vec<&MeasuredSetting> =
            with(report, |setting| setting.lanes == written.setting.lanes);
        said.extend(better(written, &of_batches, |setting| format!("batch_max = {}", setting.batch_max)));
        said.extend(distance(report.round_trip, written));
    }
    for read in &report.whole_table_reads {
        said.push(format!(
            "The statement `{}` reads all {} rows of `{}` for each row that it changes: an index that begins with the columns of \
             its WHERE would help.",
            read.statement, read.rows, read.table
        ));
    }
    if report.left_out > 0 {
        said.push(format!(
            "{} events were left out: they fail, or wait behind one that fails. `laterna test --mysql` shows why.",
            report.left_out
        ));
    }
    said
}

fn with(report: &BenchReport, is_wanted: impl Fn(&Setting) -> bool) -> Vec<&MeasuredSetting> {
    report.written.iter().filter(|written| is_wanted(&written.setting)).collect()
}

/// The setting to choose: the smallest that is about as fast as the fastest.
fn better(
    now: &MeasuredSetting,
    all: &[&MeasuredSetting],
    named: impl Fn(&Setting) -> String,
) -> Option<String> {
    let fastest = all.iter().map(|written| written.throughput()).fold(0.0, f64::max);
    let smallest = all
        .iter()
        .filter(|written| written.throughput() >= AS_FAST * fastest)
        .min_by_key(|written| (written.setting.lanes, written.setting.batch_max))?;
    let (own, other) = (named(&now.setting), named(&smallest.setting));
    let ratio = smallest.throughput() / now.throughput();
    if own != other && ratio >= WORTH {
        return Some(format!("{other} would help: it writes {ratio:.1} times as much as {own}."));
    }
    let is_less =
        (smallest.setting.lanes, smallest.setting.batch_max) < (now.setting.lanes, now.setting.batch_max);
    Some(if is_less {
        format!("{other} would do: it writes about as much as {own}.")
    } else {
        format!("{own} is right: no other number that was tried writes much more.")
    })
}

/// What of a transaction is waiting for the server's answers to travel.
fn distance(round_trip: Duration, written: &MeasuredSetting) -> Option<String> {
    let travelling = round_trip.as_secs_f64() * (written.statements + TURNS);
    let share = travelling / written.batch.as_secs_f64().max(1e-9);
    (share >= 0.3).then(|| {
        format!(
            "The distance to MySQL is about {:.0} % of each transaction ({:.1} ms for each of {:.0} answers): more lanes hide it, larger \
             batches share it, and a host beside the server does not have it.",
            (share * 100.0).min(100.0),
            round_trip.as_secs_f64() * 1000.0,
            written.statements + TURNS
        )
    })
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "a number of events")]
pub fn whole(number: usize) -> f64 {
    number as f64
}

/// 12345.6 as 12 000: more digits would be noise.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is neither negative nor huge"
)]
pub fn thousands(rate: f64) -> String {
    let rounded = if rate < 1000.0 { rate.round() } else { (rate / 100.0).round() * 100.0 };
    crate::cli::table::number(rounded as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readmodel::tables::scratch_lanes::WholeTableRead;

    fn written(lanes: u32, batch_max: usize, milliseconds: u64) -> MeasuredSetting {
        let took = Duration::from_millis(milliseconds);
        let setting = Setting { lanes, batch_max };
        MeasuredSetting {
            setting,
            events: 10_000,
            took,
            batch: Duration::from_millis(20),
            statements: 1.0,
            refused: 0,
        }
    }

    fn report(written: Vec<MeasuredSetting>) -> BenchReport {
        BenchReport {
            projection: "p".into(),
            component: "p 1".into(),
            events: 10_000,
            document_bytes: 300,
            left_out: 0,
            round_trip: Duration::from_micros(100),
            read: Duration::from_millis(50),
            decode: Duration::from_millis(50),
            project: Duration::from_millis(50),
            configured: written[0].setting,
            written,
            whole_table_reads: vec![],
        }
    }

    #[track_caller]
    fn says(report: &BenchReport, expect: &[&str]) {
        let said = advice(report);
        assert_eq!(said.len(), expect.len(), "{said:#?}");
        for (said, expect) in said.iter().zip(expect) {
            assert!(said.contains(expect), "{said} does not say {expect}");
        }
    }

    #[test]
    fn the_slowest_stage_and_a_better_number_of_lanes_are_named() {
        let near =
            [written(4, 500, 1000), written(1, 500, 2000), written(8, 500, 500), written(16, 500, 480)];
        says(
            &report(near.to_vec()),
            &[
                "writing to MySQL: about 10 000 events",
                "lanes = 8 would help: it writes 2.0 times as much as lanes = 4",
                "batch_max = 500 is right",
            ],
        );
        let mut slow_to_read = report(vec![written(4, 500, 100)]);
        slow_to_read.read = Duration::from_secs(10);
        says(
            &slow_to_read,
            &["reading from MongoDB: about", "lanes = 4 is right", "batch_max = 500 is right"],
        );
    }

    #[test]
    fn fewer_lanes_that_do_as_much_and_larger_batches_that_do_more_are_named() {
        let runs =
            [written(4, 500, 1000), written(1, 500, 1020), written(4, 2000, 600), written(4, 125, 3000)];
        says(
            &report(runs.to_vec()),
            &["MySQL", "lanes = 1 would do", "batch_max = 2000 would help: it writes 1.7 times"],
        );
    }

    #[test]
    fn a_long_way_a_missing_index_and_events_that_fail_are_named() {
        let mut far = report(vec![written(4, 500, 1000)]);
        far.round_trip = Duration::from_millis(2);
        far.left_out = 3;
        far.whole_table_reads =
            vec![WholeTableRead { statement: "rename".into(), table: "orders".into(), rows: 5000 }];
        says(
            &far,
            &[
                "MySQL",
                "lanes",
                "batch_max",
                "about 60 % of each transaction (2.0 ms for each of 6 answers)",
                "`rename` reads all 5000 rows of `orders`",
                "3 events were left out",
            ],
        );
    }
}
