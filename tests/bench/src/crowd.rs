//! Those who mean a host harm: many who ask for everything at once, again and again; connections that never come to the end of a
//! header; a body that is far too large; a forged name. Each gets an answer that is no more than it has to be, or none.

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

/// A crowd. It goes away when this is dropped.
pub struct Crowd {
    answered: Arc<AtomicU64>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Crowd {
    /// So many ask at once, as often as that.
    pub fn gather(looked: &Looked, clients: usize, every: Duration) -> Self {
        let (mut tasks, answered) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
        if clients > 0 {
            let port = looked.port();
            tasks.spawn(ask_at_once(looked.all_paths(), port, (clients, every), answered.clone()));
            for _ in 0..SLOW {
                tasks.spawn(be_slow(port));
            }
        }
        Self { answered, tasks }
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
    paths: Vec<String>,
    port: u16,
    (clients, every): (usize, Duration),
    answered: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let mut next = Instant::now();
    loop {
        let mut asking = JoinSet::new();
        for path in paths.iter().cycle().take(clients) {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            asking.spawn(code(port, request, &[200, 503]));
        }
        let large = "POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857600\r\nConnection: close\r\n\r\n";
        asking.spawn(code(port, large.to_owned(), &[413, 503]));
        let forged = "GET /status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
        asking.spawn(code(port, forged.to_owned(), &[421]));
        while let Some(asked) = asking.join_next().await {
            asked??;
            answered.fetch_add(1, Ordering::Relaxed);
        }
        next = (next + every).max(Instant::now());
        sleep_until(next).await;
    }
}

async fn code(port: u16, request: String, expected: &'static [u16]) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.context("no answer came")??;
    let begin = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
    let code = begin.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    ensure!(expected.contains(&code), "{request:?} is answered with {begin:?}");
    Ok(())
}

/// Begins a header and never ends it; when the host lets it go, it comes again.
async fn be_slow(port: u16) -> anyhow::Result<()> {
    loop {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: local").await?;
        // How it ends is the host's affair.
        let _ = stream.read_u8().await;
    }
}
