//! Accounts and transfers as documents: the only place that knows how they are stored.

use bson::{Document, doc};
use outbox::{Error, Event, Result, Transaction};

use crate::Change;
use crate::domain::{Account, Refusal, Transfer, TransferEvent};
use crate::event::AGGREGATE_TYPE;

pub const ACCOUNTS: &str = "accounts";

/// Transfers that are on their way, so that they are found again after a crash.
pub const ON_THEIR_WAY: &str = "transfers";

pub const TRANSFER: &str = "transfer";

/// Where the event of an account says which transfer it belongs to.
pub const OF_TRANSFER: &str = "metadata.transfer";

/// An account as it was read, with the sequence that a change follows.
pub struct Loaded {
    id: String,
    sequence: i64,
    pub account: Account,
}

/// Reads an account within a transaction.
pub async fn load(transaction: &mut Transaction<'_>, id: &str) -> Result<Loaded> {
    let found = transaction.collection::<Document>(ACCOUNTS).find_one(doc! { "_id": id }).await?;
    let found = found.ok_or_else(|| Error::refused(Refusal::Unknown(id.to_owned())))?;
    let sequence = found.get_i64("sequence")?;
    Ok(Loaded { id: id.to_owned(), sequence, account: bson::deserialize_from_document(found)? })
}

/// Writes a new account, and gives the event that says so.
pub async fn add(
    transaction: &mut Transaction<'_>,
    id: &str,
    account: &Account,
    change: &Change,
) -> Result<Event> {
    let mut document = doc! { "_id": id };
    document.extend(bson::serialize_to_document(account)?);
    let created = transaction.create(ACCOUNTS, document).await?;
    let mut payload = change.payload();
    payload.extend(doc! { "currency": created.get("currency") });
    Ok(Event::new(change.event_type(), AGGREGATE_TYPE, id, created.get_i64("sequence")?, payload))
}

/// Writes what a decision made of an account, and gives the event that says so.
pub async fn save(transaction: &mut Transaction<'_>, loaded: &Loaded, change: &Change) -> Result<Event> {
    let Loaded { id, sequence, account } = loaded;
    let fields = doc! { "$set": bson::serialize_to_document(account)? };
    let saved = transaction.change(ACCOUNTS, id, Some(*sequence), fields).await?;
    let sequence = saved.get_i64("sequence")?;
    Ok(Event::new(change.event_type(), AGGREGATE_TYPE, id.as_str(), sequence, change.payload()))
}

/// Whether money is on its way to or from an account.
pub async fn is_in_transit(transaction: &mut Transaction<'_>, id: &str) -> Result<bool> {
    let of_it = doc! { "$or": [{ "from": id }, { "to": id }] };
    Ok(transaction.collection::<Document>(ON_THEIR_WAY).find_one(of_it).await?.is_some())
}

pub async fn set_out(transaction: &mut Transaction<'_>, id: &str, transfer: &Transfer) -> Result<()> {
    let document = doc! { "_id": id, "from": &transfer.from, "to": &transfer.to };
    transaction.collection(ON_THEIR_WAY).insert_one(&document).await?;
    Ok(())
}

pub async fn arrive(transaction: &mut Transaction<'_>, id: &str) -> Result<()> {
    transaction.collection::<Document>(ON_THEIR_WAY).delete_one(doc! { "_id": id }).await?;
    Ok(())
}

/// The event of a transfer.
pub fn of_transfer(id: &str, sequence: i64, event: &TransferEvent) -> Result<Event> {
    let document = bson::serialize_to_document(event)?;
    let payload = document.get_document("payload")?.clone();
    Ok(Event::new(document.get_str("type")?, TRANSFER, id, sequence, payload))
}

/// What the document of an event says.
pub fn to_transfer(event: &Document) -> Option<TransferEvent> {
    let (name, payload) = (event.get("type")?, event.get("payload")?);
    bson::deserialize_from_document(doc! { "type": name, "payload": payload }).ok()
}
