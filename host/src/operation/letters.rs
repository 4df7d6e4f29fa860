//! What commands do to dead letters: page by page, each letter by the lane that owns its aggregate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::commands::{Commands, PATIENCE};
use crate::event::lane_of;
use crate::failure::Failure;
use crate::projection::letters::{Deed, Done, Order};
use crate::readmodel::command::{self, Command, Request};
use crate::readmodel::dead_letter::{self, Letter, Selection};
use crate::readmodel::{Session, registration, within};

/// How many letters are read at a time.
const PAGE: u32 = 100;

/// Who erases what is older than it may be.
const RETENTION: &str = "letter_retention_days";

/// What a command came to so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Sum {
    applied: u64,
    discarded: u64,
    still_parked: u64,
    erased: u64,
    /// Of a dry run: letters there are, letters that would be applied, and by class those that would fail.
    letters: u64,
    would_apply: u64,
    would_fail: BTreeMap<String, u64>,
    /// The generation whose letters are meant: another one's are none of the command's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
}

impl Sum {
    fn add(&mut self, done: Done) {
        self.applied += done.applied;
        self.discarded += done.discarded;
        self.still_parked += done.still_parked;
        self.erased += done.erased;
        self.would_apply += done.would_apply;
        if let Some(class) = done.would_fail {
            *self.would_fail.entry(class).or_default() += 1;
        }
    }

    fn is_nothing(&self) -> bool {
        *self == Self { generation: self.generation, ..Self::default() }
    }

    /// For people.
    fn text(&self, request: &Request) -> String {
        let Self { applied, discarded, still_parked, erased, letters, would_apply, would_fail, .. } = self;
        match request {
            _ if self.is_nothing() => match request {
                Request::Erase { .. } => "no letter was selected that is not erased already".to_owned(),
                _ => "no letter was selected that is the head of its aggregate".to_owned(),
            },
            Request::Rehearse { .. } => {
                let mut lines = vec![format!("the deployed component would take {would_apply} of {letters}")];
                lines.extend(would_fail.iter().map(|(class, count)| format!("{count} would fail: {class}")));
                let failing: u64 = would_fail.values().sum();
                let behind = letters.saturating_sub(would_apply + failing);
                if behind > 0 {
                    lines.push(format!("{behind} would wait behind them"));
                }
                lines.join("\n")
            }
            Request::Erase { .. } => format!("{erased} erased"),
            _ => {
                let discarded =
                    if *discarded > 0 { format!("{discarded} discarded, ") } else { String::new() };
                format!("{discarded}{applied} applied, {still_parked} still parked")
            }
        }
    }
}

/// Carries out a command about letters, and says what came of it.
pub(super) async fn carry_out(
    commands: &Commands,
    session: &mut Session,
    lanes: &[mpsc::Sender<Order>],
    command: &Command,
) -> Result<String, Failure> {
    let who = command.requested_by.clone();
    let (letters, deed) = match &command.request {
        Request::Replay { letters } => (letters, Deed::Replay),
        Request::Rehearse { letters } => (letters, Deed::Rehearse),
        Request::Discard { letters, why } => (letters, Deed::Discard { who, why: why.clone() }),
        Request::Erase { letters, why } => (letters, Deed::Erase { who, why: why.clone() }),
        // The others are carried out elsewhere.
        _ => return Ok(String::new()),
    };
    let erases = matches!(deed, Deed::Erase { .. });
    let selection = Selection {
        heads_only: !erases,
        not_erased: erases,
        untried_by: Some(command.id),
        ..letters.clone()
    };
    let sum = command.progress.as_deref().and_then(|text| serde_json::from_str(text).ok());
    // A dry run has changed nothing, so it begins anew.
    let sum = sum.filter(|_| deed != Deed::Rehearse).unwrap_or_default();
    let sum = each(commands, session, lanes, selection, &deed, Some(command.id), sum).await?;
    Ok(sum.text(&command.request))
}

/// Gives each selected letter to its lane. Letters that come while it goes on are not looked at.
async fn each(
    commands: &Commands,
    session: &mut Session,
    lanes: &[mpsc::Sender<Order>],
    selection: Selection,
    deed: &Deed,
    command: Option<u64>,
    mut sum: Sum,
) -> Result<Sum, Failure> {
    let (control, projection) = (&commands.servers.control, &commands.projection);
    if let Some(command) = command {
        let finding = registration::find(session, control, projection);
        let live = within(PATIENCE, "reading the projections", finding).await?;
        let live = live.map(|live| live.live_generation);
        if sum.generation.is_some() && sum.generation != live {
            let reason =
                "another generation is live now than the one whose letters were meant; ask again".to_owned();
            return Err(Failure::Misconfigured { reason });
        }
        sum.generation = live;
        record(commands, session, command, &sum).await?;
    }
    let newest = dead_letter::newest(session, control, projection);
    let newest = within(PATIENCE, "reading dead letters", newest).await?;
    let mut selection = Selection { until: Some(selection.until.unwrap_or(newest)), ..selection };
    loop {
        let asked = dead_letter::select(session, control, projection, &selection, PAGE);
        let page = within(PATIENCE, "reading dead letters", asked).await?;
        let Some(last) = page.last() else { return Ok(sum) };
        selection.after = last.id;
        for letter in page {
            if *deed == Deed::Rehearse {
                let counting = dead_letter::length(session, control, projection, &letter);
                sum.letters += within(PATIENCE, "counting dead letters", counting).await?;
            }
            sum.add(give(lanes, letter, deed.clone(), command).await?);
        }
        if let Some(command) = command {
            record(commands, session, command, &sum).await?;
        }
    }
}

/// Writes down how far a command is, for the host that has to go on with it.
async fn record(commands: &Commands, session: &mut Session, command: u64, sum: &Sum) -> Result<(), Failure> {
    let text = serde_json::to_string(sum).expect("a sum holds only numbers");
    let recording = command::record_progress(session, &commands.servers.control, command, &text);
    within(PATIENCE, "recording a command's progress", recording).await
}

async fn give(
    lanes: &[mpsc::Sender<Order>],
    letter: Letter,
    deed: Deed,
    command: Option<u64>,
) -> Result<Done, Failure> {
    let count = u32::try_from(lanes.len()).expect("the configuration bounds the lanes");
    let lane = letter.aggregate_key.as_ref().map_or(0, |key| lane_of(key, count));
    let (reply, answer) = oneshot::channel();
    let gone =
        || Failure::ConnectionLost { message: "the lane ended before it had done the order".to_owned() };
    let order = Order { letter, deed, command, reply };
    lanes[lane as usize].send(order).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

/// Tries heads that were never tried: what held them is gone, and a crash came before they followed.
pub(super) async fn go_on_with_interrupted(
    commands: &Commands,
    session: &mut Session,
    lanes: &[mpsc::Sender<Order>],
) -> Result<(), Failure> {
    let selection = Selection { heads_only: true, state: Some("held".to_owned()), ..Selection::default() };
    let sum = each(commands, session, lanes, selection, &Deed::Replay, None, Sum::default()).await?;
    if !sum.is_nothing() {
        let Sum { applied, still_parked, .. } = sum;
        tracing::info!(
            projection = commands.projection,
            applied,
            still_parked,
            "went on with what a replay that was interrupted left"
        );
    }
    Ok(())
}

/// Asks, once for each component, for a replay of what other components failed.
pub(super) async fn replay_after_deployment(
    commands: &Commands,
    session: &mut Session,
) -> Result<(), Failure> {
    if !commands.settings.replay_after_deployment {
        return Ok(());
    }
    let (control, projection, digest) = (&commands.servers.control, &commands.projection, &commands.digest());
    let letters =
        Selection { heads_only: true, other_than_digest: Some(digest.clone()), ..Selection::default() };
    let asked = dead_letter::select(session, control, projection, &letters, 1);
    if within(PATIENCE, "reading dead letters", asked).await?.is_empty() {
        return Ok(());
    }
    let (request, key) = (Request::Replay { letters }, format!("replay-after-{digest}"));
    let writing = command::submit_once(session, control, projection, &request, "deployment", &key);
    if within(PATIENCE, "writing a command", writing).await? {
        tracing::info!(projection, digest, "another component: what others failed is tried again");
    }
    Ok(())
}

/// Erases letters that are older than they may be. They keep their place: what they hold back waits on.
pub(super) async fn erase_outdated(
    commands: &Commands,
    session: &mut Session,
    lanes: &[mpsc::Sender<Order>],
) -> Result<(), Failure> {
    let days = commands.settings.retention_days;
    if days == 0 {
        return Ok(());
    }
    let selection = Selection { not_erased: true, older_than_days: Some(days), ..Selection::default() };
    let deed = Deed::Erase { who: RETENTION.to_owned(), why: format!("older than {days} days") };
    let sum = each(commands, session, lanes, selection, &deed, None, Sum::default()).await?;
    if sum.erased > 0 {
        tracing::warn!(
            projection = commands.projection,
            letters = sum.erased,
            "erased dead letters older than {days} days; they can only be discarded now"
        );
        commands.status.erased(sum.erased);
    }
    Ok(())
}
