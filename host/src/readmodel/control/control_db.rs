//! The control schema in one session: of all projections, of one, and of one under the epoch of its lease.
//!
//! Each is a borrowed handle. The files beside this one say what can be asked of it: `find_pause` is in `pause.rs`. Whatever
//! changes rows on the word of a lease has to be asked of a [`LeaderDb`], whose transactions prove the epoch first.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use sqlx::Connection;
use sqlx::mysql::MySqlConnection;

use super::control_sql::ControlSql;
use super::schema::Control;
use crate::failure::Failure;
use crate::fingerprint::Seed;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::session::Session;

/// The control schema in a session. After a failure the session must not be used again.
pub struct ControlDb<'a> {
    pub(in crate::readmodel) session: &'a mut Session,
    pub(in crate::readmodel) control: &'a Control,
}

/// The rows of one projection in the control schema.
pub struct ProjectionDb<'a> {
    db: ControlDb<'a>,
    pub(in crate::readmodel) projection: &'a str,
}

/// The rows of one projection, for the host that holds its lease under an epoch.
pub struct LeaderDb<'a> {
    db: ProjectionDb<'a>,
    pub(in crate::readmodel) epoch: u64,
}

/// A transaction on the control schema: dropped before its end, it changes nothing.
pub struct ControlTransaction<'a> {
    doing: &'static str,
    transaction: sqlx::Transaction<'a, sqlx::MySql>,
    pub(in crate::readmodel) control: &'a Control,
}

/// A transaction on the rows of one projection.
pub struct ProjectionTransaction<'a> {
    transaction: ControlTransaction<'a>,
    pub(in crate::readmodel) projection: &'a str,
}

impl Control {
    /// The control schema in a session.
    pub fn on<'a>(&'a self, session: &'a mut Session) -> ControlDb<'a> {
        ControlDb { session, control: self }
    }

    /// The rows of one projection in a session.
    pub fn of<'a>(&'a self, session: &'a mut Session, projection: &'a str) -> ProjectionDb<'a> {
        ProjectionDb { db: self.on(session), projection }
    }
}

impl ControlDb<'_> {
    pub(in crate::readmodel) fn connection(&mut self) -> &mut MySqlConnection {
        &mut self.session.connection
    }

    /// A statement whose text is written for the name `laterna`; `doing` begins the message of whatever fails.
    pub(in crate::readmodel) fn statement<'t>(
        &self,
        doing: &'static str,
        text: impl Into<Cow<'t, str>>,
    ) -> ControlSql<'t> {
        self.control.statement(doing, text)
    }

    /// The seed of marks in this control schema.
    pub(in crate::readmodel) async fn seed(&mut self) -> Result<Seed, Failure> {
        self.control.seed(self.session).await
    }

    /// The version of the control schema; none where there is none yet.
    pub async fn version(&mut self) -> Result<Option<u32>, Failure> {
        self.control.version(self.session).await
    }

    /// Begins a transaction.
    pub(in crate::readmodel) async fn begin(
        &mut self,
        doing: &'static str,
    ) -> Result<ControlTransaction<'_>, Failure> {
        let transaction = self.session.connection.begin().await.map_err(|error| classify(doing, &error))?;
        Ok(ControlTransaction { doing, transaction, control: self.control })
    }
}

impl ProjectionDb<'_> {
    /// The same for the host that holds the lease under this epoch.
    pub fn under(&mut self, epoch: u64) -> LeaderDb<'_> {
        let db = ControlDb { session: &mut *self.db.session, control: self.db.control };
        LeaderDb { db: ProjectionDb { db, projection: self.projection }, epoch }
    }

    /// Begins a transaction.
    pub(in crate::readmodel) async fn begin(
        &mut self,
        doing: &'static str,
    ) -> Result<ProjectionTransaction<'_>, Failure> {
        let projection = self.projection;
        Ok(ProjectionTransaction { transaction: self.db.begin(doing).await?, projection })
    }
}

impl LeaderDb<'_> {
    /// Begins a transaction that proves the epoch first.
    pub(in crate::readmodel) async fn begin(
        &mut self,
        doing: &'static str,
    ) -> Result<ProjectionTransaction<'_>, Failure> {
        let epoch = self.epoch;
        let mut transaction = self.db.begin(doing).await?;
        let (control, projection) = (transaction.control, transaction.projection);
        prove_epoch(&mut transaction, control, projection, epoch).await?;
        Ok(transaction)
    }
}

/// Proves, inside a transaction that is not a lane's batch, that this host still writes for the projection.
pub(in crate::readmodel) async fn prove_epoch(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
    epoch: u64,
) -> Result<(), Failure> {
    let sql = control.statement(
        "proving the epoch",
        "SELECT epoch FROM laterna.lease WHERE projection = ? LOCK IN SHARE MODE",
    );
    let row = sql.bind(projection).first(&mut *connection).await?;
    let found = row.map_or(Ok(0), |row| row.get(0))?;
    if found == epoch { Ok(()) } else { Err(Failure::Fenced { mine: epoch, found }) }
}

impl<'a> ControlTransaction<'a> {
    /// The same for the rows of one projection.
    pub(in crate::readmodel) fn of(self, projection: &'a str) -> ProjectionTransaction<'a> {
        ProjectionTransaction { transaction: self, projection }
    }

    /// A statement whose text is written for the name `laterna`; `doing` begins the message of whatever fails.
    pub(in crate::readmodel) fn statement<'t>(
        &self,
        doing: &'static str,
        text: impl Into<Cow<'t, str>>,
    ) -> ControlSql<'t> {
        self.control.statement(doing, text)
    }

    pub(in crate::readmodel) async fn commit(self) -> Result<(), Failure> {
        self.transaction.commit().await.map_err(|error| classify(self.doing, &error))
    }

    pub(in crate::readmodel) async fn rollback(self) -> Result<(), Failure> {
        self.transaction.rollback().await.map_err(|error| classify(self.doing, &error))
    }
}

impl ProjectionTransaction<'_> {
    pub(in crate::readmodel) async fn commit(self) -> Result<(), Failure> {
        self.transaction.commit().await
    }

    pub(in crate::readmodel) async fn rollback(self) -> Result<(), Failure> {
        self.transaction.rollback().await
    }
}

impl<'a> Deref for ProjectionDb<'a> {
    type Target = ControlDb<'a>;

    fn deref(&self) -> &ControlDb<'a> {
        &self.db
    }
}

impl<'a> DerefMut for ProjectionDb<'a> {
    fn deref_mut(&mut self) -> &mut ControlDb<'a> {
        &mut self.db
    }
}

impl<'a> Deref for LeaderDb<'a> {
    type Target = ProjectionDb<'a>;

    fn deref(&self) -> &ProjectionDb<'a> {
        &self.db
    }
}

impl<'a> DerefMut for LeaderDb<'a> {
    fn deref_mut(&mut self) -> &mut ProjectionDb<'a> {
        &mut self.db
    }
}

impl Deref for ControlTransaction<'_> {
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        &self.transaction
    }
}

impl DerefMut for ControlTransaction<'_> {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        &mut self.transaction
    }
}

impl<'a> Deref for ProjectionTransaction<'a> {
    type Target = ControlTransaction<'a>;

    fn deref(&self) -> &ControlTransaction<'a> {
        &self.transaction
    }
}

impl<'a> DerefMut for ProjectionTransaction<'a> {
    fn deref_mut(&mut self) -> &mut ControlTransaction<'a> {
        &mut self.transaction
    }
}
