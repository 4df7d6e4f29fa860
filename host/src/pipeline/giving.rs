//! Gives letters to the lanes that own them, page by page: those that a command names, and no other.
//!
//! A [`Book`] lists the letters, so that a simulation can run the same code.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ports::Task;
use super::requests::{LetterAction, LetterRequest, LetterResult, give, lane};
use crate::event::Aggregate;
use crate::failure::Failure;
use crate::readmodel::control::command::{Command, CommandOutcome, Letters, Request, cancelled_by};
use crate::readmodel::lane::dead_letter::{Ids, Letter, Selection};

/// How many letters are read at a time.
const PAGE: u32 = 100;

/// Letters of one page where only their ids are read.
const IDS_PAGE: u32 = 10_000;

/// Interval in which is written down how far a command is, also within a page.
const RECORDED: Duration = Duration::from_secs(1);

/// When a lane that has not answered is worth a word.
pub const ANSWER: Duration = Duration::from_secs(10);

/// Where the live generation's letters are looked up, and where is written down how far a command is.
pub trait Book: Send {
    /// The generation that is live.
    fn live(&mut self) -> impl Task<Result<Option<u32>, Failure>>;
    /// The letters that a selection fits, in order.
    fn select(&mut self, selection: &Selection, limit: u32) -> impl Task<Result<Vec<Letter>, Failure>>;
    /// Their ids.
    fn ids(&mut self, selection: &Selection, limit: u32) -> impl Task<Result<Vec<u64>, Failure>>;
    /// The newest letter's id; 0 where there is none.
    fn newest(&mut self) -> impl Task<Result<u64, Failure>>;
    /// How many letters wait in the row of this one's aggregate, from it on.
    fn length(&mut self, letter: &Letter) -> impl Task<Result<u64, Failure>>;
    /// The aggregates with letters that read so.
    fn reading(&mut self, text: &str) -> impl Task<Result<Vec<Aggregate>, Failure>>;
    /// Writes down how far a command is, for the host that has to go on with it.
    fn record(&mut self, command: u64, sum: &str) -> impl Task<Result<(), Failure>>;
    /// A lane takes long to answer to a command.
    fn is_late(&mut self, command: &Command, lane: usize) -> impl Task<Result<(), Failure>>;
    /// Who wants a command to end, or has ended it; none while it is to go on.
    fn ended_by(&mut self, command: u64) -> impl Task<Result<Option<String>, Failure>>;
    /// It answered.
    fn goes_on(&mut self, command: u64) -> impl Task<Result<(), Failure>>;
}

/// The sum of a command's work so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sum {
    pub applied: u64,
    discarded: u64,
    pub still_parked: u64,
    pub erased: u64,
    /// Of a dry run: letters there are, letters that would be applied, and by class those that would fail.
    letters: u64,
    would_apply: u64,
    would_fail: BTreeMap<String, u64>,
    /// The generation whose letters are meant: another one's are none of the command's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
    /// Letters that were given to their lanes, as far as that was written down, of so many that are meant: each with those behind it.
    given: u64,
    of: u64,
    /// Letters that fit as well, but were not shown to whoever asked; counted in the end.
    #[serde(skip)]
    left: u64,
}

impl Sum {
    fn add(&mut self, done: LetterResult) {
        self.applied += done.applied;
        self.discarded += done.discarded;
        self.still_parked += done.still_parked;
        self.erased += done.erased;
        self.would_apply += done.would_apply;
        if let Some(class) = done.would_fail {
            *self.would_fail.entry(class).or_default() += 1;
        }
    }

    pub fn is_nothing(&self) -> bool {
        let Self { generation, given, of, left, .. } = *self;
        *self == Self { generation, given, of, left, ..Self::default() }
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

/// Carries out a command about letters, and returns how it ended. One that is cancelled meanwhile ends before the next letter.
pub async fn carry_out<B: Book>(
    book: &mut B,
    lanes: &[mpsc::Sender<LetterRequest>],
    command: &Command,
) -> Result<CommandOutcome, Failure> {
    let who = command.requested_by.clone();
    let (letters, action) = match &command.request {
        Request::Replay { letters } => (letters, LetterAction::Replay),
        Request::Rehearse { letters } => (letters, LetterAction::Rehearse),
        Request::Discard { letters, why } => (letters, LetterAction::Discard { who, why: why.clone() }),
        Request::Erase { letters, why } => (letters, LetterAction::Erase { who, why: why.clone() }),
        // The others are carried out elsewhere.
        _ => return Ok(CommandOutcome::Done(String::new())),
    };
    let erases = matches!(action, LetterAction::Erase { .. });
    let narrowed = |selection: &Selection| Selection {
        heads_only: !erases,
        not_erased: erases,
        untried_by: Some(command.id),
        ..selection.clone()
    };
    let sum = command.progress.as_deref().and_then(|text| serde_json::from_str(text).ok());
    // A dry run has changed nothing, so it begins anew.
    let sum: Sum = sum.filter(|_| action != LetterAction::Rehearse).unwrap_or_default();
    let live = book.live().await?;
    let meant = match letters {
        Letters::Shown { shown, .. } => Some(shown.generation),
        Letters::Fitting { .. } => sum.generation.or(live),
    };
    if meant != live {
        return Err(Failure::misconfigured(
            "another generation is live now than the one whose letters were meant",
            "ask again",
        ));
    }
    let sum = Sum { generation: live, ..sum };
    let mut giving = Giving::new(book, lanes, &action, Some(command), sum);
    match letters {
        Letters::Shown { shown, like } => {
            giving.begin(shown.letters.count()).await?;
            giving.these(&shown.letters, narrowed(like)).await?;
            if giving.ended_by.is_none() {
                giving.sum.left = giving.count(narrowed(like), |id| !shown.letters.contains(id)).await?;
            }
        }
        Letters::Fitting { letters } => {
            // Which generation's letters are meant, before they are counted.
            giving.record().await?;
            giving.is_one_aggregate(letters).await?;
            let selection = Selection { before_command: Some(command.id), ..narrowed(letters) };
            let found = giving.count(selection.clone(), |_| true).await?;
            giving.begin(giving.sum.given + found).await?;
            giving.all(selection).await?;
        }
    }
    let text = giving.sum.text(&command.request);
    Ok(match giving.ended_by {
        Some(by) if giving.sum.is_nothing() => CommandOutcome::Failed(cancelled_by(&by)),
        Some(by) => CommandOutcome::Failed(format!("{}; until then: {text}", cancelled_by(&by))),
        None => CommandOutcome::Done(text),
    })
}

/// Gives all that a selection fits to the lanes, without a command that asked for it.
pub async fn all<B: Book>(
    book: &mut B,
    lanes: &[mpsc::Sender<LetterRequest>],
    selection: Selection,
    action: &LetterAction,
) -> Result<Sum, Failure> {
    let mut giving = Giving::new(book, lanes, action, None, Sum::default());
    giving.all(selection).await?;
    Ok(giving.sum)
}

/// Gives letters to the lanes that own them, page by page.
struct Giving<'a, B> {
    book: &'a mut B,
    lanes: &'a [mpsc::Sender<LetterRequest>],
    action: &'a LetterAction,
    /// The command behind it, where there is one.
    command: Option<&'a Command>,
    sum: Sum,
    /// Who ended it meanwhile.
    ended_by: Option<String>,
    /// When its sum was last written down.
    recorded: Instant,
}

impl<'a, B: Book> Giving<'a, B> {
    fn new(
        book: &'a mut B,
        lanes: &'a [mpsc::Sender<LetterRequest>],
        action: &'a LetterAction,
        command: Option<&'a Command>,
        sum: Sum,
    ) -> Self {
        Self { book, lanes, action, command, sum, ended_by: None, recorded: Instant::now() }
    }
}

impl<B: Book> Giving<'_, B> {
    /// Those of these letters that the selection fits.
    async fn these(&mut self, letters: &Ids, selection: Selection) -> Result<(), Failure> {
        let mut after = 0;
        loop {
            let page = letters.behind(after, PAGE as usize);
            let Some(last) = page.last() else { return Ok(()) };
            after = *last;
            let selection = Selection { among: Some(page), ..selection.clone() };
            let found = self.book.select(&selection, PAGE).await?;
            self.give_each(found).await?;
            if self.ended_by.is_some() {
                return Ok(());
            }
        }
    }

    /// All that a selection fits. Letters that come while it goes on are not looked at.
    async fn all(&mut self, selection: Selection) -> Result<(), Failure> {
        let newest = self.book.newest().await?;
        let mut selection = Selection { until: Some(newest), ..selection };
        loop {
            let page = self.book.select(&selection, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            selection.after = last.id;
            self.give_each(page).await?;
            if self.ended_by.is_some() {
                return Ok(());
            }
        }
    }

    /// Records how many letters are meant. Those that a run before gave are counted already.
    async fn begin(&mut self, meant: u64) -> Result<(), Failure> {
        self.sum.of = self.sum.of.max(meant);
        self.record().await
    }

    /// How many of the letters that a selection fits are counted.
    async fn count(
        &mut self,
        mut selection: Selection,
        is_counted: impl Fn(u64) -> bool,
    ) -> Result<u64, Failure> {
        let mut count = 0;
        loop {
            let page = self.book.ids(&selection, IDS_PAGE).await?;
            let Some(last) = page.last() else { return Ok(count) };
            selection.after = *last;
            count += page.iter().map(|id| u64::from(is_counted(*id))).sum::<u64>();
        }
    }

    /// A text may be that of several aggregates, and only one of them was meant.
    async fn is_one_aggregate(&mut self, selection: &Selection) -> Result<(), Failure> {
        let Some(text) = &selection.aggregate else { return Ok(()) };
        let found = self.book.reading(text).await?;
        if found.len() > 1 {
            let all: Vec<String> = found.iter().map(Aggregate::exact).collect();
            let reason = format!("several aggregates read so: {}", all.join(", "));
            return Err(Failure::misconfigured(reason, "name one exactly"));
        }
        Ok(())
    }

    /// Gives a page. What was done of it is recorded also where the run ends in the middle, e.g. because there is room again.
    async fn give_each(&mut self, page: Vec<Letter>) -> Result<(), Failure> {
        let given = self.give_page(page).await;
        self.record().await?;
        given
    }

    async fn give_page(&mut self, page: Vec<Letter>) -> Result<(), Failure> {
        for letter in page {
            if let Some(command) = self.command {
                self.ended_by = self.book.ended_by(command.id).await?;
            }
            if self.ended_by.is_some() {
                break;
            }
            if *self.action == LetterAction::Rehearse {
                self.sum.letters += self.book.length(&letter).await?;
            }
            let done = self.give(letter).await?;
            self.sum.add(done);
            self.sum.given += 1;
            if self.recorded.elapsed() >= RECORDED {
                self.record().await?;
            }
        }
        Ok(())
    }

    /// Gives a letter to its lane, and logs when that takes long.
    async fn give(&mut self, letter: Letter) -> Result<LetterResult, Failure> {
        let lane = lane(self.lanes, &letter);
        let giving = give(self.lanes, letter, self.action.clone(), self.command.map(|command| command.id));
        tokio::pin!(giving);
        let mut is_late = false;
        loop {
            if let Ok(answered) = tokio::time::timeout(ANSWER, &mut giving).await {
                if let (true, Some(command)) = (is_late, self.command) {
                    self.book.goes_on(command.id).await?;
                }
                return answered;
            }
            let Some(command) = self.command else { continue };
            is_late = true;
            self.book.is_late(command, lane).await?;
        }
    }

    async fn record(&mut self) -> Result<(), Failure> {
        let Some(command) = self.command else { return Ok(()) };
        self.recorded = Instant::now();
        let text = serde_json::to_string(&self.sum).expect("a sum holds only numbers");
        self.book.record(command.id, &text).await
    }
}
