//! What the API says when it does not do what it was asked for: `application/problem+json` (RFC 9457), with a class for
//! machines and what is to be done about it.

use axum::Json;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tower_http::csrf::ProtectionError;

use crate::failure::Failure;
use crate::operation::ask::Refusal;
use crate::text::harmless_lines;

pub const MEDIA_TYPE: &str = "application/problem+json";

/// How much is kept of a text that says why something was refused, in bytes.
const TOLD_BYTES_MAX: usize = 4 << 10;

/// When to come back, in seconds.
const RETRY_SECONDS: &str = "1";

/// Why something was not done.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// What kind of problem it is, in a few words.
    pub title: String,
    /// The answer's status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened, to what, and why.
    pub detail: String,
    /// A fixed word for machines: a class of failures, or one of the API's own.
    pub class: String,
    /// What to do about it.
    pub remedy: String,
    /// The MySQL session in which it came up cannot be used again.
    #[serde(skip)]
    pub spoils_session: bool,
}

impl Problem {
    fn new(status: StatusCode, class: &str, detail: impl Into<String>, remedy: &str) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused").to_owned();
        let detail = harmless_lines(&detail.into());
        Self {
            title,
            status: status.as_u16(),
            detail,
            class: class.to_owned(),
            remedy: remedy.to_owned(),
            spoils_session: false,
        }
    }

    pub fn no_token() -> Self {
        let remedy = "send a token of `host.tokens`: Authorization: Bearer TOKEN";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "the request has no token", remedy)
    }

    pub fn unknown_token() -> Self {
        let remedy = "send a token that stands in `host.tokens`; the host reads that file when it starts and when it is reloaded";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "nobody has this token", remedy)
    }

    pub fn forbidden(caller: &str) -> Self {
        let detail = format!("`{caller}` has the role `viewer`, which changes nothing");
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail, "ask with a token whose role is `operator`")
    }

    /// Every line of an answer would hold what may not be seen.
    pub fn hidden(caller: &str) -> Self {
        let detail = format!("`{caller}` has the role `viewer`, which does not see what events hold");
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail, "ask with a token whose role is `operator`")
    }

    /// What is asked for is not as it has to be.
    pub fn wrong(detail: impl Into<String>) -> Self {
        Self::not_understood(StatusCode::BAD_REQUEST, detail)
    }

    fn not_understood(status: StatusCode, detail: impl Into<String>) -> Self {
        let remedy = "correct the request; /api/v1/openapi.json says how it has to be";
        Self::new(status, "wrong-request", detail, remedy)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        let remedy = "ask for one that there is; the lists show them";
        Self::new(StatusCode::NOT_FOUND, "not-found", detail, remedy)
    }

    pub fn no_projection(name: &str) -> Self {
        Self::not_found(format!("this host has no projection `{name}`"))
    }

    /// It is there, and as it stands this cannot be done.
    pub fn conflict(detail: impl Into<String>) -> Self {
        let remedy = "look at how it stands now, and ask for what can be done";
        Self::new(StatusCode::CONFLICT, "conflict", detail, remedy)
    }

    /// The configuration was not taken over.
    pub fn not_reloaded(detail: impl Into<String>) -> Self {
        let remedy = "correct what is named, and ask again; what was in force stays so";
        Self::new(StatusCode::CONFLICT, "conflict", detail, remedy)
    }

    /// An event that whoever asks waits for in vain.
    pub fn dead_letter(state: &str, letter: u64) -> Self {
        let detail = format!("the event is {state}: it is the dead letter {letter}");
        let remedy = "replay or discard it when the cause is fixed; its class says what that is";
        Self::new(StatusCode::CONFLICT, "conflict", detail, remedy)
    }

    /// `what` was asked for with the same key.
    pub fn key_is_taken(what: &str) -> Self {
        let detail = format!("{what} was asked for with this `Idempotency-Key`, and it is another one");
        let remedy = "give each change a key of its own, and only the same one again the same key";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "key-taken", detail, remedy)
    }

    /// A browser may have been led here by another site's name.
    pub fn foreign_name(name: &str) -> Self {
        let detail = format!("{name:?} is no name of this endpoint");
        let remedy =
            "ask localhost, or an address of the loopback; further names stand in `host.admin_names`";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "foreign-name", detail, remedy)
    }

    pub fn too_often(caller: &str) -> Self {
        let detail = format!("`{caller}` asks more often than a caller may");
        let remedy = "come back in a second, and ask less often: `/api/v1/events` tells what changes";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-often", detail, remedy)
    }

    pub fn busy() -> Self {
        let detail = "others ask just now, and no more are let in at a time";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail, "try again in a second")
    }

    pub fn late(seconds: u64) -> Self {
        let detail = format!("there was no answer within {seconds} s");
        let remedy = "try again; send a body in one go";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timed-out", detail, remedy)
    }

    pub fn stalled() -> Self {
        let remedy = "send it in one go";
        Self::new(StatusCode::REQUEST_TIMEOUT, "timed-out", "nothing more of the body came", remedy)
    }

    /// The task that answered has panicked.
    pub fn broken() -> Self {
        let remedy = "the host goes on; the log says what happened: report it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "answering ended abnormally", remedy)
    }
}

impl Problem {
    /// A failure that no session of the API met.
    pub fn outside(failure: Failure) -> Self {
        Self { spoils_session: false, ..failure.into() }
    }
}

impl Problem {
    /// A refusal where no session of the API has a part in it.
    pub fn refused_outside(refusal: Refusal) -> Self {
        Self { spoils_session: false, ..refusal.into() }
    }
}

/// Changes are not taken from other sites' pages.
pub fn foreign_page(_: ProtectionError) -> Response {
    let detail = "the request comes from a page of another origin";
    let remedy =
        "changes are asked for by a page that this host served, or by a program, which sends no `Origin`";
    Problem::new(StatusCode::FORBIDDEN, "foreign-origin", detail, remedy).into_response()
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let status = match failure {
            Failure::Misconfigured { .. } => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let problem = Self::new(status, failure.class(), failure.without_values(), failure.remedy());
        Self { spoils_session: true, ..problem }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotThere(why) => Self::not_found(why),
            Refusal::InTheWay(why) => Self::conflict(why),
            Refusal::Wrong(why) => Self::wrong(why),
            Refusal::Failed(failure) => failure.into(),
        }
    }
}

/// The end of what is said by the one who bounds the time between two pieces of a body.
const STALLED_BODY: &str = "data was not received within the designated timeout";

/// Gives what was refused before a handler saw it, in one line of text or none, the form of all problems.
pub async fn everywhere(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE);
    if !(status.is_client_error() || status.is_server_error()) || kind.is_some_and(|kind| kind == MEDIA_TYPE)
    {
        return response;
    }
    let (parts, body) = response.into_parts();
    let told = axum::body::to_bytes(body, TOLD_BYTES_MAX).await.unwrap_or_default();
    let told = String::from_utf8_lossy(&told).trim_end().to_owned();
    let detail = |text: &str| if told.is_empty() { text.to_owned() } else { told.clone() };
    let problem = match status {
        StatusCode::NOT_FOUND => Problem::not_found(detail("there is nothing at this path")),
        StatusCode::METHOD_NOT_ALLOWED => {
            let remedy = "use one of the methods of the header `Allow`";
            Problem::new(status, "wrong-method", detail("the path does not take this method"), remedy)
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(status, "too-large", detail("the body is too long"), "send a shorter one")
        }
        StatusCode::BAD_REQUEST if told.ends_with(STALLED_BODY) => Problem::stalled(),
        status => Problem::not_understood(status, detail("it is not understood")),
    };
    let mut response = problem.into_response();
    if let Some(allow) = parts.headers.get(ALLOW) {
        response.headers_mut().insert(ALLOW, allow.clone());
    }
    response
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        response
    }
}
