//! The kinds of components, and the version of the contract that they are built for.

/// The version of the contract in `wit`. Whatever is compatible with it is taken; see `docs/wit.md`.
pub(super) const CONTRACT: &str = "0.1.0";

/// The kind of a component, by its exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComponentKind {
    Projector,
    Upcaster,
}

impl ComponentKind {
    pub(super) const ALL: [Self; 2] = [Self::Projector, Self::Upcaster];

    pub fn noun(self) -> &'static str {
        match self {
            Self::Projector => "projector",
            Self::Upcaster => "upcaster",
        }
    }

    /// The interface it exports, without its version.
    pub(super) fn interface(self) -> &'static str {
        match self {
            Self::Projector => "laterna:projection/projector",
            Self::Upcaster => "laterna:projection/upcasting",
        }
    }

    /// The world it is built for.
    pub(super) fn world(self) -> &'static str {
        match self {
            Self::Projector => "laterna:projection/projection",
            Self::Upcaster => "laterna:projection/upcaster",
        }
    }
}
