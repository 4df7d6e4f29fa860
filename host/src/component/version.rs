//! Components that are loaded and checked: a projector, and behind which upcaster it runs.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::projector::{Budget, Component, ComponentKind, Engine, Outline, Upcasting};
use crate::readmodel::control::control_db::ControlDb;
use crate::readmodel::control::deployment::StoredHalves;
use crate::readmodel::control::recorded_change::ChangedBy;
use crate::sql;
use crate::statement::Deployed;

/// A component that was loaded and checked, the upcaster before it, and what a lane needs of them.
#[derive(Clone)]
pub struct Loaded {
    pub projection: String,
    /// The component as it was read.
    pub bytes: Arc<[u8]>,
    pub component: Component,
    pub upcaster: Option<LoadedUpcaster>,
    pub deployed: Arc<Deployed>,
}

/// An upcaster that was loaded.
#[derive(Clone)]
pub struct LoadedUpcaster {
    /// The component as it was read.
    pub bytes: Arc<[u8]>,
    pub component: Component<Upcasting>,
}

impl LoadedUpcaster {
    /// Loads an upcaster. Compiling may take seconds: not to be called on an async worker.
    pub fn load(engine: &Engine, bytes: Arc<[u8]>, budget: &Budget) -> Result<Self, Vec<String>> {
        let component = Component::load_upcaster(engine, &bytes, budget);
        Ok(Self { component: component.map_err(|refusal| vec![refusal.to_string()])?, bytes })
    }
}

/// A component by what it exports: a projector, or an upcaster for one.
pub enum LoadedComponent {
    Projector(Loaded),
    Upcaster(LoadedUpcaster),
}

impl LoadedComponent {
    /// Loads whichever it is. Compiling may take seconds: not to be called on an async worker.
    pub fn load(
        engine: &Engine,
        projection: &str,
        bytes: Arc<[u8]>,
        budget: &Budget,
    ) -> Result<Self, Vec<String>> {
        let outline = Outline::read(&bytes).map_err(|refusal| vec![refusal.to_string()])?;
        match outline.kind() {
            Some(ComponentKind::Upcaster) => LoadedUpcaster::load(engine, bytes, budget).map(Self::Upcaster),
            _ => Loaded::load(engine, projection, bytes, budget).map(Self::Projector),
        }
    }
}

impl Loaded {
    /// Loads and checks a projector, to run alone. Compiling may take seconds: not to be called on an async worker.
    pub fn load(
        engine: &Engine,
        projection: &str,
        bytes: Arc<[u8]>,
        budget: &Budget,
    ) -> Result<Self, Vec<String>> {
        let component =
            Component::load(engine, &bytes, budget).map_err(|refusal| vec![refusal.to_string()])?;
        let manifest = Arc::new(component.manifest().clone());
        let told =
            |refusals: &[sql::SqlRefusal]| refusals.iter().map(ToString::to_string).collect::<Vec<_>>();
        let schema = sql::check(&manifest).map_err(|refusals| told(&refusals))?;
        let unknown = sql::unknown_columns(&schema);
        if !unknown.is_empty() {
            return Err(told(&unknown));
        }
        let digest = component.digest().to_owned();
        let deployed = Deployed { digest, manifest, upcaster: None, schema: Arc::new(schema) };
        let deployed = Arc::new(deployed);
        Ok(Self { projection: projection.to_owned(), bytes, component, upcaster: None, deployed })
    }

    /// Loads and checks what is stored of a deployed digest: a projector, behind its upcaster where it has one.
    pub fn load_halves(
        engine: &Engine,
        projection: &str,
        StoredHalves { projector, upcaster }: StoredHalves,
        budget: &Budget,
    ) -> Result<Self, Vec<String>> {
        let upcaster = upcaster.map(|bytes| LoadedUpcaster::load(engine, bytes, budget)).transpose()?;
        Ok(Self::load(engine, projection, projector, budget)?.behind(upcaster))
    }

    /// Returns this projector behind another upcaster, or behind none.
    #[must_use]
    pub fn behind(mut self, upcaster: Option<LoadedUpcaster>) -> Self {
        let own = self.component.digest();
        let deployed = Arc::make_mut(&mut self.deployed);
        deployed.digest =
            upcaster.as_ref().map_or_else(|| own.to_owned(), |one| pair_digest(own, one.component.digest()));
        deployed.upcaster = upcaster.as_ref().map(|one| Arc::new(one.component.manifest().clone()));
        self.upcaster = upcaster;
        self
    }

    /// Of the projector and its upcaster together.
    pub fn digest(&self) -> &str {
        &self.deployed.digest
    }

    /// Name, version and the digest's beginning, as people know a component.
    pub fn title(&self) -> String {
        let manifest = &self.deployed.manifest;
        let upcaster = self.deployed.upcaster.as_ref();
        let behind = upcaster.map(|upcaster| format!(" behind {} {}", upcaster.name, upcaster.version));
        format!("{} {}{}", manifest.name, manifest.version, behind.unwrap_or_default())
    }

    /// Stores what is not stored yet, so that every host has it. Where somebody uploaded it, that is recorded.
    pub async fn store(&self, db: &mut ControlDb<'_>, by: Option<ChangedBy<'_>>) -> Result<(), Failure> {
        let (manifest, own) = (&self.deployed.manifest, self.component.digest());
        db.store_component(own, &self.bytes, &manifest.name, &manifest.version, by).await?;
        let Some(upcaster) = &self.upcaster else { return Ok(()) };
        let (manifest, its) = (upcaster.component.manifest(), upcaster.component.digest());
        db.store_component(its, &upcaster.bytes, &manifest.name, &manifest.version, by).await?;
        db.store_pair(self.digest(), own, its).await
    }
}

/// The digest of a pair: the SHA-256 of both digests in hex, the projector's first, with a plus between them.
fn pair_digest(projector: &str, upcaster: &str) -> String {
    hex::encode(Sha256::digest(format!("{projector}+{upcaster}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored deployments rely on it.
    #[test]
    fn the_digest_of_a_pair_never_changes() {
        let (projector, upcaster) = ("a".repeat(64), "b".repeat(64));
        assert_eq!(
            pair_digest(&projector, &upcaster),
            hex::encode(Sha256::digest([&projector[..], "+", &upcaster].concat()))
        );
        assert_ne!(pair_digest(&projector, &upcaster), pair_digest(&upcaster, &projector));
        assert_eq!(pair_digest(&projector, &upcaster).len(), 64);
    }
}
