//! What events cost, by type and component, as metrics. They are written from the snapshots, not recorded: so there are
//! only ever as many as the snapshots show.

use std::fmt::Write;

use crate::projector::TypeCost;
use crate::status::snapshot::{ComponentSnapshot, Snapshot};
use crate::text::harmless;

const NAME: &str = "laterna_event_fuel";
const HIGHEST: &str = "laterna_event_fuel_max";

/// The text of a summary and of a gauge, in the format of Prometheus.
pub fn metrics(snapshots: &[Snapshot]) -> String {
    let mut text =
        format!("# HELP {NAME} fuel of events that were run by themselves\n# TYPE {NAME} summary\n");
    for (labels, cost) in all(snapshots) {
        let TypeCost { p99, total, runs, .. } = cost;
        // Writing to a text never fails.
        let _ = writeln!(text, "{NAME}{{{labels},quantile=\"0.99\"}} {p99}");
        let _ = writeln!(text, "{NAME}_sum{{{labels}}} {total}\n{NAME}_count{{{labels}}} {runs}");
    }
    let _ = writeln!(text, "# TYPE {HIGHEST} gauge");
    for (labels, cost) in all(snapshots) {
        let _ = writeln!(text, "{HIGHEST}{{{labels}}} {}", cost.max);
    }
    text
}

/// Each cost with its labels.
fn all(snapshots: &[Snapshot]) -> Vec<(String, &TypeCost)> {
    let mut all = Vec::new();
    for snapshot in snapshots {
        let projection = escaped(&snapshot.projection);
        for ComponentSnapshot { digest, fuel, .. } in &snapshot.components {
            for cost in fuel {
                let event_type = escaped(&cost.event_type);
                let labels = format!(r#"projection="{projection}",digest="{digest}",type="{event_type}""#);
                all.push((labels, cost));
            }
        }
    }
    all
}

/// A label's value: event types may be any text.
fn escaped(text: &str) -> String {
    harmless(text).replace('\\', r"\\").replace('"', r#"\""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_itself() {
        assert_eq!(escaped("a\"b\\c\nd\u{1b}"), r#"a\"b\\c\\nd\\u001b"#);
    }
}
