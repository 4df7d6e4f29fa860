//! Transfers: each step is one transaction that changes an account and the process together. Whoever dies between two
//! steps leaves one that is found and ended by the next start.

use bson::{Document, Uuid, doc};
use futures_util::TryStreamExt;
use outbox::{Cause, Error, Event, Result, Store, Transaction, Written};

use super::Bank;
use crate::domain::{Process, Step, Transfer, TransferEvent};
use crate::infrastructure::documents::{
    OF_TRANSFER, ON_THEIR_WAY, TRANSFER, arrive, load, of_transfer, save, set_out, to_transfer,
};

/// How often somebody else may be faster with the same step.
const ATTEMPTS: u32 = 20;

/// A step to be done: of which transfer, and how many events it has.
struct Due<'a> {
    id: &'a str,
    sequence: i64,
    step: Step,
}

/// How a transfer ended, and the events it left, its own and those of the accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transferred {
    pub process: Process,
    pub events: Vec<Uuid>,
}

/// What one look at a transfer came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advance {
    /// A step was done, and there may be more.
    Step,
    End(Process),
}

impl Bank {
    /// Asks for a transfer and carries it out. The same id is the same transfer, however often it is sent; another
    /// transfer of the same id is a conflict.
    pub async fn transfer(&self, cause: &Cause, id: &str, transfer: Transfer) -> Result<Transferred> {
        self.request(cause, id, transfer).await?;
        let process = self.advance(cause, id).await?;
        Ok(Transferred { process, events: self.events_of(id).await? })
    }

    /// Asks for it only.
    pub async fn request(&self, cause: &Cause, id: &str, transfer: Transfer) -> Result<Written<Transfer>> {
        let requested = transfer.clone().request().map_err(Error::refused)?;
        let cause = Cause { command: Some(format!("{TRANSFER}/{id}")), ..cause.clone() };
        let context = (id, &transfer, requested);
        let written = self
            .outbox
            .with_outbox(&cause, context, |mut transaction, (id, transfer, requested)| {
                Box::pin(async move {
                    load(&mut transaction, &transfer.from).await?;
                    load(&mut transaction, &transfer.to).await?;
                    set_out(&mut transaction, id, transfer).await?;
                    Ok(((*transfer).clone(), vec![of_transfer(id, 1, requested)?]))
                })
            })
            .await?;
        if written.result != transfer {
            return Err(Error::Conflict(format!("`{id}` is another transfer already: take another id")));
        }
        Ok(written)
    }

    /// The events of a transfer, and those of accounts that belong to it.
    async fn events_of(&self, id: &str) -> Result<Vec<Uuid>> {
        let own = doc! { "aggregateType": TRANSFER, "aggregateId": id };
        let all = doc! { "$or": [own, { OF_TRANSFER: id }] };
        let found = self.outbox.events().find(all).projection(doc! { "_id": 1 }).await?;
        let found: Vec<Document> = found.try_collect().await?;
        found.iter().map(|event| Ok(bson::deserialize_from_bson(event["_id"].clone())?)).collect()
    }

    /// Does what is left to do of a transfer, and says how it ended.
    pub async fn advance(&self, cause: &Cause, id: &str) -> Result<Process> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.advance_once(cause, id).await {
                Ok(Advance::End(process)) => return Ok(process),
                Ok(Advance::Step) => {}
                // Somebody else has done it.
                Err(Error::Conflict(_)) if attempts < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Does the next step, or says how the transfer ended.
    pub async fn advance_once(&self, cause: &Cause, id: &str) -> Result<Advance> {
        let (process, sequence) = self.process(id).await?;
        let Some(step) = process.next() else { return Ok(Advance::End(process)) };
        self.step(cause, Due { id, sequence, step }).await?;
        Ok(Advance::Step)
    }

    pub async fn process(&self, id: &str) -> Result<(Process, i64)> {
        let apply = |process: Process, event: &Document| match to_transfer(event) {
            Some(event) => process.apply(event),
            None => process,
        };
        Store { outbox: &self.outbox }.load(TRANSFER, id, Process::default(), apply).await
    }

    /// Ends all transfers that are on their way.
    pub async fn resume(&self) -> Result<()> {
        let open = self.outbox.database().collection::<Document>(ON_THEIR_WAY).find(doc! {}).await?;
        let open: Vec<Document> = open.try_collect().await?;
        for transfer in open {
            self.advance(&Cause::default(), transfer.get_str("_id")?).await?;
        }
        Ok(())
    }

    async fn step(&self, cause: &Cause, due: Due<'_>) -> Result<Written<()>> {
        // The next event's number is taken once, so a step is done once.
        let cause = Cause { command: None, ..cause.clone() };
        self.outbox
            .with_outbox(&cause, due, |mut transaction, Due { id, sequence, step }| {
                Box::pin(async move {
                    let (happened, moved) = match step {
                        Step::Debit(transfer) => debit(&mut transaction, transfer).await?,
                        Step::Credit(transfer) => credit(&mut transaction, transfer).await?,
                    };
                    if !matches!(happened, TransferEvent::TransferDebited {}) {
                        arrive(&mut transaction, id).await?;
                    }
                    let mut events = vec![of_transfer(id, *sequence + 1, &happened)?];
                    events.extend(moved.map(|mut event| {
                        event.metadata.insert(TRANSFER, *id);
                        event
                    }));
                    Ok(((), events))
                })
            })
            .await
    }
}

/// The money leaves its account, or the transfer is refused.
async fn debit(
    transaction: &mut Transaction<'_>,
    transfer: &Transfer,
) -> Result<(TransferEvent, Option<Event>)> {
    let mut from = load(transaction, &transfer.from).await?;
    match from.account.withdraw(transfer.money) {
        Ok(change) => Ok((TransferEvent::TransferDebited {}, Some(save(transaction, &from, &change).await?))),
        Err(why) => Ok((TransferEvent::TransferRefused { why: why.to_string() }, None)),
    }
}

/// The money reaches the other account, or comes back: its own is open, as none ends while a transfer is on its way.
async fn credit(
    transaction: &mut Transaction<'_>,
    transfer: &Transfer,
) -> Result<(TransferEvent, Option<Event>)> {
    let mut to = load(transaction, &transfer.to).await?;
    match to.account.deposit(transfer.money) {
        Ok(change) => Ok((TransferEvent::TransferCompleted {}, Some(save(transaction, &to, &change).await?))),
        Err(why) => {
            let mut from = load(transaction, &transfer.from).await?;
            let change = from.account.deposit(transfer.money).map_err(Error::refused)?;
            let event = save(transaction, &from, &change).await?;
            Ok((TransferEvent::TransferReturned { why: why.to_string() }, Some(event)))
        }
    }
}
