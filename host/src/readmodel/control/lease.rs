//! The row of the lease: which host writes for a projection, and under which epoch. Time is MySQL's clock; safety rests on the epoch,
//! which every commit proves.

use std::time::{Duration, Instant};

use sqlx::mysql::MySqlConnection;
use xxhash_rust::xxh3::xxh3_128;

use super::control_db::{ControlDb, LeaderDb, ProjectionDb, prove_epoch};
use super::control_sql::{ControlRow, ControlSql};
use super::schema::Control;
use crate::failure::Failure;
use crate::readmodel::mysql::session::Connector;
use crate::readmodel::mysql::session::presence::Presence;

/// How long a session that renames tables may take to end.
const RENAMING_ENDS: Duration = Duration::from_secs(10);

/// The result of asking for the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// This host writes, under this epoch.
    Mine { epoch: u64 },
    /// Another host does.
    Taken { owner: String },
}

impl ProjectionDb<'_> {
    /// Takes the lease when it is free: never held, released, expired, or held by a session that is gone. Whether a session of
    /// another account is gone, MySQL does not show; there the lease's time decides. A take-over first ends the old holder's
    /// sessions (`ddl` is the account that renames tables), then raises the epoch of the lease and of all lanes at once. After
    /// a failure the session must not be used again; if the lease was taken all the same, it is free when that session is gone.
    pub async fn acquire_lease(
        &mut self,
        ddl: &Connector,
        owner: &str,
        ttl: Duration,
    ) -> Result<Acquired, Failure> {
        let projection = self.projection;
        // A standby asks often, so it only writes when there is no row.
        let held = if let Some(held) = self.held_lease().await? {
            held
        } else {
            let ensure = self.statement(
                "asking for the lease",
                "INSERT IGNORE INTO laterna.lease (projection, epoch, owner, connection_id, expires_at) \
                 VALUES (?, 0, '', 0, CURRENT_TIMESTAMP(6))",
            );
            ensure.bind(projection).run(self.connection()).await?;
            let gone = || Failure::LostRace {
                what: format!("the row of the lease of `{projection}` was deleted while it was asked for"),
            };
            self.held_lease().await?.ok_or_else(gone)?
        };
        let HeldLease { connection, renames, guard, .. } = held;
        let free = held.expired
            || connection == 0
            || self.session.presence(connection, held.account.as_deref()).await? == Presence::Gone;
        if !free {
            return Ok(Acquired::Taken { owner: held.owner });
        }
        if renames != 0 {
            end_renaming(ddl, self.control, projection, renames).await?;
        }
        self.end_old_sessions([connection, guard]).await?;
        self.raise_epoch(owner, held.epoch, [renames, guard], ttl).await
    }
}

/// A lease as it stands.
struct HeldLease {
    epoch: u64,
    owner: String,
    connection: u64,
    /// The account of the connection; none where it was written by a host that does not say.
    account: Option<String>,
    expired: bool,
    /// The session that renames tables, and the one that keeps the lease meanwhile; 0: none.
    renames: u64,
    guard: u64,
}

impl ProjectionDb<'_> {
    async fn held_lease(&mut self) -> Result<Option<HeldLease>, Failure> {
        // An older host renews without its account: what stands there then is another connection's.
        let read = self.statement(
            "asking for the lease",
            "SELECT epoch, owner, connection_id, IF(account_connection_id = connection_id, account, NULL), \
             CAST(expires_at < CURRENT_TIMESTAMP(6) AS SIGNED), ddl_connection_id, guard_connection_id \
             FROM laterna.lease WHERE projection = ?",
        );
        let found = read.bind(self.projection).first(self.connection()).await?;
        let read = |row: ControlRow| -> Result<HeldLease, Failure> {
            Ok(HeldLease {
                epoch: row.get(0)?,
                owner: row.get(1)?,
                connection: row.get(2)?,
                account: row.get(3)?,
                expired: row.is(4)?,
                renames: row.get(5)?,
                guard: row.get(6)?,
            })
        };
        found.map(read).transpose()
    }

    /// The host that holds the lease with another account than the session's, and that account; none where there is none.
    pub async fn lease_stranger(&mut self) -> Result<Option<(String, String)>, Failure> {
        let held = self.held_lease().await?.filter(|held| !held.expired && held.connection != 0);
        let Some(HeldLease { owner, account: Some(account), .. }) = held else { return Ok(None) };
        Ok((account != self.session.account).then_some((owner, account)))
    }
}

/// Who leads a projection, as it was written down last.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct LeaseRecord {
    pub projection: String,
    /// The host that took it.
    pub owner: String,
    /// How often it was taken; it only rises.
    pub epoch: u64,
    /// Until when it is good, by MySQL's clock.
    pub expires_at: String,
    /// Whether it is held: neither given back nor run out.
    pub held: bool,
}

impl ControlDb<'_> {
    /// All leases, by projection.
    pub async fn leases(&mut self) -> Result<Vec<LeaseRecord>, Failure> {
        let sql = self.statement(
            "reading the leases",
            "SELECT projection, owner, epoch, DATE_FORMAT(expires_at, '%Y-%m-%dT%H:%i:%s.%fZ'), \
             CAST(connection_id <> 0 AND expires_at >= CURRENT_TIMESTAMP(6) AS SIGNED) FROM laterna.lease ORDER BY projection",
        );
        let rows = sql.rows(self.connection()).await?;
        let lease = |row: &ControlRow| {
            Ok(LeaseRecord {
                projection: row.get(0)?,
                owner: row.get(1)?,
                epoch: row.get(2)?,
                expires_at: row.get(3)?,
                held: row.is(4)?,
            })
        };
        rows.iter().map(lease).collect()
    }
}

impl ProjectionDb<'_> {
    /// The host that holds the lease, as far as that can be seen; none where it is free.
    pub async fn lease_holder(&mut self) -> Result<Option<String>, Failure> {
        let held = self.held_lease().await?.filter(|held| !held.expired && held.connection != 0);
        let Some(held) = held else { return Ok(None) };
        let presence = self.session.presence(held.connection, held.account.as_deref()).await?;
        Ok((presence != Presence::Gone).then_some(held.owner))
    }

    /// Returns true where nobody holds the lease, and no session of a lane is there that could still commit.
    pub async fn is_deserted(&mut self) -> Result<bool, Failure> {
        if self.lease_holder().await?.is_some() {
            return Ok(false);
        }
        let account = self.last_account().await?;
        for id in self.lane_sessions().await? {
            if id != self.session.id && self.session.presence(id, account.as_deref()).await? != Presence::Gone
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The account of whoever took the lease last, also where it was given back; none where that host does not say.
    async fn last_account(&mut self) -> Result<Option<String>, Failure> {
        let read = self.statement(
            "asking for the lease",
            "SELECT IF(connection_id IN (0, account_connection_id), account, NULL) FROM laterna.lease \
             WHERE projection = ?",
        );
        let found = read.bind(self.projection).first(self.connection()).await?;
        Ok(found.map(|row| row.get::<Option<String>>(0)).transpose()?.flatten())
    }

    /// The sessions in which lanes wrote last.
    async fn lane_sessions(&mut self) -> Result<Vec<u64>, Failure> {
        let read = self.statement(
            "looking for the old host's sessions",
            "SELECT DISTINCT connection_id FROM laterna.checkpoint WHERE projection = ? AND connection_id IS NOT NULL",
        );
        let rows = read.bind(self.projection).rows(self.connection()).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Marks a session as one that renames tables, until it ends: whoever takes over sees the mark whatever its account is.
    pub async fn mark_renaming(&mut self) -> Result<(), Failure> {
        let projection = self.projection;
        let asked = ControlSql::of_the_server(
            "preparing to rename",
            "SELECT CAST(COALESCE(GET_LOCK(?, 5), 0) AS SIGNED)",
        );
        let row = asked.bind(mark(self.control, projection)).row(self.connection()).await?;
        if row.is(0)? {
            return Ok(());
        }
        Err(Failure::LostRace { what: format!("another session renames tables of `{projection}`") })
    }
}

/// The name of the lock that is the mark: MySQL takes 64 characters.
fn mark(control: &Control, projection: &str) -> String {
    format!("laterna {:032x}", xxh3_128(format!("{}/{projection}", control.schema()).as_bytes()))
}

/// Ends the session in which an old host renames tables, and waits until it is gone: it is the other account's, and nothing
/// but its end keeps it from renaming later.
async fn end_renaming(ddl: &Connector, control: &Control, projection: &str, id: u64) -> Result<(), Failure> {
    let mut session = ddl.connect().await?;
    let asked = Instant::now();
    loop {
        let is_listed = session.presence(id, None).await? == Presence::Connected;
        if !is_listed && control.of(&mut session, projection).renaming_session().await? != Some(id) {
            return Ok(());
        }
        if asked.elapsed() > RENAMING_ENDS {
            let seconds = RENAMING_ENDS.as_secs();
            let message = format!(
                "the session {id} of an old host renames tables of `{projection}`, and has not ended within {seconds} s; \
                 `KILL {id}` by an administrator ends it"
            );
            return Err(Failure::TimedOut { message });
        }
        if is_listed {
            session.kill(id).await?;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl ProjectionDb<'_> {
    /// The session that bears the mark.
    async fn renaming_session(&mut self) -> Result<Option<u64>, Failure> {
        let asked = ControlSql::of_the_server(
            "looking for a session that renames tables",
            "SELECT CAST(IS_USED_LOCK(?) AS UNSIGNED)",
        );
        asked.bind(mark(self.control, self.projection)).row(self.connection()).await?.get(0)
    }

    async fn end_old_sessions(&mut self, holders: [u64; 2]) -> Result<(), Failure> {
        let lanes = self.lane_sessions().await?;
        for id in holders.into_iter().chain(lanes) {
            if id != 0
                && id != self.session.id
                && self.session.presence(id, None).await? == Presence::Connected
            {
                self.session.kill(id).await?;
            }
        }
        Ok(())
    }

    /// Only what was seen is taken over: a cut-over that began meanwhile has sessions that were not ended.
    async fn raise_epoch(
        &mut self,
        owner: &str,
        seen: u64,
        cut_over: [u64; 2],
        ttl: Duration,
    ) -> Result<Acquired, Failure> {
        let (id, account) = (self.session.id, self.session.account.clone());
        let mut transaction = self.begin("taking the lease").await?;
        let take = transaction.statement(
            "taking the lease",
            "UPDATE laterna.lease SET epoch = epoch + 1, owner = ?, connection_id = ?, account_connection_id = ?, \
             account = ?, expires_at = CURRENT_TIMESTAMP(6) + INTERVAL ? MICROSECOND \
             WHERE projection = ? AND epoch = ? AND ddl_connection_id = ? AND guard_connection_id = ?",
        );
        let [renames, guard] = cut_over;
        let taken = take
            .bind(owner)
            .bind(id)
            .bind(id)
            .bind(account)
            .bind(micros(ttl))
            .bind(transaction.projection)
            .bind(seen)
            .bind(renames)
            .bind(guard)
            .run(&mut transaction)
            .await?;
        if taken.rows_affected() != 1 {
            transaction.rollback().await?;
            return Ok(Acquired::Taken { owner: "another host that was faster".to_owned() });
        }
        let lanes = transaction.statement(
            "taking the lease",
            "UPDATE laterna.checkpoint SET epoch = ?, open_batch = NULL, connection_id = NULL WHERE projection = ?",
        );
        lanes.bind(seen + 1).bind(transaction.projection).run(&mut transaction).await?;
        transaction.commit().await?;
        Ok(Acquired::Mine { epoch: seen + 1 })
    }
}

impl LeaderDb<'_> {
    /// Holds the lease for another `ttl`, from this session.
    pub async fn renew_lease(&mut self, ttl: Duration) -> Result<(), Failure> {
        let sql = self.statement(
            "renewing the lease",
            "UPDATE laterna.lease SET connection_id = ?, account_connection_id = ?, account = ?, expires_at = CURRENT_TIMESTAMP(6) + INTERVAL ? MICROSECOND \
             WHERE projection = ? AND epoch = ?",
        );
        let renewed = sql
            .bind(self.session.id)
            .bind(self.session.id)
            .bind(self.session.account.clone())
            .bind(micros(ttl))
            .bind(self.projection)
            .bind(self.epoch)
            .run(self.connection())
            .await?;
        if renewed.rows_affected() == 1 {
            return Ok(());
        }
        let (control, projection, epoch) = (self.control, self.projection, self.epoch);
        Err(fenced(self.connection(), control, projection, epoch).await)
    }

    /// Gives the lease back, so that another host can take it at once.
    pub async fn release_lease(&mut self) -> Result<(), Failure> {
        let sql = self.statement(
            "releasing the lease",
            "UPDATE laterna.lease SET owner = '', connection_id = 0, expires_at = CURRENT_TIMESTAMP(6) \
             WHERE projection = ? AND epoch = ?",
        );
        sql.bind(self.projection).bind(self.epoch).run(self.connection()).await?;
        Ok(())
    }
}

/// The end of a change that a host makes under its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnderLease<T> {
    Done(T),
    /// Nothing was changed; with the reason.
    Blocked(String),
}

async fn fenced(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
    epoch: u64,
) -> Failure {
    match prove_epoch(connection, control, projection, epoch).await {
        Ok(()) => {
            Failure::LostRace { what: format!("the lease of `{projection}` changed while it was renewed") }
        }
        Err(failure) => failure,
    }
}

fn micros(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX)
}
