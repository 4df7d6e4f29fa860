//! Whether a component can take the place of the one in force, and how.

use super::standing::StandingComponent;
use super::version::Loaded;
use crate::failure::Failure;
use crate::readmodel::mysql::session::Session;
use crate::readmodel::tables::{self, rehearsal};
use crate::servers::Servers;
use crate::statement::Schema;

/// How a component can take the place of the one in force.
#[derive(Debug, PartialEq, Eq)]
pub enum HowItFits {
    /// On the live tables, between two batches.
    Live,
    /// With tables that have to be built first.
    OtherTables,
    /// Not at all, and why.
    Not(String),
}

/// Checks whether a component can take the place of the one in force, where there is one.
pub async fn fit(
    session: &mut Session,
    servers: &Servers,
    now: &StandingComponent,
    next: &Loaded,
) -> Result<HowItFits, Failure> {
    let (projection, next) = (&next.projection, &next.deployed.schema);
    let are_same_tables = match now {
        StandingComponent::Nothing => return Ok(HowItFits::Live),
        StandingComponent::Loaded(now) => now.deployed.schema.tables == next.tables,
        StandingComponent::Unloadable { .. } => {
            match are_live_tables(session, servers, projection, next).await {
                Ok(are_they) => are_they,
                Err(failure) if is_its_own(&failure) => return Ok(HowItFits::Not(failure.without_values())),
                Err(failure) => return Err(failure),
            }
        }
    };
    if !are_same_tables {
        let control = &servers.control;
        let asked = async {
            let mut db = control.of(session, projection);
            db.tables_are_not_anothers(next).await?;
            db.constraints_are_free(next).await
        };
        return match asked.await {
            Ok(()) => Ok(HowItFits::OtherTables),
            Err(failure @ Failure::Misconfigured { .. }) => Ok(HowItFits::Not(failure.to_string())),
            Err(failure) => Err(failure),
        };
    }
    match tables::prepare(session, next).await {
        Ok(()) => Ok(HowItFits::Live),
        Err(failure) if is_its_own(&failure) => Ok(HowItFits::Not(failure.without_values())),
        Err(failure) => Err(failure),
    }
}

/// Whether the component is what a statement or a table fails for.
fn is_its_own(failure: &Failure) -> bool {
    matches!(failure, Failure::SchemaMismatch { .. } | Failure::Misconfigured { .. } | Failure::Bug { .. })
}

/// Whether the live tables are those that a component declares, where nobody can say what was declared for them.
async fn are_live_tables(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    next: &Schema,
) -> Result<bool, Failure> {
    let (mut live, mut declared) =
        (servers.control.of(session, projection).tables().await?, next.table_names());
    live.sort();
    declared.sort();
    if live != declared {
        return Ok(false);
    }
    let mut ddl = servers.ddl.connect().await?;
    let database = servers.applier.database();
    rehearsal::are_as_declared(&mut ddl, &servers.control, database, next).await
}
