//! HTTP by hand: requests as somebody would forge them, and what came back for them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::described;

/// What is answered to these bytes: all of it. Nothing where the connection was closed without an answer.
pub async fn exchange(port: u16, request: &[u8]) -> Option<String> {
    exchange_at((Ipv4Addr::LOCALHOST, port).into(), request).await
}

/// The same at an address.
pub async fn exchange_at(at: SocketAddr, request: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(at).await.ok()?;
    // It may have answered and hung up before everything was sent.
    let _ = stream.write_all(request).await;
    let mut answer = vec![];
    let _ = stream.read_to_end(&mut answer).await;
    Some(String::from_utf8_lossy(&answer).into_owned()).filter(|answer| !answer.is_empty())
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub code: u16,
    /// The header lines, with names in lower case.
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl Answer {
    fn of(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let code = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        };
        Some(Self { code, headers: lines.filter_map(header).collect(), text: body.to_owned() })
    }

    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The text of a body that came in parts whose lengths were not known before.
    pub fn chunks(&self) -> String {
        let (mut whole, mut rest) = (String::new(), self.text.as_str());
        while let Some((length, after)) = rest.split_once("\r\n") {
            let length = usize::from_str_radix(length, 16).expect("a length");
            whole += &after[..length];
            rest = after[length..].trim_start_matches("\r\n");
        }
        whole
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// One who asks a listener.
#[derive(Debug, Clone)]
pub struct Client {
    pub port: u16,
    pub address: IpAddr,
    /// Further header lines of each request, each with its end.
    pub headers: String,
}

impl Client {
    pub fn new(port: u16) -> Self {
        Self { port, address: Ipv4Addr::LOCALHOST.into(), headers: String::new() }
    }

    /// The same at another address.
    pub fn at(&self, address: IpAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// Where it asks.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// The same with one more header line.
    pub fn with(&self, name: &str, value: &str) -> Self {
        Self { headers: format!("{}{name}: {value}\r\n", self.headers), ..self.clone() }
    }

    pub fn with_token(&self, token: &str) -> Self {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    /// Asks with a body; `Host` is localhost unless a header line says another one.
    pub async fn ask(&self, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
        let host = if self.headers.contains("Host: ") { "" } else { "Host: localhost\r\n" };
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head =
            format!("{method} {path} HTTP/1.1\r\n{host}{}{length}Connection: close\r\n\r\n", self.headers);
        let answer = Answer::of(&exchange_at(self.socket(), &[head.as_bytes(), body].concat()).await?)?;
        described::check(method, path, answer.code, &answer.headers);
        Some(answer)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, b"").await.unwrap_or_else(|| panic!("no answer to GET {path}"))
    }

    /// The bytes that are answered.
    pub async fn download(&self, path: &str) -> Vec<u8> {
        let head = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{}\r\n", self.headers);
        let mut stream = TcpStream::connect(self.socket()).await.expect("it listens");
        stream.write_all(head.as_bytes()).await.expect("it is open");
        let mut answer = vec![];
        stream.read_to_end(&mut answer).await.expect("it is open");
        let at = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a header");
        answer.split_off(at + 4)
    }

    /// Asks for a change; without a body where it is null.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let asked = self.with("Content-Type", "application/json").ask("POST", path, text.as_bytes()).await;
        asked.unwrap_or_else(|| panic!("no answer to POST {path}"))
    }
}
