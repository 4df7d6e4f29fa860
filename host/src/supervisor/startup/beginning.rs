//! The order in which a projection begins, beside others that delete what they do not need.
//!
//! Whoever deletes writes a note, then looks who is registered, then deletes. So whoever registers, then finds no note, is
//! seen before anything goes.

use crate::failure::Failure;
use crate::pipeline::ports::Task;

/// A projection that begins, so that a simulation can run the same.
pub trait Beginning: Send {
    /// Whether nothing of the history was deleted that it begins with.
    fn is_complete(&mut self) -> impl Task<Result<(), Failure>>;
    /// Finds the place where it begins, and registers it.
    fn register(&mut self) -> impl Task<Result<(), Failure>>;
    /// Makes its tables its own.
    fn claim(&mut self) -> impl Task<Result<(), Failure>>;
    /// Takes the registration back, so that nobody waits for it.
    fn withdraw(&mut self) -> impl Task<Result<(), Failure>>;
    /// Places its lanes.
    fn place(&mut self) -> impl Task<Result<(), Failure>>;
}

/// Begins. A projection that would begin with deleted history does not, and leaves nothing that others wait for.
pub async fn in_order<B: Beginning>(first: &mut B) -> Result<(), Failure> {
    let complete = first.is_complete().await;
    or_withdrawn(first, complete).await?;
    first.register().await?;
    // Another projection may have been faster. Then this one is registered for nothing.
    let claimed = first.claim().await;
    or_withdrawn(first, claimed).await?;
    // Again, now that whoever deletes can see the registration.
    let complete = first.is_complete().await;
    or_withdrawn(first, complete).await?;
    first.place().await
}

async fn or_withdrawn<B: Beginning>(first: &mut B, done: Result<(), Failure>) -> Result<(), Failure> {
    if matches!(done, Err(Failure::Misconfigured { .. })) {
        first.withdraw().await?;
    }
    done
}
