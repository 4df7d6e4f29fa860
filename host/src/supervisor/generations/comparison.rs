//! Runs the comparison of `laterna verify`, records its report, and lets the tables that were made anew go, or, for `--repair`,
//! take the live ones' place.

use super::PATIENCE;
use super::meeting;
use super::ports::GenerationPorts;
use crate::failure::{Failure, Fault};
use crate::readmodel::control::command::CommandOutcome;
use crate::readmodel::control::generation::{Generation, GenerationState, Purpose};
use crate::readmodel::mysql::session::within;

/// Compares, and lets go of the generation, or lets it take the live one's place. The live lanes go on meanwhile.
pub async fn compare<P: GenerationPorts>(
    mut ports: P,
    picture: P::Picture,
    generation: Generation,
) -> Result<(), Failure> {
    let purpose = generation.purpose;
    let ended = ports.compare(picture, &generation).await;
    let ((state, purpose), why) = match &ended {
        Ok(report) => {
            let after = meeting::compared(purpose, report.is_clean(), report.lacks.as_ref());
            if after.0.1 == Purpose::Replace && after.1.is_none() {
                let (projection, generation) = (&ports.settings().name, generation.generation);
                tracing::warn!(projection, generation, "the live tables differ: it takes their place");
            }
            after
        }
        Err(failure) if matches!(failure.fault(), Fault::Environment | Fault::Fenced) => (
            (GenerationState::Building, purpose),
            Some(format!("the comparison was interrupted: {}", failure.without_values())),
        ),
        Err(failure) => ((GenerationState::Dropping, purpose), Some(failure.without_values())),
    };
    let recording = async {
        if let Some((report, command)) = ended.as_ref().ok().zip(generation.command) {
            let report = serde_json::to_string(report).expect("a report holds only text and numbers");
            ports.finish(command, &CommandOutcome::Done(report)).await?;
        }
        match (state, purpose, &why) {
            (GenerationState::Building, Purpose::Replace, Some(lacks)) => {
                ports.record_lacks(&generation, Purpose::Replace, lacks).await
            }
            _ => ports.advance(&generation, state, purpose, why.as_deref()).await,
        }
    };
    within(PATIENCE, "recording what a comparison found", recording).await.map(|_| ())
}
