//! What the author of an upcaster implements, and how it becomes the component's exports.

use std::marker::PhantomData;

use crate::projector::log_panics;
use crate::upcaster_bindings::exports::laterna::projection::upcasting::Guest;
use crate::{Event, Rejection};

pub use crate::upcaster_bindings::exports::laterna::projection::upcasting::Manifest as UpcasterManifest;

/// An upcaster: which events it takes, and what it makes of one. It stands before all projectors of an outbox.
pub trait Upcaster {
    /// The name, and the event types it takes. The host asks once, when it loads the component.
    fn manifest() -> UpcasterManifest;

    /// What an event becomes: `vec![Event { version: 2, payload, ..event }]` is the usual answer. Several events are
    /// applied together, in their order; none means that there is nothing to apply. The aggregate stays as it is, and the
    /// host gives the ids: a single event keeps that of its original, several of `e` are `e#1`, `e#2` and so on. The same
    /// event must always become the same.
    fn upcast(event: Event) -> Result<Vec<Event>, Rejection>;
}

impl UpcasterManifest {
    /// A manifest that takes every event type.
    pub fn new(name: &str, version: &str) -> Self {
        Self { name: name.to_owned(), version: version.to_owned(), event_types: Vec::new() }
    }

    /// The event types this upcaster takes; the others pass it by as they are, and cost nothing.
    #[must_use]
    pub fn events<'a>(mut self, types: impl IntoIterator<Item = &'a str>) -> Self {
        self.event_types.extend(types.into_iter().map(str::to_owned));
        self
    }
}

/// Makes an [`Upcaster`] the exports of this component. Use it once in a crate, and not beside
/// [`export_projector!`](crate::export_projector!).
#[macro_export]
macro_rules! export_upcaster {
    ($upcaster:ty) => {
        const _: () = {
            type LaternaComponent = $crate::UpcasterComponent<$upcaster>;

            #[cfg(target_family = "wasm")]
    $crate::upcaster_bindings::export!(LaternaComponent with_types_in $crate::upcaster_bindings);

            // On other targets there is nothing to export: it is only checked.
            #[cfg(not(target_family = "wasm"))]
            const _: LaternaComponent = $crate::UpcasterComponent::new();
        };
    };
}

/// An [`Upcaster`] in the shape of the component's exports; [`export_upcaster!`](crate::export_upcaster!) names it.
#[derive(Debug)]
pub struct UpcasterComponent<U>(PhantomData<U>);

impl<U: Upcaster> UpcasterComponent<U> {
    #[doc(hidden)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<U: Upcaster> Default for UpcasterComponent<U> {
    fn default() -> Self {
        Self::new()
    }
}

impl<U: Upcaster> Guest for UpcasterComponent<U> {
    fn describe() -> UpcasterManifest {
        log_panics();
        U::manifest()
    }

    fn upcast(events: Vec<Event>) -> Vec<Result<Vec<Event>, Rejection>> {
        log_panics();
        events.into_iter().map(U::upcast).collect()
    }
}
