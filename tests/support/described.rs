//! Whether answers are as the `OpenAPI` document says.

use std::sync::LazyLock;

use serde_json::Value;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&laterna::admin::openapi()).expect("it is JSON"));

/// The operation of a request, where the document has it: of paths that fit, the one with the fewest parameters.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let asked: Vec<&str> = path.split('?').next()?.split('/').collect();
    let fits = |known: &str| {
        let known: Vec<&str> = known.split('/').collect();
        let alike = |(known, asked): (&&str, &&str)| known.starts_with('{') || known == asked;
        known.len() == asked.len() && known.iter().zip(&asked).all(alike)
    };
    let paths = DOCUMENT["paths"].as_object()?.iter().filter(|(known, _)| fits(known));
    let (_, item) = paths.min_by_key(|(known, _)| known.matches('{').count())?;
    item.get(method.to_lowercase())
}

/// Follows a reference into the document, where it is one.
fn resolved(part: &'static Value) -> &'static Value {
    part["$ref"].as_str().and_then(|place| DOCUMENT.pointer(place.strip_prefix('#')?)).unwrap_or(part)
}

/// What the document says of a code that an operation answers.
pub fn response(operation: &'static Value, code: &str) -> &'static Value {
    resolved(&operation["responses"][code])
}

/// Every operation of the document, with its method and its path.
pub fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(|(method, operation)| (method.as_str(), path.as_str(), operation))
    })
}

/// Fails where an operation is answered by a code, in a form or without a header otherwise than the document says. Names of headers
/// are in lower case.
pub fn check(method: &str, path: &str, code: u16, headers: &[(String, String)]) {
    let Some(operation) = operation(method, path) else { return };
    let described = response(operation, &code.to_string());
    assert!(described.is_object(), "{method} {path} is answered by {code}");
    let header =
        |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let form = header("content-type").and_then(|form| form.split(';').next()).unwrap_or_default();
    assert!(described["content"].get(form).is_some(), "{method} {path}: {code} in the form {form:?}");
    for name in described["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
        assert!(header(&name.to_lowercase()).is_some(), "{method} {path}: {code} without {name}");
    }
}
