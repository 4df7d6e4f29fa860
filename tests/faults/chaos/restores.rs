//! The last strikes of a long run: a server is put back to a copy of its files while everything runs.
//!
//! After a restore of MySQL, whose files hold tables and control schema of one moment, the hosts go on from the restored
//! checkpoints, and all of the outbox is there once. After a restore of MongoDB, rows are of events that it does not have:
//! the hosts pause, the operator has tables made anew and accepts them, and then rows are of what is in the outbox, and of
//! nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::account::{Account, PATIENCE};
use super::checker::Violations;
use super::generations;
use super::ground::{Ground, PROJECTIONS};
use super::load::{Load, Writers};
use super::nemesis::{self, Injected};
use super::purge;
use super::schedule::{Restore, Server};
use super::truth;
use super::waits;
use crate::support::some_time;

/// How long writers write to a server that was put back, before all is judged.
const AFTERWARDS: Duration = Duration::from_secs(4);

/// Lets the phase before a strike pass, strikes, and judges what comes of it.
pub async fn strike(
    ground: &std::sync::Arc<Ground>,
    restore: &Restore,
    writers: Writers,
    seed: u64,
    account: &mut Account,
) -> Writers {
    let load = match restore.server {
        Server::MySql => {
            ground.mysqld.lock().await.copy().await;
            let load = Load::start(writers);
            account.add(nemesis::rage(ground, &restore.steps, seed).await);
            nemesis::heal(ground).await;
            let before = applied(ground).await;
            ground.mysqld.lock().await.put_back().await;
            // A host that is quick has taken up some of it already, but hardly all of it.
            let after = applied(ground).await;
            println!("MySQL was put back: of {before} applied events it had {after}");
            account
                .count(restore.server.kind(), if after < before { Injected::Yes } else { Injected::Missed });
            account.log.lock().expect("nobody panics with it").timeline.clear();
            load
        }
        Server::MongoDb => mongodb(ground, restore, writers, seed, account).await,
    };
    some_time(u64::try_from(AFTERWARDS.as_millis()).expect("it is short")).await;
    account.settle(ground, load).await
}

async fn mongodb(
    ground: &std::sync::Arc<Ground>,
    restore: &Restore,
    writers: Writers,
    seed: u64,
    account: &mut Account,
) -> Load {
    ground.cluster.lock().await.copy().await;
    let mut copied = account.log.lock().expect("nobody panics with it").clone();
    let load = Load::start(writers.clone());
    account.add(nemesis::rage(ground, &restore.steps, seed).await);
    nemesis::heal(ground).await;
    load.stop().await;
    // Whoever has applied nothing of what goes has no reason to pause.
    let written = truth::documents(ground).await;
    waits::watch(ground, written, Instant::now(), PATIENCE).await;
    let purged = purge::forget(ground).await;
    ground.cluster.lock().await.put_back().await;
    ground.connect_anew().await;
    let left = truth::documents(ground).await + purged.len() as u64;
    println!(
        "MongoDB was put back: of {written} documents it has {left}, and {} that were purged",
        purged.len()
    );
    account.count(restore.server.kind(), if left < written { Injected::Yes } else { Injected::Missed });
    copied.timeline.clear();
    copied.forget(&purged);
    *account.log.lock().expect("nobody panics with it") = copied;
    account.purged += purged.len();
    let load = Load::start(writers.put_back(ground, seed));
    account.accepted.extend(take_what_is_there(ground, &mut account.violations).await);
    load
}

/// How many events all live generations have applied.
async fn applied(ground: &Ground) -> i64 {
    ground.world.number(&format!("SELECT SUM(events) FROM {}", ground.live("checkpoint"))).await
}

/// The operator's way after a restore of MongoDB: each projection pauses and says why, has its tables made anew, and gets
/// a yes. Gives the generations that became live by that.
async fn take_what_is_there(ground: &Ground, violations: &mut Violations) -> BTreeSet<(String, u32)> {
    let began = Instant::now();
    let before = live(ground).await;
    let mut waiting: BTreeMap<&str, Option<String>> = PROJECTIONS.map(|name| (name, None)).into();
    while !waiting.is_empty() && began.elapsed() < PATIENCE {
        for (name, said) in &mut waiting {
            if said.is_none()
                && let Some(reason) = lost(ground, name).await
            {
                println!("{name}, after {:.1} s: {reason}", began.elapsed().as_secs_f64());
                generations::rebuild(ground, name).await;
                *said = Some(reason);
            }
        }
        generations::accept(ground).await;
        let now = live(ground).await;
        waiting.retain(|name, _| before.get(*name) == now.get(*name));
        some_time(500).await;
    }
    for (name, said) in waiting {
        violations.add(format!(
            "{PATIENCE:?} after MongoDB was put back, {name} has no tables of what is there; why it pauses: {said:?}"
        ));
    }
    live(ground).await.into_iter().filter(|(name, live)| before.get(name) != Some(live)).collect()
}

/// Why a projection pauses, if it is what a MongoDB that was put back is told by.
async fn lost(ground: &Ground, projection: &str) -> Option<String> {
    let statuses = ground.fleet.statuses(projection).await;
    let paused = statuses.iter().filter(|status| status["phase"] == "paused");
    let mut lost = paused.filter(|status| status["class"] == "resume-lost");
    lost.find_map(|status| status["reason"].as_str().map(str::to_owned))
}

async fn live(ground: &Ground) -> BTreeMap<String, u32> {
    let mut live = BTreeMap::new();
    for name in PROJECTIONS {
        let sql = format!(
            "SELECT live_generation FROM {}.projection WHERE projection = '{name}'",
            ground.world.control()
        );
        if let Some(generation) = ground.world.number_if_any(&sql).await {
            live.insert(name.to_owned(), u32::try_from(generation).expect("it is small"));
        }
    }
    live
}
