//! `/api/v1`: what there is of each projection, and what can be asked for. One file a resource; the `OpenAPI` document comes
//! from their handlers and types.

mod aggregates;
mod asked;
mod answers;
mod body;
pub mod components;
mod hosts;
mod masking;
mod deployments;
pub mod events;
mod generations;
mod letters;
mod me;
mod operations;
mod projections;
mod reload;
mod taken;

use axum::extract::DefaultBodyLimit;
use axum::{Json, Router};
use utoipa::openapi::OpenApi;
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::{AdminContext, bounds};

/// The path that everything here begins with.
const BASE: &str = "/api/v1";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Laterna",
        version = "1",
        description = "What each projection does, and what can be asked of it. Every change is a command that a host carries \
                       out: 202 says where it can be watched. Where tokens are configured, each request needs one.",
        license(name = "MIT", identifier = "MIT"),
        contact(name = "", url = "")
    ),
    components(schemas(Problem)),
    security((), ("token" = [])),
    servers((url = "/", description = "This host")),
    tags(
        (name = "projections", description = "What each projection does, and what it is told to do"),
        (name = "letters", description = "Events that failed, and those that wait behind them"),
        (name = "deployments", description = "Which component a projection runs"),
        (name = "generations", description = "Tables that are built beside the live ones"),
        (name = "components", description = "What is stored, to be deployed"),
        (name = "operations", description = "Every change that was asked for, and what came of it"),
        (name = "hosts", description = "Hosts, what they lead, and their configuration"),
        (name = "events", description = "A stream of what changes"),
        (name = "callers", description = "Who asks")
    ),
    modifiers(&TokenSecurity)
)]
struct Described;

/// Bearer tokens.
struct TokenSecurity;

impl Modify for TokenSecurity {
    fn modify(&self, document: &mut OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
        document.info.contact = None;
    }
}

/// Each operation has a name of its own.
struct OperationNames;

impl Modify for OperationNames {
    fn modify(&self, document: &mut OpenApi) {
        for item in document.paths.paths.values_mut() {
            let all = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
            for operation in all.into_iter().flatten() {
                let tag = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
                operation.operation_id = operation.operation_id.take().map(|name| format!("{tag}_{name}"));
            }
        }
    }
}

/// The routes and what is said of them.
fn described() -> (Router<AdminContext>, OpenApi) {
    // What asks MySQL may find it set up otherwise than it has to be: a conflict.
    let few = OpenApiRouter::new()
        .routes(routes!(projections::pause_progress, projections::pause))
        .routes(routes!(projections::resume))
        .routes(routes!(projections::verify))
        .routes(routes!(letters::list))
        .routes(routes!(letters::export::lines))
        .routes(routes!(letters::show))
        .routes(routes!(letters::replay))
        .routes(routes!(letters::discard))
        .routes(routes!(letters::erase))
        .routes(routes!(deployments::rollback))
        .routes(routes!(deployments::list))
        .routes(routes!(generations::list, generations::rebuild))
        .routes(routes!(generations::accept))
        .routes(routes!(generations::bring_back))
        .routes(routes!(generations::give_up))
        .routes(routes!(hosts::list))
        .routes(routes!(operations::list))
        .routes(routes!(operations::show, operations::cancel))
        .routes(routes!(components::list))
        .routes(routes!(components::show))
        .routes(routes!(components::download));
    let known = OpenApiRouter::new()
        .routes(routes!(projections::list))
        .routes(routes!(projections::show))
        .routes(routes!(projections::recent))
        .routes(routes!(me::show))
        .routes(routes!(events::follow));
    let few = answers::may(few, &["409"]).merge(known);
    let waiting = OpenApiRouter::new().routes(routes!(taken::event));
    // It may compile components, too, but whoever may only look takes no place of those who deploy.
    let looking =
        OpenApiRouter::new().routes(routes!(aggregates::why)).routes(routes!(aggregates::why_named));
    let looking = answers::may(looking, &["409"]);
    // What compiles a component takes its time.
    let large = OpenApiRouter::new()
        .routes(routes!(components::upload))
        .layer(DefaultBodyLimit::disable())
        .routes(routes!(deployments::deploy))
        .routes(routes!(deployments::shadow::compare));
    // There is time for a body to stop coming.
    let large = answers::may(large, &["408"])
        // It loads components, and waits for projections that end.
        .routes(routes!(reload::reload));
    let (few, mut document) =
        OpenApiRouter::with_openapi(Described::openapi()).nest(BASE, few).split_for_parts();
    let (large, uploads) = OpenApiRouter::new().nest(BASE, large).split_for_parts();
    let (waiting, waits) = OpenApiRouter::new().nest(BASE, waiting).split_for_parts();
    document.merge(uploads);
    document.merge(waits);
    let (looking, looks) = OpenApiRouter::new().nest(BASE, looking).split_for_parts();
    document.merge(looks);
    OperationNames.modify(&mut document);
    answers::describe(&mut document);
    let few = bounds::bound(few, bounds::REQUEST).merge(bounds::bound(waiting, bounds::WAIT));
    let few = few.merge(bounds::bound(looking, bounds::LOOK));
    (few.merge(bounds::bound(large, bounds::UPLOAD)), document)
}

/// All routes below `/api/v1`.
pub fn routes() -> Router<AdminContext> {
    let (routes, document) = described();
    let path = format!("{BASE}/openapi.json");
    routes.route(&path, axum::routing::get(async move || Json(document)))
}

/// The `OpenAPI` document, as it is checked in.
pub fn document() -> String {
    described().1.to_pretty_json().expect("a description is text") + "\n"
}
