//! Whether a component can take the place of the one in force, and how.

use super::version::Loaded;
use crate::failure::Failure;
use crate::readmodel::mysql::session::Session;
use crate::readmodel::tables;
use crate::servers::Servers;

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
    now: Option<&Loaded>,
    next: &Loaded,
) -> Result<HowItFits, Failure> {
    let Some(now) = now else { return Ok(HowItFits::Live) };
    let (projection, now, next) = (&next.projection, &now.deployed.schema, &next.deployed.schema);
    if now.tables != next.tables {
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
        Err(
            failure @ (Failure::SchemaMismatch { .. } | Failure::Misconfigured { .. } | Failure::Bug { .. }),
        ) => Ok(HowItFits::Not(failure.without_values())),
        Err(failure) => Err(failure),
    }
}
