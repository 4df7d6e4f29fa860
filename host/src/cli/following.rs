//! Follows a generation that a command began until it has taken the live one's place, or somebody has to say a word.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;

use super::console::Console;
use super::progress::Progress;
use super::submit::{self, CommandAnswer, INTERVAL, Patience};
use crate::operation::standing::ListedGeneration;
use crate::operation::wish::Wish;
use crate::readmodel::control::generation::{GenerationState, Purpose};

/// Asks for what is wished, waits for its result, and for the end of what it began where that is wanted, and prints it.
pub async fn carry_out(
    console: &mut impl Console,
    projection: &str,
    wish: Wish,
    patience: Patience,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let answer = submit::answer(console, projection, wish, patience).await?;
    Ok(to_the_end(console, projection, answer, patience).await?.print(json))
}

/// The generation that a command's result is about, where it is built from then on.
fn begun(result: &str) -> Option<u32> {
    let (number, what) = result.strip_prefix("generation ")?.split_once(' ')?;
    let goes_on = ["is built ", "catches up", "takes the live one's place"];
    goes_on.iter().any(|begin| what.starts_with(begin)).then(|| number.parse().ok())?
}

/// The answer of a command, once what it began has come to its end, where somebody waits for that.
pub async fn to_the_end(
    console: &mut impl Console,
    projection: &str,
    answer: CommandAnswer,
    patience: Patience,
) -> anyhow::Result<CommandAnswer> {
    let CommandAnswer::Done { id, result } = answer else { return Ok(answer) };
    match begun(&result).filter(|_| patience.is_to_the_end()) {
        Some(number) => follow(console, projection, id, number, patience).await,
        None => Ok(CommandAnswer::Done { id, result }),
    }
}

async fn follow(
    console: &mut impl Console,
    projection: &str,
    id: u64,
    number: u32,
    patience: Patience,
) -> anyhow::Result<CommandAnswer> {
    let (shown, mut asked, mut seen) = (Progress::new(), Instant::now(), String::new());
    loop {
        let answer =
            submit::unless_away(asked, patience.time(), async || console.generations(projection).await);
        let found = answer.await.map_err(|error| {
            error.context(format!("generation {number} goes on, and how far it is is not known"))
        })?;
        if found.live.generation == number {
            let result = format!("generation {number} is live: {} events", found.live.events);
            return Ok(CommandAnswer::Done { id, result });
        }
        let Some(one) = found.aside.iter().find(|one| one.generation.generation == number) else {
            bail!(
                "generation {number} was given up: `laterna audit {projection}` shows by whom, the host's log why"
            )
        };
        if let Some(result) = ended(one)? {
            return Ok(CommandAnswer::Done { id, result });
        }
        let told = told(one);
        if told != seen {
            shown.show(&told);
            // What waits makes no progress by waiting for something else.
            (asked, seen) = (Instant::now(), told);
        }
        if asked.elapsed() >= patience.time() {
            return Ok(CommandAnswer::NotYet { id, reason: late(console, projection, &seen).await? });
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What has become of a generation that does not become live; none while it is built.
fn ended(ListedGeneration { generation, .. }: &ListedGeneration) -> anyhow::Result<Option<String>> {
    let number = generation.generation;
    match generation.state {
        GenerationState::Kept if generation.purpose == Purpose::Replace => {
            let why =
                generation.reason.clone().unwrap_or_else(|| "somebody wanted something else".to_owned());
            bail!("generation {number} does not take the live one's place, and is kept: {why}")
        }
        GenerationState::Kept => Ok(Some(format!(
            "generation {number} is there to be looked at, in the schema `{}`",
            generation.place
        ))),
        GenerationState::Dropping => {
            let why = generation.reason.clone().unwrap_or_else(|| "somebody gave it up".to_owned());
            bail!("generation {number} is dropped: {why}")
        }
        _ => Ok(None),
    }
}

/// How far it is, in words.
fn told(one: &ListedGeneration) -> String {
    let (number, events, expected) = (one.generation.generation, one.events, one.generation.expected);
    if let Some(reason) = &one.generation.reason {
        return format!("generation {number} waits: {reason}");
    }
    if one.generation.state != GenerationState::Building {
        return format!("generation {number} takes the live one's place");
    }
    let left = one.seconds_left.map_or_else(String::new, |left| format!(", about {left} s left"));
    // What is beyond came while it was built.
    if events > expected {
        return format!("generation {number} has {events} events, and catches up{left}");
    }
    format!("generation {number}: {events} of {expected} events{left}")
}

async fn late(console: &mut impl Console, projection: &str, seen: &str) -> anyhow::Result<String> {
    let goes_on = format!("It goes on; `laterna generations list {projection}` shows how far it is");
    Ok(match console.pause(projection).await?.leader {
        Some(leader) => format!(
            "{seen}, and the host `{leader}`, which leads the projection, does not come on. {goes_on}"
        ),
        None => format!(
            "{seen}, and no host leads the projection. Start one with `laterna run`: it goes on with it"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_behind_a_command_is_read_from_its_result() {
        assert_eq!(begun("generation 2 is built with abc beside the live one; `laterna ...`"), Some(2));
        assert_eq!(begun("generation 1 catches up, and takes the live one's place"), Some(1));
        assert_eq!(begun("generation 3 takes the live one's place when it has caught up"), Some(3));
        assert_eq!(begun("generation 2 is dropped"), None);
        assert_eq!(begun("deployed abc"), None);
    }
}
