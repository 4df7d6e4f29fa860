//! One change stream for all projections of a host that are at its live end: each cursor costs MongoDB as much as the next.
//!
//! Whoever comes to the live end second hands its cursor over, and everybody there subscribes. The stream waits for
//! nobody: a projection that takes too little leaves, reads for itself, and joins again when it has caught up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::stale_member::StaleMember;
use super::tail::{Tail, token_of};
use super::{Decoder, Feed, Outbox};
use crate::event::Delivery;
use crate::failure::Failure;
use crate::position::{Position, Token};

/// How many bytes may wait for one projection before it has to read for itself.
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// What a reply takes in a queue beside its documents, in bytes: an idle stream has one every half a second.
const FEED_BYTES: usize = 512;

/// The stream that the projections of a host share.
pub struct SharedStream {
    outbox: Outbox,
    decoder: Decoder,
    state: Mutex<SharedState>,
}

#[derive(Default)]
struct SharedState {
    /// How many projections are at the live end with a cursor of their own.
    at_end: usize,
    cursor: Option<SharedCursor>,
}

/// The cursor that is shared now.
struct SharedCursor {
    /// Everything up to here was given to the subscribers.
    position: Token,
    subscribers: Vec<Subscriber>,
}

/// A reply as it waits for each subscriber, or the failure that ended the cursor.
type SharedReply = Result<Arc<SharedFeed>, Failure>;

#[derive(Clone)]
struct SharedFeed {
    feed: Feed,
    /// How many bytes it holds while it waits.
    bytes: usize,
}

struct Subscriber {
    replies: mpsc::UnboundedSender<SharedReply>,
    queued_bytes: Arc<AtomicUsize>,
}

/// A projection's part in the shared stream.
pub struct Subscription {
    replies: mpsc::UnboundedReceiver<SharedReply>,
    queued_bytes: Arc<AtomicUsize>,
    /// The first reply begins here.
    from: Token,
}

/// A place among those at the live end, given back when it is dropped.
pub struct AtEnd(Arc<SharedStream>);

/// How a projection at the live end goes on.
pub enum Meeting {
    /// Its own cursor stays open, until it has come to where a subscription begins.
    Own(Box<Tail>, Option<Subscription>),
    Shared(Subscription),
}

impl SharedStream {
    pub fn new(outbox: Outbox, decoder: Decoder) -> Arc<Self> {
        Arc::new(Self { outbox, decoder, state: Mutex::default() })
    }

    /// Counts a projection that is at the live end with a cursor of its own.
    pub fn arrive(self: &Arc<Self>) -> AtEnd {
        self.lock().at_end += 1;
        AtEnd(self.clone())
    }

    /// Joins the shared stream, begins it with this cursor where others are at the live end, too, or goes on alone.
    ///
    /// It joins a stream that lacks nothing behind its own place, and is not behind that place either.
    pub fn meet(self: &Arc<Self>, tail: Box<Tail>, joining: Option<Subscription>) -> Meeting {
        let mut state = self.lock();
        let at_end = state.at_end;
        if let Some(cursor) = &mut state.cursor {
            let subscribed = joining.filter(|subscription| !subscription.replies.is_closed());
            let subscription = subscribed.unwrap_or_else(|| cursor.subscribe());
            return if cursor.goes_on_from(tail.position(), &subscription) {
                Meeting::Shared(subscription)
            } else {
                Meeting::Own(tail, Some(subscription))
            };
        }
        if at_end < 2 || !tail.has_full_replies() {
            return Meeting::Own(tail, None);
        }
        let mut cursor = SharedCursor { position: tail.position().clone(), subscribers: vec![] };
        let subscription = cursor.subscribe();
        state.cursor = Some(cursor);
        drop(state);
        tokio::spawn(SharedReader(self.clone()).run(tail));
        Meeting::Shared(subscription)
    }

    /// Gives a reply to the subscribers. False when there are none any more, or it was the last.
    fn give(&self, read: Result<Feed, Failure>) -> bool {
        let mut state = self.lock();
        let Some(cursor) = &mut state.cursor else { return false };
        let is_last = read.is_err();
        cursor.give(read);
        !is_last && !cursor.subscribers.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that reads the shared cursor; with it, nothing is shared any more.
struct SharedReader(Arc<SharedStream>);

impl SharedReader {
    async fn run(self, mut tail: Box<Tail>) {
        let SharedStream { outbox, decoder, .. } = &*self.0;
        let mut stale_member = StaleMember::default();
        loop {
            let read = match tail.next(decoder).await {
                Ok(feed) => stale_member.look(outbox, &feed).await.map(|()| feed),
                Err(failure) => Err(failure),
            };
            if !self.0.give(read) {
                return;
            }
        }
    }
}

impl Drop for SharedReader {
    fn drop(&mut self) {
        self.0.lock().cursor = None;
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.0.lock().at_end -= 1;
    }
}

impl SharedCursor {
    /// Returns true where a subscription has all that stands behind a place, and the shared stream is not behind that place.
    fn goes_on_from(&self, here: &Token, subscription: &Subscription) -> bool {
        subscription.from.data <= here.data && self.position.data >= here.data
    }

    /// Gives a reply to the subscribers, and lets those go that are gone, or for which too much waits.
    fn give(&mut self, read: Result<Feed, Failure>) {
        if let Ok(Feed { position: Position::Stream { token }, .. }) = &read {
            self.position.clone_from(token);
        }
        let reply = read.map(|feed| Arc::new(SharedFeed { bytes: held_bytes(&feed), feed }));
        self.subscribers.retain(|subscriber| subscriber.takes(&reply));
    }

    fn subscribe(&mut self) -> Subscription {
        let (sender, replies) = mpsc::unbounded_channel();
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        self.subscribers.push(Subscriber { replies: sender, queued_bytes: queued_bytes.clone() });
        Subscription { replies, queued_bytes, from: self.position.clone() }
    }
}

impl Subscriber {
    /// False when it is gone, or has to go: too much waits for it.
    fn takes(&self, reply: &SharedReply) -> bool {
        let bytes = reply.as_ref().map_or(0, |shared| shared.bytes);
        let before = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let has_room = before == 0 || before + bytes <= QUEUE_BYTES_MAX;
        has_room && self.replies.send(reply.clone()).is_ok()
    }
}

impl Subscription {
    /// The next reply; none when the subscription is over, and what stands behind the last one has to be read otherwise.
    pub async fn next(&mut self, behind: &Token) -> Option<Result<Feed, Failure>> {
        loop {
            let shared = match self.replies.recv().await? {
                Ok(shared) => shared,
                Err(failure) => return Some(Err(failure)),
            };
            self.queued_bytes.fetch_sub(shared.bytes, Ordering::Relaxed);
            if matches!(&shared.feed.position, Position::Stream { token } if token.data < behind.data) {
                continue;
            }
            let mut feed = Arc::unwrap_or_clone(shared).feed;
            let is_known = |delivery: &Delivery| token_of(delivery).data <= behind.data;
            if feed.deliveries.first().is_some_and(is_known) {
                feed.deliveries.retain(|delivery| !is_known(delivery));
            }
            return Some(Ok(feed));
        }
    }
}

/// How many bytes a reply holds while it waits.
fn held_bytes(feed: &Feed) -> usize {
    let deliveries = feed.deliveries.iter().map(Delivery::held_bytes).sum::<usize>();
    FEED_BYTES + feed.position.held_bytes() + deliveries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Undecodable;

    fn token(at: u32) -> Token {
        Token { data: format!("82{at:04}").into(), type_bits: None }
    }

    /// A reply with the documents behind one place, up to another one, each of so many bytes.
    fn feed(from: u32, to: u32, bytes: usize) -> Feed {
        let delivery = |at| Delivery {
            position: Position::Stream { token: token(at) },
            time: None,
            wall_ms: None,
            document: vec![0; bytes].into(),
            event: Err(Undecodable { reason: String::new(), field: None, id: None, aggregate: None }),
        };
        let deliveries = (from + 1..=to).map(delivery).collect();
        Feed { deliveries, position: Position::Stream { token: token(to) } }
    }

    fn cursor(at: u32) -> SharedCursor {
        SharedCursor { position: token(at), subscribers: vec![] }
    }

    /// The places of the documents of the next reply for somebody who has come to a place.
    async fn next(subscription: &mut Subscription, behind: u32) -> Option<Vec<Token>> {
        let feed = subscription.next(&token(behind)).await?.expect("it is no failure");
        let place = |delivery: Delivery| match delivery.position {
            Position::Stream { token } | Position::Scan { start: token, .. } => token,
        };
        Some(feed.deliveries.into_iter().map(place).collect())
    }

    #[tokio::test]
    async fn what_a_subscriber_has_already_is_left_out_and_nothing_else() {
        let mut cursor = cursor(3);
        let mut subscription = cursor.subscribe();
        cursor.give(Ok(feed(3, 5, 1)));
        cursor.give(Ok(feed(5, 9, 1)));
        cursor.give(Ok(feed(9, 9, 1)));
        assert_eq!(next(&mut subscription, 7).await, Some(vec![token(8), token(9)]));
        assert_eq!(next(&mut subscription, 9).await, Some(vec![]), "it hears that the stream is still there");
    }

    #[test]
    fn only_a_stream_without_a_gap_that_is_not_behind_is_joined() {
        let mut cursor = cursor(5);
        let subscription = cursor.subscribe();
        cursor.give(Ok(feed(5, 8, 1)));
        let joins = |here| cursor.goes_on_from(&token(here), &subscription);
        assert_eq!([4, 5, 8, 9].map(joins), [false, true, true, false]);
    }

    #[tokio::test]
    async fn for_whom_too_much_waits_goes_and_gets_what_waits_before() {
        let mut cursor = cursor(0);
        let (mut slow, mut fast) = (cursor.subscribe(), cursor.subscribe());
        let half = QUEUE_BYTES_MAX / 2 + 1;
        cursor.give(Ok(feed(0, 1, half)));
        assert_eq!(next(&mut fast, 0).await.map(|places| places.len()), Some(1));
        cursor.give(Ok(feed(1, 2, half)));
        assert_eq!(cursor.subscribers.len(), 1);
        assert_eq!(next(&mut slow, 0).await, Some(vec![token(1)]));
        assert_eq!(next(&mut slow, 1).await, None, "the rest it has to read for itself");
        assert_eq!(next(&mut fast, 1).await, Some(vec![token(2)]));
        // What is larger than all of the room is taken where nothing else waits.
        cursor.give(Ok(feed(2, 3, 2 * QUEUE_BYTES_MAX)));
        assert_eq!(next(&mut fast, 2).await, Some(vec![token(3)]));
    }

    #[test]
    fn who_takes_nothing_while_nothing_happens_goes_at_last() {
        let mut cursor = cursor(0);
        let _idle = cursor.subscribe();
        for _ in 0..=QUEUE_BYTES_MAX / FEED_BYTES {
            cursor.give(Ok(feed(0, 0, 0)));
        }
        assert!(cursor.subscribers.is_empty());
    }

    #[tokio::test]
    async fn a_failure_is_each_subscribers() {
        let mut cursor = cursor(0);
        let mut subscriptions = [cursor.subscribe(), cursor.subscribe()];
        cursor.give(Err(Failure::SourceUnusable { message: "away".to_owned() }));
        for subscription in &mut subscriptions {
            assert!(matches!(subscription.next(&token(0)).await, Some(Err(Failure::SourceUnusable { .. }))));
        }
    }
}
