//! From a component's file to something that can be deployed: read once, loaded, its SQL checked.
//!
//! No server is asked here; whether the statements fit the real tables shows at the rehearsal.

use std::path::Path;
use std::sync::Arc;

use crate::component::version::{Loaded, LoadedComponent, LoadedUpcaster};
use crate::projector::{Budget, COMPONENT_BYTES_MAX, Engine};

/// Why a file cannot be deployed: one line a problem, each with the file's name.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct NotDeployable(pub Vec<String>);

/// Loads a projector. Compiling may take seconds: not to be called on an async worker.
pub fn load(
    engine: &Engine,
    projection: &str,
    path: &Path,
    budget: &Budget,
) -> Result<Loaded, NotDeployable> {
    loading(path, |bytes| Loaded::load(engine, projection, bytes, budget))
}

/// Loads an upcaster.
pub fn load_upcaster(engine: &Engine, path: &Path, budget: &Budget) -> Result<LoadedUpcaster, NotDeployable> {
    loading(path, |bytes| LoadedUpcaster::load(engine, bytes, budget))
}

/// Loads whichever it is, by what it exports.
pub fn load_either(
    engine: &Engine,
    projection: &str,
    path: &Path,
    budget: &Budget,
) -> Result<LoadedComponent, NotDeployable> {
    loading(path, |bytes| LoadedComponent::load(engine, projection, bytes, budget))
}

/// Loads a file; an error names the file.
fn loading<T>(
    path: &Path,
    load: impl FnOnce(Arc<[u8]>) -> Result<T, Vec<String>>,
) -> Result<T, NotDeployable> {
    let file = path.display();
    load(read(path)?.into()).map_err(|problems| {
        NotDeployable(problems.iter().map(|problem| format!("{file}: {problem}")).collect())
    })
}

/// Reads the file of a component once, if it can be one.
pub fn read(path: &Path) -> Result<Vec<u8>, NotDeployable> {
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
    std::fs::read(path).map_err(unreadable)
}
