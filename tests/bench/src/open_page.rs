//! What an open page asks of its host: what its view shows, once; then the stream of changes, for as long as it is open; and,
//! on the view of the hosts, these again and again. One client a page, each with another view.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use bson::RawDocumentBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How often the view of the hosts reads them anew.
const HOSTS_EVERY: Duration = Duration::from_secs(3);

/// How long a page may take until it is drawn.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is looked at.
pub struct Looked {
    port: u16,
    projection: String,
    /// The path of an aggregate that has events.
    aggregate: String,
}

/// Pages that are open. They are closed when this is dropped.
pub struct OpenPages {
    told: Arc<AtomicU64>,
    pages: JoinSet<anyhow::Result<()>>,
}

impl Looked {
    pub fn of(port: u16, projection: &str, event: &RawDocumentBuf) -> anyhow::Result<Self> {
        let aggregate = format!("{}/{}", event.get_str("aggregateType")?, event.get_str("aggregateId")?);
        Ok(Self { port, projection: projection.to_owned(), aggregate })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What all views ask for.
    pub fn all_paths(&self) -> Vec<String> {
        let own = ["/api/v1/projections", "/api/v1/operations", "/metrics"].map(str::to_owned);
        own.into_iter().chain(self.views().into_iter().flatten()).collect()
    }

    /// What each view asks for when it is drawn, beside what all ask for.
    fn views(&self) -> [Vec<String>; 5] {
        let of = |part: &str| format!("/api/v1/projections/{}/{part}", self.projection);
        [
            vec![],
            vec![of("deployments?limit=12"), of("generations")],
            vec![of("letters?heads_only=true&limit=20")],
            vec![of(&format!("aggregates/{}", self.aggregate))],
            vec!["/api/v1/hosts".to_owned()],
        ]
    }
}

impl OpenPages {
    /// Opens so many, and waits until each was told how everything stands.
    pub async fn open(looked: &Looked, clients: usize) -> anyhow::Result<Self> {
        let (mut pages, told) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
        let mut drawn = Vec::new();
        for client in 0..clients {
            let views = looked.views();
            let view = client % views.len();
            let mut paths = vec!["/api/v1/me".to_owned()];
            paths.push(format!("/api/v1/projections/{}/recent", looked.projection));
            paths.extend(views[view].iter().cloned());
            for path in paths {
                get(looked.port, &path).await.with_context(|| path.clone())?;
            }
            let (port, heard) = (looked.port, Arc::new(AtomicU64::new(0)));
            drawn.push(heard.clone());
            let told = told.clone();
            pages.spawn(async move { listen(port, &heard, &told).await });
            if view == views.len() - 1 {
                pages.spawn(hosts(port));
            }
        }
        let all = async {
            while drawn.iter().any(|heard| heard.load(Ordering::Relaxed) == 0) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.context("a page was not told how the host stands")?;
        Ok(Self { told, pages })
    }

    /// How many events all streams have told.
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// An error where a page was closed by the host.
    pub fn check(mut self) -> anyhow::Result<()> {
        match self.pages.try_join_next() {
            None => Ok(()),
            Some(ended) => ended?.context("a page has come to its end"),
        }
    }
}

async fn hosts(port: u16) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(HOSTS_EVERY).await;
        get(port, "/api/v1/hosts").await?;
    }
}

async fn ask(port: u16, path: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

async fn get(port: u16, path: &str) -> anyhow::Result<()> {
    let (mut stream, mut answer) = (ask(port, path).await?, Vec::new());
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await??;
    let begin = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
    ensure!(begin.starts_with("HTTP/1.1 200"), "{path} is answered with {begin:?}");
    Ok(())
}

/// Reads the stream of changes, and counts what it tells.
async fn listen(port: u16, heard: &AtomicU64, told: &AtomicU64) -> anyhow::Result<()> {
    const BEGIN: &[u8] = b"\nevent:";
    let mut stream = ask(port, "/api/v1/events").await?;
    // What begins in one piece may end in the next one.
    let (mut piece, mut last) = (vec![0; 64 << 10], Vec::new());
    loop {
        let read = stream.read(&mut piece).await?;
        ensure!(read > 0, "the host has ended the stream of changes");
        last.extend_from_slice(&piece[..read]);
        let count = last.windows(BEGIN.len()).filter(|window| *window == BEGIN).count() as u64;
        heard.fetch_add(count, Ordering::Relaxed);
        told.fetch_add(count, Ordering::Relaxed);
        let kept = last.len().saturating_sub(BEGIN.len() - 1);
        last.drain(..kept);
    }
}
