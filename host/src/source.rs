//! The write side: reads the outbox of a MongoDB replica set, first its history, then its change stream.
//!
//! The only user of `mongodb`. It hands out deliveries in order and never drops one; what becomes of them is
//! not its business, and it writes nothing.

pub mod connection;
mod history;
mod tail;
mod reply;
pub mod decode;
mod json;
#[cfg(test)]
mod random;
mod error;

use std::time::Duration;

use crate::event::Delivery;
use crate::failure::Failure;
use crate::position::{ClusterTime, Position};

pub use connection::{Outbox, OutboxOptions, SourceIdentity};
pub use decode::{Decoder, Fields};

use history::History;
use tail::Tail;

/// How long the server waits for a new event before it answers with an empty batch. It bounds how soon a stop
/// is noticed and how often an idle stream tells its position; latency does not depend on it.
pub const AWAIT: Duration = Duration::from_millis(500);

/// What the source has to tell: deliveries in order, and the position behind the last of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    pub deliveries: Vec<Delivery>,
    pub position: Position,
}

/// Reads the outbox from a position onwards.
pub struct OutboxReader {
    outbox: Outbox,
    decoder: Decoder,
    place: Place,
}

/// What is open at MongoDB.
enum Place {
    Nothing,
    History(Box<History>),
    Stream(Box<Tail>),
}

impl OutboxReader {
    pub fn new(outbox: Outbox, decoder: Decoder) -> Self {
        Self { outbox, decoder, place: Place::Nothing }
    }

    /// Opens whatever has to be read behind `from`. Whatever was open before is closed.
    pub async fn open(&mut self, from: &Position) -> Result<(), Failure> {
        self.place = Place::Nothing;
        self.place = match from {
            Position::Scan { start, key, beside } => {
                let behind = key.as_ref().map(|key| (key, *beside));
                Place::History(Box::new(History::open(&self.outbox, &self.decoder, start, behind).await?))
            }
            Position::Stream { token } => Place::Stream(Box::new(Tail::open(&self.outbox, token).await?)),
        };
        Ok(())
    }

    /// The next deliveries; without any after about [`AWAIT`] when there are none. After a failure the reader
    /// has to be opened again, behind the last feed it gave.
    pub async fn next(&mut self) -> Result<Feed, Failure> {
        let read = match &mut self.place {
            Place::Nothing => {
                Err(Failure::SourceUnavailable { message: "the reader is not open".to_owned() })
            }
            Place::History(history) => history.next(&self.decoder).await,
            Place::Stream(tail) => tail.next(&self.decoder).await,
        };
        match read {
            Ok(feed) => {
                if let (Place::History(_), Position::Stream { token }) = (&self.place, &feed.position) {
                    self.place = Place::Stream(Box::new(Tail::open(&self.outbox, token).await?));
                }
                Ok(feed)
            }
            Err(failure) => {
                self.place = Place::Nothing;
                Err(failure)
            }
        }
    }

    /// The source's own time: of its newest majority-committed write.
    pub async fn now(&self) -> Result<ClusterTime, Failure> {
        self.outbox.now().await
    }
}
