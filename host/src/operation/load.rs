//! From a component's file to something that can be deployed: read once, loaded, its SQL checked.
//!
//! No server is asked here; whether the statements fit the real tables shows at the rehearsal.

use std::path::Path;
use std::sync::Arc;

use crate::projection::{Deployed, Loaded};
use crate::projector::{Budget, COMPONENT_BYTES_MAX, Component, Engine};
use crate::sql;

/// Why a file cannot be deployed: one line a problem, each with the file's name.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct NotDeployable(pub Vec<String>);

/// Loads a component. Compiling may take seconds: not to be called on an async worker.
pub fn load(engine: &Engine, path: &Path, budget: &Budget) -> Result<Loaded, NotDeployable> {
    let file = path.display();
    let one = |problem: String| NotDeployable(vec![format!("{file}: {problem}")]);
    let unreadable = |error: std::io::Error| one(format!("cannot be read: {error}"));
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > COMPONENT_BYTES_MAX as u64 {
        return Err(one(format!("has {length} bytes; a component has at most {COMPONENT_BYTES_MAX}")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let component = Component::load(engine, &bytes, budget).map_err(|refusal| one(refusal.to_string()))?;
    let manifest = Arc::new(component.manifest().clone());
    let schema = sql::check(&manifest).map_err(|refusals| {
        NotDeployable(refusals.iter().map(|refusal| format!("{file}: {refusal}")).collect())
    })?;
    let deployed = Deployed { digest: component.digest().to_owned(), manifest, schema: Arc::new(schema) };
    Ok(Loaded { component, deployed })
}
