//! Aggregates that are nothing but their events, on the same outbox. It must keep its documents:
//! `acknowledge = "keep"`.

use bson::{Bson, Document, doc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::is_duplicate;
use crate::{Cause, Error, Event, Outbox, Result, Written};

#[derive(Debug, Clone)]
pub struct Store<'o> {
    pub outbox: &'o Outbox,
}

impl Store<'_> {
    /// The state that events make of a start, or of the newest snapshot, and its sequence: 0 where there are none.
    pub async fn load<S: DeserializeOwned>(
        &self,
        aggregate_type: &str,
        aggregate_id: impl Into<Bson>,
        start: S,
        apply: impl Fn(S, &Document) -> S,
    ) -> Result<(S, i64)> {
        let key = key(aggregate_type, aggregate_id.into());
        let newest = self.outbox.snapshots().find_one(doc! { "_id": key.clone() }).await?;
        let (mut state, mut sequence) = match newest {
            Some(mut newest) => {
                let state = newest.remove("state").unwrap_or(Bson::Null);
                (bson::deserialize_from_bson(state)?, number(&newest)?)
            }
            None => (start, 0),
        };
        let mut after = key;
        after.insert("sequence", doc! { "$gt": sequence });
        let mut events = self.outbox.events().find(after).sort(doc! { "sequence": 1 }).await?;
        while events.advance().await? {
            let event = events.deserialize_current()?;
            sequence = number(&event)?;
            state = apply(state, &event);
        }
        Ok((state, sequence))
    }

    /// Adds events, their types and payloads, to an aggregate that is at the sequence. The result is the sequence it
    /// is at then.
    pub async fn append(
        &self,
        aggregate: (&str, Bson),
        sequence: i64,
        events: &[(&str, Document)],
        cause: &Cause,
    ) -> Result<Written<i64>> {
        let context = (aggregate, sequence, events);
        self.outbox
            .with_outbox(cause, context, |mut transaction, ((kind, id), sequence, events)| {
                Box::pin(async move {
                    let mut collection = transaction.collection::<Document>("outbox");
                    let last =
                        collection.find_one(key(kind, id.clone())).sort(doc! { "sequence": -1 }).await?;
                    let now = last.as_ref().map_or(Ok(0), number)?;
                    if now != *sequence {
                        return Err(Error::Conflict(format!(
                            "{kind}/{id} is at sequence {now}, not {sequence}"
                        )));
                    }
                    let numbered = events.iter().zip(now + 1..);
                    let event = |((event_type, payload), number): (&(&str, Document), i64)| {
                        Event::new(event_type, kind, id.clone(), number, payload.clone())
                    };
                    let happened: Vec<Event> = numbered.map(event).collect();
                    let then = happened.last().map_or(now, |event| event.sequence);
                    Ok((then, happened))
                })
            })
            .await
    }

    /// Keeps a state for the next load, unless there is a newer one.
    pub async fn snapshot(
        &self,
        aggregate_type: &str,
        aggregate_id: impl Into<Bson>,
        sequence: i64,
        state: &impl Serialize,
    ) -> Result<()> {
        let key = key(aggregate_type, aggregate_id.into());
        let older = doc! { "_id": key, "sequence": { "$lt": sequence } };
        let newest = doc! { "sequence": sequence, "state": bson::serialize_to_bson(state)? };
        match self.outbox.snapshots().replace_one(older, newest).upsert(true).await {
            Err(error) if is_duplicate(&error) => Ok(()),
            result => result.map(|_| ()).map_err(Into::into),
        }
    }
}

fn key(aggregate_type: &str, aggregate_id: Bson) -> Document {
    doc! { "aggregateType": aggregate_type, "aggregateId": aggregate_id }
}

/// The sequence of an event or a snapshot.
fn number(document: &Document) -> Result<i64> {
    let value = document.get("sequence").unwrap_or(&Bson::Null);
    let whole = value.as_i64().or_else(|| value.as_i32().map(i64::from));
    whole.ok_or_else(|| Error::InvalidEvent(format!("`sequence` is {value}, not an integer")))
}
