//! What stands where a component is to be deployed: nothing, the component in force, or one that cannot be loaded here.
//!
//! The last is no reason to keep it: a rollback or another component is what mends that.

use super::version::{Loaded, LoadedComponent};
use crate::failure::Failure;

/// The component in force, as far as there is one, and it can be loaded.
pub enum StandingComponent {
    /// Nothing was deployed yet.
    Nothing,
    Loaded(Box<Loaded>),
    /// It cannot be loaded here, and why. Whether it runs behind an upcaster is not known where it is not stored any more.
    Unloadable {
        digest: String,
        may_have_upcaster: bool,
        why: Failure,
    },
}

/// Why a half makes no pair with what stands.
#[derive(Debug, thiserror::Error)]
pub enum NoPair {
    #[error("it is an upcaster; being without one takes a projector's file")]
    NoProjector,
    #[error("no projector is in force for this upcaster: deploy one first")]
    Alone,
    #[error(
        "the upcaster in force cannot be found out ({why}): pause the projection, deploy the projector with \
         --without-upcaster (in the API: `without_upcaster=true`), then the upcaster if there was one, and resume"
    )]
    Hidden { why: Failure },
}

impl StandingComponent {
    /// The component, if there is one. One that cannot be loaded is a failure.
    pub fn loaded(&self) -> Result<Option<&Loaded>, Failure> {
        match self {
            Self::Unloadable { why, .. } => Err(why.clone()),
            standing => Ok(standing.as_loaded()),
        }
    }

    /// The component, if there is one and it can be loaded.
    pub fn as_loaded(&self) -> Option<&Loaded> {
        if let Self::Loaded(loaded) = self { Some(loaded) } else { None }
    }

    /// The pair that a half makes with the other half of what stands.
    pub fn beside(&self, half: LoadedComponent, without_upcaster: bool) -> Result<Loaded, NoPair> {
        let now = self.as_loaded().cloned();
        match (half, self) {
            (LoadedComponent::Upcaster(_), _) if without_upcaster => Err(NoPair::NoProjector),
            (LoadedComponent::Projector(projector), _) if without_upcaster => Ok(projector.behind(None)),
            // A pair has a digest of its own.
            (LoadedComponent::Projector(projector), Self::Unloadable { digest, .. })
                if projector.digest() == digest =>
            {
                Ok(projector.behind(None))
            }
            (LoadedComponent::Projector(_), Self::Unloadable { may_have_upcaster: true, why, .. })
            | (LoadedComponent::Upcaster(_), Self::Unloadable { why, .. }) => {
                Err(NoPair::Hidden { why: why.clone() })
            }
            (LoadedComponent::Projector(projector), _) => {
                Ok(projector.behind(now.and_then(|loaded| loaded.upcaster)))
            }
            (LoadedComponent::Upcaster(upcaster), _) => Ok(now.ok_or(NoPair::Alone)?.behind(Some(upcaster))),
        }
    }
}
