//! Health: alive is that the projections' loops turn; ready is that each makes progress or stands by.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use super::{AdminContext, reasons};
use crate::status::snapshot::{Phase, Snapshot};
use crate::text::harmless;

/// A loop that has not turned for this long hangs. Its slowest turn waits for two servers that do not answer.
const HEARTBEAT_MAX: Duration = Duration::from_secs(90);

/// How the answer of a host begins that is asked whether it is alive, by which another one knows it.
pub const LIVE: &str = "the slowest loop turned ";

pub async fn live(State(shown): State<AdminContext>) -> (StatusCode, String) {
    let statuses = shown.projections.statuses();
    let slowest = statuses.iter().map(|status| status.heartbeat_age()).max().unwrap_or_default();
    let code = if slowest < HEARTBEAT_MAX { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, format!("{LIVE}{} s ago\n", slowest.as_secs()))
}

pub async fn ready(State(shown): State<AdminContext>) -> (StatusCode, String) {
    let obstacles: Vec<String> = shown.snapshots().iter().filter_map(obstacle).collect();
    if obstacles.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, obstacles.join("\n") + "\n")
    }
}

/// What keeps a projection from making progress. Everybody may read it, so that it has no reason that a person gave.
pub(super) fn obstacle(snapshot: &Snapshot) -> Option<String> {
    let name = &snapshot.projection;
    let mut told = match (&snapshot.phase, &snapshot.trouble) {
        (Phase::Paused { reason }, _) => format!("paused: {reason}"),
        (Phase::Starting, Some(trouble)) => format!("starting: {trouble}"),
        (phase @ (Phase::Starting | Phase::Stopping | Phase::Stopped), _) => phase.name().to_owned(),
        (Phase::Standby { .. } | Phase::History | Phase::Streaming, Some(trouble)) => {
            format!("degraded: {trouble}")
        }
        (Phase::Standby { .. } | Phase::History | Phase::Streaming, None) => return None,
    };
    reasons::mask(&mut told);
    let todo = match (&snapshot.class, &snapshot.remedy) {
        (Some(class), Some(remedy)) => format!(" [{class}]; what to do: {remedy}"),
        _ => String::new(),
    };
    Some(format!("{name}: {}{todo}", harmless(&told)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::status::Status;
    use crate::status::recently::LastMinute;

    fn snapshot(phase: Phase, trouble: Option<&str>) -> Snapshot {
        Snapshot {
            projection: "accounts".into(),
            phase,
            trouble: trouble.map(ToOwned::to_owned),
            warning: None,
            oplog: None,
            class: None,
            remedy: None,
            component: String::new(),
            digest: String::new(),
            deployment: None,
            epoch: 1,
            lag_seconds: 0,
            lag_events: 0,
            queued_bytes: 0,
            events_per_second: 0.0,
            last_minute: LastMinute::default(),
            events: 0,
            ignored: 0,
            unhandled: vec![],
            commit_times: vec![],
            parked: 0,
            held: 0,
            letters: vec![],
            acknowledgement: None,
            beside: None,
            commands: vec![],
            components: vec![],
            lanes: vec![],
        }
    }

    #[test]
    fn whatever_stops_progress_is_told() {
        let told = |phase, trouble| obstacle(&snapshot(phase, trouble));
        assert_eq!(told(Phase::Streaming, None), None);
        assert_eq!(told(Phase::Standby { owner: "b".into() }, None), None);
        let paused = Phase::Paused { reason: "no table".into() };
        assert_eq!(told(paused, None).as_deref(), Some("accounts: paused: no table"));
        let degraded = told(Phase::Streaming, Some("MySQL is not reachable"));
        assert_eq!(degraded.as_deref(), Some("accounts: degraded: MySQL is not reachable"));
        for phase in [Phase::Starting, Phase::Stopping, Phase::Stopped] {
            assert!(told(phase, None).is_some());
        }
        let standby = told(Phase::Standby { owner: "b".into() }, Some("MySQL is not reachable"));
        assert!(standby.is_some(), "a standby that could not take over is not ready");
    }

    #[test]
    fn an_obstacle_names_its_class_and_the_next_step() {
        let failure = Failure::SchemaMismatch { code: 1146, message: "no table".into() };
        let status = Status::new("accounts");
        status.pauses(&failure, failure.to_string());
        let told = obstacle(&status.snapshot()).expect("it is paused");
        assert!(told.contains("[schema-mismatch]") && told.contains(failure.remedy()), "{told}");
    }
}
