//! A receiver of traces: it takes what a host exports by OTLP over HTTP, and answers as it is told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long a slow receiver takes for each request.
pub const SLOW: Duration = Duration::from_secs(3);

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Takes,
    /// Every request is an error of the server's.
    Fails,
    /// Every request is taken, and answered after [`SLOW`].
    TakesSlowly,
    /// Requests are read, and never answered while it is so.
    Hangs,
}

#[derive(Clone)]
pub struct Receiver {
    pub port: u16,
    manner: watch::Sender<Manner>,
    taken: Arc<Mutex<Taken>>,
}

/// What was taken, and how often somebody came.
#[derive(Default, Clone)]
pub struct Taken {
    pub spans: Vec<Span>,
    pub resource: Vec<KeyValue>,
    /// The bodies of all requests, also of those that were not taken.
    pub bodies: Vec<u8>,
    pub headers: String,
    pub requests: usize,
    /// Requests that wait for an answer.
    pub open: usize,
}

impl Receiver {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let receiver = Self { port, manner: watch::Sender::new(manner), taken: Arc::default() };
        let own = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { own.serve(stream).await });
            }
        });
        receiver
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers in another manner from now on, also to those who wait.
    pub fn turns(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    pub fn taken(&self) -> Taken {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().expect("nobody panics here")
    }

    /// Requests on one connection, until it ends.
    async fn serve(&self, mut stream: TcpStream) {
        let mut read = vec![];
        while let Some((head, body)) = request(&mut stream, &mut read).await {
            {
                let mut taken = self.lock();
                (taken.requests, taken.open) = (taken.requests + 1, taken.open + 1);
                taken.bodies.extend_from_slice(&body);
                taken.headers += &head;
            }
            let mut manner = self.manner.subscribe();
            let manner = *manner.wait_for(|manner| *manner != Manner::Hangs).await.expect("it is kept");
            if manner == Manner::TakesSlowly {
                tokio::time::sleep(SLOW).await;
            }
            self.lock().open -= 1;
            let (code, answer) = match manner {
                Manner::Takes | Manner::TakesSlowly => (200, self.takes(&body)),
                _ => (500, vec![]),
            };
            let head = format!(
                "HTTP/1.1 {code} Said\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            if stream.write_all(&[head.as_bytes(), &answer].concat()).await.is_err() {
                return;
            }
        }
    }

    fn takes(&self, body: &[u8]) -> Vec<u8> {
        let request = ExportTraceServiceRequest::decode(body).expect("it is what the protocol says");
        let mut taken = self.lock();
        for of_resource in request.resource_spans {
            taken.resource = of_resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            taken.spans.extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        ExportTraceServiceResponse::default().encode_to_vec()
    }
}

/// The next request's head and body; what was read beyond stays.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let mut more = async |read: &mut Vec<u8>| matches!(stream.read_buf(read).await, Ok(1..));
    let end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if !more(read).await {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    while read.len() < end + length {
        if !more(read).await {
            return None;
        }
    }
    let body = read[end..end + length].to_vec();
    read.drain(..end + length);
    Some((head, body))
}

/// An attribute's value as text.
pub fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|one| one.key == key).and_then(|one| one.value.clone());
    match found {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text,
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        _ => String::new(),
    }
}
