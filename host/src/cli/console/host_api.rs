//! A host's API as a program that asks it: requests with a token, and what is said where one is not answered or refused.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::{AsSendBody, Body};
use url::Url;

use crate::text::harmless_lines;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one may take that compiles or runs components, or tries accounts.
pub const LONG: Duration = Duration::from_mins(5);

/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(10);

/// The longest answer, in bytes: a letter with its document, or a page of them.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// How much of an answer is read that is not as it has to be.
const REFUSAL_BYTES_MAX: u64 = 1 << 20;

/// How often a request is sent that a busy host did not let in.
const TRIES: u32 = 10;

/// Pause before a request is sent again.
const RETRY: Duration = Duration::from_secs(1);

/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 1_000;

/// What stands for itself in a part of a path or in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// No answer came: whether anything was done is not known.
#[derive(Debug, thiserror::Error)]
#[error("the host at {url} does not answer: {reason}; `laterna run` serves the API at `host.admin`")]
pub struct HostIsAway {
    url: String,
    reason: String,
}

#[cfg(test)]
impl HostIsAway {
    pub fn for_a_test() -> Self {
        Self { url: "http://127.0.0.1:1".to_owned(), reason: "connection refused".to_owned() }
    }
}

/// A host's API.
pub struct HostApi {
    /// Without a slash at its end.
    base: String,
    token: Option<SecretString>,
    agent: ureq::Agent,
}

/// What is sent, and how long its answer may take.
pub struct Call<'a> {
    method: Method,
    /// Below the host's address, with its query.
    path: &'a str,
    body: Option<Vec<u8>>,
    kind: &'static str,
    patience: Duration,
    /// A change that comes twice under one key is one operation.
    key: Option<String>,
}

impl<'a> Call<'a> {
    pub fn get(path: &'a str) -> Self {
        let (method, kind) = (Method::GET, "");
        Self { method, path, body: None, kind, patience: PATIENCE, key: None }
    }

    pub fn delete(path: &'a str) -> Self {
        Self { method: Method::DELETE, key: Some(key()), ..Self::get(path) }
    }

    /// Asks for a change, which is one operation however often the request arrives.
    pub fn post(path: &'a str, body: &Value) -> Self {
        let body = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
        let kind = if body.is_empty() { "" } else { "application/json" };
        Self { method: Method::POST, body: Some(body), kind, key: Some(key()), ..Self::get(path) }
    }

    /// Sends a component.
    pub fn component(path: &'a str, bytes: Vec<u8>) -> Self {
        Self { kind: "application/wasm", body: Some(bytes), ..Self::post(path, &Value::Null) }.long()
    }

    pub fn long(self) -> Self {
        Self { patience: LONG, ..self }
    }

    /// Returns true where nothing is done twice if it arrives twice.
    fn may_come_twice(&self) -> bool {
        self.key.is_some() || self.method == Method::GET
    }
}

/// A key that no other request has.
fn key() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// A part of a path, or a value of a query.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// A query of the values that are given.
pub fn query(values: &[(&str, Option<String>)]) -> String {
    let given = values.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let all: Vec<String> = given.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    if all.is_empty() { String::new() } else { format!("?{}", all.join("&")) }
}

/// Why a request was refused.
#[derive(Debug, Deserialize)]
struct RefusedRequest {
    detail: String,
    class: String,
    remedy: String,
}

impl RefusedRequest {
    fn plain(detail: &str) -> Self {
        Self { detail: detail.to_owned(), class: "wrong-request".to_owned(), remedy: String::new() }
    }
}

impl HostApi {
    pub fn new(url: &str, token_file: Option<&Path>) -> anyhow::Result<Self> {
        // The address may hold a secret: no message repeats it.
        let wrong = |why: &str| format!("`--host` {why}; it is like http://127.0.0.1:7420");
        let parsed =
            Url::parse(url).map_err(|error| anyhow::anyhow!(wrong(&format!("is no URL ({error})"))))?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            bail!(
                "`--host` holds a name or a password, which others see: put the token into a file, for `--token-file`"
            );
        }
        if !["http", "https"].contains(&parsed.scheme()) || parsed.host_str().is_none() {
            bail!(wrong("must begin with http:// or https://"));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            bail!(wrong("must end before `?` and `#`"));
        }
        let base = parsed.as_str().trim_end_matches('/').to_owned();
        let settings = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECTING));
        let token = token_file.map(read_token).transpose()?;
        Ok(Self { base, token, agent: settings.build().into() })
    }

    /// Where it is, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Asks, and reads the answer.
    pub fn call<T: DeserializeOwned>(&self, call: &Call) -> anyhow::Result<T> {
        Ok(self.call_with_code(call)?.1)
    }

    /// Asks, and reads the answer and its status.
    pub fn call_with_code<T: DeserializeOwned>(&self, call: &Call) -> anyhow::Result<(u16, T)> {
        let mut response = self.answered(call)?;
        let read = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_json();
        match read {
            Ok(answer) => Ok((response.status().as_u16(), answer)),
            Err(ureq::Error::Json(_)) => bail!(
                "what answers at {} says something that this version of laterna does not know: it is no host's API, or a \
                 host of another version; use the laterna of that version",
                self.base
            ),
            Err(error) => Err(self.away(&error).into()),
        }
    }

    /// Asks, and gives the answer before its body has come.
    pub fn answered(&self, call: &Call) -> anyhow::Result<Response<Body>> {
        let may_come_twice = call.may_come_twice();
        let mut tries = 0;
        loop {
            tries += 1;
            let response = match self.sent(call) {
                Ok(response) => response,
                Err(error) if may_come_twice && tries == 1 && !is_refused(&error) => continue,
                Err(error) => return Err(self.away(&error).into()),
            };
            let code = response.status().as_u16();
            if response.status().is_success() {
                return Ok(response);
            }
            let refused = Self::refusal(response);
            if refused.is_none() && (502..=504).contains(&code) {
                let reason = format!("what stands before it says {code}");
                return Err(HostIsAway { url: self.base.clone(), reason }.into());
            }
            // It was not let in, so nothing of it was done.
            if tries < TRIES && refused.as_ref().is_some_and(|refused| refused.class == "busy") {
                std::thread::sleep(RETRY);
                continue;
            }
            bail!(self.told(code, refused))
        }
    }

    fn sent(&self, call: &Call<'_>) -> Result<Response<Body>, ureq::Error> {
        let mut request = Request::builder().method(&call.method).uri(format!("{}{}", self.base, call.path));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {}", token.expose_secret()));
        }
        if !call.kind.is_empty() {
            request = request.header("Content-Type", call.kind);
        }
        if let Some(key) = &call.key {
            request = request.header("Idempotency-Key", key);
        }
        match call.body.as_deref() {
            None => self.run(request.body(())?, call.patience),
            Some(body) => self.run(request.body(body)?, call.patience),
        }
    }

    fn run(
        &self,
        request: Request<impl AsSendBody>,
        patience: Duration,
    ) -> Result<Response<Body>, ureq::Error> {
        let request = self.agent.configure_request(request);
        self.agent.run(request.timeout_recv_response(Some(patience)).timeout_per_read(Some(patience)).build())
    }

    fn refusal(mut response: Response<Body>) -> Option<RefusedRequest> {
        let told = response.body_mut().with_config().limit(REFUSAL_BYTES_MAX).read_to_string().ok()?;
        let refused = serde_json::from_str(&told).ok();
        // A name that is not the host's is refused before anything else, in plain words.
        let is_foreign = response.status() == StatusCode::MISDIRECTED_REQUEST;
        refused.or_else(|| is_foreign.then(|| RefusedRequest::plain(told.trim_end())))
    }

    fn away(&self, error: &ureq::Error) -> HostIsAway {
        HostIsAway { url: self.base.clone(), reason: error.to_string() }
    }

    /// What is said where something else than a host answers.
    fn stranger(&self, code: u16) -> String {
        format!(
            "what answers at {} is no host's API: it says {code}; give `--host` the address of `host.admin`",
            self.base
        )
    }

    fn told(&self, code: u16, refused: Option<RefusedRequest>) -> String {
        let Some(RefusedRequest { detail, class, remedy }) = refused else { return self.stranger(code) };
        let told = match (class.as_str(), &self.token) {
            // They are refused in the same words as where no host is asked.
            ("not-found" | "conflict" | "wrong-request", _) => detail,
            ("unauthenticated", None) => format!(
                "the host at {} asks for a token: name a file that holds one of its `host.tokens`, with `--token-file`",
                self.base
            ),
            ("unauthenticated", Some(_)) => format!(
                "the host at {} does not know the token of `--token-file`: it must be one of its `host.tokens`, which it \
                 reads when it starts and when it is reloaded",
                self.base
            ),
            _ => format!("{detail}; what to do ({class}): {remedy}"),
        };
        harmless_lines(&told)
    }
}

/// Whether nothing was sent at all.
fn is_refused(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

/// Reads the token of a file, which holds nothing else.
fn read_token(file: &Path) -> anyhow::Result<SecretString> {
    let shown = file.display();
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read `--token-file` {shown}"))?;
    let token = text.trim();
    let is_visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_visible || token.len() > TOKEN_BYTES_MAX {
        bail!(
            "`--token-file` {shown} must hold one token and nothing else: visible ASCII characters without a space"
        );
    }
    Ok(token.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_without_secrets() {
        for (url, says) in [
            ("127.0.0.1:7420", "is no URL"),
            ("ftp://a", "must begin with http"),
            ("http://", "is no URL"),
            ("http://ada:s3cret@db", "put the token into a file"),
            ("http://ada:s3cret@db:99999", "is no URL"),
            ("ftp://ada:s3cret@db", "put the token into a file"),
            ("http://a/?token=s3cret", "must end before"),
        ] {
            let refused = HostApi::new(url, None).err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(refused.contains(says) && !refused.contains("s3cret"), "{url}: {refused:?}");
        }
        let base = |url: &str| HostApi::new(url, None).map(|api| api.base).ok();
        assert_eq!(base("http://127.0.0.1:7420/").as_deref(), Some("http://127.0.0.1:7420"));
        assert_eq!(base("https://gate.example/laterna").as_deref(), Some("https://gate.example/laterna"));
    }

    #[test]
    fn a_token_stands_alone_in_its_file_and_in_no_message() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        let read = |text: &str| {
            std::fs::write(&file, text).expect("it can be written");
            read_token(&file)
        };
        assert_eq!(read("abc\n").expect("a token").expose_secret(), "abc");
        for wrong in ["", " \n", "[[token]]\nname = \"secret\"", "two tokens-secret", "secret\u{e9}"] {
            let refused = format!("{:#}", read(wrong).expect_err("it is none"));
            assert!(refused.contains("one token") && !refused.contains("secret"), "{refused}");
        }
        assert!(read_token(&folder.path().join("none")).is_err());
    }

    #[test]
    fn what_stands_in_a_path_cannot_leave_it() {
        assert_eq!(encoded("a/b ?é"), "a%2Fb%20%3F%C3%A9");
        let values = [("a", Some("1&b=2".to_owned())), ("c", None), ("d", Some(String::new()))];
        assert_eq!(query(&values), "?a=1%26b%3D2&d=");
        assert_eq!(query(&[("c", None)]), "");
        assert_ne!(key(), key());
    }
}
