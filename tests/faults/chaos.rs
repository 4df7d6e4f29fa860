//! Random faults under load, and then a full account: `make chaos SECONDS=600 SEED=7`.
//!
//! Two hosts, a replica set of three, a MySQL, constant writers; a nemesis that draws its faults from a seed. When all is
//! healed and quiet, every promise is checked against what the writers know, row for row and commit for commit.
//! `docs/testing.md` tells more.
//!
//! A checker that finds nothing proves nothing, so the host was broken on purpose, 45 s each, and each time the report
//! told what for:
//!
//! | broken | told by |
//! |---|---|
//! | after a commit of unknown outcome that did happen, the batch is done again | rows and counters, counts of checkpoints |
//! | the checkpoint is committed, and the statements after it | snapshots, missing rows, counters, the bank's sum |
//! | neither first nor last statement, nor what follows a lost commit, proves the epoch | the triggers: another host's session wrote under an epoch |
//! | what comes behind a dead letter is applied | rows too many, `disorder`, letters missing |
//! | deadlocks, lock waits and killed queries are taken for the events' fault | letters too many, rows missing |
//! | reading goes on from the lane that is furthest, not from the oldest | rows missing, checkpoints that count too few |
//! | a letter is tried again although the one before it failed | rows too many, `disorder`, letters missing |
//! | neither position nor dedupe window keeps a lane from what it has committed | counters, counts, checkpoints that went back |
//! | a generation takes the live one's place before both are at one position | the triggers: a generation became live that was not as far |
//! | a generation is dropped without its letters | rows of `dead_letter` that are of generations that are gone |
//! | tables that lack purged documents take the live ones' place | rows missing, counts of checkpoints; the triggers: a generation became live that was not as far |

mod account;
mod aside;
mod checker;
mod commits;
mod fleet;
mod generations;
mod ground;
mod history;
mod load;
mod mysqld;
mod nemesis;
mod operator;
mod purge;
mod report;
mod restores;
mod schedule;
mod truth;
mod waits;

use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use account::Account;
use aside::Excuses;
use ground::Ground;
use history::Observer;
use load::{Load, Log, Outcome, Writers};
use rand::SeedableRng;
use rand::rngs::StdRng;
use report::Report;
use schedule::{Fault, Restore, Step};

use crate::support::some_time;

/// How long a short run lasts, as in `cargo test`, and its seed.
const SECONDS: u64 = 45;
const SEED: u64 = 1;

/// A seed is a schedule.
pub async fn seed() {
    schedule::check();
}

/// The whole run. `CHAOS_SECONDS` and `CHAOS_SEED` say how long, and which.
pub async fn run() {
    let (seconds, seed) = (setting("CHAOS_SECONDS", SECONDS), setting("CHAOS_SEED", SEED));
    let (steps, restores) = (schedule::draw(seed, seconds), schedule::restores(seed, seconds));
    println!("chaos: CHAOS_SEED={seed} CHAOS_SECONDS={seconds}");
    for step in &steps {
        println!("{step}");
    }
    for restore in &restores {
        println!("{restore}");
    }
    let ground = Arc::new(Ground::prepare(&mut StdRng::seed_from_u64(seed)).await);
    let mut account = Account::new(Arc::<Mutex<Log>>::default());
    let load = Load::start(Writers::new(&ground, &account.log, seed));
    // Some of it is history by then.
    some_time(1500).await;
    let began = Instant::now();
    ground.fleet.start().await;
    history::audit(&ground).await;
    let observer = Observer::start(&ground, account.log.clone());

    let (counts, ()) =
        tokio::join!(nemesis::rage(&ground, &steps, seed), tokio::time::sleep(Duration::from_secs(seconds)));
    account.add(counts);
    nemesis::heal(&ground).await;
    let mut writers = account.settle(&ground, load).await;
    for restore in &restores {
        writers = restores::strike(&ground, restore, writers, seed, &mut account).await;
    }
    let report = conclude(&ground, account, observer, Plan { seed, seconds, steps, restores }, began).await;
    println!("{report}");
    keep(&ground, &report);
    assert!(report.violations.is_empty(), "{} violations", report.violations.len());
}

/// What a run was to be.
struct Plan {
    seed: u64,
    seconds: u64,
    steps: Vec<Step>,
    restores: Vec<Restore>,
}

/// Judges what was seen all along, and tells everything.
async fn conclude(
    ground: &Ground,
    account: Account,
    observer: Observer,
    plan: Plan,
    began: Instant,
) -> Report {
    let Account { log, mut violations, counts, waits, truth, purged, accepted } = account;
    let snapshots = observer.stop().await;
    let log = log.lock().expect("nobody panics with it").clone();
    let (grants, advances) = (history::grants(ground).await, history::advances(ground).await);
    let take_overs = commits::grants(&grants, &mut violations);
    commits::advances(&advances, &grants, &mut violations);
    let changes = history::changes(ground).await;
    commits::changes(&changes, &accepted, &mut violations);
    let purged = purged + purge::settle(ground).await.len();
    let mut all = plan.steps.iter().chain(plan.restores.iter().flat_map(|restore| &restore.steps));
    let blocked = all.any(|step| matches!(step.fault, Fault::BlockRows { .. }));
    let excuses = Excuses { blocked, purged: purged > 0 };
    let came = aside::check(ground, &changes, excuses, &mut violations).await;
    let most_lines = checker::logs(ground, began.elapsed().as_secs(), &mut violations);
    violations.0.extend(ground.fleet.violations());
    violations.0.extend(snapshots.violations.iter().map(|(what, times)| format!("{what} ({times} times)")));

    let count = |outcome| log.outcomes.values().filter(|found| **found == outcome).count();
    let letters = |state| truth.letters.iter().filter(|(_, _, found)| found == state).count();
    Report {
        seed: plan.seed,
        seconds: plan.seconds,
        counts,
        struck: ground.roads().iter().map(|proxy| proxy.struck()).sum(),
        acknowledged: count(Outcome::Acknowledged),
        failed: count(Outcome::Failed),
        unknown: count(Outcome::Unknown),
        documents: truth.ids.len(),
        purged,
        applied: truth.recorded.len(),
        parked: letters("parked"),
        held: letters("held"),
        discarded: truth.discarded.len(),
        came,
        commands: ground
            .world
            .number(&format!("SELECT COUNT(*) FROM {}.command", ground.world.control()))
            .await,
        commits: advances.len(),
        snapshots: snapshots.snapshots,
        restarts: ground.fleet.restarts(),
        take_overs,
        longest_wait: snapshots.longest_wait,
        waits,
        most_lines,
        violations: violations.0,
    }
}

/// What failed can be looked at: the logs of a run with violations stay.
fn keep(ground: &Ground, report: &Report) {
    if report.violations.is_empty() {
        return;
    }
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-{}", report.seed));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (host, log) in ground.fleet.logs() {
        std::fs::write(folder.join(format!("{host}.log")), log).expect("a log can be kept");
    }
    std::fs::write(folder.join("report.txt"), report.to_string()).expect("a report can be kept");
    println!("the hosts' logs are in {}", folder.display());
}

fn setting<N: FromStr>(name: &str, default: N) -> N {
    match std::env::var(name) {
        Err(_) => default,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, and should be a number")),
    }
}
