//! Logs to standard error, as text or JSON, and metrics for Prometheus. Set up once, by the composition root.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// Which lines are logged unless `LATERNA_LOG` says otherwise, e.g. `LATERNA_LOG=debug` or `laterna=trace,warn`.
const DEFAULT_FILTER: &str = "info";

pub fn start_logs(format: LogFormat) -> anyhow::Result<()> {
    let filter = std::env::var("LATERNA_LOG").unwrap_or_else(|_| DEFAULT_FILTER.to_owned());
    let filter: Targets = filter.parse().with_context(|| format!("LATERNA_LOG is not a filter: {filter}"))?;
    // A disk that is full takes no lines; saying so on the same disk would be a panic.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => registry.with(lines.json()).init(),
        LogFormat::Text => {
            registry.with(lines.with_target(false).with_ansi(std::io::stderr().is_terminal())).init();
        }
    }
    Ok(())
}

pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new().install_recorder().context("cannot set up the metrics")
}

/// Keeps the samples of histograms bounded when nobody asks for the metrics.
pub async fn tidy_metrics(metrics: PrometheusHandle, stop: CancellationToken) {
    const INTERVAL: Duration = Duration::from_secs(5);
    while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
        metrics.run_upkeep();
    }
}
