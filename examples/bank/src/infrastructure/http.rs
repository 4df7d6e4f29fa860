//! The bank over HTTP: its commands, which need MongoDB and nothing else, and its queries beside them. `Idempotency-Key` is
//! the command's id, `traceparent` goes with the events.

use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use outbox::{Cause, Error, Written};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;

use super::queries;
use super::readmodel::ReadModel;
use crate::application::{Bank, Order, Transferred};
use crate::domain::{Account, Currency, Money, Process, Transfer};

/// How long a command may take. It is sent again with the same key: what it did meanwhile, it did once.
const COMMAND_WITHIN: Duration = Duration::from_secs(5);

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

/// How a transfer stands, and the events to wait for.
#[derive(Serialize)]
struct Moved {
    #[serde(flatten)]
    process: Process,
    events: Vec<String>,
}

/// Serves the bank until the process ends; its queries, too, where there is a read model.
pub async fn serve(listener: TcpListener, bank: Bank, model: Option<ReadModel>) -> std::io::Result<()> {
    let queries = model.map_or_else(Router::new, queries::router);
    axum::serve(listener, commands(bank).merge(queries)).await
}

pub fn commands(bank: Bank) -> Router {
    Router::new()
        .route("/accounts/{id}", get(show).post(open))
        .route("/accounts/{id}/deposits", post(deposit))
        .route("/accounts/{id}/withdrawals", post(withdraw))
        .route("/accounts/{id}/closing", post(close))
        .route("/transfers/{id}", get(show_transfer).post(transfer))
        .with_state(bank)
        .layer(from_fn(in_time))
}

/// MongoDB's driver tries for minutes; whoever asks is told earlier.
async fn in_time(request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(COMMAND_WITHIN, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        unavailable("MongoDB does not answer, so there are no commands; queries go on. Send it again with the same key")
    })
}

fn unavailable(why: &str) -> Response {
    let told = Json(json!({ "refused": why }));
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], told).into_response()
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
) -> Answer<Moved> {
    let Transferred { process, events } = bank.transfer(&cause(&headers)?, &id, transfer).await?;
    Ok(Json(Moved { process, events: events.iter().map(ToString::to_string).collect() }))
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
        let status = match &self.0 {
            Error::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Conflict(_) => StatusCode::CONFLICT,
            Error::InvalidEvent(_) => StatusCode::BAD_REQUEST,
            Error::Driver(error) => {
                return unavailable(&format!("MongoDB did not take it ({error}); queries go on"));
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({ "refused": self.0.to_string() }))).into_response()
    }
}
