//! What each operation may answer, as the `OpenAPI` document says: every code by which it can be refused, and the headers of its
//! answers. What holds for many operations follows from what they take, or from the group in which they are routed.

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{
    Content, Header, HeaderBuilder, Object, OpenApi, Ref, RefOr, Response, ResponseBuilder, Type,
};
use utoipa_axum::router::OpenApiRouter;

use super::asked::KEY_HEADER;
use crate::admin::problem::MEDIA_TYPE;

/// How a request is refused: the code, its name in the document, and why.
const REFUSALS: [(&str, &str, &str); 12] = [
    ("400", "WrongRequest", "The request is not valid"),
    ("401", "Unauthenticated", "It has no token, or one that nobody has"),
    ("403", "Forbidden", "The caller may not do this, or a page of another origin asks"),
    ("404", "NotFound", "Nothing has this name or number"),
    ("408", "Stalled", "The body stopped coming"),
    ("409", "Conflict", "It cannot be done in the current state"),
    ("413", "TooLarge", "The body is too long"),
    ("415", "WrongMediaType", "The body is not said to be JSON"),
    ("421", "ForeignName", "The name in `Host` is none of this endpoint's"),
    (
        "422",
        "NotAsDescribed",
        "The body does not fit its schema, or another change has this `Idempotency-Key`",
    ),
    ("429", "TooOften", "The caller asks too often"),
    ("503", "Unavailable", "Too many ask at the moment, a server is away, or it took too long"),
];

/// By which every operation can be refused.
const ALWAYS: [&str; 4] = ["401", "421", "429", "503"];

/// Says that each operation of a group can also be refused by these codes.
pub fn may<S: Clone + Send + Sync + 'static>(
    mut group: OpenApiRouter<S>,
    codes: &[&str],
) -> OpenApiRouter<S> {
    for (_, operation) in operations(group.get_openapi_mut()) {
        refuse(operation, codes);
    }
    group
}

/// Says of each operation what follows from what it takes, and describes every answer that has no description of its own.
pub fn describe(document: &mut OpenApi) {
    for (is_change, operation) in operations(document) {
        describe_answers(is_change, operation);
        refuse(operation, &refusals(is_change, operation));
    }
    let components = document.components.get_or_insert_default();
    components
        .responses
        .extend(REFUSALS.map(|(code, name, why)| (name.to_owned(), RefOr::T(refusal(code, why)))));
}

/// Each operation, and whether it changes something.
fn operations(document: &mut OpenApi) -> impl Iterator<Item = (bool, &mut Operation)> {
    document.paths.paths.values_mut().flat_map(|item| {
        let changes = [&mut item.post, &mut item.put, &mut item.delete].into_iter().flatten();
        item.get.iter_mut().map(|look| (false, look)).chain(changes.map(|change| (true, change)))
    })
}

/// The codes by which an operation can be refused for what it takes.
fn refusals(is_change: bool, operation: &Operation) -> Vec<&'static str> {
    let mut codes = ALWAYS.to_vec();
    for parameter in operation.parameters.iter().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        codes.push("400");
        match parameter.parameter_in {
            ParameterIn::Path => codes.push("404"),
            ParameterIn::Header if parameter.name == KEY_HEADER => codes.push("422"),
            _ => {}
        }
    }
    if is_change {
        codes.extend(["403", "409"]);
    }
    if let Some(RefOr::T(body)) = &operation.request_body {
        codes.push("413");
        if body.content.contains_key("application/json") {
            codes.extend(["400", "415", "422"]);
        }
    }
    codes
}

/// Adds codes by which an operation can be refused, where it says nothing of its own about them.
fn refuse(operation: &mut Operation, codes: &[&str]) {
    for (code, name, _) in REFUSALS.iter().filter(|(code, ..)| codes.contains(code)) {
        let known = operation.responses.responses.entry((*code).to_owned());
        known.or_insert_with(|| RefOr::Ref(Ref::from_response_name(*name)));
    }
}

fn refusal(code: &str, why: &str) -> Response {
    let problem = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
    let response = ResponseBuilder::new().description(why).content(MEDIA_TYPE, problem);
    match code {
        "401" => response.header("WWW-Authenticate", header(Type::String, "The scheme: Bearer")).build(),
        "429" | "503" => {
            response.header("Retry-After", header(Type::Integer, "When to come back, in seconds")).build()
        }
        _ => response.build(),
    }
}

fn header(kind: Type, description: &str) -> Header {
    HeaderBuilder::new().schema(Some(Object::with_type(kind))).description(Some(description)).build()
}

fn describe_answers(is_change: bool, operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    let is_command = is_change && responses.contains_key("202");
    for (code, response) in responses.iter_mut() {
        let RefOr::T(response) = response else { continue };
        if is_change && code == "202" {
            let place = header(Type::String, "Where the operation can be watched");
            response.headers.insert("Location".to_owned(), RefOr::T(place));
        }
        if response.description.is_empty() {
            let description = match code.as_str() {
                "202" => "The command is written down; `Location` is its operation",
                "201" => "It is stored",
                _ if is_command => "What it would come to, where `dry_run` is true",
                _ => "The answer",
            };
            description.clone_into(&mut response.description);
        }
    }
}
