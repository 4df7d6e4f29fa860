//! From a component's file to something that can be deployed: read once, loaded, its SQL checked.
//!
//! No server is asked here; whether the statements fit the real tables shows at the rehearsal.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::component::version::{Loaded, LoadedComponent, LoadedUpcaster};
use crate::projector::{Budget, COMPONENT_BYTES_MAX, Engine, Outline};

/// Why a file cannot be deployed: one line a problem, each with the file's name.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct NotDeployable(pub Vec<String>);

impl NotDeployable {
    /// The problems of one file.
    pub fn of<T: std::fmt::Display>(path: &Path, problems: impl IntoIterator<Item = T>) -> Self {
        let file = path.display();
        Self(problems.into_iter().map(|problem| format!("{file}: {problem}")).collect())
    }
}

/// What an uploaded component becomes.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Uploaded {
    /// What a deployment of it names: of the projector and its upcaster together; without an upcaster, the projector's.
    pub digest: String,
    /// What it is called itself, and its version.
    pub name: String,
    pub version: String,
    pub projector: String,
    pub upcaster: Option<String>,
    /// What the given one asks of its host.
    pub imports: Vec<String>,
    pub tables: Vec<String>,
    pub statements: usize,
}

impl Uploaded {
    /// Of a pair, of which the upcaster or the projector was given.
    pub fn of(next: &Loaded, is_upcaster: bool) -> Self {
        let own = &next.deployed.manifest;
        let given = next.upcaster.as_ref().filter(|_| is_upcaster);
        let (name, version, bytes) = match given.map(|given| (given.component.manifest(), &given.bytes)) {
            Some((manifest, bytes)) => (&manifest.name, &manifest.version, bytes),
            None => (&own.name, &own.version, &next.bytes),
        };
        Self {
            digest: next.digest().to_owned(),
            name: name.clone(),
            version: version.clone(),
            imports: Outline::read(bytes).map(|outline| outline.imports).unwrap_or_default(),
            projector: next.component.digest().to_owned(),
            upcaster: next.upcaster.as_ref().map(|upcaster| upcaster.component.digest().to_owned()),
            tables: next.deployed.schema.table_names(),
            statements: next.deployed.schema.statements.len(),
        }
    }
}

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
    load(read(path)?.into()).map_err(|problems| NotDeployable::of(path, problems))
}

/// Reads the file of a component once, if it can be one.
pub fn read(path: &Path) -> Result<Vec<u8>, NotDeployable> {
    let one = |problem: String| NotDeployable::of(path, [problem]);
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
