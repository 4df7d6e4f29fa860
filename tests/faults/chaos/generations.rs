//! An operator at work on components and generations while the faults strike: has tables made anew or compared, deploys,
//! rolls back, drops, pauses. Hosts refuse some of it, as they should; what they take up must lose nothing.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use sqlx::Row;
use sqlx::mysql::MySqlConnection;
use tokio::time::sleep;

use super::ground::{Ground, PROJECTIONS};
use super::mysqld::admin;
use super::nemesis::{Injected, rows};
use super::operator::{laterna, who};
use super::schedule::{Fault, Kin, Who};
use crate::guests;

/// How long the operator waits for an answer before he closes his terminal. What he wished for stays written down.
const PATIENCE: Duration = Duration::from_secs(6);

/// The same where a component has to be compiled first.
const COMPILING: Duration = Duration::from_secs(25);

/// How long a generation may take that is left when all is healed, before the operator gives it up.
const LEFT: Duration = Duration::from_mins(1);

/// What the reason says of a generation that waits for a yes.
const ACCEPT: &str = "laterna generations accept";

/// How often he insists on a resumption.
const RESUME_INTERVAL: Duration = Duration::from_millis(500);

/// Does what the schedule says.
pub async fn operate(ground: &Ground, fault: Fault, mut random: StdRng) -> Injected {
    let who = who(&mut random);
    match fault {
        Fault::Rebuild { projection } => ask(ground, who, &["rebuild", PROJECTIONS[projection]]).await,
        Fault::Verify { projection } => ask(ground, who, &["verify", PROJECTIONS[projection]]).await,
        Fault::Rollback { projection } => ask(ground, who, &["rollback", PROJECTIONS[projection]]).await,
        Fault::Deploy { projection, kin, canary_seconds } => {
            let name = PROJECTIONS[projection];
            let file = guests::path(&component(name, kin)).display().to_string();
            let canary = canary_seconds.to_string();
            let arguments = ["deploy", "--projection", name, "--canary", &canary, &file];
            laterna(ground, who, &arguments, COMPILING).await
        }
        Fault::DropGeneration { projection } => {
            let name = PROJECTIONS[projection];
            let Some(mut session) = admin(&ground.admin_url).await else { return Injected::Missed };
            let standing = standing(ground, &mut session).await.unwrap_or_default();
            let of_it: Vec<_> = standing.iter().filter(|one| one.projection == name).collect();
            let Some(one) = of_it.get(random.random_range(0..of_it.len().max(1))) else {
                return Injected::Missed;
            };
            ask(ground, who, &["generations", "drop", name, &one.number.to_string()]).await
        }
        Fault::Pause { projection, ms } => {
            let name = PROJECTIONS[projection];
            let paused = ask(ground, who, &["pause", name, "--why", "the schedule says so"]).await;
            sleep(Duration::from_millis(ms)).await;
            // What does not get through is wished for again when all is healed.
            ask(ground, who, &["resume", name]).await;
            paused
        }
        other => unreachable!("{other:?} is none of this operator's"),
    }
}

async fn ask(ground: &Ground, who: Who, arguments: &[&str]) -> Injected {
    laterna(ground, who, arguments, PATIENCE).await
}

fn component(projection: &str, kin: Kin) -> String {
    match kin {
        Kin::First => projection.to_owned(),
        Kin::Again => format!("{projection}-again"),
        Kin::Wider => format!("{projection}-wider"),
    }
}

/// A generation beside a live one.
struct Aside {
    projection: String,
    number: i64,
    is_kept: bool,
    reason: String,
}

async fn standing(ground: &Ground, session: &mut MySqlConnection) -> sqlx::Result<Vec<Aside>> {
    let sql = format!(
        "SELECT projection, CAST(generation AS SIGNED), state = 'kept', COALESCE(reason, '') FROM {}.generation \
         ORDER BY projection, generation",
        ground.world.control()
    );
    let found = rows(session, &sql).await?;
    Ok(found
        .iter()
        .map(|row| Aside {
            projection: row.get(0),
            number: row.get(1),
            is_kept: row.get(2),
            reason: row.get(3),
        })
        .collect())
}

/// When all is healed: no projection stays paused, whatever became of the wish to resume it.
pub async fn resume_all(ground: &Ground, patience: Duration) -> Result<(), String> {
    let began = Instant::now();
    let control = ground.world.control();
    let waiting = format!(
        "SELECT COUNT(*) FROM {control}.command WHERE state = 'pending' AND request LIKE '{{\"do\":\"pause\"%'"
    );
    loop {
        let mut paused = 0;
        for name in PROJECTIONS {
            let sql = format!(
                "SELECT COUNT(*) FROM {control}.pause WHERE projection = '{name}' AND class = 'paused' \
                 AND resumed_at IS NULL"
            );
            if ground.world.number_if_any(&sql).await != Some(0) {
                paused += 1;
                laterna(ground, Who::B, &["resume", name], PATIENCE).await;
            }
        }
        let wished = ground.world.number_if_any(&waiting).await;
        if paused == 0 && wished == Some(0) {
            return Ok(());
        }
        if began.elapsed() > patience {
            return Err(format!("{paused} projections are paused, and wishes for a pause wait: {wished:?}"));
        }
        sleep(RESUME_INTERVAL).await;
    }
}

/// Has a projection's tables made from what the outbox holds.
pub async fn rebuild(ground: &Ground, projection: &str) -> Injected {
    ask(ground, Who::B, &["rebuild", projection]).await
}

/// Gives a yes to every generation that waits for one.
pub async fn accept(ground: &Ground) {
    let Some(mut session) = admin(&ground.admin_url).await else { return };
    for one in standing(ground, &mut session).await.unwrap_or_default() {
        if !one.is_kept && one.reason.contains(ACCEPT) {
            ask(ground, Who::A, &["generations", "accept", &one.projection, &one.number.to_string()]).await;
        }
    }
}

/// How many generations are neither kept nor gone, since all was healed so long ago. One that waits for the operator's word
/// gets it, and one that takes too long, or would lack rows, is given up.
pub async fn left(ground: &Ground, healed: Instant) -> Option<usize> {
    let mut session = admin(&ground.admin_url).await?;
    let mut standing = standing(ground, &mut session).await.ok()?;
    standing.retain(|one| !one.is_kept);
    for one in &standing {
        let number = one.number.to_string();
        let word = match &one.reason {
            _ if healed.elapsed() > LEFT => "drop",
            // It lacks events that are not in the outbox any more.
            reason if reason.contains("rows may be missing") => "drop",
            reason if reason.contains(ACCEPT) => "accept",
            _ => continue,
        };
        ask(ground, Who::A, &["generations", word, &one.projection, &number]).await;
    }
    Some(standing.len())
}
