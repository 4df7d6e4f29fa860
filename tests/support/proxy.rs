//! A proxy between the host and a server, which a test tells how to misbehave.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the proxy treats its connections, those that are open too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// New connections are reset at once.
    Refuse,
    /// Connections are accepted, and nothing passes either way.
    BlackHole,
    /// What the client says arrives; the answers are thrown away. A connection that missed one gets none any more, as
    /// nothing is ever missing in the middle of what TCP delivers.
    Deaf,
    /// Everything takes this much longer, each way.
    Delay(Duration),
    /// The same, and all connections together get no more through, each way, than so many bytes a second.
    Narrow {
        delay: Duration,
        bytes_a_second: u32,
    },
}

/// What happens, once, at the next COMMIT that passes in plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtCommit {
    /// The connection is cut before the server hears of it.
    CutBefore,
    /// The server carries it out, and the connection is cut before its answer arrives.
    CutAfter,
    /// As before, but nothing is cut: the answer never comes, and the connection stays open.
    LoseAnswer,
}

/// The packet: three bytes of length, its number, `COM_QUERY`, the text. The word alone is also part of `READ COMMITTED`.
const COMMIT: &[u8] = b"\x07\0\0\0\x03COMMIT";

pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    server: SocketAddr,
    /// Where the server sees its connections come from.
    from: Ipv4Addr,
    mode: watch::Sender<Mode>,
    /// Grows whenever every open connection is to be cut.
    generation: watch::Sender<u64>,
    /// What is armed, and how many COMMITs pass before it strikes.
    at_commit: Mutex<Option<(AtCommit, u32)>>,
    /// The next answer is cut in the middle.
    truncate: Mutex<bool>,
    /// Connections on which one of these was said are black holes.
    muted: watch::Sender<Vec<String>>,
    /// How the connections that were open when this was set are treated from then on.
    forsaken: watch::Sender<Mode>,
    /// When a narrow link is free again, each way.
    free_at: Mutex<[Option<Instant>; 2]>,
    /// What clients say in plain text, and what the server hears instead, which is as long.
    reworded: Mutex<Option<(&'static str, &'static str)>>,
    /// The same of what the server says.
    answers: Mutex<Option<(&'static str, &'static str)>>,
    struck: AtomicU64,
}

impl Proxy {
    /// A proxy before a server on the loopback.
    pub async fn to(port: u16) -> Self {
        Self::between(Ipv4Addr::LOCALHOST, port).await
    }

    /// The same, which comes from an address of its own (127.x.y.z), so that the server can tell its clients apart.
    pub async fn between(from: Ipv4Addr, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            server: SocketAddr::from(([127, 0, 0, 1], port)),
            from,
            mode: watch::Sender::new(Mode::Pass),
            generation: watch::Sender::new(0),
            at_commit: Mutex::new(None),
            truncate: Mutex::new(false),
            muted: watch::Sender::default(),
            forsaken: watch::Sender::new(Mode::Pass),
            free_at: Mutex::default(),
            reworded: Mutex::new(None),
            answers: Mutex::new(None),
            struck: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Self { port: own, shared, accepting }
    }

    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Resets every open connection; new ones are treated as the mode says.
    pub fn cut(&self) {
        self.shared.generation.send_modify(|generation| *generation += 1);
    }

    /// Arms a fault that strikes once, at the next COMMIT.
    pub fn at_commit(&self, fault: AtCommit) {
        self.after_commits(0, fault);
    }

    /// Arms a fault that strikes once, after so many COMMITs that pass.
    pub fn after_commits(&self, passing: u32, fault: AtCommit) {
        *self.shared.at_commit.lock().expect("nobody panics with it") = Some((fault, passing));
    }

    /// The next answer of the server ends in its middle, and its connection with it.
    pub fn truncate(&self) {
        *self.shared.truncate.lock().expect("nobody panics with it") = true;
    }

    /// Nothing passes any more on connections on which one of these was said in plain text, before or from now on; the
    /// others are left alone. What was lost meanwhile is not made up for: its connection is cut when nothing is muted.
    pub fn mute(&self, said: &[&str]) {
        self.shared.muted.send_replace(said.iter().map(ToString::to_string).collect());
    }

    /// Treats every connection that is open now like this for as long as it lives, as when a router has forgotten it:
    /// neither end hears of it. New ones are treated as the mode says.
    pub fn forsake(&self, mode: Mode) {
        self.shared.forsaken.send_replace(mode);
    }

    /// From now on the server hears something else, as from a proxy that knows better.
    pub fn reword(&self, said: &'static str, heard: &'static str) {
        assert_eq!(said.len(), heard.len());
        *self.shared.reworded.lock().expect("nobody panics with it") = Some((said, heard));
    }

    /// From now on the client hears something else, as from another server.
    pub fn reword_answers(&self, said: &'static str, heard: &'static str) {
        assert_eq!(said.len(), heard.len());
        *self.shared.answers.lock().expect("nobody panics with it") = Some((said, heard));
    }

    /// How often an armed fault struck.
    pub fn struck(&self) -> u64 {
        self.shared.struck.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        if *shared.mode.borrow() == Mode::Refuse {
            reset(&client);
            continue;
        }
        tokio::spawn(carry(client, shared.clone()));
    }
}

/// How a connection ends for its client.
enum End {
    Closed,
    Cut,
}

async fn carry(client: TcpStream, shared: Arc<Shared>) {
    let mut generation = shared.generation.subscribe();
    generation.mark_unchanged();
    let Ok(server) = connect(&shared).await else { return reset(&client) };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut client, mut server) = (client, server);
    let end = tokio::select! {
        end = pump(&mut client, &mut server, &shared) => end,
        _ = generation.changed() => End::Cut,
    };
    if matches!(end, End::Cut) {
        reset(&client);
    }
}

async fn connect(shared: &Shared) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((shared.from, 0)))?;
    socket.connect(shared.server).await
}

async fn pump(client: &mut TcpStream, server: &mut TcpStream, shared: &Shared) -> End {
    let (mut said, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut lose_answers = false;
    let mut cut_at_answer = false;
    let mut treatment = Treatment::of(shared);
    // What tells a connection apart is said when its statements are prepared, which is at its beginning.
    let mut heard = Vec::new();
    let mut swallowed = false;
    loop {
        let (mode, is_mute) = (treatment.mode(), treatment.mutes(&heard));
        if mode == Mode::BlackHole || is_mute {
            if !treatment.changed().await {
                return End::Cut;
            }
            continue;
        }
        if swallowed {
            return End::Cut;
        }
        tokio::select! {
            read = client.read(&mut said) => {
                let Ok(1..) = read else { return End::Closed };
                let said = &mut said[..read.unwrap_or_default()];
                reword(&shared.reworded, said);
                let said = &*said;
                heard.extend(said.iter().take(HEARD_BYTES_MAX.saturating_sub(heard.len())));
                swallowed = treatment.mutes(&heard);
                if swallowed {
                    continue;
                }
                match shared.strikes_at(said) {
                    Some(AtCommit::CutBefore) => return End::Cut,
                    Some(AtCommit::CutAfter) => cut_at_answer = true,
                    Some(AtCommit::LoseAnswer) => lose_answers = true,
                    None => {}
                }
                shared.linger(mode, 0, said.len()).await;
                if server.write_all(said).await.is_err() {
                    return End::Closed;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(1..) = read else { return End::Closed };
                let answered = &mut answered[..read.unwrap_or_default()];
                reword(&shared.answers, answered);
                let answered = &*answered;
                if cut_at_answer {
                    return End::Cut;
                }
                lose_answers |= treatment.mode() == Mode::Deaf;
                if lose_answers {
                    continue;
                }
                if shared.truncates() {
                    let _ = client.write_all(&answered[..answered.len() / 2]).await;
                    return End::Closed;
                }
                shared.linger(mode, 1, answered.len()).await;
                if client.write_all(answered).await.is_err() {
                    return End::Closed;
                }
            }
            _ = treatment.changed() => {}
        }
    }
}

/// How one connection is treated.
struct Treatment {
    mode: watch::Receiver<Mode>,
    muted: watch::Receiver<Vec<String>>,
    forsaken: watch::Receiver<Mode>,
    /// What was set for the connections that were open then, this one among them.
    own: Option<Mode>,
}

impl Treatment {
    fn of(shared: &Shared) -> Self {
        let (mode, muted) = (shared.mode.subscribe(), shared.muted.subscribe());
        Self { mode, muted, forsaken: shared.forsaken.subscribe(), own: None }
    }

    fn mode(&mut self) -> Mode {
        let of_all = *self.mode.borrow_and_update();
        self.own.unwrap_or(of_all)
    }

    fn mutes(&mut self, heard: &[u8]) -> bool {
        self.muted.borrow_and_update().iter().any(|said| contains(heard, said.as_bytes()))
    }

    /// Waits until something is treated otherwise. False when the proxy is gone.
    async fn changed(&mut self) -> bool {
        tokio::select! {
            changed = self.mode.changed() => changed.is_ok(),
            changed = self.muted.changed() => changed.is_ok(),
            changed = self.forsaken.changed() => {
                self.own = Some(*self.forsaken.borrow());
                changed.is_ok()
            }
        }
    }
}

/// How much of what a client says is remembered.
const HEARD_BYTES_MAX: usize = 64 << 10;

/// Puts one text in the place of another.
fn reword(words: &Mutex<Option<(&'static str, &'static str)>>, said: &mut [u8]) {
    let Some((from, to)) = *words.lock().expect("nobody panics with it") else { return };
    if let Some(at) = said.windows(from.len()).position(|window| window == from.as_bytes()) {
        said[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
}

fn contains(heard: &[u8], said: &[u8]) -> bool {
    heard.windows(said.len()).any(|window| window == said)
}

impl Shared {
    fn strikes_at(&self, said: &[u8]) -> Option<AtCommit> {
        let is_commit = said.windows(COMMIT.len()).any(|window| window == COMMIT);
        if !is_commit {
            return None;
        }
        let mut armed = self.at_commit.lock().expect("nobody panics with it");
        if let Some((_, passing @ 1..)) = &mut *armed {
            *passing -= 1;
            return None;
        }
        let (fault, _) = armed.take()?;
        self.struck.fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }

    fn truncates(&self) -> bool {
        let truncates = std::mem::take(&mut *self.truncate.lock().expect("nobody panics with it"));
        self.struck.fetch_add(u64::from(truncates), Ordering::Relaxed);
        truncates
    }

    /// Takes the time that so many bytes take, one way.
    async fn linger(&self, mode: Mode, way: usize, bytes: usize) {
        match mode {
            Mode::Delay(time) => tokio::time::sleep(time).await,
            Mode::Narrow { delay, bytes_a_second } => {
                let takes = Duration::from_secs(1) * u32::try_from(bytes).expect("a chunk") / bytes_a_second;
                let through = {
                    let free_at = &mut self.free_at.lock().expect("nobody panics with it")[way];
                    let now = Instant::now();
                    *free_at.insert(free_at.map_or(now, |free| free.max(now)) + takes)
                };
                tokio::time::sleep_until((through + delay).into()).await;
            }
            _ => {}
        }
    }
}

/// Ends a connection with a reset instead of a farewell.
fn reset(client: &TcpStream) {
    let _ = client.set_zero_linger();
}
