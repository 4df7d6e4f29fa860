//! Transfers: each step is one transaction that changes an account and the process together. Whoever dies between two
//! steps leaves one that is found and ended by the next start.

use bson::{Document, doc};
use futures_util::TryStreamExt;
use outbox::{Cause, Error, Event, Result, Store, Transaction, Written};

use super::Bank;
use crate::domain::{Process, Step, Transfer, TransferEvent};
use crate::infrastructure::documents::{
    ON_THEIR_WAY, TRANSFER, arrive, load, of_transfer, save, set_out, to_transfer,
};

/// How often somebody else may be faster with the same step.
const ATTEMPTS: u32 = 20;

/// A step to be done: of which transfer, and how many events it has.
struct Due<'a> {
    id: &'a str,
    sequence: i64,
    step: Step,
}

impl Bank {
    /// Asks for a transfer and carries it out. The same id is the same transfer, however often it is sent.
    pub async fn transfer(&self, cause: &Cause, id: &str, transfer: Transfer) -> Result<Process> {
        self.request(cause, id, transfer).await?;
        self.advance(cause, id).await
    }

    /// Asks for it only.
    pub async fn request(&self, cause: &Cause, id: &str, transfer: Transfer) -> Result<Written<()>> {
        let requested = transfer.clone().request().map_err(Error::refused)?;
        let cause = Cause { command: Some(format!("{TRANSFER}/{id}")), ..cause.clone() };
        self.outbox
            .with_outbox(&cause, (id, transfer, requested), |mut transaction, (id, transfer, requested)| {
                Box::pin(async move {
                    load(&mut transaction, &transfer.from).await?;
                    load(&mut transaction, &transfer.to).await?;
                    set_out(&mut transaction, id, transfer).await?;
                    Ok(((), vec![of_transfer(id, 1, requested)?]))
                })
            })
            .await
    }

    /// Does what is left to do of a transfer, and says how it ended.
    pub async fn advance(&self, cause: &Cause, id: &str) -> Result<Process> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.advance_once(cause, id).await {
                Ok(Some(process)) => return Ok(process),
                Ok(None) => {}
                // Somebody else has done it.
                Err(Error::Conflict(_)) if attempts < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Does the next step, or says how the transfer ended.
    pub async fn advance_once(&self, cause: &Cause, id: &str) -> Result<Option<Process>> {
        let (process, sequence) = self.process(id).await?;
        let Some(step) = process.next() else { return Ok(Some(process)) };
        self.step(cause, Due { id, sequence, step }).await?;
        Ok(None)
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
