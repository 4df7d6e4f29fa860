//! The report, as text for people and as JSON.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::Table;
use serde_json::{Value, json};

use super::BenchReport;
use super::advice::{advice, stages, thousands, whole};
use super::writing::MeasuredSetting;
use crate::cli::table;

impl BenchReport {
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}: {}, {} recorded events of {} bytes; {:.2} ms to MySQL and back\n\n{}\n\n{}\n",
            self.projection,
            self.component,
            table::number(self.events as u64),
            self.document_bytes,
            milliseconds(self.round_trip),
            self.stages(),
            self.runs(),
        );
        for line in advice(self) {
            let _ = write!(text, "\n- {line}");
        }
        text
    }

    /// What each part of an event's way takes. Writing is the time of all lanes together.
    fn stages(&self) -> Table {
        let mut shown = table::table(&["stage", "us an event", "events/s"]);
        let rates = stages(self);
        let rate = |at: usize| rates.get(at).map_or_else(String::new, |(_, rate)| thousands(*rate));
        let writing = self.written.first().map_or(0.0, |written| {
            microseconds(written.took, written.events) * f64::from(self.configured.lanes)
        });
        for (stage, micros, rate) in [
            ("read from MongoDB", microseconds(self.read, self.events), String::new()),
            ("decode", microseconds(self.decode, self.events), rate(0)),
            ("project", microseconds(self.project, self.events), rate(1)),
            ("write and wait for MySQL", writing, rate(2)),
        ] {
            shown.add_row([stage.to_owned(), format!("{micros:.1}"), rate]);
        }
        shown
    }

    fn runs(&self) -> Table {
        let mut shown =
            table::table(&["lanes", "batch_max", "events/s", "ms a transaction", "statements in it"]);
        for (at, written) in self.written.iter().enumerate() {
            let configured = if at == 0 { " (configured)" } else { "" };
            shown.add_row([
                written.setting.lanes.to_string(),
                format!("{}{configured}", written.setting.batch_max),
                thousands(written.throughput()),
                format!("{:.1}", milliseconds(written.batch)),
                format!("{:.1}", written.statements),
            ]);
        }
        shown
    }

    pub fn json(&self) -> Value {
        let run = |written: &MeasuredSetting| {
            json!({
                "lanes": written.setting.lanes,
                "batch_max": written.setting.batch_max,
                "events_per_second": written.throughput().round(),
                "transaction_ms": milliseconds(written.batch),
                "statements": written.statements,
            })
        };
        let reads = self
            .whole_table_reads
            .iter()
            .map(|read| json!({ "statement": read.statement, "table": read.table, "rows": read.rows }));
        json!({
            "projection": self.projection,
            "component": self.component,
            "events": self.events,
            "left_out": self.left_out,
            "document_bytes": self.document_bytes,
            "round_trip_ms": milliseconds(self.round_trip),
            "read_us": microseconds(self.read, self.events),
            "decode_us": microseconds(self.decode, self.events),
            "project_us": microseconds(self.project, self.events),
            "runs": self.written.iter().map(run).collect::<Vec<_>>(),
            "whole_table_reads": reads.collect::<Vec<_>>(),
            "advice": advice(self),
        })
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// For each event.
fn microseconds(time: Duration, events: usize) -> f64 {
    time.as_secs_f64() * 1e6 / whole(events).max(1.0)
}
