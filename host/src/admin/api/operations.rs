//! Operations: every command that was asked for, by whom, how far it is, and what came of it.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;

use super::asked::{self, RepeatKey};
use super::{body, masking};
use crate::admin::AdminContext;
use crate::admin::callers::Caller;
use crate::admin::desk::Seat;
use crate::admin::problem::Problem;
use crate::operation::pages::OperationPage;
use crate::readmodel::control::answer::AnsweredBefore;
use crate::readmodel::control::command::{Cancellation, CommandRecord, CommandState, OnceKey, RecordFilter};
use crate::status::Status;

/// How many operations one answer holds.
const OPERATIONS_MAX: u32 = 200;
const OPERATIONS: u32 = 50;

/// What the keys of cancellations are about. It is the name of no projection.
const CANCELLATIONS: &str = "DELETE operations";

/// Which operations are listed: those that fit everything that is given.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OperationQuery {
    /// Those of one projection.
    projection: Option<String>,
    /// Those that one caller asked for.
    by: Option<String>,
    /// Those of one kind, as `discard`.
    kind: Option<String>,
    /// Those that are over, or those that are not.
    over: Option<bool>,
    /// Those in this state.
    state: Option<CommandState>,
    /// Those before this id: the `next` of the page before.
    #[serde(default, deserialize_with = "body::number_if_any")]
    before: Option<u64>,
    /// How many, 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A page of operations, the newest first. It is also the record of who did what.
#[utoipa::path(get, path = "/operations", tag = "operations", params(OperationQuery),
    responses((status = 200, body = OperationPage)))]
pub async fn list(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<OperationQuery>,
) -> Result<Json<OperationPage>, Problem> {
    let OperationQuery { projection, by, kind, over: is_over, state, before, limit } = query;
    let limit = limit.unwrap_or(OPERATIONS);
    if !(1..=OPERATIONS_MAX).contains(&limit) {
        return Err(Problem::wrong(format!("`limit` is {limit}; it must be 1 to {OPERATIONS_MAX}")));
    }
    let filter = RecordFilter { projection, by, kind, is_over, state, before };
    let mut seat = shown.desk.sit().await?;
    let found = OperationPage::read(&mut seat.session, &seat.servers, &filter, limit).await;
    let mut page = seat.rise(found.map_err(Problem::from))?;
    for record in &mut page.operations {
        masking::command(&caller, record);
    }
    Ok(Json(page))
}

/// One operation, with the whole of its result.
#[utoipa::path(get, path = "/operations/{id}", tag = "operations",
    params(("id" = u64, Path, description = "Its number")),
    responses((status = 200, body = CommandRecord)))]
pub async fn show(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
) -> Result<Json<CommandRecord>, Problem> {
    let mut seat = shown.desk.sit().await?;
    let found = seat.servers.control.on(&mut seat.session).command_record(id).await;
    let found = seat.rise(found.map_err(Problem::from))?;
    let mut record = found.ok_or_else(|| Problem::not_found(format!("there is no operation {id}")))?;
    masking::command(&caller, &mut record);
    Ok(Json(record))
}

/// Whether it is done, or only tried.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DryRunQuery {
    /// Only shows what would happen.
    #[serde(default)]
    #[param(required = false)]
    pub dry_run: bool,
}

/// Cancels an operation that is not done yet: one that waits, a rebuild or a verification that is being built, a replay before its
/// next letter.
#[utoipa::path(delete, path = "/operations/{id}", tag = "operations",
    params(("id" = u64, Path, description = "Its number"), DryRunQuery, RepeatKey),
    responses((status = 200, body = CommandRecord, description = "It has ended"),
        (status = 202, body = CommandRecord, description = "The host that carries it out will end it")))]
pub async fn cancel(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
    Query(query): Query<DryRunQuery>,
    key: RepeatKey,
) -> Result<Response, Problem> {
    let mut seat = shown.desk.sit().await?;
    let once = key.once(&[&id.to_be_bytes()]).filter(|_| !query.dry_run);
    let cancelled = cancelled_once(&mut seat, &caller, id, &query, once).await;
    Ok(match seat.rise(cancelled)? {
        (StatusCode::ACCEPTED, record) => asked::accepted(record),
        (code, record) => (code, Json(record)).into_response(),
    })
}

/// Cancels, or tells how it stands where the same was asked for under this key before.
async fn cancelled_once(
    seat: &mut Seat,
    caller: &Caller,
    id: u64,
    query: &DryRunQuery,
    once: Option<OnceKey>,
) -> Result<(StatusCode, CommandRecord), Problem> {
    let control = seat.servers.control.clone();
    if let Some(once) = &once
        && control.on(&mut seat.session).find_answer(CANCELLATIONS, once).await? == AnsweredBefore::Another
    {
        return Err(Problem::key_is_taken("the end of an operation"));
    }
    let cancelled = cancelled(seat, caller, id, query).await?;
    if let Some(once) = &once {
        control.on(&mut seat.session).keep_answer(CANCELLATIONS, once, "").await?;
    }
    Ok(cancelled)
}

async fn cancelled(
    Seat { session, servers, .. }: &mut Seat,
    caller: &Caller,
    id: u64,
    query: &DryRunQuery,
) -> Result<(StatusCode, CommandRecord), Problem> {
    let none = || Problem::not_found(format!("there is no operation {id}"));
    let mut db = servers.control.on(session);
    let (cancellation, ended) = db.cancel_command(id, &caller.name, query.dry_run).await?;
    Status::counts_ended(&ended);
    let code = match cancellation {
        Cancellation::Over => StatusCode::OK,
        Cancellation::Asked => StatusCode::ACCEPTED,
        Cancellation::TooLate(why) => {
            return Err(Problem::conflict(format!("operation {id} is not cancelled: {why}")));
        }
        Cancellation::NotThere => return Err(none()),
    };
    if !query.dry_run {
        tracing::info!(command = id, by = caller.name, "cancelled over the API");
    }
    let record = db.command_record(id).await?.ok_or_else(none)?;
    Ok((code, record))
}
