//! The component that a lane works with, which its first stage has. It takes up another one between two batches, so that no lane stops for
//! it. During the canary window after a change the previous component is kept, so that the change can be taken back.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::ports::{Outcome, Projector, Version};
use crate::event::Event;
use crate::failure::Failure;
use crate::statement::Deployed;

/// The component version that the lanes of a projection are to work with.
#[derive(Clone)]
pub struct Desired<V> {
    pub current: V,
    pub canary: Option<Canary<V>>,
}

/// The time after a change in which an event that the new component fails is given to the one before: where that takes
/// it, the change is taken back, and nothing is parked for it.
#[derive(Clone)]
pub struct Canary<V> {
    /// The number of the deployment, which is recorded as taken back.
    pub deployment: u64,
    pub previous: V,
    pub until: Instant,
}

/// A change that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    pub deployment: u64,
    /// The component that failed.
    pub digest: String,
    pub reason: String,
}

/// Where a projection's target is published on this host.
pub struct DesiredVersion<V> {
    target: watch::Sender<Desired<V>>,
    taken_back: watch::Sender<Option<TakenBack>>,
}

impl<V: Version> DesiredVersion<V> {
    pub fn new(current: V) -> Self {
        let target = Desired { current, canary: None };
        Self { target: watch::Sender::new(target), taken_back: watch::Sender::new(None) }
    }

    pub fn get(&self) -> Desired<V> {
        self.target.borrow().clone()
    }

    pub fn set(&self, target: Desired<V>) {
        self.target.send_replace(target);
    }

    pub fn subscribe(&self) -> watch::Receiver<Desired<V>> {
        self.target.subscribe()
    }

    /// The lanes go back to the component before, at once; the record of it follows. False when this one is not the
    /// target any more.
    pub(super) fn take_back(&self, digest: &str, reason: &str) -> bool {
        let mut deployment = None;
        self.target.send_if_modified(|target| {
            let is_current = target.current.deployed().digest == digest;
            let Some(canary) = target.canary.take_if(|_| is_current) else { return false };
            deployment = Some(canary.deployment);
            target.current = canary.previous;
            true
        });
        let Some(deployment) = deployment else { return false };
        let taken_back = TakenBack { deployment, digest: digest.to_owned(), reason: reason.to_owned() };
        self.taken_back.send_replace(Some(taken_back));
        true
    }

    /// The change that was taken back and is not recorded yet.
    pub fn taken_back(&self) -> watch::Receiver<Option<TakenBack>> {
        self.taken_back.subscribe()
    }

    pub fn recorded(&self) {
        self.taken_back.send_replace(None);
    }
}

/// A lane's own instance of the component.
pub struct HotSwap<V: Version> {
    desired: Arc<DesiredVersion<V>>,
    changes: watch::Receiver<Desired<V>>,
    target: Desired<V>,
    projector: V::Projector,
    /// The component before, once it was needed.
    previous: Option<V::Projector>,
    /// The digest of the component that was taken back last.
    taken_back: Option<String>,
}

impl<V: Version> HotSwap<V> {
    pub fn new(desired: &Arc<DesiredVersion<V>>) -> Result<Self, Failure> {
        let mut changes = desired.subscribe();
        let target = changes.borrow_and_update().clone();
        let projector = target.current.start()?;
        Ok(Self { desired: desired.clone(), changes, target, projector, previous: None, taken_back: None })
    }

    /// Waits until there is something to follow. Given up, it loses nothing.
    pub async fn until_another(&mut self) {
        // The target is published for as long as a stage follows it.
        if self.changes.changed().await.is_ok() {
            self.changes.mark_changed();
        }
    }

    /// Takes the target's component if it is another one. Only between two batches.
    pub fn follow(&mut self) -> Result<(), Failure> {
        if !self.changes.has_changed().unwrap_or(false) {
            return Ok(());
        }
        let target = self.changes.borrow_and_update().clone();
        let (now, next) = (self.deployed(), target.current.deployed());
        // Another order needs other lanes: the run ends, and the next one begins with it.
        if now.manifest.ordering != next.manifest.ordering {
            return Ok(());
        }
        if now.digest != next.digest {
            let before = self.target.canary.as_ref().map(|canary| &canary.previous.deployed().digest);
            self.taken_back = (before == Some(&next.digest)).then(|| now.digest.clone());
            self.projector = target.current.start()?;
        }
        (self.target, self.previous) = (target, None);
        Ok(())
    }

    pub fn deployed(&self) -> &Arc<Deployed> {
        self.target.current.deployed()
    }

    pub async fn project(&mut self, events: Vec<Arc<Event>>) -> Result<Vec<Outcome>, Failure> {
        self.projector.project(events).await
    }

    /// The component before, while a change may still be taken back.
    pub fn before(&self) -> Option<&Arc<Deployed>> {
        let canary = self.target.canary.as_ref().filter(|canary| Instant::now() < canary.until)?;
        Some(canary.previous.deployed())
    }

    /// The component that a batch of the one with this digest is compared with: the one before it, or the one that is in its place
    /// again because it was taken back.
    pub fn before_of(&self, digest: &str) -> Option<&Arc<Deployed>> {
        if self.deployed().digest == digest {
            return self.before();
        }
        (self.taken_back.as_deref() == Some(digest)).then(|| self.deployed())
    }

    /// Asks the previous component about events.
    pub async fn project_before(&mut self, events: Vec<Arc<Event>>) -> Result<Vec<Outcome>, Failure> {
        let gone = || Failure::Bug { what: "a canary without a previous component".to_owned() };
        let previous = match &mut self.previous {
            Some(previous) => previous,
            none => none.insert(self.target.canary.as_ref().ok_or_else(gone)?.previous.start()?),
        };
        previous.project(events).await
    }

    /// Takes the change back, for all lanes, and follows. False when this stage still has the same component: something
    /// else was deployed meanwhile that it cannot take up.
    pub fn take_back(&mut self, reason: &str) -> Result<bool, Failure> {
        let digest = self.deployed().digest.clone();
        self.desired.take_back(&digest, reason);
        self.follow()?;
        Ok(self.deployed().digest != digest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Clone)]
    struct Made(Arc<Deployed>);

    struct Silent;

    impl Projector for Silent {
        async fn project(&mut self, _: Vec<Arc<Event>>) -> Result<Vec<Outcome>, Failure> {
            Ok(vec![])
        }
    }

    impl Version for Made {
        type Projector = Silent;

        fn deployed(&self) -> &Arc<Deployed> {
            &self.0
        }

        fn start(&self) -> Result<Silent, Failure> {
            Ok(Silent)
        }
    }

    fn made(digest: &str) -> Made {
        Made(Deployed::empty(digest))
    }

    fn compared_with(swap: &HotSwap<Made>, digest: &str) -> Option<String> {
        swap.before_of(digest).map(|before| before.digest.clone())
    }

    #[tokio::test]
    async fn a_batch_is_compared_with_the_component_before_also_when_its_own_was_taken_back_meanwhile() {
        let desired = Arc::new(DesiredVersion::new(made("a")));
        let mut swap = HotSwap::new(&desired).expect("it starts");
        assert_eq!(compared_with(&swap, "a"), None, "there is none before");
        let until = Instant::now() + Duration::from_mins(1);
        let canary = Some(Canary { deployment: 2, previous: made("a"), until });
        desired.set(Desired { current: made("b"), canary });
        swap.follow().expect("it starts");
        assert_eq!(compared_with(&swap, "b").as_deref(), Some("a"));
        assert_eq!(compared_with(&swap, "a"), None, "what it made is not in question");
        // Another lane takes it back.
        assert!(desired.take_back("b", "it fails an event"));
        assert_eq!(compared_with(&swap, "b").as_deref(), Some("a"), "this lane has not followed yet");
        swap.follow().expect("it starts");
        assert_eq!(compared_with(&swap, "b").as_deref(), Some("a"), "it is back in its place");
        desired.set(Desired { current: made("c"), canary: None });
        swap.follow().expect("it starts");
        assert_eq!(compared_with(&swap, "b"), None, "the next change is another matter");
        assert_eq!(compared_with(&swap, "a"), None, "that one was not taken back");
    }
}
