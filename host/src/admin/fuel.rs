//! What events cost, by type and component, as metrics. They are made from the snapshots, not recorded: so there are
//! only ever as many as the snapshots show.

use metrics::{Key, Label};
use metrics_exporter_prometheus::LabelSet;
use metrics_exporter_prometheus::formatting::{write_metric_line, write_type_line};

use crate::projector::TypeCost;
use crate::status::snapshot::{ComponentSnapshot, Snapshot};
use crate::text::harmless;

const NAME: &str = "laterna_event_fuel";
const HIGHEST: &str = "laterna_event_fuel_max";

/// A summary and a gauge, in the format of Prometheus.
pub fn metrics(snapshots: &[Snapshot]) -> String {
    const NO_MORE: Option<(&str, f64)> = None;
    let (mut text, all) = (String::new(), all(snapshots));
    if all.is_empty() {
        return text;
    }
    write_type_line(&mut text, NAME, None, None, "summary");
    for (labels, cost) in &all {
        let TypeCost { p99, total, runs, .. } = cost;
        write_metric_line(&mut text, NAME, None, labels, Some(("quantile", 0.99)), p99, None);
        write_metric_line(&mut text, NAME, Some("sum"), labels, NO_MORE, total, None);
        write_metric_line(&mut text, NAME, Some("count"), labels, NO_MORE, runs, None);
    }
    write_type_line(&mut text, HIGHEST, None, None, "gauge");
    for (labels, cost) in &all {
        write_metric_line(&mut text, HIGHEST, None, labels, NO_MORE, cost.max, None);
    }
    text
}

/// Each cost with its labels.
fn all(snapshots: &[Snapshot]) -> Vec<(LabelSet, &TypeCost)> {
    let mut all = Vec::new();
    for snapshot in snapshots {
        for ComponentSnapshot { digest, fuel, .. } in &snapshot.components {
            for cost in fuel {
                // Event types may be any text.
                let labels = [
                    ("projection", snapshot.projection.clone()),
                    ("digest", digest.clone()),
                    ("type", harmless(&cost.event_type)),
                ];
                let labels: Vec<Label> =
                    labels.into_iter().map(|(name, value)| Label::new(name, value)).collect();
                let key = Key::from_parts(NAME, labels);
                let none_for_all = std::iter::empty::<(String, String)>().collect();
                all.push((LabelSet::from_key_and_global(&key, &none_for_all), cost));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn a_label_cannot_end_itself() {
        let cost = TypeCost {
            event_type: "a\"b\\c\nd\u{1b}".into(),
            runs: 3,
            total: 30,
            mean: 10,
            p99: 12,
            max: 13,
        };
        let component =
            ComponentSnapshot { digest: "f0".into(), fuel: vec![cost], ..ComponentSnapshot::default() };
        let snapshot = Snapshot { components: vec![component], ..Status::new("accounts").snapshot() };
        let text = metrics(&[snapshot]);
        let labels = r#"projection="accounts",digest="f0",type="a\"b\\c\\nd\\u001b""#;
        for line in [
            "# TYPE laterna_event_fuel summary".to_owned(),
            format!("laterna_event_fuel{{{labels},quantile=\"0.99\"}} 12"),
            format!("laterna_event_fuel_sum{{{labels}}} 30"),
            format!("laterna_event_fuel_count{{{labels}}} 3"),
            format!("laterna_event_fuel_max{{{labels}}} 13"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
