//! An operator at work on dead letters while the faults strike: replays whatever there is, sometimes gives a letter up,
//! and removes rows that were in the way. What the events themselves are at fault for never heals, so those letters
//! must stay, parked and in order.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use sqlx::Row;
use sqlx::mysql::MySqlConnection;
use tokio::time::sleep;

use super::generations;
use super::ground::{Ground, PROJECTIONS};
use super::mysqld::admin;
use super::nemesis::{Injected, rows, run};
use super::schedule::{Choice, Who};
use crate::support::host::BINARY;

/// How long the operator waits for an answer before he closes his terminal. What he wished for stays written down.
const PATIENCE: Duration = Duration::from_secs(6);

/// How many things get rows in the way of their events, and how many each.
const BLOCKED: usize = 6;
const ROWS_EACH: i64 = 2;

/// The columns of a row of `recorded`.
const RECORDED: &str = "aggregate_type, aggregate_id, sequence, event_id, event_type, ordinal";

/// The event that rows in the way belong to.
pub const IN_THE_WAY: &str = "in-the-way";

/// The class of letters that are parked because of such rows, and for nothing else.
const CONFLICT: &str = "key-conflict";

/// `laterna dlq` at work, from one of the hosts' machines.
async fn dlq(ground: &Ground, who: Who, arguments: &[&str]) -> Injected {
    laterna(ground, who, &[&["dlq"], arguments].concat(), PATIENCE).await
}

/// An operator's command, from one of the hosts' machines. Where that cannot reach MySQL, it is tried again; what a host
/// refuses is not.
pub async fn laterna(ground: &Ground, who: Who, arguments: &[&str], patience: Duration) -> Injected {
    let until = Instant::now() + patience;
    while Instant::now() < until {
        let mut command = Command::new(BINARY);
        command.arg("--config").arg(ground.fleet.config(who)).args(arguments);
        command.env_remove("LATERNA_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut ended = None;
        while ended.is_none() && Instant::now() < until {
            sleep(Duration::from_millis(20)).await;
            ended = child.try_wait().expect("it is a child");
        }
        let _ = child.kill();
        let output = child.wait_with_output().expect("it is a child");
        if ended.is_none_or(|status| status.code() != Some(REFUSED)) {
            return Injected::Yes;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("error: command ") {
            println!("refused: {}: {}", arguments.join(" "), said.trim());
            return Injected::Missed;
        }
        sleep(Duration::from_millis(300)).await;
    }
    Injected::Missed
}

/// The exit code when nothing was written down, nobody could be asked, or a host refused.
const REFUSED: i32 = 2;

/// Tries all letters of a projection again, or those of one aggregate.
pub async fn replay(ground: &Ground, projection: usize, choice: Choice, mut random: StdRng) -> Injected {
    let (name, who) = (PROJECTIONS[projection], who(&mut random));
    let heads = heads(ground, name).await;
    let Some((_, aggregate)) = heads.choose(&mut random) else { return Injected::Missed };
    match choice {
        Choice::All => dlq(ground, who, &["replay", name, "--all"]).await,
        Choice::One => dlq(ground, who, &["replay", name, "--aggregate", aggregate]).await,
    }
}

/// Gives up the head of an aggregate's letters.
pub async fn discard(ground: &Ground, projection: usize, mut random: StdRng) -> Injected {
    let (name, who) = (PROJECTIONS[projection], who(&mut random));
    let heads = heads(ground, name).await;
    let Some((id, _)) = heads.choose(&mut random) else { return Injected::Missed };
    let id = id.to_string();
    dlq(ground, who, &["discard", name, "--id", &id, "--why", "it is worth nothing", "--yes"]).await
}

/// From whose machine.
pub fn who(random: &mut StdRng) -> Who {
    if random.random() { Who::A } else { Who::B }
}

/// The parked letters of a projection: their ids and aggregates. Whoever wants to work on them looks again until there
/// are some, and MySQL answers.
async fn heads(ground: &Ground, projection: &str) -> Vec<(u64, String)> {
    let until = Instant::now() + PATIENCE;
    loop {
        let heads = look(ground, projection).await;
        if !heads.is_empty() || Instant::now() > until {
            return heads;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn look(ground: &Ground, projection: &str) -> Vec<(u64, String)> {
    let Some(mut session) = admin(&ground.admin_url).await else { return vec![] };
    let sql = format!(
        "SELECT id, aggregate COLLATE utf8mb4_general_ci FROM {} WHERE projection = '{projection}' \
         AND state = 'parked' AND aggregate IS NOT NULL ORDER BY id",
        ground.live("dead_letter")
    );
    let found = rows(&mut session, &sql).await.unwrap_or_default();
    found.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Puts rows where the next events of some things belong, removes them after a while, and replays what they parked.
pub async fn block_rows(ground: &Ground, time: Duration, mut random: StdRng) -> Injected {
    let until = Instant::now() + PATIENCE;
    let mut session = loop {
        if let Some(mut session) = admin(&ground.admin_url).await
            && put_in_the_way(ground, &mut session, &mut random).await.is_ok()
        {
            break session;
        }
        if Instant::now() > until {
            return Injected::Missed;
        }
        sleep(Duration::from_millis(100)).await;
    };
    sleep(time).await;
    if !clear(ground, &mut session).await {
        return Injected::Yes;
    }
    let who = who(&mut random);
    dlq(ground, who, &["replay", PROJECTIONS[0], "--reason", CONFLICT]).await;
    Injected::Yes
}

async fn put_in_the_way(
    ground: &Ground,
    session: &mut MySqlConnection,
    random: &mut StdRng,
) -> sqlx::Result<()> {
    let read_model = &ground.world.name;
    // Those that were begun last are still written about.
    let newest = format!(
        "SELECT aggregate_id COLLATE utf8mb4_general_ci, sequence FROM {read_model}.last_seen \
         WHERE aggregate_id LIKE 'thing-%' ORDER BY CAST(SUBSTRING_INDEX(aggregate_id, '-', -1) AS UNSIGNED) DESC LIMIT 60"
    );
    let things = rows(session, &newest).await?;
    for thing in things.iter().choose_multiple(random, BLOCKED) {
        let (id, last): (String, i64) = (thing.get(0), thing.get(1));
        for ahead in 1..=ROWS_EACH {
            // The event may have come meanwhile: then its row stays.
            let row = format!("('thing', '{id}', {}, '{IN_THE_WAY}', 'x', NULL)", last + ahead);
            run(session, &format!("INSERT IGNORE INTO {read_model}.recorded ({RECORDED}) VALUES {row}"))
                .await?;
        }
    }
    Ok(())
}

/// Whether the rows in the way are gone.
async fn clear(ground: &Ground, session: &mut MySqlConnection) -> bool {
    let delete = format!("DELETE FROM {}.recorded WHERE event_id = '{IN_THE_WAY}'", ground.world.name);
    run(session, &delete).await.is_ok()
}

/// When all is healed: removes what is in the way, waits for what was wished for and for generations that are made, and
/// replays until nothing is parked that could be applied.
pub async fn tidy_up(ground: &Ground, patience: Duration) -> Result<(), String> {
    let began = Instant::now();
    let control = ground.world.control();
    let pending = format!("SELECT COUNT(*) FROM {control}.command WHERE state = 'pending'");
    let letters = ground.live("dead_letter");
    let conflicts = format!("SELECT COUNT(*) FROM {letters} WHERE state = 'parked' AND class = '{CONFLICT}'");
    loop {
        let made = generations::left(ground, began).await.and_then(|left| i64::try_from(left).ok());
        let cleared = match admin(&ground.admin_url).await {
            Some(mut session) => clear(ground, &mut session).await,
            None => false,
        };
        let waiting =
            [ground.world.number_if_any(&pending).await, made, ground.world.number_if_any(&conflicts).await];
        match waiting {
            [Some(0), Some(0), Some(0)] if cleared => return Ok(()),
            _ if began.elapsed() > patience => {
                return Err(format!("commands, generations and key conflicts that are left: {waiting:?}"));
            }
            [Some(0), Some(0), Some(_)] if cleared => {
                dlq(ground, Who::A, &["replay", PROJECTIONS[0], "--reason", CONFLICT]).await;
            }
            _ => sleep(Duration::from_millis(300)).await,
        }
    }
}
