//! A part of what the outbox holds: the events of one aggregate, or those up to a moment.

use crate::event::{Delivery, Named};
use crate::failure::Failure;
use crate::pipeline::ports::Source;
use crate::position::Position;
use crate::readmodel::control::generation::HistoryFilter;
use crate::source::Feed;

/// A source that leaves out what does not belong to a part. Positions stay as they are.
pub struct FilteredSource<S> {
    source: S,
    part: HistoryFilter,
    aggregate: Option<Named>,
}

impl<S> FilteredSource<S> {
    pub fn new(source: S, part: HistoryFilter) -> Self {
        // Whatever is no name is one that fits nothing.
        let named = |text: &String| text.parse().unwrap_or_else(|_| Named::Reads(text.clone()));
        let aggregate = part.aggregate.as_ref().map(named);
        Self { source, part, aggregate }
    }
}

impl<S: Source> Source for FilteredSource<S> {
    async fn open(&mut self, from: &Position) -> Result<(), Failure> {
        self.source.open(from).await
    }

    async fn next(&mut self) -> Result<Feed, Failure> {
        let mut feed = self.source.next().await?;
        if !self.part.is_all() {
            feed.deliveries.retain(|delivery| self.belongs(delivery));
        }
        Ok(feed)
    }
}

impl<S> FilteredSource<S> {
    /// An event without a time, or a document that is none, belongs to no part up to a moment; one whose aggregate cannot be
    /// read belongs to no aggregate.
    fn belongs(&self, delivery: &Delivery) -> bool {
        let fits = |named: &Named| delivery.aggregate().is_some_and(|aggregate| named.fits(aggregate));
        let occurred = |until: &String| {
            let event = delivery.event.as_ref().ok()?;
            // Both are RFC 3339 in UTC with milliseconds, so their order is that of their texts.
            event.occurred_at.as_ref().map(|at| at.as_str() <= until.as_str())
        };
        let until = self.part.until.as_ref();
        self.aggregate.as_ref().is_none_or(fits) && until.is_none_or(|until| occurred(until) == Some(true))
    }
}
