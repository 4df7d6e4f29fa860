//! A component from a file, for the author's commands: the same checks as `run`, without a configuration or a server.

use std::path::{Path, PathBuf};

use crate::component::version::{LoadedComponent, LoadedUpcaster};
use crate::operation::load;
use crate::projector::{Budget, Engine};

/// Loads a projector or an upcaster as a host would. What was compiled is kept in the account's cache, if it has one.
pub fn load_either(path: &Path, budget: &Budget) -> anyhow::Result<LoadedComponent> {
    Ok(load::load_either(&engine()?, "a projector under test", path, budget)?)
}

/// Loads a component that has to be an upcaster.
pub fn load_upcaster(path: &Path, budget: &Budget) -> anyhow::Result<LoadedUpcaster> {
    Ok(load::load_upcaster(&engine()?, path, budget)?)
}

fn engine() -> anyhow::Result<Engine> {
    // A cache that cannot be used costs seconds, and no more.
    match cache().map(|folder| Engine::new(Some(&folder))) {
        Some(Ok(engine)) => Ok(engine),
        Some(Err(_)) | None => Engine::new(None),
    }
}

fn cache() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("laterna/components"))
}
