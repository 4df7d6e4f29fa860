//! A place for a session of somebody who may have nothing to ask for minutes.

use std::time::{Duration, Instant};

use super::{Connector, Session};
use crate::failure::Failure;

/// After this a session that nobody asked anything may be gone: the server closes it (`wait_timeout`), and so may what
/// stands on the way: some proxies do so after a minute.
const QUIET_MAX: Duration = Duration::from_secs(10);

/// How long a server may take to say whether it still has a session.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// A session in which nothing failed, while nobody works with it.
#[derive(Debug, Default)]
pub struct KeptSession(Option<(Session, Instant)>);

impl KeptSession {
    pub fn keep(&mut self, session: Session) {
        self.0 = Some((session, Instant::now()));
    }

    /// Takes the session out of its place. One that was quiet for long is asked first: that it was closed for its silence is
    /// no failure of the server.
    pub async fn take(&mut self) -> Option<Session> {
        let (mut session, since) = self.0.take()?;
        if since.elapsed() < QUIET_MAX {
            return Some(session);
        }
        let answers = tokio::time::timeout(ANSWER_MAX, session.answers()).await;
        answers.unwrap_or(false).then_some(session)
    }

    /// The session, or a new one. Whoever is done with it puts it back.
    pub async fn take_or_connect(&mut self, connector: &Connector) -> Result<Session, Failure> {
        match self.take().await {
            Some(session) => Ok(session),
            None => connector.connect().await,
        }
    }
}
