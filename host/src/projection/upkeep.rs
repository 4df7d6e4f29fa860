//! What goes on beside the lanes: the lease is renewed, and what the servers say is shown.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Servers, Settings, Status};
use crate::failure::{Failure, Fault};
use crate::readmodel::{Session, dead_letter, lease, within};
use crate::retry::Backoff;

/// How often the servers are asked how they stand.
const OBSERVE_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is asked how far the oplog reaches back.
const OPLOG_INTERVAL: Duration = Duration::from_secs(5);

/// How long a server may take to say how it stands.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// Shows that the projection's loop turns, while it gets ready too, which may take long.
pub async fn beat(status: Arc<Status>) -> Result<(), Failure> {
    loop {
        status.beat();
        tokio::time::sleep(OBSERVE_INTERVAL).await;
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

/// Shows what the servers say, and that MySQL says nothing: an idle lane would not notice. MongoDB's outages are the
/// reader's business.
pub async fn observe(servers: Servers, projection: String, status: Arc<Status>) -> Result<(), Failure> {
    let mut session = None;
    let (mut asked, mut told) = (None::<Instant>, false);
    loop {
        status.beat();
        if asked.is_none_or(|asked| asked.elapsed() >= OPLOG_INTERVAL) {
            asked = Some(Instant::now());
            match servers.outbox.oplog_begin().await {
                Ok(begin) => {
                    status.observed_oplog(begin);
                    if begin.is_none() && !told {
                        told = true;
                        tracing::warn!(
                            projection,
                            "the account of `mongodb.uri` may not see how long the oplog is, so \
                                                    nobody is warned before it is too short: `laterna check` says more"
                        );
                    }
                }
                Err(failure) => tracing::debug!(projection, "the oplog's length: {failure}"),
            }
        }
        let counting = count_letters(&servers, &projection, &mut session);
        let letters = within(PATIENCE, "counting dead letters", counting).await;
        let source =
            async { Ok::<_, Failure>((servers.outbox.now().await?, servers.outbox.estimate().await?)) };
        status.read_model_says(letters);
        if let Ok((time, documents)) = source.await {
            status.source_says(time, documents);
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
