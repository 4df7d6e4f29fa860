//! The recorded events: read as a host reads history, and decoded once more to see what of the time that is.

use std::time::{Duration, Instant};

use bson::RawDocument;

use crate::event::Delivery;
use crate::position::Position;
use crate::servers::Servers;
use crate::source::OutboxReader;

pub struct Recorded {
    pub deliveries: Vec<Delivery>,
    /// Where the reading began.
    pub begin: Position,
    /// The time for reading without that for decoding.
    pub read: Duration,
    pub decode: Duration,
}

impl Recorded {
    /// Reads history until it ends, or there are as many events as wanted.
    pub async fn read(servers: &Servers, events_max: usize) -> anyhow::Result<Self> {
        let start = servers.outbox.current_token().await?;
        let begin = Position::Scan { start, key: None, beside: 0 };
        let mut reader = OutboxReader::new(servers.outbox.clone(), servers.decoder.clone());
        let asked = Instant::now();
        reader.open(&begin).await?;
        let mut deliveries = Vec::new();
        while deliveries.len() < events_max {
            let feed = reader.next().await?;
            deliveries.extend(feed.deliveries);
            if matches!(feed.position, Position::Stream { .. }) {
                break;
            }
        }
        let (took, read) = (asked.elapsed(), deliveries.len());
        deliveries.truncate(events_max);
        let decoding = Instant::now();
        for delivery in &deliveries {
            if let Ok(document) = RawDocument::from_bytes(&delivery.document) {
                let _ = std::hint::black_box(servers.decoder.decode(document));
            }
        }
        let decode = decoding.elapsed();
        // A page may have had more than what is kept.
        let took = took.mul_f64(share(deliveries.len(), read));
        Ok(Self { deliveries, begin, read: took.saturating_sub(decode), decode })
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of events")]
fn share(of: usize, all: usize) -> f64 {
    of as f64 / all.max(1) as f64
}
