//! A listener's connections: how many there are, how long each may be silent, and which one gives way to a new one. It
//! does not look at what is asked. The only user of `hyper`.
//!
//! A connection that is refused would be one of a health check. So every connection is taken; where there are too many, the
//! one that has been silent for longest is closed, or the new one waits until one is, or has its answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

/// How long a connection may take until a request's header has come, from its begin or from the answer before.
const HEADER_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest header, in bytes, and how many lines it may have.
const HEADER_BYTES_MAX: usize = 16 << 10;
const HEADER_LINES_MAX: usize = 64;

/// How long a client may take nothing of an answer: who does not read keeps a place from others.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);

/// How long connections may go on at a stop.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a connection may be silent however many wait: whoever has just come is about to ask.
const SILENCE_MIN: Duration = Duration::from_millis(500);

/// How long taking a connection waits where there is no room for one.
const ROOM_INTERVAL: Duration = Duration::from_millis(100);

/// Whose request it is: the other end of its connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Serves at most so many connections until a stop is asked for, and those that are open a moment longer.
pub async fn serve(listener: TcpListener, router: Router, connections_max: usize, stop: CancellationToken) {
    let (began, tasks) = (Instant::now(), JoinSet::new());
    let mut open = Open { began, connections_max, tasks, activities: HashMap::new() };
    let mut next = None;
    loop {
        if let Some((stream, peer)) = next.take_if(|_| open.makes_room()) {
            open.take(stream, Peer(peer), &router, &stop);
        }
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = open.tasks.join_next_with_id(), if !open.tasks.is_empty() => {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                open.activities.remove(&id);
            }
            () = tokio::time::sleep(ROOM_INTERVAL), if next.is_some() => {}
            accepted = listener.accept(), if next.is_none() => match accepted {
                Ok(accepted) => next = Some(accepted),
                Err(error) => {
                    tracing::debug!("the endpoint cannot take a connection: {error}");
                    open.close_most_silent();
                    stop.run_until_cancelled(tokio::time::sleep(ROOM_INTERVAL)).await;
                }
            }
        }
    }
    let all_closed = async { while open.tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(FAREWELL, all_closed).await;
}

/// The connections that are open.
struct Open {
    began: Instant,
    connections_max: usize,
    tasks: JoinSet<()>,
    activities: HashMap<Id, (AbortHandle, Arc<ConnectionState>)>,
}

/// What a connection does.
#[derive(Default)]
struct ConnectionState {
    /// When it was last asked something or answered, in microseconds since the endpoint began.
    active_at: AtomicU64,
    is_answering: AtomicBool,
}

impl Open {
    fn take(&mut self, stream: TcpStream, peer: Peer, router: &Router, stop: &CancellationToken) {
        let activity = Arc::new(ConnectionState::default());
        let began = self.began;
        activity.active_at.store(micros(began), Ordering::Relaxed);
        let (router, stop) = (router.clone(), stop.clone());
        let handle = self.tasks.spawn(converse(stream, peer, router, began, activity.clone(), stop));
        self.activities.insert(handle.id(), (handle, activity));
    }

    /// Returns true where there is room for one more, if need be in the place of the one that has been silent for longest.
    fn makes_room(&mut self) -> bool {
        self.activities.len() < self.connections_max || self.close_most_silent()
    }

    /// Closes the connection that has been silent for longest, if one has been for long enough.
    fn close_most_silent(&mut self) -> bool {
        let silent_since = |state: &ConnectionState| {
            let active_at = state.active_at.load(Ordering::Relaxed);
            (!state.is_answering.load(Ordering::Relaxed)).then_some(active_at)
        };
        let silent = self.activities.iter().filter_map(|(id, (_, state))| Some((silent_since(state)?, *id)));
        let Some((since, id)) = silent.min_by_key(|(since, _)| *since) else { return false };
        let is_long = Duration::from_micros(micros(self.began).saturating_sub(since)) >= SILENCE_MIN;
        if is_long && let Some((handle, _)) = self.activities.remove(&id) {
            handle.abort();
        }
        is_long
    }
}

/// Answers what comes over one connection.
async fn converse(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    began: Instant,
    activity: Arc<ConnectionState>,
    stop: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
        activity.active_at.store(micros(began), Ordering::Relaxed);
        activity.is_answering.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(peer);
        let answer = router.call(request);
        let activity = &activity;
        async move {
            let answer = answer.await;
            activity.active_at.store(micros(began), Ordering::Relaxed);
            activity.is_answering.store(false, Ordering::Relaxed);
            answer
        }
    });
    let mut stream = Box::pin(TimeoutStream::new(stream));
    stream.as_mut().set_write_timeout_pinned(Some(SEND_TIMEOUT));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADER_LINES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A client that goes away or sends what is no HTTP is nobody's trouble.
    tokio::select! {
        ended = connection.as_mut() => drop(ended),
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
