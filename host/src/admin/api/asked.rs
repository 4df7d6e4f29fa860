//! Makes a stored command of a request for a change (its caller, its dry run, its `Idempotency-Key`), or a problem.

use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Json, RequestPartsExt};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Type};

use crate::admin::AdminContext;
use crate::admin::callers::Caller;
use crate::admin::desk::Seat;
use crate::admin::problem::Problem;
use crate::operation::dry_run::DryRun;
use crate::operation::wish::{Wish, Wished};
use crate::readmodel::control::command::{CommandRecord, OnceKey, WrittenBefore};

/// The header of a request that may come twice.
pub const KEY_HEADER: &str = "Idempotency-Key";

/// The longest key, in bytes.
const KEY_MAX: usize = 200;

/// How a change is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChangeQuery {
    /// Only shows what would be asked for. A replay is tried and rolled back.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// Who asks for a change, and how.
pub struct Asked {
    caller: Caller,
    pub dry_run: bool,
    key: RepeatKey,
}

/// The key of a request that may come twice, by its hash.
#[derive(Debug, Clone)]
pub struct RepeatKey(Option<String>);

impl RepeatKey {
    /// What the request is known again by, where it has a key; with what it asks for.
    pub fn once(&self, asked: &[&[u8]]) -> Option<OnceKey> {
        self.0.clone().map(|key| OnceKey { key, asked: digits(asked) })
    }
}

impl FromRequestParts<AdminContext> for RepeatKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AdminContext) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().ok_or_else(Problem::no_token)?;
        match parts.headers.get(KEY_HEADER).map(axum::http::HeaderValue::as_bytes) {
            None => Ok(Self(None)),
            Some(key) if key.is_empty() || key.len() > KEY_MAX => {
                Err(Problem::wrong(format!("`{KEY_HEADER}` must have 1 to {KEY_MAX} bytes")))
            }
            Some(key) => Ok(Self(Some(digits(&[caller.name.as_bytes(), key])))),
        }
    }
}

impl FromRequestParts<AdminContext> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shown: &AdminContext) -> Result<Self, Problem> {
        let query = parts.extract::<Query<ChangeQuery>>().await;
        let Query(ChangeQuery { dry_run }) = query.map_err(|wrong| Problem::wrong(wrong.body_text()))?;
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(Problem::no_token)?;
        let key = RepeatKey::from_request_parts(parts, shown).await?;
        Ok(Self { caller, dry_run, key })
    }
}

impl IntoParams for RepeatKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text =
            ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(KEY_MAX));
        let described = ParameterBuilder::new()
            .name(KEY_HEADER)
            .parameter_in(ParameterIn::Header)
            .description(Some(
                "The same change under the same key is asked for once, however often it is sent",
            ))
            .schema(Some(text));
        vec![described.build()]
    }
}

impl IntoParams for Asked {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        [ChangeQuery::into_params(&place), RepeatKey::into_params(&place)].concat()
    }
}

impl Asked {
    /// Asks for what is wished.
    pub async fn ask(self, shown: &AdminContext, projection: &str, wish: Wish) -> Result<Response, Problem> {
        let mut seat = shown.desk.sit().await?;
        let answer = self.written(&mut seat, projection, wish).await;
        seat.rise(answer)
    }

    async fn written(&self, seat: &mut Seat, projection: &str, wish: Wish) -> Result<Response, Problem> {
        let Seat { session, servers, .. } = seat;
        let control = servers.control.clone();
        let once = self.key.once(&[format!("{wish:?}").as_bytes()]);
        // What it was about may be gone: the first request has done it.
        if let Some(once) = once.as_ref().filter(|_| !self.dry_run) {
            match control.of(session, projection).find_once(once).await? {
                WrittenBefore::Same(id) => return asked_for(seat, id).await,
                WrittenBefore::Another(id) => {
                    return Err(Problem::key_is_taken(&format!("the operation {id}")));
                }
                WrittenBefore::Nothing => {}
            }
        }
        let rehearses =
            matches!(&wish, Wish::Letters { what: crate::operation::wish::LetterWish::Rehearse, .. });
        let Wished { request, letters } = wish.request(session, servers, projection).await?;
        if self.dry_run && !rehearses {
            return Ok(Json(DryRun::of(&Wished { request, letters })).into_response());
        }
        let by = &self.caller.name;
        let mut db = control.of(session, projection);
        let id = match once {
            Some(once) => db.submit_as(&request, by, &once).await?,
            None => db.submit(&request, by).await?,
        };
        tracing::info!(projection, command = id, by, request = request.told(), "asked for over the API");
        asked_for(seat, id).await
    }
}

/// Says that a command is written down.
async fn asked_for(seat: &mut Seat, id: u64) -> Result<Response, Problem> {
    let found = seat.servers.control.on(&mut seat.session).command_record(id).await?;
    found.map(accepted).ok_or_else(|| Problem::not_found(format!("the operation {id} is gone")))
}

/// Shows an operation that is not over, and says where it can be watched.
pub fn accepted(record: CommandRecord) -> Response {
    let place = format!("{}/operations/{}", super::BASE, record.id);
    (StatusCode::ACCEPTED, [(LOCATION, place)], Json(record)).into_response()
}

/// The first 128 bits of a hash, in hexadecimal digits.
fn digits(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}
