//! Carries out commands: rows in the control schema, done by the host that writes for the projection.
//!
//! A command that a crash interrupted is found again and done again; what it did to each letter is done once.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::event::lane_of;
use crate::failure::{Failure, Fault};
use crate::projection::letters::{Order, Replayed};
use crate::projection::{Orders, Servers};
use crate::readmodel::command::{self, Command, Outcome, Request};
use crate::readmodel::dead_letter::{self, Letter, Selection};
use crate::readmodel::{Session, within};
use crate::retry::Backoff;

/// How often it is looked for new commands.
const INTERVAL: Duration = Duration::from_millis(300);

/// How long MySQL may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many letters are read at a time.
const PAGE: u32 = 100;

/// Carries out a projection's commands while its lanes run here. Ends by being dropped; after a stop it begins none.
pub async fn carry_out_all(servers: Servers, projection: String, orders: Orders, stop: CancellationToken) {
    let mut session = None;
    let mut backoff = Backoff::new();
    let mut wait = INTERVAL;
    loop {
        tokio::time::sleep(wait).await;
        wait = INTERVAL;
        let lanes = if stop.is_cancelled() { vec![] } else { orders.lanes() };
        if lanes.is_empty() {
            session = None;
            continue;
        }
        match carry_out_next(&servers, &projection, &lanes, &mut session).await {
            Ok(()) => backoff = Backoff::new(),
            Err(failure) => {
                tracing::warn!(projection, "commands: {}; trying again", failure.without_values());
                wait += backoff.next_wait();
            }
        }
    }
}

async fn carry_out_next(
    servers: &Servers,
    projection: &str,
    lanes: &[mpsc::Sender<Order>],
    kept: &mut Option<Session>,
) -> Result<(), Failure> {
    let mut session = match kept.take() {
        Some(session) => session,
        None => servers.applier.connect().await?,
    };
    let asked = command::next(&mut session, &servers.control, projection);
    if let Some(command) = within(PATIENCE, "reading commands", asked).await? {
        tracing::info!(projection, command = command.id, request = ?command.request, "carrying out a command");
        let outcome = match letters(&mut session, servers, projection, lanes, &command).await {
            Ok(text) => Outcome::Done(text),
            // The row stays as it is, for the next try or for the next host.
            Err(failure) if matches!(failure.fault(), Fault::Environment | Fault::Fenced) => {
                return Err(failure);
            }
            Err(failure) => Outcome::Failed(failure.to_string()),
        };
        tracing::info!(projection, command = command.id, ?outcome, "the command is done");
        let finishing = command::finish(&mut session, &servers.control, command.id, &outcome);
        within(PATIENCE, "recording a command's result", finishing).await?;
    }
    *kept = Some(session);
    Ok(())
}

/// Gives each selected head to its lane, once an aggregate.
async fn letters(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    lanes: &[mpsc::Sender<Order>],
    command: &Command,
) -> Result<String, Failure> {
    let (Request::Replay { letters } | Request::Discard { letters, .. }) = &command.request;
    let mut selection = Selection { heads_only: true, ..letters.clone() };
    let mut done = Replayed::default();
    let mut aggregates = HashSet::new();
    loop {
        let asked = dead_letter::select(session, &servers.control, projection, &selection, PAGE);
        let page = within(PATIENCE, "reading dead letters", asked).await?;
        let Some(last) = page.last() else { break };
        selection.after = last.id;
        for letter in page {
            if let Some(key) = &letter.aggregate_key
                && !aggregates.insert(key.clone())
            {
                continue;
            }
            let one = give(lanes, letter, command).await?;
            done.applied += one.applied;
            done.discarded += one.discarded;
            done.still_parked += one.still_parked;
        }
    }
    Ok(summary(done))
}

async fn give(lanes: &[mpsc::Sender<Order>], letter: Letter, command: &Command) -> Result<Replayed, Failure> {
    let count = u32::try_from(lanes.len()).expect("the configuration bounds the lanes");
    let lane = letter.aggregate_key.as_ref().map_or(0, |key| lane_of(key, count));
    let (reply, answer) = oneshot::channel();
    let letter = Box::new(letter);
    let order = match &command.request {
        Request::Replay { .. } => Order::Replay { letter, reply },
        Request::Discard { why, .. } => {
            Order::Discard { letter, who: command.requested_by.clone(), why: why.clone(), reply }
        }
    };
    let gone =
        || Failure::ConnectionLost { message: "the lane ended before it had done the order".to_owned() };
    lanes[lane as usize].send(order).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

fn summary(done: Replayed) -> String {
    let Replayed { applied, discarded, still_parked } = done;
    if done == Replayed::default() {
        return "no letter was selected that is the head of its aggregate".to_owned();
    }
    let discarded = if discarded > 0 { format!("{discarded} discarded, ") } else { String::new() };
    format!("{discarded}{applied} applied, {still_parked} still parked")
}
