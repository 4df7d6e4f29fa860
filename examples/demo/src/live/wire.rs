//! The wire to a server: everything of the demo goes through it, so that a server can be taken away from the demo, and from
//! nobody else.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Where a server listens.
#[derive(Debug, Clone)]
pub enum Server {
    Tcp(String),
    Socket(PathBuf),
}

#[derive(Debug)]
pub struct Wire {
    pub port: u16,
    is_whole: watch::Sender<bool>,
    /// Ends with it.
    _accepting: JoinSet<()>,
}

impl Wire {
    pub async fn to(server: Server) -> anyhow::Result<Self> {
        Self::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), server).await
    }

    /// One that begins at an address of one's choice.
    pub async fn from(address: SocketAddr, server: Server) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        let port = listener.local_addr()?.port();
        let is_whole = watch::Sender::new(true);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, server, is_whole.subscribe()));
        Ok(Self { port, is_whole, _accepting: accepting })
    }

    /// Cuts every connection, and refuses new ones.
    pub fn cut(&self) {
        self.is_whole.send_replace(false);
    }

    pub fn mend(&self) {
        self.is_whole.send_replace(true);
    }

    pub fn is_whole(&self) -> bool {
        *self.is_whole.borrow()
    }
}

async fn accept(listener: TcpListener, server: Server, is_whole: watch::Receiver<bool>) {
    let mut open = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while open.try_join_next().is_some() {}
        if *is_whole.borrow() {
            open.spawn(carry(client, server.clone(), is_whole.clone()));
        }
    }
}

async fn carry(client: TcpStream, server: Server, mut is_whole: watch::Receiver<bool>) {
    let cut = async move { is_whole.wait_for(|is_whole| !is_whole).await.is_ok() };
    // Whichever ends first ends both ends.
    tokio::select! {
        _ = cut => {}
        () = connected(client, server) => {}
    }
}

async fn connected(client: TcpStream, server: Server) {
    let _ = client.set_nodelay(true);
    match server {
        Server::Tcp(address) => {
            if let Ok(stream) = TcpStream::connect(address).await {
                let _ = stream.set_nodelay(true);
                pass(client, stream).await;
            }
        }
        Server::Socket(path) => {
            if let Ok(stream) = UnixStream::connect(path).await {
                pass(client, stream).await;
            }
        }
    }
}

async fn pass(mut client: TcpStream, mut server: impl AsyncRead + AsyncWrite + Unpin) {
    // An end that hangs up is the usual end.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
