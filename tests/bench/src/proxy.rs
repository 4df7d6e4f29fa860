//! A distance: a proxy before a server that hands everything on later, and limits nothing else. It counts how often a
//! client spoke after its server did: the turns, each of which took a round trip.
//!
//! Each direction of a connection has two threads, one that notes when something arrived, and one that hands it on when its time has come:
//! tokio's timers count in whole milliseconds, and half a millisecond is wanted.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// The most that one read takes.
const CHUNK: usize = 256 * 1024;

/// How many chunks are on their way at most, so that a client that does not read is still noticed by its server.
const ON_THE_WAY: usize = 1024;

pub struct Proxy {
    pub port: u16,
    turns: Arc<AtomicU64>,
}

/// What is on its way, and when it arrives.
type Chunk = (Instant, Vec<u8>);

/// Whose words a direction of a connection carries.
#[derive(Clone, Copy, PartialEq)]
enum Speaker {
    Client,
    Server,
}

/// One connection, as both of its directions see it.
struct Link {
    /// The client spoke last.
    client_spoke: AtomicBool,
    turns: Arc<AtomicU64>,
}

impl Proxy {
    /// A proxy before a server of this machine. The way there and back takes this long; it stays until the process ends.
    pub fn before(server: u16, round_trip: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (port, turns) = (listener.local_addr()?.port(), Arc::new(AtomicU64::new(0)));
        let counted = turns.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that refuses closes the client's connection, as it would without a proxy.
                let _ = join(client, server, round_trip / 2, counted.clone());
            }
        });
        Ok(Self { port, turns })
    }

    /// How often a client spoke after its server.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }
}

fn join(client: TcpStream, server: u16, delay: Duration, turns: Arc<AtomicU64>) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    // MySQL's server speaks first, MongoDB's client.
    let link = Arc::new(Link { client_spoke: AtomicBool::new(false), turns });
    carry(client.try_clone()?, server.try_clone()?, delay, link.clone(), Speaker::Client);
    carry(server, client, delay, link, Speaker::Server);
    Ok(())
}

fn carry(mut from: TcpStream, to: TcpStream, delay: Duration, link: Arc<Link>, speaker: Speaker) {
    let (sender, receiver) = sync_channel(ON_THE_WAY);
    thread::spawn(move || take(&mut from, &sender, delay, &link, speaker));
    thread::spawn(move || hand_on(to, &receiver));
}

fn take(from: &mut TcpStream, chunks: &SyncSender<Chunk>, delay: Duration, link: &Link, speaker: Speaker) {
    let (mut room, is_client) = (vec![0; CHUNK], speaker == Speaker::Client);
    while let Ok(count @ 1..) = from.read(&mut room) {
        let due = Instant::now() + delay;
        let before = link.client_spoke.swap(is_client, Ordering::Relaxed);
        if is_client && !before {
            link.turns.fetch_add(1, Ordering::Relaxed);
        }
        if chunks.send((due, room[..count].to_vec())).is_err() {
            break;
        }
    }
}

fn hand_on(mut to: TcpStream, chunks: &Receiver<Chunk>) {
    for (due, chunk) in chunks {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&chunk).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that gives back what it gets.
    fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                thread::spawn(move || std::io::copy(&mut client.try_clone().expect("a socket"), &mut client));
            }
        });
        port
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port)).expect("the proxy listens");
        stream.set_nodelay(true).expect("a socket");
        stream
    }

    fn ask(stream: &mut TcpStream) -> Duration {
        let began = Instant::now();
        stream.write_all(b"ping").expect("it is written");
        stream.read_exact(&mut [0; 4]).expect("it comes back");
        began.elapsed()
    }

    #[test]
    fn a_distance_takes_its_round_trip_and_hardly_more_and_each_turn_is_counted() {
        for round_trip in [0, 1_000, 2_500, 12_000].map(Duration::from_micros) {
            let proxy = Proxy::before(echo(), round_trip).expect("a port is free");
            let mut stream = connect(&proxy);
            let times: Vec<Duration> = (0..40).map(|_| ask(&mut stream)).collect();
            let fastest = times.iter().min().expect("there are times");
            assert!(times.iter().all(|time| *time >= round_trip), "{round_trip:?}: {times:?}");
            // The fastest, because a busy machine delays whom it likes.
            assert!(*fastest < round_trip + Duration::from_millis(1), "{round_trip:?}: {times:?}");
            assert_eq!(proxy.turns(), 40);
        }
    }

    #[test]
    fn a_distance_limits_no_bandwidth() {
        const BYTES: usize = 64 << 20;
        let proxy = Proxy::before(echo(), Duration::from_millis(12)).expect("a port is free");
        let (mut stream, began) = (connect(&proxy), Instant::now());
        let mut writing = stream.try_clone().expect("a socket");
        let writer = thread::spawn(move || writing.write_all(&vec![7; BYTES]));
        let mut got = vec![0; BYTES];
        stream.read_exact(&mut got).expect("everything comes back");
        writer.join().expect("it ran").expect("it is written");
        assert!(got.iter().all(|byte| *byte == 7));
        // With 12 ms for each read it would be a hundredth of that.
        #[expect(clippy::cast_precision_loss, reason = "few bytes")]
        let rate = BYTES as f64 / began.elapsed().as_secs_f64() / f64::from(1 << 20);
        assert!(rate > 40.0, "{rate:.0} MiB/s");
    }
}
