//! Which fault strikes when: computed from the seed before anything runs, so that a seed is a schedule.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::support::proxy::AtCommit;

/// One of the two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    A,
    B,
}

impl Who {
    pub const BOTH: [Self; 2] = [Self::A, Self::B];
}

/// Which server a host's proxy stands before. Only host A reaches MongoDB through one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    MySql(Who),
    MongoDb,
}

/// What a proxy does to the connections of a road.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Cut,
    BlackHole,
    Deaf,
    Delay { ms: u64 },
    Refuse,
    Truncate,
}

/// One fault. `ms` is how long it lasts, or how long what was killed stays down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    KillHost {
        who: Who,
        ms: u64,
    },
    FreezeHost {
        who: Who,
        ms: u64,
    },
    StopHost {
        who: Who,
        ms: u64,
    },
    JumpClock {
        who: Who,
        seconds: i64,
        ms: u64,
    },
    Network {
        road: Road,
        trouble: Trouble,
        ms: u64,
    },
    /// Strikes at so many COMMITs, one after the other.
    Commit {
        who: Who,
        fault: AtCommit,
        times: u32,
    },
    KillPrimary {
        ms: u64,
    },
    StepDown,
    FreezeMember {
        member: usize,
        ms: u64,
    },
    KillMysqld {
        ms: u64,
    },
    FreezeMysqld {
        ms: u64,
    },
    ReadOnly {
        ms: u64,
    },
    KillSessions {
        sessions: usize,
    },
    KillQueries {
        ms: u64,
    },
    LockStorm {
        ms: u64,
    },
    HoldRows {
        ms: u64,
    },
    HoldCheckpoint {
        projection: usize,
        lane: u32,
        ms: u64,
    },
    FillDisk {
        ms: u64,
    },
    ShrinkPackets {
        bytes: u32,
        ms: u64,
    },
    FewConnections {
        ms: u64,
    },
    /// Rows that are in the way of events that are still to come, until an operator removes them.
    BlockRows {
        ms: u64,
    },
    /// An operator has letters of a projection tried again, whether or not what parked them is mended.
    Replay {
        projection: usize,
        choice: Choice,
    },
    /// An operator gives a letter up.
    Discard {
        projection: usize,
    },
    /// Documents are deleted from the outbox that every projection has applied.
    Purge,
    /// An operator has a projection's tables made anew.
    Rebuild {
        projection: usize,
    },
    /// An operator has a projection's tables compared with what history makes of them.
    Verify {
        projection: usize,
    },
    /// An operator gives a projection another component of its family.
    Deploy {
        projection: usize,
        kin: Kin,
        canary_seconds: u32,
    },
    /// An operator gives a projection the component back that it had before.
    Rollback {
        projection: usize,
    },
    /// An operator gives a generation up, whatever it is about to become.
    DropGeneration {
        projection: usize,
    },
    /// An operator pauses a projection, and resumes it.
    Pause {
        projection: usize,
        ms: u64,
    },
}

/// Which component of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kin {
    First,
    /// The same under another name.
    Again,
    /// The same with a column more.
    Wider,
}

/// Which letters an operator chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    All,
    /// One aggregate's.
    One,
}

/// A server that can be put back to a copy of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// The read models and the control schema, at one moment.
    MySql,
    /// The whole replica set.
    MongoDb,
}

impl Server {
    /// The name by which the report counts it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::MySql => "MySQL put back to a copy of its files",
            Self::MongoDb => "MongoDB put back to a copy of its files",
        }
    }
}

/// The last strikes of a long run: a server is put back to how it was before a phase with faults of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    pub server: Server,
    /// The faults between copy and strike.
    pub steps: Vec<Step>,
}

impl fmt::Display for Restore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "then, from a copy of {:?} on:", self.server)?;
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        write!(f, "            {}", self.server.kind())
    }
}

/// A fault and when it strikes, from the start of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub at: Duration,
    pub fault: Fault,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.3} s  {:?}", self.at.as_secs_f64(), self.fault)
    }
}

impl Fault {
    /// The name by which the report counts it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::KillHost { .. } => "kill -9 of a host",
            Self::FreezeHost { ms, .. } if ms < LEASE_MS => "host frozen, shorter than its lease",
            Self::FreezeHost { .. } => "host frozen, longer than its lease",
            Self::StopHost { .. } => "SIGTERM to a host",
            Self::JumpClock { .. } => "clock of a host jumps",
            Self::Network { road, trouble, .. } => network(road, trouble),
            Self::Commit { fault: AtCommit::CutBefore, .. } => "connection cut before COMMIT",
            Self::Commit { fault: AtCommit::CutAfter, .. } => "connection cut after COMMIT",
            Self::Commit { fault: AtCommit::LoseAnswer, .. } => "answer to COMMIT lost",
            Self::KillPrimary { .. } => "kill -9 of MongoDB's primary",
            Self::StepDown => "MongoDB's primary steps down",
            Self::FreezeMember { .. } => "member of MongoDB frozen",
            Self::KillMysqld { .. } => "kill -9 of mysqld",
            Self::FreezeMysqld { .. } => "mysqld frozen",
            Self::ReadOnly { .. } => "MySQL is read-only",
            Self::KillSessions { .. } => "sessions killed",
            Self::KillQueries { .. } => "queries killed",
            Self::LockStorm { .. } => "locks and deadlocks",
            Self::HoldRows { .. } => "rows held",
            Self::HoldCheckpoint { .. } => "checkpoint row held",
            Self::FillDisk { .. } => "MySQL's disk full",
            Self::ShrinkPackets { .. } => "max_allowed_packet lowered",
            Self::FewConnections { .. } => "max_connections lowered",
            Self::BlockRows { .. } => "rows in the way of events, then removed",
            Self::Replay { choice: Choice::All, .. } => "operator replays all letters",
            Self::Replay { choice: Choice::One, .. } => "operator replays an aggregate's letters",
            Self::Discard { .. } => "operator discards a letter",
            Self::Purge => "documents of the outbox purged",
            Self::Rebuild { .. } => "operator has tables made anew",
            Self::Verify { .. } => "operator has tables compared with history",
            Self::Deploy { kin: Kin::Wider, .. } => "operator deploys a component with a column more",
            Self::Deploy { .. } => "operator deploys another component",
            Self::Rollback { .. } => "operator rolls back",
            Self::DropGeneration { .. } => "operator drops a generation",
            Self::Pause { .. } => "operator pauses a projection, and resumes it",
        }
    }
}

fn network(road: Road, trouble: Trouble) -> &'static str {
    match (road, trouble) {
        (Road::MySql(_), Trouble::Cut) => "network to MySQL cut",
        (Road::MySql(_), Trouble::BlackHole) => "network to MySQL a black hole",
        (Road::MySql(_), Trouble::Deaf) => "network to MySQL one-way",
        (Road::MySql(_), Trouble::Delay { .. }) => "network to MySQL slow",
        (Road::MySql(_), Trouble::Refuse) => "network to MySQL refuses",
        (Road::MySql(_), Trouble::Truncate) => "answer of MySQL truncated",
        (Road::MongoDb, Trouble::Cut) => "network to MongoDB cut",
        (Road::MongoDb, Trouble::BlackHole) => "network to MongoDB a black hole",
        (Road::MongoDb, Trouble::Deaf) => "network to MongoDB one-way",
        (Road::MongoDb, Trouble::Delay { .. }) => "network to MongoDB slow",
        (Road::MongoDb, Trouble::Refuse) => "network to MongoDB refuses",
        (Road::MongoDb, Trouble::Truncate) => "answer of MongoDB truncated",
    }
}

/// The hosts' lease; a host that is frozen for longer loses it.
pub const LEASE_MS: u64 = 3000;

/// How long before the end the last fault may strike.
const LAST: Duration = Duration::from_secs(3);

/// Draws one fault of a kind.
type Draw = fn(&mut StdRng) -> Fault;

/// The cards that are drawn. What harms most is there more than once.
const DECK: [Draw; 40] = [
    kill_host,
    kill_host,
    kill_host,
    |r| Fault::FreezeHost { who: who(r), ms: r.random_range(300..2000) },
    |r| Fault::FreezeHost { who: who(r), ms: r.random_range(4500..7500) },
    |r| Fault::FreezeHost { who: who(r), ms: r.random_range(4500..7500) },
    |r| Fault::StopHost { who: who(r), ms: r.random_range(50..2000) },
    jump_clock,
    |r| mysql(r, Trouble::Cut),
    |r| mysql(r, Trouble::BlackHole),
    |r| mysql(r, Trouble::Deaf),
    |r| {
        let ms = r.random_range(20..250);
        mysql(r, Trouble::Delay { ms })
    },
    |r| mysql(r, Trouble::Refuse),
    |r| mysql(r, Trouble::Truncate),
    |r| commit(r, AtCommit::CutBefore),
    |r| commit(r, AtCommit::CutAfter),
    |r| commit(r, AtCommit::CutAfter),
    |r| commit(r, AtCommit::LoseAnswer),
    mongodb,
    mongodb,
    mongodb,
    |r| Fault::KillPrimary { ms: r.random_range(500..5000) },
    |_| Fault::StepDown,
    |r| Fault::FreezeMember { member: r.random_range(0..3), ms: r.random_range(1000..7000) },
    |r| Fault::KillMysqld { ms: r.random_range(50..3000) },
    |r| Fault::FreezeMysqld { ms: r.random_range(500..6000) },
    |r| Fault::ReadOnly { ms: r.random_range(500..5000) },
    |r| Fault::KillSessions { sessions: r.random_range(1..6) },
    |r| Fault::KillQueries { ms: r.random_range(500..3000) },
    |r| Fault::LockStorm { ms: r.random_range(1000..5000) },
    |r| Fault::HoldRows { ms: r.random_range(3000..14_000) },
    |r| Fault::HoldCheckpoint {
        projection: r.random_range(0..3),
        lane: r.random_range(0..4),
        ms: r.random_range(500..8000),
    },
    |r| Fault::FillDisk { ms: r.random_range(500..4000) },
    |r| Fault::ShrinkPackets { bytes: r.random_range(1_200_000..4_000_000), ms: r.random_range(2000..6000) },
    |r| Fault::FewConnections { ms: r.random_range(1000..5000) },
    |r| Fault::BlockRows { ms: r.random_range(1000..6000) },
    |r| Fault::Replay { projection: r.random_range(0..2), choice: Choice::All },
    |r| Fault::Replay { projection: r.random_range(0..3), choice: Choice::One },
    |r| Fault::Replay { projection: r.random_range(0..2), choice: Choice::One },
    |r| Fault::Discard { projection: r.random_range(0..2) },
];

/// What operators do to components and generations, and to the outbox. Each of it takes its time, and so a short run has none.
const OPERATIONS: [Draw; 15] = [
    |_| Fault::Purge,
    |_| Fault::Purge,
    |r| Fault::Rebuild { projection: r.random_range(0..3) },
    |r| Fault::Rebuild { projection: r.random_range(0..3) },
    |r| Fault::Rebuild { projection: r.random_range(0..3) },
    |r| Fault::Verify { projection: r.random_range(0..3) },
    |r| Fault::Verify { projection: r.random_range(0..3) },
    |r| deploy(r, &[Kin::First, Kin::Again]),
    |r| deploy(r, &[Kin::First, Kin::Again]),
    |r| deploy(r, &[Kin::Wider]),
    |r| deploy(r, &[Kin::Wider]),
    |r| Fault::Rollback { projection: r.random_range(0..2) },
    |r| Fault::Rollback { projection: r.random_range(0..2) },
    |r| Fault::DropGeneration { projection: r.random_range(0..3) },
    |r| Fault::Pause { projection: r.random_range(0..3), ms: r.random_range(500..6000) },
];

/// From how many seconds on a run has all kinds.
const LONG: u64 = 60;

/// All faults of a run, in their order. Kinds are drawn as cards are: each comes before any comes again. A longer run
/// begins as a shorter one of the same seed does, but for those that are so short that they lack kinds.
pub fn draw(seed: u64, seconds: u64) -> Vec<Step> {
    let mut kinds = DECK.to_vec();
    if seconds >= LONG {
        kinds.extend(OPERATIONS);
    }
    let mut random = StdRng::seed_from_u64(seed);
    let end = Duration::from_secs(seconds).saturating_sub(LAST);
    let (mut deck, mut steps) = (Vec::new(), Vec::new());
    let mut at = Duration::ZERO;
    loop {
        at += Duration::from_millis(random.random_range(1000..6000));
        if at >= end {
            return steps;
        }
        if deck.is_empty() {
            deck.clone_from(&kinds);
            deck.shuffle(&mut random);
        }
        let card = deck.pop().expect("it was just filled");
        steps.push(Step { at, fault: card(&mut random) });
    }
}

/// From how many seconds on servers are put back in the end.
const LONGER: u64 = 120;

/// How many faults strike between copy and restore.
const BETWEEN: usize = 5;

/// The last strikes: of one seed, all runs that have them have the same.
pub fn restores(seed: u64, seconds: u64) -> Vec<Restore> {
    if seconds < LONGER {
        return vec![];
    }
    let mut random = StdRng::seed_from_u64(seed ^ 0x0e5_7043);
    let mut between = |server| {
        let mut deck = DECK.to_vec();
        deck.shuffle(&mut random);
        let mut at = Duration::ZERO;
        // What was given up stays so, and of an event that MongoDB forgets nobody could say whether that is right.
        let faults = deck.into_iter().map(|card| card(&mut random));
        let faults: Vec<Fault> =
            faults.filter(|fault| !matches!(fault, Fault::Discard { .. })).take(BETWEEN).collect();
        let steps = faults.into_iter().map(|fault| {
            at += Duration::from_millis(random.random_range(1000..5000));
            Step { at, fault }
        });
        Restore { server, steps: steps.collect() }
    };
    vec![between(Server::MySql), between(Server::MongoDb)]
}

fn who(random: &mut StdRng) -> Who {
    if random.random() { Who::A } else { Who::B }
}

fn kill_host(random: &mut StdRng) -> Fault {
    Fault::KillHost { who: who(random), ms: random.random_range(50..2500) }
}

fn deploy(random: &mut StdRng, kin: &[Kin]) -> Fault {
    let canary_seconds = if random.random() { 0 } else { random.random_range(1..10) };
    let kin = kin[random.random_range(0..kin.len())];
    Fault::Deploy { projection: random.random_range(0..2), kin, canary_seconds }
}

fn jump_clock(random: &mut StdRng) -> Fault {
    let seconds =
        if random.random() { random.random_range(3600..300_000) } else { random.random_range(-86_400..-60) };
    Fault::JumpClock { who: who(random), seconds, ms: random.random_range(2000..6000) }
}

fn commit(random: &mut StdRng, fault: AtCommit) -> Fault {
    Fault::Commit { who: who(random), fault, times: random.random_range(1..8) }
}

fn mysql(random: &mut StdRng, trouble: Trouble) -> Fault {
    Fault::Network { road: Road::MySql(who(random)), trouble, ms: random.random_range(500..6000) }
}

fn mongodb(random: &mut StdRng) -> Fault {
    let trouble = match random.random_range(0..6) {
        0 => Trouble::Cut,
        1 => Trouble::BlackHole,
        2 => Trouble::Deaf,
        3 => Trouble::Delay { ms: random.random_range(20..250) },
        4 => Trouble::Refuse,
        _ => Trouble::Truncate,
    };
    Fault::Network { road: Road::MongoDb, trouble, ms: random.random_range(500..6000) }
}

/// A seed is a schedule, another seed is another one, and a long run has every kind of fault.
pub fn check() {
    assert_eq!(draw(7, 600), draw(7, 600));
    assert_ne!(draw(7, 600), draw(8, 600));
    let (short, long) = (draw(7, 60), draw(7, 3600));
    assert_eq!(short, long[..short.len()], "a longer run begins in the same way");
    assert_eq!(restores(7, 600), restores(7, LONGER));
    assert_ne!(restores(7, 600), restores(8, 600));
    assert_eq!(restores(7, LONGER - 1), [], "a short run puts nothing back");
    let servers: Vec<Server> = restores(7, LONGER).iter().map(|restore| restore.server).collect();
    assert_eq!(servers, [Server::MySql, Server::MongoDb]);
    let gaps = long.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at));
    let apart = Duration::from_secs(1)..Duration::from_secs(6);
    assert!(gaps.into_iter().all(|gap| apart.contains(&gap)), "a fault every 1 to 6 s");
    let kinds = |steps: &[Step]| steps.iter().map(|step| step.fault.kind()).collect::<BTreeSet<_>>();
    assert_eq!(kinds(&long).len(), 46, "kinds that occur: {:?}", kinds(&long));
    let quick: Vec<Step> = (0..200).flat_map(|seed| draw(seed, LONG - 1)).collect();
    assert_eq!(kinds(&quick).len(), 38, "kinds that a short run has: {:?}", kinds(&quick));
}
