//! What an author implements, and how it becomes the component's exports.

use std::marker::PhantomData;
use std::sync::Once;

use crate::bindings::exports::laterna::projection::projector::Guest;
use crate::{Event, Manifest, Operation, Rejection, log};

/// A projector: what it declares, and what it makes of one event.
pub trait Projector {
    /// The name, the events, the tables and all SQL. The host asks once, when it loads the component.
    fn manifest() -> Manifest;

    /// The operations of one event. The same event must always give the same operations.
    fn project(event: &Event) -> Result<Vec<Operation>, Rejection>;
}

/// Makes a [`Projector`] the exports of this component. Use it once in a crate.
#[macro_export]
macro_rules! export_projector {
    ($projector:ty) => {
        const _: () = {
            type LaternaComponent = $crate::Component<$projector>;

            #[cfg(target_family = "wasm")]
    $crate::bindings::export!(LaternaComponent with_types_in $crate::bindings);

            // On other targets there is nothing to export: it is only checked.
            #[cfg(not(target_family = "wasm"))]
            const _: LaternaComponent = $crate::Component::new();
        };
    };
}

/// A [`Projector`] in the shape of the component's exports; [`export_projector!`](crate::export_projector!) names it.
#[derive(Debug)]
pub struct Component<P>(PhantomData<P>);

impl<P: Projector> Component<P> {
    #[doc(hidden)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<P: Projector> Default for Component<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Projector> Guest for Component<P> {
    fn describe() -> Manifest {
        log_panics();
        P::manifest()
    }

    fn project(events: Vec<Event>) -> Vec<Result<Vec<Operation>, Rejection>> {
        log_panics();
        events.iter().map(P::project).collect()
    }
}

/// A panic is written to the host's log as well as to stderr, which not every host shows.
pub(crate) fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            log::error(panic);
            print(panic);
        }));
    });
}
