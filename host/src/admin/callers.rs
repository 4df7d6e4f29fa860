//! Identifies the caller of the API, by a token where there are any, and enforces the roles: every method but GET, HEAD and OPTIONS needs
//! the role `operator`.

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::connections::Peer;
use super::problem::Problem;
use super::tokens::{CallerRole, Tokens, TokensInForce};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What is written down as who asked for a change.
    pub name: String,
    pub role: CallerRole,
}

impl Caller {
    /// Whether the caller may see what events hold.
    pub fn sees_values(&self) -> bool {
        self.role == CallerRole::Operator
    }
}

/// Tells who asks to those who answer, or refuses.
pub async fn identify(State(tokens): State<TokensInForce>, mut request: Request, next: Next) -> Response {
    let caller = match caller(&tokens.get(), &request) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let is_look = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_look && caller.role != CallerRole::Operator {
        return Problem::forbidden(&caller.name).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn caller(tokens: &Tokens, request: &Request) -> Result<Caller, Problem> {
    if tokens.is_empty() {
        let peer = request.extensions().get::<Peer>();
        let name = peer.map_or_else(|| "api".to_owned(), |Peer(address)| format!("api@{}", address.ip()));
        return Ok(Caller { name, role: CallerRole::Operator });
    }
    let given = bearer(request.headers()).ok_or_else(Problem::no_token)?;
    let (name, role) = tokens.find(given).ok_or_else(Problem::unknown_token)?;
    Ok(Caller { name: name.to_owned(), role })
}

/// The token of a request, where it has exactly one.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (one, more) = (given.next()?.as_bytes(), given.next());
    let (scheme, token) = one.split_at_checked("Bearer ".len())?;
    (more.is_none() && scheme.eq_ignore_ascii_case(b"Bearer ")).then(|| token.trim_ascii())
}
