//! What goes on beside the lanes: what the servers say is shown, and that the host is alive.

use std::sync::Arc;
use std::time::Duration;

use super::hold::HoldCheck;
use crate::failure::Failure;
use crate::position::ClusterTime;
use crate::readmodel::control::poller::ControlFeed;
use crate::retry::answer;
use crate::servers::Servers;
use crate::status::{Server, Status};

/// How often the source is asked how it stands.
const OBSERVE_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is asked how far the oplog reaches back.
const OPLOG_INTERVAL: Duration = Duration::from_secs(5);

/// How long a server may take to say how it stands, before it is asked anew.
const PATIENCE: Duration = Duration::from_secs(15);

/// Shows that the projection's loop turns, while it gets ready too, which may take long.
pub async fn beat(status: Arc<Status>) -> Result<(), Failure> {
    loop {
        status.beat();
        tokio::time::sleep(OBSERVE_INTERVAL).await;
    }
}

/// Ends a run that takes events when an operator, or another lane's breaker, says so.
pub async fn watch_pause(hold_check: HoldCheck, mut feed: ControlFeed) -> Result<(), Failure> {
    // The letters that hold back a stream, and the room there is, are found by the lanes.
    let hold_check = HoldCheck { holds_stream: false, full: None, ..hold_check };
    loop {
        hold_check.until_it_changes(&mut feed, None).await;
        let mut session = hold_check.servers.applier.connect().await?;
        if let Some(pause) = hold_check.ask(&mut session).await? {
            return Err(pause);
        }
    }
}

/// Shows what the servers say, and that they say nothing. What is done about it is the other parts' business.
pub async fn observe(
    servers: Servers,
    projection: String,
    status: Arc<Status>,
    mut feed: ControlFeed,
) -> Result<(), Failure> {
    let read_model = async {
        let mut poll = feed.poll();
        loop {
            if let Some(snapshot) = &poll.snapshot {
                status.observed_letters(snapshot.letters.clone(), Some(snapshot.ignored));
                status.observed_letter_stand(snapshot.letter_stand.clone());
                status.observed_commands(snapshot.commands.all());
            }
            status.observes(Server::ReadModel, poll.trouble);
            poll = feed.next().await;
        }
    };
    let source = async {
        loop {
            if let Some((time, documents)) = source_answer(&servers, &status).await {
                status.observed_source(time, documents);
            }
            tokio::time::sleep(OBSERVE_INTERVAL).await;
        }
    };
    tokio::join!(read_model, source, observe_oplog(&servers, &projection, &status)).0
}

/// Shows how far the oplog reaches back, where the account may see that.
async fn observe_oplog(servers: &Servers, projection: &str, status: &Status) {
    let mut told = false;
    loop {
        match tokio::time::timeout(PATIENCE, servers.outbox.oplog_begin()).await {
            Ok(Ok(begin)) => {
                status.observed_oplog(begin);
                if begin.is_none() && !std::mem::replace(&mut told, true) {
                    tracing::warn!(
                        projection,
                        "the account of `mongodb.uri` may not see how long the oplog is, so nobody is warned before it \
                         is too short: `laterna check` says more"
                    );
                }
            }
            Ok(Err(failure)) => {
                tracing::debug!(projection, "the oplog's length: {}", failure.without_values());
            }
            Err(_) => tracing::debug!(projection, "the oplog's length: no answer"),
        }
        tokio::time::sleep(OPLOG_INTERVAL).await;
    }
}

/// The time and the number of documents at the source. While no answer comes, that is shown.
async fn source_answer(servers: &Servers, status: &Status) -> Option<(ClusterTime, u64)> {
    let asking = async { Ok((servers.outbox.now().await?, servers.outbox.estimate().await?)) };
    let silence = |message| Failure::SourceUnavailable { message };
    let answer = answer(asking, silence, |failure| status.observes(Server::Source, Some(failure))).await;
    status.observes(Server::Source, answer.as_ref().err().cloned());
    answer.ok()
}
