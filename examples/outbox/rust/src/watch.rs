//! The classic mistake, a write inside of a transaction's function that is not in the transaction, is noticed: the
//! driver tells of each command before it is sent, in the task that asks for it.

use std::sync::{Arc, Mutex, PoisonError};

use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;

use crate::{Error, Result};

const WRITES: [&str; 5] = ["insert", "update", "delete", "findAndModify", "bulkWrite"];

type Mistake = Arc<Mutex<Option<String>>>;

tokio::task_local! {
    static RUNNING: Mistake;
}

/// What the client tells its commands to.
pub fn watch() -> EventHandler<CommandEvent> {
    EventHandler::callback(|event| {
        let CommandEvent::Started(started) = event else { return };
        if !WRITES.contains(&started.command_name.as_str()) || started.command.contains_key("autocommit") {
            return;
        }
        let place = started.command.get_str(&started.command_name).unwrap_or_default();
        let said = format!(
            "`{}` on `{place}` was not in the transaction, and stays: use the transaction's own collections",
            started.command_name
        );
        // Outside of a transaction's function anybody may write.
        let _ = RUNNING.try_with(|mistake| {
            mistake.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(said);
        });
    })
}

/// Runs what a transaction consists of; fails when that wrote outside of it, even if it hides it.
pub async fn in_transaction<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mistake = Mistake::default();
    let done = RUNNING.scope(mistake.clone(), work).await;
    let noticed = mistake.lock().unwrap_or_else(PoisonError::into_inner).take();
    noticed.map_or(done, |said| Err(Error::SessionLeftOut(said)))
}
