//! Filling a projection's tables again, in place, from the outbox's history.
//!
//! First one transaction gives the old generation up: from then on there is a new one without lanes, and whoever starts
//! empties the tables, bit by bit, and places the lanes at the beginning of history. Killed anywhere, the next start
//! finds either the old generation as it was or the new one, and goes on.

use super::aside::whole;
use super::startup::{history_is_readable, lanes, not_from_the_future};
use super::{Loaded, Servers, Settings};
use crate::failure::Failure;
use crate::position::Position;
use crate::readmodel::{checkpoint, registration, tables, witness};
use crate::source::SourceIdentity;

pub struct Job<'a> {
    pub servers: &'a Servers,
    pub settings: &'a Settings,
    pub loaded: &'a Loaded,
    pub epoch: u64,
    pub identity: &'a SourceIdentity,
}

impl Job<'_> {
    /// Gives a generation up for what was lost, and fills the next one. Refuses before anything is touched.
    pub async fn run(&self, generation: u32, lost: &Failure) -> Result<u32, Failure> {
        let Servers { applier, control, .. } = self.servers;
        let name = &self.settings.name;
        let mut session = applier.connect().await?;
        let rows = checkpoint::rows(&mut session, control, name, generation).await?;
        not_from_the_future(self.servers, &rows).await?;
        let possible = async {
            is_possible(self.servers, self.loaded, self.identity).await?;
            let lacks = whole::outbox_lacks(self.servers, &mut session, (name, generation), &rows).await?;
            let reason = |lacks: String| {
                format!(
                    "{lacks}; `laterna rebuild {name}` makes other tables beside them, and asks before it uses them"
                )
            };
            lacks.map_or(Ok(()), |lacks| Err(Failure::Misconfigured { reason: reason(lacks) }))
        };
        possible.await.map_err(|failure| refused(lost, failure))?;
        tracing::warn!(
            projection = name,
            "{lost}; rebuilding: the tables are emptied and filled again from history, as `resume_lost` says"
        );
        let opened =
            registration::open_generation(&mut session, control, name, generation, self.epoch).await?;
        self.refill(opened).await
    }

    /// Empties the tables of a generation that has no lanes yet, and places its lanes.
    pub async fn refill(&self, generation: u32) -> Result<u32, Failure> {
        let Servers { applier, control, outbox, .. } = self.servers;
        let name = &self.settings.name;
        history_is_readable(self.servers, self.loaded).await?;
        let mut session = applier.connect().await?;
        let schema = &self.loaded.deployed.schema;
        let deleted = tables::empty(&mut session, control, name, self.epoch, schema).await?;
        tracing::info!(
            projection = name,
            generation,
            deleted,
            "the tables are empty; history is read into them"
        );
        witness::create(&mut self.servers.ddl.connect().await?, control, name).await?;
        let start = outbox.current_token().await?;
        let position = Position::Scan { start, key: None, beside: 0 };
        let lanes = lanes(self.settings, self.loaded);
        checkpoint::replace(&mut session, control, name, generation, self.epoch, lanes, &position).await?;
        Ok(generation)
    }
}

/// Whether history can be read. Whether it gives all that a read model was made from is known when it was read.
pub async fn is_possible(
    servers: &Servers,
    loaded: &Loaded,
    identity: &SourceIdentity,
) -> Result<(), Failure> {
    servers.outbox.complete_history(identity).await?;
    history_is_readable(servers, loaded).await
}

/// Why the tables stay as they are, beside what was lost.
fn refused(lost: &Failure, why: Failure) -> Failure {
    match (lost, why) {
        (Failure::ResumeLost { cause, reason }, Failure::Misconfigured { reason: why }) => {
            Failure::ResumeLost {
                cause: *cause,
                reason: format!("{reason}; a rebuild is not possible: {why}"),
            }
        }
        (_, why) => why,
    }
}
