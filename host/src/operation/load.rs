//! From a component's file to something that can be deployed: read once, loaded, its SQL checked.
//!
//! No server is asked here; whether the statements fit the real tables shows at the rehearsal.

use std::path::Path;

use crate::projection::Loaded;
use crate::projector::{Budget, COMPONENT_BYTES_MAX, Engine};

/// Why a file cannot be deployed: one line a problem, each with the file's name.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct NotDeployable(pub Vec<String>);

/// Loads a component. Compiling may take seconds: not to be called on an async worker.
pub fn load(
    engine: &Engine,
    projection: &str,
    path: &Path,
    budget: &Budget,
) -> Result<Loaded, NotDeployable> {
    let file = path.display();
    let one = |problem: String| NotDeployable(vec![format!("{file}: {problem}")]);
    let unreadable = |error: std::io::Error| one(format!("cannot be read: {error}"));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    // A pipe or a device would be read for ever.
    if !metadata.is_file() {
        return Err(one("is not a file: give the `.wasm` file that the toolchain built".to_owned()));
    }
    let length = metadata.len();
    if length > COMPONENT_BYTES_MAX as u64 {
        return Err(one(format!("has {length} bytes; a component has at most {COMPONENT_BYTES_MAX}")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    Loaded::load(engine, projection, bytes.into(), budget).map_err(|problems| {
        NotDeployable(problems.iter().map(|problem| format!("{file}: {problem}")).collect())
    })
}
