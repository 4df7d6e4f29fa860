//! The generations of a projection as they stand: the live one, and those beside it.

use serde::{Deserialize, Serialize};

use super::ask::Refusal;
use crate::readmodel::control::generation::{Generation, GenerationState};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// All generations.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Generations {
    pub live: LiveGeneration,
    pub aside: Vec<ListedGeneration>,
}

/// The one that readers read.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LiveGeneration {
    pub generation: u32,
    /// What is deployed; none before the projection has begun.
    pub digest: Option<String>,
    pub events: u64,
    pub letters: u64,
    /// The schema its tables are in.
    pub place: String,
}

/// One beside it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ListedGeneration {
    #[serde(flatten)]
    pub generation: Generation,
    pub events: u64,
    pub letters: u64,
    /// In how many seconds it takes the live one's place, at the pace of the last seconds; none where nobody can tell.
    pub seconds_left: Option<u64>,
}

pub async fn generations(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
) -> Result<Generations, Refusal> {
    let mut db = servers.control.of(session, projection);
    // One that takes the live one's place just now is told once, and never as gone.
    let listed = db.generations().await?;
    let found = db.registration().await?;
    let live = found.map_or(1, |found| found.live_generation);
    let digest = db.deployment_in_force().await?.map(|found| found.digest);
    let (events, letters) = db.generation_progress(live).await?;
    let mut aside = Vec::new();
    for generation in listed.into_iter().filter(|one| one.generation != live) {
        let (events, letters) = db.generation_progress(generation.generation).await?;
        let seconds_left = seconds_left(&generation);
        aside.push(ListedGeneration { generation, events, letters, seconds_left });
    }
    let place = servers.applier.database().to_owned();
    Ok(Generations { live: LiveGeneration { generation: live, digest, events, letters, place }, aside })
}

/// For how long a generation is built still, as the host that builds it judges; nothing where that judgement is overdue.
fn seconds_left(generation: &Generation) -> Option<u64> {
    match generation.state {
        GenerationState::Building if generation.reason.is_none() => {
            generation.seconds_left.and_then(|left| u64::try_from(left).ok()).filter(|left| *left > 0)
        }
        GenerationState::Meeting | GenerationState::CuttingOver => Some(1),
        _ => None,
    }
}

impl Generations {
    /// What a generation is shown to lack; empty where it lacks nothing as far as is known.
    pub fn lacks(&self, number: u32) -> String {
        let found = self.aside.iter().map(|one| &one.generation).find(|one| one.generation == number);
        found.and_then(|one| one.lacks.clone()).unwrap_or_default()
    }

    /// The only generation beside the live one.
    pub fn only(&self, projection: &str) -> Result<u32, Refusal> {
        let standing = self.aside.iter().map(|one| &one.generation);
        let standing = standing.filter(|one| one.state != GenerationState::Dropping);
        let numbers: Vec<u32> = standing.map(|one| one.generation).collect();
        match numbers[..] {
            [one] => Ok(one),
            [] => Err(Refusal::NotThere(format!("`{projection}` has no generation beside the live one"))),
            _ => {
                let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
                Err(Refusal::Wrong(format!(
                    "`{projection}` has several generations beside the live one: say which of {}",
                    numbers.join(", ")
                )))
            }
        }
    }
}
