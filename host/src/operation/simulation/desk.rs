//! Commands as a simulated host tries them: what each is decided on, and the change of the rows.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::examine;
use super::rows::{PROJECTION, SharedWorld};
use crate::failure::Failure;
use crate::operation::queue::CommandDesk;
use crate::readmodel::control::command::overtake;
use crate::readmodel::control::command::{self, Act, Command, CommandOutcome, Request, Tried};
use crate::readmodel::control::deployment::{Origin, Proposal};
use crate::readmodel::control::generation::{Change, GenerationState, HistoryFilter, Purpose, Wanted};
use crate::supervisor::simulation::steps::Life;

/// How long MongoDB may be silent until a try fails.
const SILENCE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct SimulatedDesk {
    pub world: SharedWorld,
    pub life: Life,
}

impl SimulatedDesk {
    /// MySQL is asked for something.
    async fn ask(&self, what: &str) -> Result<(), Failure> {
        self.world.steps.step(&self.life, 1, || format!("commands: {what}")).await;
        if self.world.steps.fails(self.world.schedule.trouble) {
            return Err(Failure::ConnectionLost { message: "made up".to_owned() });
        }
        Ok(())
    }

    /// MongoDB is asked for history.
    async fn history(&self) -> Result<(), Failure> {
        if self.world.is_away() {
            tokio::time::sleep(SILENCE).await;
        }
        self.world.answers()
    }

    async fn carry_out(self, command: Command) -> Result<Tried, Failure> {
        self.ask(&format!("tries command {}: {}", command.id, command.request.told())).await?;
        let (in_force, previous) = {
            let rows = self.world.rows();
            let previous = rows.deployments.iter().rev().nth(1).map(|one| one.digest.clone());
            (rows.in_force(), previous)
        };
        let change = |generation, change| Act::Change { projection: PROJECTION, generation, change };
        let plan = |purpose, origin| (purpose, in_force.1.clone(), origin);
        let plan = match &command.request {
            Request::AcceptGeneration { generation, shown } => {
                let accept = Change::Accept { shown: shown.clone() };
                return self.decide(&command, None, change(*generation, accept)).await;
            }
            Request::ReturnGeneration { generation } => {
                return self.decide(&command, None, change(*generation, Change::Return)).await;
            }
            Request::DropGeneration { generation } => {
                return self.decide(&command, None, change(*generation, Change::Drop)).await;
            }
            Request::Rebuild { .. } => plan(Purpose::Replace, Origin::Command),
            Request::Verify { repair: false } => plan(Purpose::Verify, Origin::Command),
            Request::Verify { repair: true } => plan(Purpose::Repair, Origin::Command),
            request => {
                let (digest, origin) = match request {
                    Request::Deploy { digest, .. } => (Some(digest.clone()), Origin::Command),
                    _ => (previous, Origin::Rollback),
                };
                let Some(digest) = digest else {
                    return self.decide(&command, Some(in_force.0), Act::Deploy(None)).await;
                };
                if digest[..1] == in_force.1[..1] {
                    let by = &command.requested_by;
                    let canary = Duration::ZERO;
                    let command_id = Some(command.id);
                    let proposal = Proposal {
                        projection: PROJECTION,
                        digest: &digest,
                        origin,
                        by,
                        canary,
                        command: command_id,
                    };
                    return self.decide(&command, Some(in_force.0), Act::Deploy(Some(proposal))).await;
                }
                let standing = self.world.rows().standing.to_vec();
                let is_kept = |digest: &str| {
                    let kept = standing.iter().rev().filter(|one| one.state == GenerationState::Kept);
                    kept.filter(|one| one.digest == digest).map(|one| one.generation).next()
                };
                if let Some(kept) = is_kept(&digest) {
                    return self.decide(&command, Some(in_force.0), change(kept, Change::Return)).await;
                }
                (Purpose::Replace, digest, origin)
            }
        };
        self.history().await?;
        let (purpose, digest, origin) = plan;
        let why = overtake::superseded(&command);
        let wanted = Wanted {
            projection: PROJECTION,
            purpose,
            digest: &digest,
            tables: &[],
            part: HistoryFilter::default(),
            expected: 0,
            accepted: false,
            origin,
            command: purpose.is_compared().then_some(command.id),
            opened_by: None,
            by: &command.requested_by,
            overtakes: overtake::overtakes(&command.request).then_some(&*why),
        };
        self.decide(&command, Some(in_force.0), Act::Open(wanted)).await
    }

    /// Decides on the rows as they are, and changes them.
    async fn decide(&self, command: &Command, seen: Option<u64>, act: Act<'_>) -> Result<Tried, Failure> {
        self.ask("decides").await?;
        let tried = {
            let rows = &mut *self.world.rows();
            let number = match &act {
                Act::Open(_) => rows.numbers + 1,
                Act::Change { generation, .. } => *generation,
                Act::Deploy(_) => 0,
            };
            let decided = command::decide(command, seen, &act, "done", &rows.lock(command));
            self.world.steps.note(|| format!("command {}: {decided:?}", command.id));
            if let Err(wrong) = examine::decided(rows, command, &decided.steps) {
                self.world.steps.violated(|| wrong);
            }
            rows.numbers = rows.numbers.max(number);
            rows.apply(command, &act, number, decided.steps);
            decided.tried
        };
        self.ask("has decided").await?;
        Ok(tried)
    }
}

impl CommandDesk for SimulatedDesk {
    async fn pending(&mut self) -> Result<Vec<Command>, Failure> {
        self.ask("which are there").await?;
        let rows = self.world.rows();
        let stands = |id: u64| rows.standing.iter().any(|one| one.command == Some(id));
        let pending = rows.commands.values().filter(|one| one.ended.is_none() && !stands(one.command.id));
        Ok(pending.map(|asked| asked.command.clone()).collect())
    }

    fn begins(&self, _command: &Command) {}

    fn attempt(&self, command: Command) -> BoxFuture<'static, Result<Tried, Failure>> {
        self.clone().carry_out(command).boxed()
    }

    async fn waits(&mut self, command: &Command, reason: &str) -> Result<(), Failure> {
        self.ask("records what one waits for").await?;
        let rows = &mut *self.world.rows();
        let Some(since) = rows.waits(command.id, reason) else { return Ok(()) };
        if let Some(why) = command::bound(since.elapsed(), reason) {
            rows.finish(command.id, CommandOutcome::Failed(why));
        }
        Ok(())
    }

    async fn goes_on(&mut self, command: u64) -> Result<(), Failure> {
        self.ask("one goes on").await?;
        self.world.rows().goes_on(command);
        Ok(())
    }
}
