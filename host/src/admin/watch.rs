//! Whoever waits until an event is taken: one looks for all of them, in a session of its own, and only while somebody waits.
//! No lane is asked, and none waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::running::RunningProjections;
use crate::failure::Failure;
use crate::readmodel::lane::taken::{AskedEvent, RecentlyTaken, TakenAs, TakenFound};
use crate::readmodel::mysql::session::kept::KeptSession;
use crate::readmodel::mysql::session::within;
use crate::servers::Servers;

/// How often it is looked while somebody waits.
const INTERVAL: Duration = Duration::from_millis(20);

/// How often MySQL is tried while it does not answer.
const TRY_INTERVAL: Duration = Duration::from_millis(250);

/// How long one look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the session is kept while nobody waits.
const KEPT: Duration = Duration::from_secs(10);

/// How many may wait; those who come later are told to come back.
const WAITING_MAX: usize = 512;

/// Where events are asked for.
#[derive(Clone)]
pub struct TakenWatch {
    projections: RunningProjections,
    servers: Servers,
    questions: mpsc::Sender<Question>,
    asked: Arc<tokio::sync::Mutex<mpsc::Receiver<Question>>>,
}

/// One who waits.
struct Question {
    projection: String,
    events: Vec<AskedEvent>,
    /// Until then an event that was not taken is waited for.
    until: Instant,
    answer: oneshot::Sender<Result<Vec<TakenFound>, Failure>>,
}

/// What the one who looks has at hand.
struct Watcher {
    servers: Servers,
    projections: RunningProjections,
    session: KeptSession,
    /// Of each projection, with how many events of it are remembered.
    recent: BTreeMap<String, (usize, RecentlyTaken)>,
    waiting: Vec<Question>,
}

impl TakenWatch {
    pub fn new(servers: Servers, projections: RunningProjections) -> Self {
        let (questions, asked) = mpsc::channel(WAITING_MAX);
        let asked = Arc::new(tokio::sync::Mutex::new(asked));
        Self { projections, servers, questions, asked }
    }

    /// What has become of an event, as it stands after it was asked: at once, or while it was not taken within a time.
    pub async fn ask(&self, projection: &str, event: AskedEvent, wait: Duration) -> Result<TakenAs, Problem> {
        let taken = self.ask_about(projection, vec![event], Instant::now() + wait).await?.pop();
        taken.map(|taken| taken.what).ok_or_else(Problem::busy)
    }

    /// What has become of several events, as it stands now.
    pub async fn ask_all(
        &self,
        projection: &str,
        events: Vec<AskedEvent>,
    ) -> Result<Vec<TakenFound>, Problem> {
        self.ask_about(projection, events, Instant::now()).await
    }

    async fn ask_about(
        &self,
        projection: &str,
        events: Vec<AskedEvent>,
        until: Instant,
    ) -> Result<Vec<TakenFound>, Problem> {
        let (answer, answered) = oneshot::channel();
        let question = Question { projection: projection.to_owned(), events, until, answer };
        self.questions.try_send(question).map_err(|_| Problem::busy())?;
        let taken = answered.await.map_err(|_| Problem::busy())?;
        taken.map_err(Problem::outside)
    }

    /// Looks while somebody waits, until a stop.
    pub async fn run(&self, stop: CancellationToken) {
        let mut asked = self.asked.lock().await;
        let (session, recent) = (KeptSession::default(), BTreeMap::new());
        let (servers, projections) = (self.servers.clone(), self.projections.clone());
        let mut watcher = Watcher { servers, projections, session, recent, waiting: vec![] };
        stop.run_until_cancelled(watcher.run(&mut asked)).await;
    }
}

impl Watcher {
    async fn run(&mut self, asked: &mut mpsc::Receiver<Question>) {
        loop {
            if self.waiting.is_empty() {
                let Ok(question) = tokio::time::timeout(KEPT, asked.recv()).await else {
                    self.session = KeptSession::default();
                    self.recent.retain(|projection, _| self.projections.find(projection).is_some());
                    continue;
                };
                let Some(question) = question else { return };
                self.waiting.push(question);
            }
            while self.waiting.len() < WAITING_MAX
                && let Ok(question) = asked.try_recv()
            {
                self.waiting.push(question);
            }
            let interval = if self.look().await { INTERVAL } else { TRY_INTERVAL };
            if !self.waiting.is_empty() {
                tokio::time::sleep(interval).await;
            }
        }
    }

    /// Looks once for all who wait, and answers those who need not wait any longer. False where MySQL did not answer.
    async fn look(&mut self) -> bool {
        self.waiting.retain(|question| !question.answer.is_closed());
        let mut asked: BTreeMap<String, Vec<Question>> = BTreeMap::new();
        for question in std::mem::take(&mut self.waiting) {
            asked.entry(question.projection.clone()).or_default().push(question);
        }
        let mut answers = true;
        for (projection, questions) in asked {
            let events: Vec<AskedEvent> = questions.iter().flat_map(|one| one.events.clone()).collect();
            let looking = within(LOOK_TIMEOUT, "looking for events", self.look_for(&projection, &events));
            let found = looking.await;
            answers &= found.is_ok();
            self.tell(questions, found);
        }
        answers
    }

    fn tell(&mut self, questions: Vec<Question>, found: Result<Vec<TakenFound>, Failure>) {
        let now = Instant::now();
        let mut found = found.map(Vec::into_iter);
        for question in questions {
            let taken = match &mut found {
                Ok(taken) => Ok(taken.by_ref().take(question.events.len()).collect::<Vec<_>>()),
                Err(failure) => Err(failure.clone()),
            };
            let is_open = taken
                .as_ref()
                .map_or(true, |taken| taken.iter().any(|one| matches!(one.what, TakenAs::Pending { .. })));
            if is_open && now < question.until {
                self.waiting.push(question);
            } else {
                // Whoever asked may have gone.
                let _ = question.answer.send(taken);
            }
        }
    }

    /// Looks for events of one projection. A failure or a time limit costs the session, and nothing that was read.
    async fn look_for(
        &mut self,
        projection: &str,
        events: &[AskedEvent],
    ) -> Result<Vec<TakenFound>, Failure> {
        let mut session = self.session.take_or_connect(&self.servers.applier).await?;
        let window = self.projections.find(projection).map(|one| one.window).unwrap_or_default();
        let anew = || (window, RecentlyTaken::new(window));
        let known = self.recent.entry(projection.to_owned()).or_insert_with(anew);
        // It may remember more events since it was begun anew, or fewer.
        if known.0 != window {
            *known = anew();
        }
        let recent = &mut known.1;
        let taken = recent.look(&mut self.servers.control.of(&mut session, projection), events).await?;
        self.session.keep(session);
        Ok(taken)
    }
}
