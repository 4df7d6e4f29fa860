//! Components that are stored: listed, downloaded, uploaded for a projection.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::asked::RepeatKey;
use crate::admin::AdminContext;
use crate::admin::callers::Caller;
use crate::admin::desk::Seat;
use crate::admin::problem::Problem;
use crate::component::standing::NoPair;
use crate::component::version::LoadedComponent;
use crate::failure::Failure;
use crate::operation::load::Uploaded;
use crate::projector::Outline;
use crate::readmodel::control::answer::AnsweredBefore;
use crate::readmodel::control::command::OnceKey;
use crate::readmodel::control::recorded_change::ChangedBy;
use crate::readmodel::control::stored_component::StoredComponent;

/// How many components one answer holds.
const COMPONENTS_MAX: u32 = 200;

/// How many components are sent at a time.
pub const DOWNLOADS_MAX: usize = 4;

/// How much of a component is sent at once.
const PART_BYTES: usize = 64 << 10;

/// A component with what it asks of its host.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct InspectedComponent {
    #[serde(flatten)]
    component: StoredComponent,
    imports: Vec<String>,
    exports: Vec<String>,
}

/// The components that the control schema holds, the newest first.
#[utoipa::path(get, path = "/components", tag = "components",
    responses((status = 200, body = Vec<StoredComponent>)))]
pub async fn list(State(shown): State<AdminContext>) -> Result<Json<Vec<StoredComponent>>, Problem> {
    let mut seat = shown.desk.sit().await?;
    let found = seat.servers.control.on(&mut seat.session).components(None, COMPONENTS_MAX).await;
    seat.rise(found.map_err(Problem::from)).map(Json)
}

/// One component: what it is called, what it imports and exports.
#[utoipa::path(get, path = "/components/{digest}", tag = "components",
    params(("digest" = String, Path, description = "Its digest")),
    responses((status = 200, body = InspectedComponent)))]
pub async fn show(
    State(shown): State<AdminContext>,
    Path(digest): Path<String>,
) -> Result<Json<InspectedComponent>, Problem> {
    let mut seat = shown.desk.sit().await?;
    let found = stored(&mut seat, &digest).await;
    let (component, bytes) = seat.rise(found)?;
    let outline = Outline::read(&bytes).map_err(|refusal| Problem::wrong(refusal.to_string()))?;
    Ok(Json(InspectedComponent { component, imports: outline.imports, exports: outline.exports }))
}

/// The component itself.
#[utoipa::path(get, path = "/components/{digest}/wasm", tag = "components",
    params(("digest" = String, Path, description = "Its digest")),
    responses((status = 200, body = String, content_type = "application/wasm")))]
pub async fn download(
    State(shown): State<AdminContext>,
    Path(digest): Path<String>,
) -> Result<Response, Problem> {
    let place = shown.downloads.clone().try_acquire_owned().map_err(|_| Problem::busy())?;
    let mut seat = shown.desk.sit().await?;
    let found = stored(&mut seat, &digest).await;
    let (_, bytes) = seat.rise(found)?;
    Ok(([(CONTENT_TYPE, "application/wasm")], in_parts(bytes, place)).into_response())
}

/// It takes memory, and its place, until its last part is on its way.
fn in_parts(bytes: Vec<u8>, place: OwnedSemaphorePermit) -> Body {
    let parts = stream::unfold((Bytes::from(bytes), place), async |(mut rest, place)| {
        let part = rest.split_to(rest.len().min(PART_BYTES));
        (!part.is_empty()).then_some((Ok::<_, Infallible>(part), (rest, place)))
    });
    Body::from_stream(parts)
}

async fn stored(
    Seat { session, servers, .. }: &mut Seat,
    digest: &str,
) -> Result<(StoredComponent, Vec<u8>), Problem> {
    let none = || Problem::not_found("there is no component of this digest in the control schema");
    let mut db = servers.control.on(session);
    let found = db.components(Some(digest), 1).await?;
    let component = found.into_iter().next().ok_or_else(none)?;
    let bytes = db.component_bytes(&component.digest).await?;
    Ok((component, bytes.ok_or_else(none)?))
}

/// How a component is stored.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// A projector, which is to run without an upcaster.
    #[serde(default)]
    #[param(required = false)]
    without_upcaster: bool,
    /// Only loads and checks it, and shows what would be stored.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// Loads a component for a projection, checks its SQL, and stores it: a projector, which runs after the upcaster
/// in force, or an upcaster for the projector in force. It deploys nothing.
#[utoipa::path(post, path = "/projections/{projection}/components", tag = "components",
    request_body(content = String, content_type = "application/wasm"),
    params(("projection" = String, Path, description = "The projection's name"), UploadQuery, RepeatKey),
    responses((status = 201, body = Uploaded),
        (status = 200, body = Uploaded, description = "What would be stored, where `dry_run` is true")))]
pub async fn upload(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
    Extension(caller): Extension<Caller>,
    Query(UploadQuery { without_upcaster, dry_run }): Query<UploadQuery>,
    key: RepeatKey,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let versions = shown.versions_of(&projection)?;
    let once = key.once(&[&bytes, &[u8::from(without_upcaster)]]).filter(|_| !dry_run);
    if let Some(once) = &once {
        let mut seat = shown.desk.sit().await?;
        let found = answered_before(&mut seat, &projection, once).await;
        match seat.rise(found.map_err(Problem::from))? {
            AnsweredBefore::Nothing => {}
            before => return answered(before),
        }
    }
    let half = versions.load(bytes.to_vec().into()).await.map_err(Problem::wrong)?;
    let now = shown.desk.component_in_force(&versions, &projection).await?;
    let is_upcaster = matches!(half, LoadedComponent::Upcaster(_));
    let next = now.beside(half, without_upcaster).map_err(|why| match why {
        NoPair::NoProjector => Problem::wrong(why.to_string()),
        NoPair::Alone | NoPair::Hidden { .. } => Problem::conflict(why.to_string()),
    })?;
    let uploaded = Uploaded::of(&next, is_upcaster);
    if dry_run {
        return Ok(Json(uploaded).into_response());
    }
    let uploaded = serde_json::to_string(&uploaded).expect("it holds only text and numbers");
    let mut seat = shown.desk.sit().await?;
    let stored = async {
        let Seat { session, servers, .. } = &mut seat;
        let mut db = servers.control.on(session);
        let by = ChangedBy { projection: &projection, who: &caller.name, carried_out_by: &shown.host };
        next.store(&mut db, Some(by)).await?;
        match &once {
            None => Ok(AnsweredBefore::Same(uploaded)),
            Some(once) => db.keep_answer(&projection, once, &uploaded).await,
        }
    };
    let stored = stored.await;
    let stored = seat.rise(stored.map_err(Problem::from))?;
    tracing::info!(
        projection,
        digest = next.digest(),
        is_upcaster,
        by = caller.name,
        "a component was uploaded"
    );
    answered(stored)
}

/// What an upload under this key was answered before. Its component counts as stored now; without the component, the answer counts no
/// more, and the upload is a new one.
async fn answered_before(
    Seat { session, servers, .. }: &mut Seat,
    projection: &str,
    once: &OnceKey,
) -> Result<AnsweredBefore, Failure> {
    let mut db = servers.control.on(session);
    let found = db.find_answer(projection, once).await?;
    let AnsweredBefore::Same(body) = &found else { return Ok(found) };
    let is_stored = match serde_json::from_str::<Uploaded>(body) {
        Ok(uploaded) => db.renew_component(&uploaded.digest).await?,
        Err(_) => false,
    };
    if is_stored {
        return Ok(found);
    }
    db.forget_answer(projection, once).await?;
    Ok(AnsweredBefore::Nothing)
}

/// The answer to an upload, which is that of the first one under its key.
fn answered(before: AnsweredBefore) -> Result<Response, Problem> {
    match before {
        AnsweredBefore::Same(body) => {
            Ok((StatusCode::CREATED, [(CONTENT_TYPE, "application/json")], body).into_response())
        }
        AnsweredBefore::Another | AnsweredBefore::Nothing => Err(Problem::key_is_taken("an upload")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::StreamExt;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_component_keeps_its_place_until_its_last_part_is_taken() {
        let bytes: Vec<u8> = (0..=3 * PART_BYTES).map(|at| u8::try_from(at % 251).expect("small")).collect();
        let places = Arc::new(Semaphore::new(1));
        let place = places.clone().try_acquire_owned().expect("it is free");
        let mut parts = in_parts(bytes.clone(), place).into_data_stream();
        let mut taken = parts.next().await.expect("a part").expect("it is there").to_vec();
        assert_eq!((taken.len(), places.available_permits()), (PART_BYTES, 0));
        while let Some(part) = parts.next().await {
            taken.extend(part.expect("it is there"));
        }
        assert!(taken == bytes && places.available_permits() == 1);
    }
}
