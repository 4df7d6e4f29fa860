//! Those who mean a host harm, from another address than the loopback, where the API has tokens: many who ask for everything at once,
//! again and again; connections that never come to the end of a header; wrong tokens; a viewer who wants to change something; a body
//! that is far too large; forged names and origins; paths that lead elsewhere. Each gets an answer that is no more than it has to be,
//! or none.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::open_page::Looked;

/// How many connections never come to the end of a header.
const SLOW: usize = 50;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The tokens of somebody who may only look, and of somebody who may do everything.
const VIEWER: &str = "viewer-0123456789abcdef0123456789abcdef";
const OPERATOR: &str = "operator-0123456789abcdef0123456789abcdef";

/// The file of tokens of a host that is abused.
pub fn tokens() -> String {
    let one =
        |role: &str, token: &str| format!("[[token]]\nname = {role:?}\nrole = {role:?}\ntoken = {token:?}\n");
    one("viewer", VIEWER) + &one("operator", OPERATOR)
}

/// An address of this machine that other machines would ask.
fn own_address() -> anyhow::Result<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    // Nothing is sent: this asks for the way only. A machine without one has the loopback.
    let found = socket.connect(("192.0.2.1", 9)).and_then(|()| socket.local_addr());
    Ok(found.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip()))
}

/// A request, and the codes that it may be answered with.
type Asked = (String, &'static [u16]);

/// What is asked by those who mean harm, beside what anybody may ask.
fn harm() -> Vec<Asked> {
    let request = |line: &str, token: &str, more: &str| {
        let token =
            if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let host = if more.contains("Host:") { "" } else { "Host: localhost\r\n" };
        format!("{line} HTTP/1.1\r\n{host}{token}{more}Connection: close\r\n\r\n")
    };
    let all = "GET /api/v1/projections";
    let reload = "POST /api/v1/reload";
    vec![
        (request(all, "", ""), &[401, 429, 503]),
        (request(all, &OPERATOR[1..], ""), &[401, 429, 503]),
        (request(reload, VIEWER, ""), &[403, 429, 503]),
        (request(reload, OPERATOR, "Content-Length: 104857600\r\n"), &[413, 429, 503]),
        (request(all, OPERATOR, "Host: evil.example\r\n"), &[421, 429, 503]),
        (request(reload, OPERATOR, "Origin: http://evil.example\r\n"), &[403, 429, 503]),
        (request("GET /api/v1/%2e%2e/%2e%2e/etc/passwd", OPERATOR, ""), &[400, 404, 429, 503]),
        (request("GET /api/v1/projections/%3Cscript%3E%1B%5B2J", OPERATOR, ""), &[400, 404, 429, 503]),
    ]
}

/// A crowd. It goes away when this is dropped.
pub struct Crowd {
    answered: Arc<AtomicU64>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Crowd {
    /// So many ask at once, as often as that.
    pub fn gather(looked: &Looked, clients: usize, every: Duration) -> anyhow::Result<Self> {
        let (mut tasks, answered) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
        if clients > 0 {
            let at = SocketAddr::new(own_address()?, looked.port());
            let look = |path: &String| {
                let request = format!(
                    "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {VIEWER}\r\nConnection: close\r\n\r\n"
                );
                (request, &[200, 429, 503][..])
            };
            let asked = looked.all_paths().iter().cycle().take(clients).map(look).chain(harm()).collect();
            tasks.spawn(ask_at_once(asked, at, every, answered.clone()));
            for _ in 0..SLOW {
                tasks.spawn(be_slow(at));
            }
        }
        Ok(Self { answered, tasks })
    }

    /// How many requests were answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// An error where an answer was not what it has to be.
    pub fn check(mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.tasks.try_join_next() {
            ended??;
        }
        Ok(())
    }
}

async fn ask_at_once(
    asked: Vec<Asked>,
    at: SocketAddr,
    every: Duration,
    answered: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let mut next = Instant::now();
    loop {
        let mut asking = JoinSet::new();
        for (request, expected) in &asked {
            asking.spawn(code(at, request.clone(), expected));
        }
        while let Some(asked) = asking.join_next().await {
            asked??;
            answered.fetch_add(1, Ordering::Relaxed);
        }
        next = (next + every).max(Instant::now());
        sleep_until(next).await;
    }
}

async fn code(at: SocketAddr, request: String, expected: &'static [u16]) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.context("no answer came")??;
    let begin = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
    let code = begin.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    ensure!(expected.contains(&code), "{request:?} is answered with {begin:?}");
    Ok(())
}

/// Begins a header and never ends it; when the host lets it go, it comes again.
async fn be_slow(at: SocketAddr) -> anyhow::Result<()> {
    loop {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: local").await?;
        // How it ends is the host's affair.
        let _ = stream.read_u8().await;
    }
}
