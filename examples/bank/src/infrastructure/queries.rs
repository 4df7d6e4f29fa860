//! The bank's queries over HTTP, below `/api`. `?after=` names events that the answer has to come after: those of a command's
//! answer, so that whoever wrote reads what they wrote.

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bson::Uuid;
use serde::Deserialize;
use serde_json::json;

use super::readmodel::{AccountRow, Entry, Month, Question, ReadModel, Told, Unread};

pub const ACCOUNTS: &str = "accounts";
pub const STATEMENT: &str = "statement";
pub const AUDIT: &str = "audit";

/// How many events one question may wait for.
const AFTER_MAX: usize = 20;

#[derive(Debug, Default, Deserialize)]
struct Asked {
    /// Event ids, with commas between them.
    #[serde(default)]
    after: String,
    /// `account/a1`: of which aggregate the audit trail is.
    aggregate: Option<String>,
}

/// Why a question was not answered.
enum Unanswered {
    Wrong(String),
    Nobody(String),
    Unread(Unread),
}

type Answer<T> = Result<Json<T>, Unanswered>;

pub fn router(model: ReadModel) -> Router {
    Router::new()
        .route("/api/accounts", get(accounts))
        .route("/api/accounts/{id}", get(account))
        .route("/api/accounts/{id}/statement", get(statement))
        .route("/api/accounts/{id}/months", get(months))
        .route("/api/audit", get(audit))
        .with_state(model)
}

async fn accounts(State(model): State<ReadModel>, Query(asked): Query<Asked>) -> Answer<Vec<AccountRow>> {
    let question = Question { projection: ACCOUNTS, sql: AccountRow::ALL, values: &[] };
    Ok(Json(model.ask(&question, &asked.events()?, AccountRow::read).await?))
}

async fn account(
    State(model): State<ReadModel>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer<AccountRow> {
    let question = Question { projection: ACCOUNTS, sql: AccountRow::ONE, values: &[&id] };
    let mut found = model.ask(&question, &asked.events()?, AccountRow::read).await?;
    found.pop().map(Json).ok_or(Unanswered::Nobody(id))
}

async fn statement(
    State(model): State<ReadModel>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer<Vec<Entry>> {
    let question = Question { projection: STATEMENT, sql: Entry::OF_ACCOUNT, values: &[&id] };
    Ok(Json(model.ask(&question, &asked.events()?, Entry::read).await?))
}

async fn months(
    State(model): State<ReadModel>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer<Vec<Month>> {
    let question = Question { projection: STATEMENT, sql: Month::OF_ACCOUNT, values: &[&id] };
    Ok(Json(model.ask(&question, &asked.events()?, Month::read).await?))
}

async fn audit(State(model): State<ReadModel>, Query(asked): Query<Asked>) -> Answer<Vec<Told>> {
    let after = asked.events()?;
    let latest = Question { projection: AUDIT, sql: Told::LATEST, values: &[] };
    let Some(aggregate) = asked.aggregate else {
        return Ok(Json(model.ask(&latest, &after, Told::read).await?));
    };
    let wrong = || Unanswered::Wrong(format!("`{aggregate}` is not like `account/a1`"));
    let (kind, id) = aggregate.split_once('/').ok_or_else(wrong)?;
    let question = Question { projection: AUDIT, sql: Told::OF_AGGREGATE, values: &[kind, id] };
    Ok(Json(model.ask(&question, &after, Told::read).await?))
}

impl Asked {
    fn events(&self) -> Result<Vec<Uuid>, Unanswered> {
        let ids = self.after.split(',').filter(|id| !id.is_empty());
        let wrong = |id: &str| Unanswered::Wrong(format!("`{id}` is not the id of an event"));
        let ids: Vec<Uuid> =
            ids.map(|id| Uuid::parse_str(id).map_err(|_| wrong(id))).collect::<Result<_, _>>()?;
        if ids.len() > AFTER_MAX {
            return Err(Unanswered::Wrong(format!("`after` names at most {AFTER_MAX} events")));
        }
        Ok(ids)
    }
}

impl From<Unread> for Unanswered {
    fn from(unread: Unread) -> Self {
        Self::Unread(unread)
    }
}

impl IntoResponse for Unanswered {
    fn into_response(self) -> Response {
        let (status, why) = match self {
            Self::Wrong(why) => (StatusCode::BAD_REQUEST, why),
            Self::Nobody(id) => {
                (StatusCode::NOT_FOUND, format!("the read model has no account `{id}` (yet)"))
            }
            Self::Unread(unread @ Unread::DeadLetter { .. }) => (StatusCode::CONFLICT, unread.to_string()),
            Self::Unread(unread) => (StatusCode::SERVICE_UNAVAILABLE, unread.to_string()),
        };
        let mut answer = (status, Json(json!({ "unanswered": why }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        answer
    }
}
