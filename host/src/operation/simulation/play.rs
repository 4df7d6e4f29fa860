//! The play of a schedule: documents come and go, operators ask, hosts crash and start again; then calm, and the end.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::host::{LaneCount, OperatedHost};
use super::rows::{AskedCommand, PROJECTION, SharedWorld, taken};
use super::{OperatorSchedule, examine};
use crate::readmodel::control::command::{Command, Request};
use crate::readmodel::control::generation::GenerationState;
use crate::source::OnLost;
use crate::status::Status;
use crate::supervisor::settings::Settings;
use crate::supervisor::simulation::host::settings;
use crate::supervisor::simulation::play::{Played, in_its_own_time};
use crate::supervisor::simulation::steps::{Life, Steps};

/// How often something happens from outside.
const LOOK: Duration = Duration::from_millis(200);

/// How long things happen, and how long it may take until all is quiet.
const TROUBLE: Duration = Duration::from_mins(2);
const QUIET: Duration = Duration::from_hours(1);

/// How many commands may wait.
const PENDING_MAX: usize = 5;

impl OperatorSchedule {
    /// Plays a schedule, on a thread of its own time. How many generations took the live one's place.
    pub fn played(&self, recorded: bool) -> Played {
        let steps = || Steps::new(self.seed, self.crashes.clone(), self.failures, recorded);
        in_its_own_time(self.seed, steps, async |steps| {
            let world = SharedWorld::new(self, steps);
            let chance = StdRng::seed_from_u64(self.seed ^ 0x5EED);
            let up = Instant::now();
            OperatorPlay { world, chance, hosts: vec![], hosted: 0, up, events: 0 }.run().await
        })
    }
}

struct OperatorPlay {
    world: SharedWorld,
    chance: StdRng,
    hosts: Vec<(OperatedHost, JoinHandle<()>)>,
    hosted: u64,
    /// Since when all hosts run.
    up: Instant,
    events: i64,
}

impl OperatorPlay {
    async fn run(mut self) -> Result<u64, String> {
        self.start();
        let began = Instant::now();
        let away = self.world.schedule.away.map_or(Duration::ZERO, |(_, to)| to);
        while began.elapsed() < TROUBLE.max(away) {
            tokio::time::sleep(LOOK).await;
            self.looks()?;
            self.happens();
            if began.elapsed() < TROUBLE && self.one_in(self.world.schedule.commands) {
                self.asks();
            }
            self.restart().await;
        }
        self.world.steps.calm();
        let calm = Instant::now();
        while !self.is_quiet() {
            if calm.elapsed() > QUIET {
                let rows = self.world.rows();
                return Err(format!("not quiet: {:?}, {:?}", rows.standing, rows.commands.values().last()));
            }
            tokio::time::sleep(LOOK).await;
            self.looks()?;
            self.restart().await;
            self.settles();
        }
        for (_, working) in self.hosts.drain(..) {
            working.abort();
        }
        self.looks()?;
        Ok(self.world.rows().cut_overs)
    }

    fn one_in(&mut self, looks: u32) -> bool {
        looks > 0 && self.chance.random_ratio(1, looks)
    }

    fn looks(&self) -> Result<(), String> {
        if let Some(wrong) = self.world.steps.violation() {
            return Err(wrong);
        }
        examine::waiting(&self.world.rows(), self.up.elapsed())
    }

    fn start(&mut self) {
        while self.hosts.len() < self.world.schedule.hosts {
            self.hosted += 1;
            let rebuilds = self.world.schedule.rebuilds;
            let host = OperatedHost {
                number: self.hosted,
                world: self.world.clone(),
                life: Life::default(),
                settings: Settings {
                    name: PROJECTION.to_owned(),
                    resume_lost: if rebuilds { OnLost::Rebuild } else { OnLost::Pause },
                    ..settings(&self.hosted.to_string())
                },
                status: Arc::new(Status::new(PROJECTION)),
                live_lanes: LaneCount::default(),
            };
            self.hosts.push((host.clone(), tokio::spawn(host.work())));
            self.up = Instant::now();
        }
    }

    /// Hosts that crashed start again, after a while.
    async fn restart(&mut self) {
        for index in (0..self.hosts.len()).rev() {
            if self.hosts[index].0.life.is_over() {
                self.up = Instant::now();
                if self.chance.random_range(0..20) == 0 {
                    let (_, crashed) = self.hosts.remove(index);
                    crashed.abort();
                    // Whatever it answers, it is gone.
                    let _ = crashed.await;
                }
            }
        }
        self.start();
    }

    /// Plays the writers, the scripts and the oplog.
    fn happens(&mut self) {
        if self.events < self.world.schedule.events && self.one_in(4) {
            self.events += 1;
            self.world.rows().insert(self.events);
        }
        if self.one_in(self.world.schedule.deletions) {
            let count = self.world.rows().documents.len();
            if count > 0 {
                let at = self.chance.random_range(0..count);
                let again = self.chance.random_range(0..2) == 0;
                let mut rows = self.world.rows();
                let document = rows.documents.remove(at);
                self.world.steps.note(|| format!("document {document} is deleted, sent again: {again}"));
                if again {
                    rows.insert(document);
                }
            }
        }
        let is_lost = self.world.schedule.lost.is_some_and(|lost| self.world.began.elapsed() > lost);
        let rows = &mut *self.world.rows();
        if is_lost && rows.lost_before == 0 && rows.log.len() > 3 {
            rows.lost_before = rows.log.len() - 1;
            self.world.steps.note(|| "the stream's beginning is gone".to_owned());
        }
    }

    /// An operator asks for something.
    fn asks(&mut self) {
        let some = {
            let rows = self.world.rows();
            let pending = rows.commands.values().filter(|asked| asked.ended.is_none()).count();
            if pending >= PENDING_MAX {
                return;
            }
            let beside: Vec<u32> = rows.standing.iter().map(|one| one.generation).collect();
            if beside.is_empty() { 1 } else { beside[self.chance.random_range(0..beside.len())] }
        };
        let digest = ["a1", "a2", "b1", "b2"][self.chance.random_range(0..4)].to_owned();
        let request = match self.chance.random_range(0..12) {
            0..3 => Request::Rebuild { accept: false, until: None, aggregate: None },
            3 | 4 => Request::Verify { repair: self.chance.random_range(0..2) == 0 },
            5 | 6 => Request::Deploy { digest, canary_seconds: 0 },
            7 => Request::Rollback,
            8 | 9 => self.accept(some),
            10 => Request::ReturnGeneration { generation: some },
            _ => Request::DropGeneration { generation: some },
        };
        self.ask(request);
    }

    /// A word about a generation as it is shown now.
    fn accept(&self, generation: u32) -> Request {
        let rows = self.world.rows();
        let found = rows.standing.iter().find(|one| one.generation == generation);
        let lacks = found.and_then(|one| one.lacks.clone());
        Request::AcceptGeneration { generation, shown: Some(lacks.unwrap_or_default()) }
    }

    fn ask(&self, request: Request) {
        let mut rows = self.world.rows();
        let id = rows.commands.len() as u64 + 1;
        self.world.steps.note(|| format!("operator: command {id}: {}", request.told()));
        let command = Command { id, request, requested_by: "operator".to_owned(), progress: None };
        rows.commands.insert(id, AskedCommand { command, at: Instant::now(), ended: None, waits: None });
    }

    /// Everything is done with: no command waits, nothing is built, and the live tables have come to the end.
    fn is_quiet(&self) -> bool {
        let rows = self.world.rows();
        let row = rows.tables.get(&rows.live).map(|tables| taken(&tables.row.position));
        rows.commands.values().all(|asked| asked.ended.is_some())
            && rows.standing.iter().all(|one| one.state == GenerationState::Kept)
            && row == Some(Some(rows.log.len()))
    }

    /// An operator confirms what something waits for; gives up what the stream went away from; and has tables made anew
    /// that cannot go on.
    fn settles(&mut self) {
        if !self.one_in(50) {
            return;
        }
        let request = {
            let rows = self.world.rows();
            let stands = |id: u64| rows.standing.iter().any(|one| one.command == Some(id));
            let waits = |asked: &AskedCommand| asked.ended.is_none() && !stands(asked.command.id);
            if rows.commands.values().any(waits) {
                None
            } else if let Some(one) = rows
                .standing
                .iter()
                .find(|one| matches!(one.state, GenerationState::Building | GenerationState::Meeting))
            {
                let generation = one.generation;
                if let Some(lacks) = one.lacks.clone().filter(|_| !one.lacks_accepted) {
                    Some(Request::AcceptGeneration { generation, shown: Some(lacks) })
                } else if one.reason.is_some() || one.purpose.is_compared() {
                    Some(Request::DropGeneration { generation })
                } else {
                    None
                }
            } else if rows.standing.iter().all(|one| one.state == GenerationState::Kept) {
                Some(Request::Rebuild { accept: false, until: None, aggregate: None })
            } else {
                None
            }
        };
        if let Some(request) = request {
            self.ask(request);
        }
    }
}
