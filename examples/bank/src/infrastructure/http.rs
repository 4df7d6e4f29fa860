//! The bank's commands over HTTP. `Idempotency-Key` is the command's id, `traceparent` goes with the events.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use outbox::{Cause, Error, Written};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;

use crate::application::{Bank, Order};
use crate::domain::{Account, Currency, Money, Process, Transfer};

/// What the bank did not do, and why.
struct Refused(Error);

type Answer<T> = Result<Json<T>, Refused>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Opening {
    owner: String,
    currency: Currency,
    #[serde(default)]
    overdraft_cents: i64,
}

/// The account as it is then, and the events to wait for.
#[derive(Serialize)]
struct Done {
    account: Account,
    events: Vec<String>,
    repeated: bool,
}

/// Serves the bank until the process ends.
pub async fn serve(listener: TcpListener, bank: Bank) -> std::io::Result<()> {
    axum::serve(listener, router(bank)).await
}

fn router(bank: Bank) -> Router {
    Router::new()
        .route("/accounts/{id}", get(show).post(open))
        .route("/accounts/{id}/deposits", post(deposit))
        .route("/accounts/{id}/withdrawals", post(withdraw))
        .route("/accounts/{id}/closing", post(close))
        .route("/transfers/{id}", get(show_transfer).post(transfer))
        .with_state(bank)
}

async fn show(State(bank): State<Bank>, Path(id): Path<String>) -> Answer<Account> {
    Ok(Json(bank.account(&id).await?))
}

async fn open(
    State(bank): State<Bank>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(Opening { owner, currency, overdraft_cents }): Json<Opening>,
) -> Answer<Done> {
    order(&bank, &headers, &id, Order::Open { owner, currency, overdraft_cents }).await
}

async fn deposit(
    State(bank): State<Bank>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(money): Json<Money>,
) -> Answer<Done> {
    order(&bank, &headers, &id, Order::Deposit(money)).await
}

async fn withdraw(
    State(bank): State<Bank>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(money): Json<Money>,
) -> Answer<Done> {
    order(&bank, &headers, &id, Order::Withdraw(money)).await
}

async fn close(State(bank): State<Bank>, Path(id): Path<String>, headers: HeaderMap) -> Answer<Done> {
    order(&bank, &headers, &id, Order::Close).await
}

async fn order(bank: &Bank, headers: &HeaderMap, id: &str, order: Order) -> Answer<Done> {
    let mut cause = cause(headers)?;
    // Callers choose keys, so that one key may come with orders of different kinds and for different accounts.
    cause.command = cause.command.map(|key| format!("account/{id}/{}/{key}", order.kind()));
    let Written { result, events, repeated } = bank.order(&cause, id, order).await?;
    let events = events.iter().map(ToString::to_string).collect();
    Ok(Json(Done { account: result, events, repeated }))
}

async fn show_transfer(State(bank): State<Bank>, Path(id): Path<String>) -> Answer<Process> {
    Ok(Json(bank.process(&id).await?.0))
}

async fn transfer(
    State(bank): State<Bank>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(transfer): Json<Transfer>,
) -> Answer<Process> {
    Ok(Json(bank.transfer(&cause(&headers)?, &id, transfer).await?))
}

/// The command's id and the trace of a request. A key that cannot be read is refused: the command would not act once.
fn cause(headers: &HeaderMap) -> std::result::Result<Cause, Refused> {
    let text = |name: &str| {
        let unreadable = |_| Error::InvalidEvent(format!("the header `{name}` is not printable ASCII"));
        let value = headers.get(name).map(|value| value.to_str().map(ToOwned::to_owned));
        value.transpose().map_err(unreadable)
    };
    Ok(Cause { command: text("idempotency-key")?, traceparent: text("traceparent")? })
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.0 {
            Error::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Conflict(_) => StatusCode::CONFLICT,
            Error::InvalidEvent(_) => StatusCode::BAD_REQUEST,
            Error::Driver(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut answer = (status, Json(json!({ "refused": self.0.to_string() }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        answer
    }
}
