//! Components by their digest, and which of them each projection was given, by whom, when, and what came of it.
//!
//! They are stored here so that every host has them, and a way back needs no file. Of a projection's deployments, one is
//! in force: the last that was neither refused nor taken back.

use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::MySqlConnection;

use super::control_db::{ControlDb, LeaderDb, ProjectionDb, ProjectionTransaction};
use super::control_sql::ControlRow;
use super::recorded_change::{self, ChangedBy, RecordedChange};
use super::renewed_component;
use super::schema::Control;
use crate::failure::Failure;
use crate::readmodel::lane::Lane;
use crate::readmodel::named::{named, unknown};

/// The largest part of a component that one statement carries.
const PART_BYTES_MAX: usize = 4 << 20;

/// Where a deployment came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The file that the configuration names.
    Configuration,
    Command,
    /// A way back: an operator's, or that of a change which was taken back.
    Rollback,
}

impl Origin {
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Command => "command",
            Self::Rollback => "rollback",
        }
    }

    pub fn from_name(name: &str) -> Self {
        match name {
            "configuration" => Self::Configuration,
            "rollback" => Self::Rollback,
            _ => Self::Command,
        }
    }
}

/// A component to be deployed.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    pub projection: &'a str,
    pub digest: &'a str,
    pub origin: Origin,
    pub by: &'a str,
    /// For how long it may be taken back; zero: not at all.
    pub canary: Duration,
    /// The command that asked for it.
    pub command: Option<u64>,
}

/// The deployment that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    pub id: u64,
    pub digest: String,
    /// The digest that was replaced. A refused deployment, or one that was taken back, never was in force.
    pub previous: Option<String>,
    /// While it may be taken back to that: for how long still.
    pub canary: Option<Duration>,
}

/// What became of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeploymentState {
    /// The newest one that is deployed is in force.
    Deployed,
    /// It does not fit.
    Refused,
    /// It failed an event that the component before takes, in its canary window.
    TakenBack,
}

named!(DeploymentState { Deployed = "deployed", Refused = "refused", TakenBack = "taken-back" });

/// A deployment as people see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Deployment {
    pub id: u64,
    /// Of the projector and its upcaster together; without an upcaster, the projector's.
    pub digest: String,
    pub projector: String,
    /// The projector's own name and version.
    pub name: String,
    pub version: String,
    pub upcaster: Option<UpcasterShown>,
    pub origin: String,
    pub state: DeploymentState,
    pub by: String,
    pub at: String,
    /// Why it was refused or taken back.
    pub reason: Option<String>,
    /// Since when every lane of the live generation works with it.
    pub taken_up_at: Option<String>,
    /// Until then, the reason that the host that writes has recorded.
    pub waits: Option<String>,
    /// The operation that it came of, if any.
    #[serde(default)]
    pub command: Option<u64>,
}

/// The upcaster of a deployment as people see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct UpcasterShown {
    pub digest: String,
    pub name: String,
    pub version: String,
}

/// The bytes of the components that a deployed digest stands for.
pub struct StoredHalves {
    pub projector: Arc<[u8]>,
    pub upcaster: Option<Arc<[u8]>>,
}

/// From which position on a lane works with a digest.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct LaneChange {
    pub lane: u32,
    pub digest: String,
    /// Everything behind it.
    pub position: String,
    pub at: String,
}

impl ControlDb<'_> {
    /// Stores a component, once, and records who uploaded it where somebody did. One that is stored already counts as stored now.
    pub async fn store_component(
        &mut self,
        digest: &str,
        bytes: &[u8],
        name: &str,
        version: &str,
        by: Option<ChangedBy<'_>>,
    ) -> Result<(), Failure> {
        const DOING: &str = "storing the component";
        let again = self.statement(
            DOING,
            "UPDATE laterna.component SET stored_at = CURRENT_TIMESTAMP(6) WHERE digest = ?",
        );
        if again.bind(digest).run(self.connection()).await?.rows_affected() > 0 {
            return Ok(());
        }
        let room = (self.session.packet_bytes_max / 2).clamp(1, PART_BYTES_MAX);
        let part = self.statement(
            DOING,
            "INSERT IGNORE INTO laterna.component_part (digest, at, bytes) VALUES (?, ?, ?)",
        );
        // Parts are cut by their place, so that a server with other packets, or another host at the same time, does no harm.
        for at in (0..bytes.len()).step_by(room) {
            let some = &bytes[at..bytes.len().min(at + room)];
            let place = u64::try_from(at).expect("a component's length is bounded");
            let written = part.bind(digest).bind(place).bind(some).run(self.connection());
            written.await?;
        }
        let mut transaction = self.begin(DOING).await?;
        let whole = transaction.statement(
            DOING,
            "INSERT IGNORE INTO laterna.component (digest, name, version, bytes) VALUES (?, ?, ?, ?)",
        );
        let length = u64::try_from(bytes.len()).expect("a component's length is bounded");
        let stored = whole.bind(digest).bind(name).bind(version).bind(length);
        let stored = stored.run(&mut transaction).await?;
        // Of two that store the same at once, one does.
        if let Some(by) = by.filter(|_| stored.rows_affected() > 0) {
            let [digest, name, version] = [digest, name, version].map(ToOwned::to_owned);
            let upload = RecordedChange::Upload { digest, name, version };
            let control = transaction.control;
            recorded_change::record(&mut transaction, control, by, &upload, Ok("stored")).await?;
        }
        transaction.commit().await
    }

    /// Stores which components a digest stands for, once. They are stored already.
    pub async fn store_pair(&mut self, digest: &str, projector: &str, upcaster: &str) -> Result<(), Failure> {
        let sql = self.statement(
            "storing the pair",
            "INSERT IGNORE INTO laterna.pair (digest, projector, upcaster) VALUES (?, ?, ?)",
        );
        let stored = sql.bind(digest).bind(projector).bind(upcaster);
        stored.run(self.connection()).await?;
        Ok(())
    }

    pub async fn is_component_stored(&mut self, digest: &str) -> Result<bool, Failure> {
        let sql =
            self.statement("looking for the component", "SELECT 1 FROM laterna.component WHERE digest = ?");
        let found = sql.bind(digest).first(self.connection()).await?;
        Ok(found.is_some())
    }

    /// A component's bytes. None when it is not stored whole.
    pub async fn component_bytes(&mut self, digest: &str) -> Result<Option<Vec<u8>>, Failure> {
        let sql =
            self.statement("reading the component", "SELECT bytes FROM laterna.component WHERE digest = ?");
        let found = sql.bind(digest).first(self.connection()).await?;
        let Some(row) = found else { return Ok(None) };
        let length: u64 = row.get(0)?;
        let mut bytes = Vec::new();
        // Those of two writers with other packets may overlap: each place is read from the longest that begins there.
        let part = self.statement(
            "reading the component",
            "SELECT bytes FROM laterna.component_part WHERE digest = ? AND at = ?",
        );
        while (bytes.len() as u64) < length {
            let at = bytes.len() as u64;
            let found = part.bind(digest).bind(at).first(self.connection()).await;
            let Some(row) = found? else { return Ok(None) };
            bytes.extend(row.get::<&[u8]>(0)?);
        }
        Ok(Some(bytes))
    }

    /// Reads the bytes of a deployed digest: those of a chain's two, or of the projector alone. None when they are not stored whole.
    pub async fn stored_halves(&mut self, digest: &str) -> Result<Option<StoredHalves>, Failure> {
        let halves = self.halves(digest).await?;
        let Some(projector) = self.component_bytes(&halves.projector).await? else { return Ok(None) };
        let Some(upcaster) = halves.upcaster else {
            return Ok(Some(StoredHalves { projector: projector.into(), upcaster: None }));
        };
        let upcaster = self.component_bytes(&upcaster).await?;
        Ok(upcaster
            .map(|upcaster| StoredHalves { projector: projector.into(), upcaster: Some(upcaster.into()) }))
    }
}

impl ProjectionDb<'_> {
    /// Reads the deployment that a projection works with, or is to work with.
    pub async fn deployment_in_force(&mut self) -> Result<Option<InForce>, Failure> {
        let sql = self.statement(
            "reading the deployment",
            "SELECT id, digest, previous, CAST(TIMESTAMPDIFF(MICROSECOND, CURRENT_TIMESTAMP(6), canary_until) AS SIGNED) \
             FROM laterna.deployment WHERE projection = ? AND state = 'deployed' ORDER BY id DESC LIMIT 1",
        );
        let found = sql.bind(self.projection).first(self.connection()).await?;
        let Some(row) = found else { return Ok(None) };
        let (previous, left): (Option<String>, Option<i64>) = (row.get(2)?, row.get(3)?);
        let left = left.and_then(|left| u64::try_from(left).ok()).map(Duration::from_micros);
        Ok(Some(InForce {
            id: row.get(0)?,
            digest: row.get(1)?,
            canary: left.filter(|_| previous.is_some()),
            previous,
        }))
    }

    /// Returns true where a configuration has brought this projector or upcaster before: then it is no news, and a later
    /// deployment stays.
    pub async fn was_configured(&mut self, digest: &str) -> Result<bool, Failure> {
        let sql = self.statement(
            "reading the deployments",
            "SELECT 1 FROM laterna.deployment d LEFT JOIN laterna.pair p ON p.digest = d.digest \
             WHERE d.projection = ? AND d.origin = 'configuration' \
             AND (COALESCE(p.projector, d.digest) = ? OR p.upcaster = ?) LIMIT 1",
        );
        let query = sql.bind(self.projection).bind(digest).bind(digest);
        let found = query.first(self.connection()).await?;
        Ok(found.is_some())
    }
}

/// Puts a component in force, which must be stored. What is in force already stays as it is.
pub async fn deploy(
    connection: &mut MySqlConnection,
    control: &Control,
    proposal: Proposal<'_>,
) -> Result<(), Failure> {
    let Proposal { projection, digest, origin, by, canary, command } = proposal;
    let sql = control.statement(
        "recording the deployment",
        "SELECT digest, previous FROM laterna.deployment WHERE projection = ? AND state = 'deployed' \
         ORDER BY id DESC LIMIT 1 FOR UPDATE",
    );
    let found = sql.bind(projection).first(connection).await?;
    let now: Option<String> = found.as_ref().map(|row| row.get(0)).transpose()?;
    let is_same = now.as_deref() == Some(digest);
    if is_same && origin != Origin::Configuration {
        return Ok(());
    }
    renewed_component::require(connection, control, projection, digest).await?;
    // What is in force already stays so, and with it the way back.
    let previous = match found.filter(|_| is_same) {
        Some(row) => row.get(1)?,
        None => now,
    };
    let canary = (previous.is_some() && !canary.is_zero()).then_some(canary);
    let insert = control.statement(
        "recording the deployment",
        "INSERT INTO laterna.deployment (projection, digest, previous, origin, state, deployed_by, canary_until, command) \
         VALUES (?, ?, ?, ?, 'deployed', ?, CURRENT_TIMESTAMP(6) + INTERVAL ? MICROSECOND, ?)",
    );
    let micros = canary.map(|canary| u64::try_from(canary.as_micros()).unwrap_or(u64::MAX));
    insert
        .bind(projection)
        .bind(digest)
        .bind(previous)
        .bind(origin.name())
        .bind(by)
        .bind(micros)
        .bind(command)
        .run(connection)
        .await?;
    Ok(())
}

impl ControlDb<'_> {
    /// Records a component that was not taken, and why.
    pub async fn refuse_deployment(&mut self, proposal: Proposal<'_>, reason: &str) -> Result<(), Failure> {
        let Proposal { projection, digest, origin, by, .. } = proposal;
        let sql = self.statement(
            "recording the deployment",
            "INSERT INTO laterna.deployment (projection, digest, origin, state, deployed_by, reason) \
             VALUES (?, ?, ?, 'refused', ?, ?)",
        );
        sql.bind(projection)
            .bind(digest)
            .bind(origin.name())
            .bind(by)
            .bind(reason)
            .run(self.connection())
            .await?;
        Ok(())
    }
}

impl LeaderDb<'_> {
    /// Records that a deployment was taken back, for what it did: the one before is in force again. After a failure the
    /// session must not be used again; it may be repeated.
    pub async fn take_deployment_back(&mut self, id: u64, reason: &str) -> Result<(), Failure> {
        let mut transaction = self.begin("recording that the deployment was taken back").await?;
        let sql = transaction.statement(
            "recording that the deployment was taken back",
            "UPDATE laterna.deployment SET state = 'taken-back', reason = ? \
             WHERE projection = ? AND id = ? AND state = 'deployed' AND canary_until IS NOT NULL",
        );
        let query = sql.bind(reason).bind(transaction.projection).bind(id);
        if query.run(&mut transaction).await?.rows_affected() == 1 {
            transaction.correct_way_back(id).await?;
        }
        // The lanes go back to the one before, which they have to take up again.
        let sql = transaction.statement(
            "recording that the deployment was taken back",
            "UPDATE laterna.deployment SET taken_up_at = NULL WHERE projection = ? AND state = 'deployed' \
             ORDER BY id DESC LIMIT 1",
        );
        sql.bind(transaction.projection).run(&mut transaction).await?;
        transaction.commit().await
    }
}

impl ProjectionTransaction<'_> {
    /// What was deployed over a deployment that is taken back replaces what is in force again: its way back leads there.
    async fn correct_way_back(&mut self, id: u64) -> Result<(), Failure> {
        let doing = "recording that the deployment was taken back";
        let sql = self.statement(
            doing,
            "SELECT id, digest, previous FROM laterna.deployment WHERE projection = ? AND (id = ? OR state = 'deployed') \
             ORDER BY id FOR UPDATE",
        );
        let rows = sql.bind(self.projection).bind(id).rows(self).await?;
        let row = |row: &ControlRow| {
            Ok(DeploymentChain { id: row.get(0)?, digest: row.get(1)?, previous: row.get(2)? })
        };
        let rows: Vec<DeploymentChain> = rows.iter().map(row).collect::<Result<_, Failure>>()?;
        let Some((later, previous)) = corrected(&rows, id) else { return Ok(()) };
        let sql = self
            .statement(doing, "UPDATE laterna.deployment SET previous = ? WHERE projection = ? AND id = ?");
        sql.bind(previous).bind(self.projection).bind(later).run(self).await?;
        Ok(())
    }
}

/// A deployment, and what it replaced.
struct DeploymentChain {
    id: u64,
    digest: String,
    previous: Option<String>,
}

/// The deployment that replaced the one that is taken back, and what it replaces now; none where nothing did.
fn corrected(rows: &[DeploymentChain], taken_back: u64) -> Option<(u64, Option<String>)> {
    let back = rows.iter().find(|row| row.id == taken_back)?;
    let later = rows.iter().find(|row| row.id > taken_back)?;
    if later.previous.as_ref() != Some(&back.digest) {
        return None;
    }
    // It may be what is in force again itself: then its way back is that one's.
    let mut before = rows.iter().rev().filter(|row| row.id < taken_back);
    let previous = match &back.previous {
        Some(previous) if *previous == later.digest => {
            before.find(|row| row.digest == *previous).and_then(|row| row.previous.clone())
        }
        previous => previous.clone(),
    };
    Some((later.id, previous))
}

impl ProjectionDb<'_> {
    /// The deployments of a projection, the last one first.
    pub async fn deployments(&mut self, limit: u32) -> Result<Vec<Deployment>, Failure> {
        let sql = self.statement(
            "reading the deployments",
            "SELECT d.id, d.digest, COALESCE(c.name, ''), COALESCE(c.version, ''), CAST(d.origin AS CHAR), \
             CAST(d.state AS CHAR), d.deployed_by, DATE_FORMAT(d.deployed_at, '%Y-%m-%dT%H:%i:%sZ'), d.reason, \
             COALESCE(p.projector, d.digest), p.upcaster, COALESCE(u.name, ''), COALESCE(u.version, ''), \
             DATE_FORMAT(d.taken_up_at, '%Y-%m-%dT%H:%i:%sZ'), d.waits, d.command \
             FROM laterna.deployment d LEFT JOIN laterna.pair p ON p.digest = d.digest \
             LEFT JOIN laterna.component c ON c.digest = COALESCE(p.projector, d.digest) \
             LEFT JOIN laterna.component u ON u.digest = p.upcaster \
             WHERE d.projection = ? ORDER BY d.id DESC LIMIT ?",
        );
        let rows = sql.bind(self.projection).bind(limit).rows(self.connection()).await;
        let deployment = |row: &ControlRow| {
            let upcaster: Option<String> = row.get(10)?;
            let (name, version) = (row.get(11)?, row.get(12)?);
            let state: String = row.get(5)?;
            Ok(Deployment {
                projector: row.get(9)?,
                upcaster: upcaster.map(|digest| UpcasterShown { digest, name, version }),
                id: row.get(0)?,
                digest: row.get(1)?,
                name: row.get(2)?,
                version: row.get(3)?,
                origin: row.get(4)?,
                state: DeploymentState::from_name(&state)
                    .ok_or_else(|| unknown("a deployment's row", &state))?,
                by: row.get(6)?,
                at: row.get(7)?,
                reason: row.get(8)?,
                taken_up_at: row.get(13)?,
                waits: row.get(14)?,
                command: row.get(15)?,
            })
        };
        rows?.iter().map(deployment).collect()
    }
}

/// Records, in the batch's transaction and before its checkpoint moves, that a lane works with another digest from here on.
pub async fn change_lane(
    connection: &mut MySqlConnection,
    control: &Control,
    lane: &Lane,
    digest: &str,
) -> Result<(), Failure> {
    let sql = control.statement(
        "recording the lane's component",
        "INSERT INTO laterna.deployment_lane (projection, generation, lane, batch, digest, position) \
         SELECT projection, generation, lane, batch, ?, position FROM laterna.checkpoint \
         WHERE projection = ? AND generation = ? AND lane = ? \
         ON DUPLICATE KEY UPDATE digest = VALUES(digest), position = VALUES(position), \
         changed_at = CURRENT_TIMESTAMP(6)",
    );
    // A row of the same number is there where checkpoints were lost or removed since: what is written now counts.
    let query = sql.bind(digest).bind(&lane.projection).bind(lane.generation).bind(lane.lane);
    query.run(connection).await?;
    Ok(())
}

impl ProjectionDb<'_> {
    /// When the lanes of a generation changed their component, oldest first.
    pub async fn lane_changes(&mut self, generation: u32) -> Result<Vec<LaneChange>, Failure> {
        let sql = self.statement(
            "reading the lanes' components",
            "SELECT lane, digest, position, DATE_FORMAT(changed_at, '%Y-%m-%dT%H:%i:%s.%fZ') FROM laterna.deployment_lane \
             WHERE projection = ? AND generation = ? ORDER BY changed_at, lane, batch",
        );
        let rows = sql.bind(self.projection).bind(generation).rows(self.connection()).await;
        let change = |row: &ControlRow| {
            Ok(LaneChange { lane: row.get(0)?, digest: row.get(1)?, position: row.get(2)?, at: row.get(3)? })
        };
        rows?.iter().map(change).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(chain: &[(u64, &str, &str)]) -> Vec<DeploymentChain> {
        let row = |(id, digest, previous): &(u64, &str, &str)| DeploymentChain {
            id: *id,
            digest: (*digest).to_owned(),
            previous: Some((*previous).to_owned()).filter(|previous| !previous.is_empty()),
        };
        chain.iter().map(row).collect()
    }

    #[test]
    fn the_way_back_of_what_came_over_a_deployment_that_is_taken_back_leads_to_the_one_before() {
        let begin = [(1, "a", ""), (2, "b", "a"), (3, "bad", "b")];
        for (later, expected) in [
            (vec![], None),
            (vec![(4, "c", "bad")], Some((4, Some("b")))),
            // Somebody has rolled back meanwhile.
            (vec![(4, "b", "bad")], Some((4, Some("a")))),
            // What was deployed later than that, replaces that.
            (vec![(4, "c", "bad"), (5, "bad", "c"), (6, "d", "bad")], Some((4, Some("b")))),
            (vec![(5, "c", "other")], None),
        ] {
            let found = corrected(&rows(&[&begin[..], &later].concat()), 3);
            let expected = expected.map(|(id, previous)| (id, previous.map(str::to_owned)));
            assert_eq!(found, expected, "{later:?}");
        }
    }
}
