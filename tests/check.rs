//! `laterna check` and `laterna run` agree: a table of set-ups, most of them broken. Where `run` pauses, waits or ends in its
//! first seconds, `check` fails with the same sentence and a remedy; where `run` goes on, `check` says so.

mod accounts;
mod components;
mod fixes;
mod ids;
mod listeners;
mod nothing_applied;
mod row;
mod settings;
mod sources;
mod tables;

use std::sync::Arc;

use tokio::sync::Semaphore;

use row::{Outcome, Row};

/// How many rows are tried at once: more only wait for the processor.
const AT_ONCE: usize = 8;

/// Fewer set-ups than this would not be the table that the guide speaks of.
const BROKEN_MIN: usize = 60;

fn all() -> Vec<Row> {
    [tables::rows(), accounts::rows(), sources::rows(), settings::rows(), components::rows()]
        .into_iter()
        .flatten()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_would_keep_a_run_from_going_on_is_found_by_the_check_in_the_same_words() {
    let rows = all();
    let is_broken = |row: &&Row| matches!(row.outcome, Outcome::Stops(..) | Outcome::Ends(..));
    let broken = rows.iter().filter(is_broken).count();
    assert!(broken >= BROKEN_MIN, "{broken} broken set-ups");
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let only = std::env::var("ROW").unwrap_or_default();
    let trials: Vec<_> = rows
        .into_iter()
        .filter(|row| row.name.contains(&only))
        .map(|row| {
            let room = room.clone();
            let name = format!("{} ({})", row.name, row.server.name());
            let runtime = tokio::runtime::Handle::current();
            // The commands of a row are waited for, which would keep a worker from all others.
            let trial = tokio::task::spawn_blocking(move || {
                let _room = runtime.block_on(room.acquire()).expect("it stays open");
                runtime.block_on(row.hold())
            });
            (name, trial)
        })
        .collect();
    let mut wrong = vec![];
    for (name, trial) in trials {
        match trial.await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => wrong.push(format!("{name}: {why}")),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{} rows do not agree:\n\n{}", wrong.len(), wrong.join("\n\n"));
}
