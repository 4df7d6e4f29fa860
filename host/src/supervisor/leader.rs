//! A supervisor that holds the lease: it makes everything ready, and starts the live lanes under its epoch.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::ports::{ControlPorts, LanePorts};
use super::term::Term;
use super::{Carryover, Supervisor};
use crate::failure::Failure;
use crate::pipeline::reader::REST_INTERVAL;
use crate::pipeline::rendezvous::Side;
use crate::pipeline::run::{Ports, Run, RunPlan, TaskSet};
use crate::position::Position;

/// Makes everything ready, and starts the lanes, then what feeds them. `until` is where they end, because another generation
/// comes to that position too.
pub async fn start<P: ControlPorts>(
    supervisor: &Supervisor<P>,
    term: &Term,
    work: &mut TaskSet,
    beside: &mut TaskSet,
    stop: &CancellationToken,
    carryover: &mut Carryover,
    until: Option<Position>,
) -> Result<(), Failure> {
    let (settings, status) = (supervisor.ports.settings(), supervisor.ports.status());
    let (lanes, run_plan) = supervisor.ports.prepare(term, carryover.full.take()).await?;
    lanes.report(status, &run_plan);
    let meets = until.is_some();
    // Where the number of lanes changes, that comes first.
    let run_plan = RunPlan { until: run_plan.until.clone().or(until), ..run_plan };
    let (breaker, held) = lanes.opening().await?;
    let run = Run {
        parts: &lanes,
        batch_max: settings.batch_max,
        window: settings.window,
        room: &settings.room,
        rest: REST_INTERVAL,
        breaker: Arc::new(breaker),
        suspects: carryover.suspects.clone(),
        status,
        rendezvous: &term.rendezvous,
        side: Side::Live,
        stop,
    };
    let takes_events = held.is_none();
    let requests = match held {
        Some(held) => {
            status.pauses(&held, held.to_string());
            if meets {
                term.alone.cancel();
                return Ok(());
            }
            let released = lanes.released(held);
            run.start_held(work, run_plan, released).await?
        }
        None => run.start(work, run_plan).await?,
    };
    supervisor.letter_queues.replace(requests);
    lanes.start_beside(beside, stop, takes_events);
    Ok(())
}
