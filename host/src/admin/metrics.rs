//! The metrics: what is told at the moment that they are asked for. What is counted as it happens is counted in `status`.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::{AdminContext, fuel, health, openmetrics, process};
use crate::status::snapshot::{Phase, Snapshot};

/// All metrics, in the format of Prometheus, or as `OpenMetrics` text with exemplars.
pub async fn all(State(shown): State<AdminContext>, headers: HeaderMap) -> Response {
    let (snapshots, statuses) = (shown.snapshots(), shown.projections.statuses());
    snapshots.iter().for_each(measure);
    for status in &statuses {
        metrics::gauge!("laterna_lag_seconds", "projection" => status.projection().to_owned())
            .set(status.lag());
    }
    process::measure();
    let text = shown.projections.without_gone(shown.metrics.render()) + &fuel::metrics(&snapshots);
    if !openmetrics::is_asked_for(&headers) {
        return text.into_response();
    }
    let exemplars = statuses.iter().map(|one| (one.projection().to_owned(), one.exemplars()));
    let rendered = openmetrics::render(&text, &exemplars.collect());
    ([(CONTENT_TYPE, openmetrics::MEDIA_TYPE)], rendered).into_response()
}

/// Puts a snapshot's numbers into the metrics.
fn measure(snapshot: &Snapshot) {
    let projection = snapshot.projection.clone();
    let gauge = |name: &'static str, value: f64| {
        metrics::gauge!(name, "projection" => projection.clone()).set(value);
    };
    #[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
    for (name, value) in [
        ("laterna_lag_events", snapshot.lag_events),
        ("laterna_epoch", snapshot.epoch),
        ("laterna_operations_waiting", snapshot.commands.len() as u64),
        ("laterna_queued_bytes", snapshot.queued_bytes),
        ("laterna_dead_letters_parked", snapshot.parked),
        ("laterna_dead_letters_held", snapshot.held),
    ] {
        gauge(name, value as f64);
    }
    if let Some(acknowledgement) = &snapshot.acknowledgement {
        #[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
        gauge("laterna_acknowledge_waiting_events", acknowledgement.waiting as f64);
    }
    if let Some(oplog) = snapshot.oplog {
        gauge("laterna_oplog_used_ratio", f64::from(oplog.used_percent) / 100.0);
        gauge("laterna_oplog_left_seconds", oplog.left_seconds.into());
    } else if matches!(snapshot.phase, Phase::Standby { .. }) {
        // A gauge keeps what it was set to, and a standby does not know.
        gauge("laterna_oplog_used_ratio", f64::NAN);
        gauge("laterna_oplog_left_seconds", f64::NAN);
    }
    let ready = f64::from(u8::from(health::obstacle(snapshot).is_none()));
    gauge("laterna_ready", ready);
    let writes = matches!(snapshot.phase, Phase::History | Phase::Streaming | Phase::Paused { .. });
    gauge("laterna_leader", f64::from(u8::from(writes)));
    for phase in Phase::NAMES {
        let here = f64::from(u8::from(snapshot.phase.name() == phase));
        metrics::gauge!("laterna_phase", "projection" => projection.clone(), "phase" => phase).set(here);
    }
}
