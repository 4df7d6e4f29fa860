//! Sets up the log on standard error, as text or JSON, and the recorder of metrics. It defines no metric.

mod traces;

use std::fmt::Debug;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing::Subscriber;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::LogFormat;
use crate::text::harmless;

pub use traces::TraceExport;

/// The variable that says what is logged, before the setting does.
pub const LOG_VARIABLE: &str = "LATERNA_LOG";

/// The filter of the log, which can be changed while the host runs.
#[derive(Clone)]
pub struct LogFilter(reload::Handle<Targets, Registry>);

impl LogFilter {
    /// Returns the filter that a setting asks for; `LATERNA_LOG` wins, e.g. `LATERNA_LOG=debug` or `laterna=trace,warn`.
    pub fn read(setting: &str) -> anyhow::Result<Targets> {
        if let Ok(filter) = std::env::var(LOG_VARIABLE) {
            return filter.parse().with_context(|| format!("LATERNA_LOG is not a filter: {filter}"));
        }
        setting.parse().with_context(|| {
            format!("`host.log_filter` is not a filter: {setting}; it is like \"info,laterna::source=debug\"")
        })
    }

    pub fn change(&self, filter: Targets) -> anyhow::Result<()> {
        self.0.reload(filter).context("the log's filter cannot be changed")
    }
}

pub fn start_logs(format: LogFormat, filter: &str) -> anyhow::Result<LogFilter> {
    let (filter, handle) = reload::Layer::new(LogFilter::read(filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => registry.with(json(std::io::stderr)).init(),
        LogFormat::Text => registry.with(text(std::io::stderr, std::io::stderr().is_terminal())).init(),
    }
    Ok(LogFilter(handle))
}

/// Lines of text. Whatever a message or a field holds, it stays on its line and steers no terminal.
fn text<S, W>(writer: W, is_terminal: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    let field = |to: &mut Writer<'_>, field: &Field, value: &dyn Debug| {
        let value = harmless(&format!("{value:?}"));
        if field.name() == "message" { to.write_str(&value) } else { write!(to, "{}={value}", field.name()) }
    };
    let fields = format::debug_fn(field).delimited(" ");
    // A disk that is full takes no lines; reporting that on the same disk would be a panic.
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    lines.with_target(false).with_ansi(is_terminal).fmt_fields(fields)
}

/// Lines of JSON, which keeps a text on its line.
fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false).json()
}

/// Records metrics from now on; of histograms, these are the upper ends of their buckets.
pub fn start_metrics(buckets: &[(&str, &[f64])]) -> anyhow::Result<PrometheusHandle> {
    let mut builder = PrometheusBuilder::new();
    for (name, buckets) in buckets {
        builder = builder
            .set_buckets_for_metric(Matcher::Full((*name).to_owned()), buckets)
            .context("cannot set up the buckets of metrics")?;
    }
    builder.install_recorder().context("cannot set up the metrics")
}

/// Keeps the samples of histograms bounded when nobody asks for the metrics.
pub async fn tidy_metrics(metrics: PrometheusHandle, stop: CancellationToken) {
    const INTERVAL: Duration = Duration::from_secs(5);
    while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
        metrics.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// The output of a subscriber.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics here").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(subscriber: impl FnOnce(Written) -> Box<dyn Subscriber + Send + Sync>) -> String {
        const FORGED: &str = "a\n2026-01-01T00:00:00Z ERROR forged \"level\":\"ERROR\"\u{1b}[31m\u{202e}b";
        let written = Written::default();
        tracing::subscriber::with_default(subscriber(written.clone()), || {
            tracing::info!(quoted = FORGED, shown = %FORGED, "said: {FORGED}");
        });
        let bytes = written.0.lock().expect("nobody panics here").clone();
        String::from_utf8(bytes).expect("it is text")
    }

    #[test]
    fn no_text_begins_a_line_of_the_log_or_steers_a_terminal() {
        let text =
            written(|to| Box::new(tracing_subscriber::registry().with(text(move || to.clone(), false))));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.trim_end().chars().any(crate::text::is_harmful), "{text:?}");
        assert!(text.contains("INFO said: a\\n2026") && text.contains(" quoted=\"a\\n"), "{text}");
        let json = written(|to| Box::new(tracing_subscriber::registry().with(json(move || to.clone()))));
        assert_eq!(json.lines().count(), 1, "{json}");
        let line: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
        assert_eq!(
            (&line["level"], line["fields"].as_object().map(serde_json::Map::len)),
            (&"INFO".into(), Some(3))
        );
    }
}
