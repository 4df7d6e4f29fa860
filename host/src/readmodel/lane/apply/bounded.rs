//! The time that a lane's transaction has. What takes longer is ended on the server, so that it holds no locks on, and it
//! is found out whether the server is slow as a whole or answers others.

use std::sync::PoisonError;
use std::time::Duration;

use super::LaneModel;
use crate::failure::Failure;
use crate::readmodel::mysql::query::send;
use crate::readmodel::mysql::session::Session;

/// How long undoing what was ended may take, beyond twice the time that it had.
const UNDO_MORE: Duration = Duration::from_secs(10);

/// How long a statement waits for a row's lock, and for a table's, at most.
const LOCK_SECONDS_MAX: u64 = 5;
const TABLE_LOCK_SECONDS_MAX: u64 = 10;

/// How a transaction came out.
enum BoundedOutcome<T> {
    /// With its answer, and whether the session still answers.
    Ended(Result<T, Failure>, bool),
    TimedOut,
    /// MySQL waits for the session that waits for it.
    Lost,
}

impl LaneModel {
    /// Runs a transaction within the time limit. Whatever fails is rolled back; a session that did not answer is
    /// never used again.
    pub(super) async fn bounded<T>(
        &mut self,
        mut session: Session,
        work: impl AsyncFnOnce(&Self, &mut Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let id = session.id;
        self.reaches(None);
        let limited = async {
            let result = work(self, &mut session).await;
            let answered = match &result {
                Ok(_) => true,
                Err(Failure::ConnectionLost { .. } | Failure::TimedOut { .. }) => false,
                Err(_) => send(&mut session.connection, "ROLLBACK").await.is_ok(),
            };
            BoundedOutcome::Ended(result, answered)
        };
        let outcome = tokio::select! {
            biased;
            ended = limited => ended,
            () = tokio::time::sleep(self.connector.time()) => BoundedOutcome::TimedOut,
            () = self.connector.until_lost(id) => BoundedOutcome::Lost,
        };
        match outcome {
            BoundedOutcome::Ended(result, true) => {
                // The server that can write may be another one by now, so that one is asked anew.
                if !matches!(result, Err(Failure::CannotWrite { .. })) {
                    self.session.keep(session);
                }
                result
            }
            BoundedOutcome::Ended(result, false) => {
                self.uncertain = Some(id);
                result
            }
            BoundedOutcome::TimedOut => {
                drop(session);
                self.uncertain = Some(id);
                Err(self.timed_out().await)
            }
            BoundedOutcome::Lost => {
                self.uncertain = Some(id);
                let message =
                    "a statement or its answer was lost: MySQL waits for the session that waits for it";
                Err(Failure::ConnectionLost { message: message.to_owned() })
            }
        }
    }

    /// Ends the transaction that took too long on the server, and returns the failure that it is. Only where MySQL did
    /// end it, and wrote something else meanwhile, it was the projector's statements that took so long.
    async fn timed_out(&mut self) -> Failure {
        let seconds = self.connector.time().as_secs();
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(name) = reached else {
            return Failure::TimedOut { message: format!("the transaction took longer than {seconds} s") };
        };
        let message = format!("running `{name}`: the transaction took longer than {seconds} s and was ended");
        let patience = self.connector.time() * 2 + UNDO_MORE;
        match tokio::time::timeout(patience, self.is_undone()).await {
            Ok(true) => Failure::TooSlow { message },
            Ok(false) | Err(_) => Failure::TimedOut { message },
        }
    }

    /// Returns true where a new session could end the old one and write, and nothing of the transaction is there.
    async fn is_undone(&mut self) -> bool {
        loop {
            let mut session = match self.session().await {
                Ok(session) => session,
                // Its locks are held until all of it is undone.
                Err(Failure::TransactionLost { .. }) => continue,
                Err(_) => return false,
            };
            let uncertain = self.uncertain;
            return match self.resolve_commit(&mut session).await {
                Ok(None) => {
                    self.session.keep(session);
                    true
                }
                // It had happened: whoever gives the batch again learns that.
                Ok(Some(_)) => {
                    self.uncertain = uncertain;
                    false
                }
                Err(_) => false,
            };
        }
    }
}

/// How long a statement of a lane may wait for locks: less than its transaction may take, so that who waits for another
/// is not taken for slow. Should this host vanish, MariaDB ends what it asked for; MySQL has no such limit for what writes.
pub(super) fn limits(time: Duration, is_mariadb: bool) -> String {
    let half = time.as_secs() / 2;
    let statement =
        if is_mariadb { format!(", max_statement_time = {}", time.as_secs() + 1) } else { String::new() };
    format!(
        "SET SESSION innodb_lock_wait_timeout = {}, lock_wait_timeout = {}{statement}",
        half.clamp(1, LOCK_SECONDS_MAX),
        half.clamp(1, TABLE_LOCK_SECONDS_MAX)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_waited_for_no_longer_than_half_of_a_transactions_time() {
        let limits = |seconds, is_mariadb| limits(Duration::from_secs(seconds), is_mariadb);
        assert_eq!(limits(30, false), "SET SESSION innodb_lock_wait_timeout = 5, lock_wait_timeout = 10");
        assert_eq!(
            limits(2, true),
            "SET SESSION innodb_lock_wait_timeout = 1, lock_wait_timeout = 1, max_statement_time = 3"
        );
    }
}
