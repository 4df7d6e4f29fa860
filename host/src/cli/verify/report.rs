//! The changes that a rebuild would make, for people. Machines get the report as it is.

use crate::cli::table;
use crate::component::registry;
use crate::readmodel::compare::{
    ComparisonReport, DifferentRow, FoundRows, ReportColumn, TableReport, ValueKind,
};
use crate::readmodel::mysql::literal::quoted;
use crate::text::harmless;

/// The report as text, without a line break at its end.
pub fn render(report: &ComparisonReport) -> String {
    let tables = counted(report.tables.len(), "table");
    let what = match report.tables.iter().filter(|table| !table.is_clean()).count() {
        0 => format!("nothing in {tables}"),
        changed => format!("{changed} of {tables}"),
    };
    let mut lines = vec![
        format!("{}: a rebuild would change {what}.\n", report.projection),
        overview(report),
        format!("\nCompared at {}, in {:.1} s.", report.position, report.seconds),
    ];
    lines.extend(notes(report));
    lines.extend(report.tables.iter().flat_map(details));
    lines.join("\n")
}

fn overview(report: &ComparisonReport) -> String {
    let mut overview = table::table(&["table", "live rows", "rebuilt rows", "missing", "extra", "different"]);
    for one in &report.tables {
        let number = |rows: u64| match one.not_compared {
            Some(_) => "-".to_owned(),
            None => table::number(rows),
        };
        overview.add_row([
            one.table.clone(),
            number(one.live_rows),
            number(one.rebuilt_rows),
            number(one.missing.rows),
            number(one.extra.rows),
            number(one.different.rows),
        ]);
    }
    overview.trim_fmt()
}

/// Notes about both sides that a reader needs to judge the differences.
fn notes(report: &ComparisonReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(lacks) = &report.lacks {
        lines.push(format!("Not everything can be made again: {lacks}."));
    }
    if report.digests.len() > 1 {
        let digests: Vec<&str> = report.digests.iter().map(|digest| registry::short(digest)).collect();
        lines.push(format!(
            "The live rows were made by {} ({}): what differs may be what these do differently.",
            counted(digests.len(), "component"),
            digests.join(", ")
        ));
    }
    match report.discarded {
        0 => {}
        1 => lines.push("1 event was discarded, and is in neither.".to_owned()),
        many => lines.push(format!("{} events were discarded, and are in neither.", table::number(many))),
    }
    if report.letters + report.rebuilt_letters > 0 {
        let (live, rebuilt) = (table::number(report.letters), table::number(report.rebuilt_letters));
        lines.push(format!(
            "Dead letters keep events from the rows: {live} of the live tables, {rebuilt} of the rebuilt ones."
        ));
    }
    lines
}

/// The differences in one table, row by row.
fn details(found: &TableReport) -> Vec<String> {
    let (name, mut lines) = (&found.table, Vec::new());
    if let Some(reason) = &found.not_compared {
        lines.push(format!("\n{name} is not compared: {reason}"));
    }
    if !found.definition.is_empty() {
        lines.push(format!("\n{name} itself differs"));
        lines.extend(found.definition.iter().map(|difference| format!("  {difference}")));
    }
    let key = |key: &Vec<Option<String>>| vec![key_text(&found.key, key)];
    lines.extend(rows(name, &found.missing, "missing ", ", which a rebuild makes", key));
    lines.extend(rows(name, &found.extra, "extra ", ", which a rebuild does not make", key));
    let different = |row: &DifferentRow| different(found, row);
    lines.extend(rows(name, &found.different, "", " with other values after a rebuild", different));
    lines
}

fn rows<T>(
    table: &str,
    found: &FoundRows<T>,
    what: &str,
    about: &str,
    show: impl Fn(&T) -> Vec<String>,
) -> Vec<String> {
    if found.rows == 0 {
        return Vec::new();
    }
    let rows = if found.rows == 1 { "row" } else { "rows" };
    let mut lines = vec![format!("\n{table}: {} {what}{rows}{about}", table::number(found.rows))];
    lines.extend(found.samples.iter().flat_map(show));
    match found.rows.saturating_sub(found.samples.len() as u64) {
        0 => {}
        more => lines.push(format!("  and {} more", table::number(more))),
    }
    lines
}

fn different(found: &TableReport, row: &DifferentRow) -> Vec<String> {
    let mut lines = vec![key_text(&found.key, &row.key)];
    for difference in &row.differences {
        let column = found.columns.iter().find(|column| column.name == difference.column);
        let kind = column.map_or(ValueKind::Text, |column| column.kind);
        let (live, rebuilt) = (&difference.live, &difference.rebuilt);
        let (live, rebuilt) = (value(kind, live.as_ref()), value(kind, rebuilt.as_ref()));
        lines.push(format!("    {}: live {live}, rebuilt {rebuilt}", difference.column));
    }
    match row.columns.saturating_sub(row.differences.len()) {
        0 => {}
        more => lines.push(format!("    and {more} more")),
    }
    lines
}

fn key_text(columns: &[ReportColumn], key: &[Option<String>]) -> String {
    let part = |(column, one): (&ReportColumn, &Option<String>)| {
        format!("{} {}", column.name, value(column.kind, one.as_ref()))
    };
    let parts: Vec<String> = columns.iter().zip(key).map(part).collect();
    format!("  {}", parts.join(", "))
}

/// A value as SQL writes it: a text is in quotes, so that no text looks like a NULL or a number.
fn value(kind: ValueKind, value: Option<&String>) -> String {
    match (value, kind) {
        (None, _) => "NULL".to_owned(),
        (Some(value), ValueKind::Number | ValueKind::Binary) => value.clone(),
        (Some(value), ValueKind::Time | ValueKind::Text | ValueKind::Json) => harmless(&quoted(value)),
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readmodel::compare::Difference;

    fn column(name: &str, kind: ValueKind) -> ReportColumn {
        ReportColumn { name: name.to_owned(), kind }
    }

    fn clean() -> ComparisonReport {
        ComparisonReport {
            projection: "accounts".into(),
            position: "82656f".into(),
            digests: vec!["aaaaaaaaaaaaaaaaaaaa".into()],
            discarded: 0,
            letters: 0,
            rebuilt_letters: 0,
            lacks: None,
            seconds: 12.34,
            tables: vec![TableReport {
                table: "balances".into(),
                key: vec![column("id", ValueKind::Number)],
                columns: vec![column("id", ValueKind::Number), column("amount", ValueKind::Number)],
                live_rows: 1_234_567,
                rebuilt_rows: 1_234_567,
                ..TableReport::default()
            }],
        }
    }

    fn unclean() -> ComparisonReport {
        let mut report = clean();
        report.digests.push("bbbbbbbbbbbbbbbbbbbb".into());
        report.discarded = 2;
        report.letters = 1000;
        report.tables.push(TableReport {
            table: "moves".into(),
            definition: vec!["column `by_hand` is live only; it is not compared".into()],
            key: vec![column("account", ValueKind::Text), column("at", ValueKind::Time)],
            columns: vec![
                column("account", ValueKind::Text),
                column("at", ValueKind::Time),
                column("note", ValueKind::Text),
                column("blob", ValueKind::Binary),
                column("amount", ValueKind::Number),
            ],
            live_rows: 4000,
            rebuilt_rows: 4001,
            missing: FoundRows {
                rows: 2,
                samples: vec![vec![Some("it's\n".into()), Some("2026-01-31".into())]],
            },
            extra: FoundRows { rows: 1, samples: vec![vec![Some("NULL".into()), Some("2026-01-31".into())]] },
            different: FoundRows {
                rows: 1003,
                samples: vec![DifferentRow {
                    key: vec![Some("a".into()), Some("2026-01-31".into())],
                    differences: vec![
                        Difference { column: "note".into(), live: None, rebuilt: Some("NULL".into()) },
                        Difference {
                            column: "blob".into(),
                            live: Some("0x00ff".into()),
                            rebuilt: Some("0x".into()),
                        },
                        Difference {
                            column: "amount".into(),
                            live: Some("-0".into()),
                            rebuilt: Some("0".into()),
                        },
                    ],
                    columns: 4,
                }],
            },
            ..TableReport::default()
        });
        report.tables.push(TableReport {
            table: "others".into(),
            not_compared: Some("there is no such live table".into()),
            ..TableReport::default()
        });
        report
    }

    #[test]
    fn a_clean_report_is_short() {
        assert_eq!(
            render(&clean()),
            "accounts: a rebuild would change nothing in 1 table.

 TABLE     LIVE ROWS  REBUILT ROWS  MISSING  EXTRA  DIFFERENT
 balances  1 234 567  1 234 567     0        0      0

Compared at 82656f, in 12.3 s."
        );
    }

    #[test]
    fn what_differs_is_told_with_keys_and_both_values() {
        assert_eq!(
            render(&unclean()),
            r"accounts: a rebuild would change 2 of 3 tables.

 TABLE     LIVE ROWS  REBUILT ROWS  MISSING  EXTRA  DIFFERENT
 balances  1 234 567  1 234 567     0        0      0
 moves     4 000      4 001         2        1      1 003
 others    -          -             -        -      -

Compared at 82656f, in 12.3 s.
The live rows were made by 2 components (aaaaaaaaaaaa, bbbbbbbbbbbb): what differs may be what these do differently.
2 events were discarded, and are in neither.
Dead letters keep events from the rows: 1 000 of the live tables, 0 of the rebuilt ones.

moves itself differs
  column `by_hand` is live only; it is not compared

moves: 2 missing rows, which a rebuild makes
  account 'it''s\n', at '2026-01-31'
  and 1 more

moves: 1 extra row, which a rebuild does not make
  account 'NULL', at '2026-01-31'

moves: 1 003 rows with other values after a rebuild
  account 'a', at '2026-01-31'
    note: live NULL, rebuilt 'NULL'
    blob: live 0x00ff, rebuilt 0x
    amount: live -0, rebuilt 0
    and 1 more
  and 1 002 more

others is not compared: there is no such live table"
        );
    }

    #[test]
    fn as_json_a_null_is_null_and_the_report_comes_back_as_it_was() {
        let json = serde_json::to_string(&unclean()).expect("a report is JSON");
        assert!(json.contains(r#"{"column":"note","live":null,"rebuilt":"NULL"}"#), "{json}");
        let back: ComparisonReport = serde_json::from_str(&json).expect("it is a report");
        assert_eq!(back, unclean());
        assert!(!back.is_clean() && clean().is_clean());
    }
}
