//! Writes accounts and their events: the outbox pattern, as it should be copied. The only user of the driver here.

use bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, Result, WriteFailure};
use mongodb::options::IndexOptions;
use mongodb::{Client, ClientSession, Collection, Database, IndexModel};

use crate::{Change, Event};

/// How many documents go into one insert of history.
const HISTORY_CHUNK: usize = 1_000;

const DUPLICATE_KEY: i32 = 11_000;
const NAMESPACE_EXISTS: i32 = 48;

/// The bank's two collections: `accounts` and `outbox`.
#[derive(Debug, Clone)]
pub struct Writer {
    client: Client,
    database: Database,
    accounts: Collection<Document>,
    outbox: Collection<Document>,
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Now,
    /// An earlier attempt had succeeded, although its caller did not get to know.
    Before,
}

/// The account is not in the state that the event follows: another writer was faster. Read it again, and decide
/// again. Found with [`Error::get_custom`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub account_id: String,
    pub sequence: i64,
}

impl Writer {
    pub fn new(client: &Client, database: &str) -> Self {
        let client = client.clone();
        let database = client.database(database);
        let (accounts, outbox) = (database.collection("accounts"), database.collection("outbox"));
        Self { client, database, accounts, outbox }
    }

    /// Creates the collections, and the index that keeps an account's sequence without doubles. Laterna reads history
    /// in its order.
    pub async fn prepare(&self) -> Result<()> {
        for name in ["accounts", "outbox"] {
            match self.database.create_collection(name).await {
                Err(error) if code(&error) == Some(NAMESPACE_EXISTS) => {}
                result => result?,
            }
        }
        let keys = doc! { "aggregateType": 1, "aggregateId": 1, "sequence": 1 };
        let unique = IndexOptions::builder().unique(true).build();
        self.outbox.create_index(IndexModel::builder().keys(keys).options(unique).build()).await?;
        Ok(())
    }

    /// Writes events and what they do to their accounts in one transaction: all of it or nothing.
    ///
    /// The driver repeats the transaction on `TransientTransactionError` and the commit on
    /// `UnknownTransactionCommitResult`, for up to two minutes. After any error but a [`Conflict`], the same call
    /// can be made again: where the first one had succeeded after all, the events' ids show it.
    pub async fn write(&self, events: &[Event]) -> Result<Written> {
        let mut session = self.client.start_session().await?;
        let written = session
            .start_transaction()
            .and_run((self, events), |session, (writer, events)| {
                Box::pin(async move {
                    // Both through the same session: this is the whole pattern.
                    writer.insert_events(session, events).await?;
                    writer.change_accounts(session, events).await
                })
            })
            .await;
        match written {
            Ok(()) => Ok(Written::Now),
            Err(error) if code(&error) == Some(DUPLICATE_KEY) => self.written_before(events).await,
            Err(error) => Err(error),
        }
    }

    /// Something has a key of these events: an earlier attempt, if they are there; otherwise another writer was faster, whose
    /// event has the sequence.
    async fn written_before(&self, events: &[Event]) -> Result<Written> {
        for event in events {
            if self.outbox.find_one(doc! { "_id": event.id }).await?.is_none() {
                let Event { account_id, sequence, .. } = event.clone();
                return Err(Error::custom(Conflict { account_id, sequence }));
            }
        }
        Ok(Written::Before)
    }

    async fn insert_events(&self, session: &mut ClientSession, events: &[Event]) -> Result<()> {
        self.outbox.insert_many(events.iter().map(Event::document)).session(session).await?;
        Ok(())
    }

    /// Each change asks for the sequence before it, so that no two writers can follow the same state.
    async fn change_accounts(&self, session: &mut ClientSession, events: &[Event]) -> Result<()> {
        for event in events {
            let before = doc! { "_id": &event.account_id, "sequence": event.sequence - 1 };
            let changed = match &event.change {
                Change::Opened { .. } => {
                    let account = opened(event);
                    match self.accounts.insert_one(account).session(&mut *session).await {
                        Ok(_) => 1,
                        Err(error) if code(&error) == Some(DUPLICATE_KEY) => 0,
                        Err(error) => return Err(error),
                    }
                }
                Change::Closed => {
                    self.accounts.delete_one(before).session(&mut *session).await?.deleted_count
                }
                _ => {
                    let update = self.accounts.update_one(before, changed(event));
                    update.session(&mut *session).await?.matched_count
                }
            };
            if changed == 0 {
                return Err(Error::custom(Conflict {
                    account_id: event.account_id.clone(),
                    sequence: event.sequence,
                }));
            }
        }
        Ok(())
    }

    /// Writes outbox documents only, many at a time: a past for tests and measurements.
    pub async fn insert_history(&self, events: impl IntoIterator<Item = Event>) -> Result<()> {
        let mut documents = events.into_iter().map(|event| event.document()).peekable();
        while documents.peek().is_some() {
            self.outbox.insert_many(documents.by_ref().take(HISTORY_CHUNK)).await?;
        }
        Ok(())
    }
}

/// A new account.
fn opened(event: &Event) -> Document {
    let mut account = doc! { "_id": &event.account_id, "openedAt": event.occurred_at };
    account.extend(fields(event));
    account
}

/// What an event changes of its account.
fn changed(event: &Event) -> Document {
    doc! { "$set": fields(event) }
}

fn fields(event: &Event) -> Document {
    let mut fields = doc! { "sequence": event.sequence, "updatedAt": event.occurred_at };
    if let Change::Opened { owner, .. } | Change::Renamed { owner } = &event.change {
        fields.insert("owner", owner);
    }
    if let Some(balance_cents) = event.change.balance_cents() {
        fields.insert("balanceCents", balance_cents);
    }
    fields
}

/// The server's code for an error, where it has one.
fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::InsertMany(insert) => insert.write_errors.as_ref()?.first().map(|error| error.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_can_run_in_a_task_of_its_own() {
        fn check<F: Future + Send>(_: fn(&'static Writer, &'static [Event]) -> F) {}
        check(super::Writer::write);
        check(|writer, _| writer.insert_history(Vec::new()));
    }
}
