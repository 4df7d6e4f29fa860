//! The one session of MySQL that all requests share, which no lane uses: whoever asks waits for it in a short queue, or is
//! told to come back. Nobody has it while a component is compiled or run, or a letter is decoded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::component::registry::{FoundComponent, Versions};
use crate::component::standing::StandingComponent;
use crate::component::version::Loaded;
use crate::operation::ask;
use crate::readmodel::mysql::session::{Session, within};
use crate::servers::Servers;

/// How many requests there may be at a time, the one that is answered included.
const REQUESTS_MAX: usize = 16;

/// How long a request waits for those before it.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long MySQL may take to say that a session is there.
const SESSION_TIMEOUT: Duration = Duration::from_secs(5);

/// Where requests wait for the session.
#[derive(Clone)]
pub struct Desk {
    servers: Servers,
    places: Arc<Semaphore>,
    session: Arc<Mutex<Option<Session>>>,
}

/// A request whose turn it is.
pub struct Seat {
    pub servers: Servers,
    pub session: Session,
    kept: OwnedMutexGuard<Option<Session>>,
    _place: OwnedSemaphorePermit,
}

impl Desk {
    pub fn new(servers: Servers) -> Self {
        Self { servers, places: Arc::new(Semaphore::new(REQUESTS_MAX)), session: Arc::default() }
    }

    /// The servers, for what needs no session.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Waits for the session. One that was kept may have ended meanwhile, and be it for its silence.
    pub async fn sit(&self) -> Result<Seat, Problem> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Problem::busy())?;
        let waiting = tokio::time::timeout(QUEUE_TIMEOUT, self.session.clone().lock_owned());
        let mut kept = waiting.await.map_err(|_| Problem::busy())?;
        let session = async {
            if let Some(mut session) = kept.take()
                && session.answers().await
            {
                return Ok(session);
            }
            self.servers.applier.connect().await
        };
        let session = within(SESSION_TIMEOUT, "connecting to MySQL", session).await?;
        Ok(Seat { servers: self.servers.clone(), session, kept, _place: place })
    }

    /// The component in force of a projection, where there is one. While it is compiled, others have the session.
    pub async fn component_in_force(
        &self,
        versions: &Versions,
        projection: &str,
    ) -> Result<StandingComponent, Problem> {
        let mut seat = self.sit().await?;
        let found = async {
            let Seat { session, servers, .. } = &mut seat;
            ask::registered(session, servers, projection).await?;
            let now = servers.control.of(session, projection).deployment_in_force().await?;
            Ok::<_, Problem>(versions.find_standing(session, servers, now.as_ref()).await?)
        };
        let found = found.await;
        versions.loaded_standing(seat.rise(found)?).await.map_err(Problem::outside)
    }

    /// The component of a digest. While it is compiled, others have the session.
    pub async fn component(&self, versions: &Versions, digest: &str) -> Result<Loaded, Problem> {
        let mut seat = self.sit().await?;
        let found = versions.find(&mut seat.session, &seat.servers, digest).await;
        let found = seat.rise(found.map_err(Problem::from))?;
        loaded(versions, found).await
    }
}

/// Does what takes long and asks no server, where it holds up nobody: neither who waits for the session nor a lane.
pub async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::broken())
}

async fn loaded(versions: &Versions, found: FoundComponent) -> Result<Loaded, Problem> {
    versions.loaded(found).await.map_err(Problem::outside)
}

impl Seat {
    /// Keeps the session for the next one, unless something failed in it.
    pub fn rise<T>(mut self, answer: Result<T, Problem>) -> Result<T, Problem> {
        if !answer.as_ref().is_err_and(|problem| problem.spoils_session) {
            *self.kept = Some(self.session);
        }
        answer
    }
}
