//! What goes on beside the lanes: the lease is renewed, and what the servers say is shown.

use std::sync::Arc;
use std::time::Duration;

use super::pause::Question;
use super::{Servers, Settings, Status};
use crate::failure::{Failure, Fault};
use crate::readmodel::{Session, dead_letter, lease, within};
use crate::retry::Backoff;

/// How often the servers are asked how they stand.
const OBSERVE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a server may take to say how it stands.
const PATIENCE: Duration = Duration::from_secs(15);

/// Renews the lease until it is lost. While MySQL is away nobody can take it, and nothing is written.
pub async fn keep_lease(
    servers: Servers,
    settings: Settings,
    epoch: u64,
    session: Session,
) -> Result<(), Failure> {
    let mut kept = Some(session);
    loop {
        tokio::time::sleep(settings.lease_ttl / 3).await;
        let mut backoff = Backoff::new();
        loop {
            let renewing = renew(&servers, &settings, epoch, &mut kept);
            let silence = Failure::ConnectionLost { message: "renewing the lease took too long".to_owned() };
            match tokio::time::timeout(settings.lease_ttl, renewing).await.unwrap_or(Err(silence)) {
                Ok(()) => break,
                Err(failure) if failure.fault() == Fault::Fenced => return Err(failure),
                Err(failure) => tracing::warn!(projection = settings.name, "lease: {failure}; trying again"),
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }
}

/// Renews the lease once. A session in which that failed, or was given up, is not kept.
async fn renew(
    servers: &Servers,
    settings: &Settings,
    epoch: u64,
    kept: &mut Option<Session>,
) -> Result<(), Failure> {
    let mut session = match kept.take() {
        Some(session) => session,
        None => servers.applier.connect().await?,
    };
    lease::renew(&mut session, &servers.control, &settings.name, epoch, settings.lease_ttl).await?;
    *kept = Some(session);
    Ok(())
}

/// Ends a run that takes events when an operator, or another lane's breaker, says so.
pub async fn watch_pause(question: Question) -> Result<(), Failure> {
    // The letters that hold back a stream, and the room there is, are found by the lanes.
    let question = Question { holds_stream: false, full: None, ..question };
    loop {
        question.clone().until_it_changes(None).await;
        let mut session = question.servers.applier.connect().await?;
        if let Some(pause) = question.ask(&mut session).await? {
            return Err(pause);
        }
    }
}

/// Shows what the servers say. Their outages are the other parts' business.
pub async fn observe(servers: Servers, projection: String, status: Arc<Status>) -> Result<(), Failure> {
    let mut session = None;
    loop {
        status.beat();
        let counting = count_letters(&servers, &projection, &mut session);
        let letters = within(PATIENCE, "counting dead letters", counting).await;
        let source =
            async { Ok::<_, Failure>((servers.outbox.now().await?, servers.outbox.estimate().await?)) };
        if let (Ok(letters), Ok((time, documents))) = (letters, source.await) {
            status.observed(time, documents, letters);
        }
        tokio::time::sleep(OBSERVE_INTERVAL).await;
    }
}

async fn count_letters(
    servers: &Servers,
    projection: &str,
    kept: &mut Option<Session>,
) -> Result<(u64, u64), Failure> {
    let mut session = match kept.take() {
        Some(session) => session,
        None => servers.applier.connect().await?,
    };
    let counted = dead_letter::count(&mut session, &servers.control, projection).await?;
    *kept = Some(session);
    Ok(counted)
}
