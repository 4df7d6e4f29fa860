//! The component that lanes work with, as far as they need to know it.

use std::fmt;
use std::sync::Arc;

use super::{Manifest, Schema, UpcasterManifest};

/// A deployed component, behind its upcaster where there is one, and its checked SQL. It travels with what it made.
#[derive(Clone, PartialEq, Eq)]
pub struct Deployed {
    /// Of both together.
    pub digest: String,
    pub manifest: Arc<Manifest>,
    pub upcaster: Option<Arc<UpcasterManifest>>,
    pub schema: Arc<Schema>,
}

impl Deployed {
    /// Returns true where it is asked about events of this type; the projector may still not take what an upcaster
    /// makes of them.
    pub fn takes(&self, event_type: &str) -> bool {
        let upcast = self.upcaster.as_ref().is_some_and(|upcaster| upcaster.takes(event_type));
        upcast || self.manifest.handles(event_type)
    }
}

#[cfg(test)]
impl Deployed {
    /// One that declares nothing.
    pub fn empty(digest: &str) -> Arc<Self> {
        let manifest = Manifest {
            name: "empty".to_owned(),
            version: "1".to_owned(),
            event_types: vec![],
            ordering: super::Ordering::Aggregate,
            commutative: false,
            tables: vec![],
            statements: vec![],
        };
        let schema = Arc::new(Schema::new(vec![], vec![]));
        Arc::new(Self { digest: digest.to_owned(), manifest: Arc::new(manifest), upcaster: None, schema })
    }
}

/// Its digest, which says all of it.
impl fmt::Debug for Deployed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deployed").field(&self.digest).finish()
    }
}
