//! What a change would be, told before anybody asks for it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ask::Refusal;
use super::sql_changes::{self, SqlChange};
use super::wish::Wished;
use crate::component::fit::{HowItFits, fit};
use crate::component::standing::StandingComponent;
use crate::component::version::Loaded;
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// What a change would be.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DryRun {
    /// What would be asked for, in words.
    would: String,
    /// How many letters it would be about.
    letters: Option<u64>,
    /// What it would be asked for with.
    parameters: Map<String, Value>,
}

impl DryRun {
    pub fn of(wished: &Wished) -> Self {
        let Wished { request, letters } = wished;
        Self { would: request.told(), letters: *letters, parameters: request.parameters() }
    }
}

/// A deployment that would be.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DryDeployment {
    #[serde(flatten)]
    dry: DryRun,
    /// Whether its tables are the live ones. Otherwise others are built beside these first.
    pub on_live_tables: bool,
    /// What it declares otherwise than the component in force.
    pub sql: Vec<SqlChange>,
}

impl DryDeployment {
    /// Tries a component on the live tables, and compares its SQL with that of the one in force. One that does not fit is
    /// refused.
    pub async fn look(
        session: &mut Session,
        servers: &Servers,
        now: &StandingComponent,
        next: &Loaded,
        dry: DryRun,
    ) -> Result<Self, Refusal> {
        let on_live_tables = match fit(session, servers, now, next).await? {
            HowItFits::Live => true,
            HowItFits::OtherTables => false,
            HowItFits::Not(reason) => return Err(Refusal::InTheWay(reason)),
        };
        let manifest = now.as_loaded().map(|now| &*now.deployed.manifest);
        let sql = sql_changes::between(manifest, &next.deployed.manifest);
        Ok(Self { dry, on_live_tables, sql })
    }
}
