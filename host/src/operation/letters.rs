//! What commands do to dead letters: page by page, each letter by the lane that owns its aggregate.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::commands::{Commands, PATIENCE};
use crate::event::Aggregate;
use crate::failure::Failure;
use crate::projection::letters::{Deed, Done, Order, give, lane};
use crate::readmodel::command::{self, Command, Letters, Request};
use crate::readmodel::dead_letter::{self, GivenUp, Ids, Letter, Selection};
use crate::readmodel::{Session, registration, within};

/// How many letters are read at a time.
const PAGE: u32 = 100;

/// The same, where only their ids are.
const IDS_PAGE: u32 = 10_000;

/// When a lane that has not answered is worth a word.
const ANSWER: Duration = Duration::from_secs(10);

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
    /// Letters that fit as well, but were not shown to whoever asked; counted in the end.
    #[serde(skip)]
    left: u64,
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
        *self == Self { generation: self.generation, left: self.left, ..Self::default() }
    }

    /// For people.
    fn text(&self, request: &Request) -> String {
        match self.left {
            0 => self.done(request),
            left => format!("{}; {left} that came later left as they are", self.done(request)),
        }
    }

    fn done(&self, request: &Request) -> String {
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
    let narrowed = |selection: &Selection| Selection {
        heads_only: !erases,
        not_erased: erases,
        untried_by: Some(command.id),
        ..selection.clone()
    };
    let sum = command.progress.as_deref().and_then(|text| serde_json::from_str(text).ok());
    // A dry run has changed nothing, so it begins anew.
    let sum: Sum = sum.filter(|_| deed != Deed::Rehearse).unwrap_or_default();
    let live = live_generation(commands, session).await?;
    let meant = match letters {
        Letters::Shown { shown, .. } => Some(shown.generation),
        Letters::Fitting { .. } => sum.generation.or(live),
    };
    if meant != live {
        let reason =
            "another generation is live now than the one whose letters were meant; ask again".to_owned();
        return Err(Failure::Misconfigured { reason });
    }
    let sum = Sum { generation: live, ..sum };
    record(commands, session, command.id, &sum).await?;
    let mut giving = Giving { commands, session, lanes, deed: &deed, command: Some(command), sum };
    match letters {
        Letters::Shown { shown, like } => {
            giving.these(&shown.letters, narrowed(like)).await?;
            giving.sum.left = giving.others(&shown.letters, narrowed(like)).await?;
        }
        Letters::Fitting { letters } => {
            giving.is_one_aggregate(letters).await?;
            let selection = Selection { before_command: Some(command.id), ..narrowed(letters) };
            giving.all(selection).await?;
        }
    }
    Ok(giving.sum.text(&command.request))
}

async fn live_generation(commands: &Commands, session: &mut Session) -> Result<Option<u32>, Failure> {
    let finding = registration::find(session, &commands.servers.control, &commands.projection);
    let live = within(PATIENCE, "reading the projections", finding).await?;
    Ok(live.map(|live| live.live_generation))
}

/// Gives letters to the lanes that own them, page by page.
struct Giving<'a> {
    commands: &'a Commands,
    session: &'a mut Session,
    lanes: &'a [mpsc::Sender<Order>],
    deed: &'a Deed,
    /// The command behind it, where there is one.
    command: Option<&'a Command>,
    sum: Sum,
}

impl Giving<'_> {
    /// Those of these letters that the selection fits.
    async fn these(&mut self, letters: &Ids, selection: Selection) -> Result<(), Failure> {
        let mut after = 0;
        loop {
            let page = letters.behind(after, PAGE as usize);
            let Some(last) = page.last() else { return Ok(()) };
            after = *last;
            let selection = Selection { among: Some(page), ..selection.clone() };
            let found = self.select(&selection).await?;
            self.give_each(found).await?;
        }
    }

    /// All that a selection fits. Letters that come while it goes on are not looked at.
    async fn all(&mut self, selection: Selection) -> Result<(), Failure> {
        let (control, projection) = (&self.commands.servers.control, &self.commands.projection);
        let newest = dead_letter::newest(self.session, control, projection);
        let newest = within(PATIENCE, "reading dead letters", newest).await?;
        let mut selection = Selection { until: Some(newest), ..selection };
        loop {
            let page = self.select(&selection).await?;
            let Some(last) = page.last() else { return Ok(()) };
            selection.after = last.id;
            self.give_each(page).await?;
        }
    }

    /// How many letters a selection fits that are not among these.
    async fn others(&mut self, letters: &Ids, mut selection: Selection) -> Result<u64, Failure> {
        let (control, projection) = (&self.commands.servers.control, &self.commands.projection);
        let mut others = 0;
        loop {
            let asked = dead_letter::ids(self.session, control, projection, &selection, IDS_PAGE);
            let page = within(PATIENCE, "reading dead letters", asked).await?;
            let Some(last) = page.last() else { return Ok(others) };
            selection.after = *last;
            others += page.iter().map(|id| u64::from(!letters.contains(*id))).sum::<u64>();
        }
    }

    /// A text may be that of several aggregates, and only one of them was meant.
    async fn is_one_aggregate(&mut self, selection: &Selection) -> Result<(), Failure> {
        let Some(text) = &selection.aggregate else { return Ok(()) };
        let (control, projection) = (&self.commands.servers.control, &self.commands.projection);
        let asked = dead_letter::reading(self.session, control, projection, text);
        let found = within(PATIENCE, "reading dead letters", asked).await?;
        if found.len() > 1 {
            let all: Vec<String> = found.iter().map(Aggregate::exact).collect();
            let reason = format!("several aggregates read so: {}; name one exactly", all.join(", "));
            return Err(Failure::Misconfigured { reason });
        }
        Ok(())
    }

    async fn select(&mut self, selection: &Selection) -> Result<Vec<Letter>, Failure> {
        let (control, projection) = (&self.commands.servers.control, &self.commands.projection);
        let asked = dead_letter::select(self.session, control, projection, selection, PAGE);
        within(PATIENCE, "reading dead letters", asked).await
    }

    async fn give_each(&mut self, page: Vec<Letter>) -> Result<(), Failure> {
        let (control, projection) = (&self.commands.servers.control, &self.commands.projection);
        for letter in page {
            if *self.deed == Deed::Rehearse {
                let counting = dead_letter::length(self.session, control, projection, &letter);
                self.sum.letters += within(PATIENCE, "counting dead letters", counting).await?;
            }
            let done = self.give(letter).await?;
            self.sum.add(done);
        }
        match self.command {
            Some(command) => record(self.commands, self.session, command.id, &self.sum).await,
            None => Ok(()),
        }
    }

    /// Gives a letter to its lane, and says when that takes long.
    async fn give(&mut self, letter: Letter) -> Result<Done, Failure> {
        let command = self.command.map(|command| command.id);
        let lane = lane(self.lanes, &letter);
        let giving = give(self.lanes, letter, self.deed.clone(), command);
        tokio::pin!(giving);
        let mut is_late = false;
        loop {
            if let Ok(answered) = tokio::time::timeout(ANSWER, &mut giving).await {
                if let (true, Some(command)) = (is_late, command) {
                    self.commands.goes_on(self.session, command).await?;
                }
                return answered;
            }
            let Some(command) = self.command else { continue };
            is_late = true;
            let busy = self.commands.status.stragglers().into_iter().find(|(number, _)| *number == lane);
            let busy = busy.map_or_else(String::new, |(_, doing)| format!(": {doing}"));
            let reason = format!("lane {lane} has not answered for {} s{busy}", ANSWER.as_secs());
            self.commands.note(self.session, command, &reason).await?;
        }
    }
}

/// Gives all that a selection fits to the lanes, without a command that asked for it.
async fn all(
    commands: &Commands,
    session: &mut Session,
    lanes: &[mpsc::Sender<Order>],
    selection: Selection,
    deed: &Deed,
) -> Result<Sum, Failure> {
    let mut giving = Giving { commands, session, lanes, deed, command: None, sum: Sum::default() };
    giving.all(selection).await?;
    Ok(giving.sum)
}

/// Writes down how far a command is, for the host that has to go on with it.
async fn record(commands: &Commands, session: &mut Session, command: u64, sum: &Sum) -> Result<(), Failure> {
    let text = serde_json::to_string(sum).expect("a sum holds only numbers");
    let recording = command::record_progress(session, &commands.servers.control, command, &text);
    within(PATIENCE, "recording a command's progress", recording).await
}

/// Gives up what was given up in the generation that was live before, while this one took its place.
pub(super) async fn give_up_again(
    commands: &Commands,
    session: &mut Session,
    lanes: &[mpsc::Sender<Order>],
) -> Result<(), Failure> {
    let (control, projection) = (&commands.servers.control, &commands.projection);
    let Some(live) = live_generation(commands, session).await? else { return Ok(()) };
    loop {
        let asked = dead_letter::given_up(session, control, projection, live, PAGE);
        let found = within(PATIENCE, "reading letters that were given up", asked).await?;
        let mut discarded = 0;
        for GivenUp { letter, who, why } in found {
            discarded += give(lanes, letter, Deed::Discard { who, why }, None).await?.discarded;
        }
        if discarded == 0 {
            return Ok(());
        }
    }
}

/// Tries heads that were never tried: what held them is gone, and a crash came before they followed.
pub(super) async fn go_on_with_interrupted(
    commands: &Commands,
    session: &mut Session,
    lanes: &[mpsc::Sender<Order>],
) -> Result<(), Failure> {
    let selection = Selection { heads_only: true, state: Some("held".to_owned()), ..Selection::default() };
    let sum = all(commands, session, lanes, selection, &Deed::Replay).await?;
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
    let request = Request::Replay { letters: Letters::Fitting { letters } };
    let key = format!("replay-after-{digest}");
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
    let sum = all(commands, session, lanes, selection, &deed).await?;
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
