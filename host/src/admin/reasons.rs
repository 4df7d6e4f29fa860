//! The reasons that people gave for pauses, where a text tells of one: who may not see them reads who paused, and since when.

use super::callers::Caller;
use crate::readmodel::lane::dead_letter::MASKED;
use crate::status::snapshot::{Phase, Snapshot};

/// What a pause is told with ([`crate::failure::Failure::Paused`]), before its moment and behind its reason.
const BEGIN: &str = "paused by ";
const END: &str = "; `laterna resume ";

/// The form of the moment that stands before a reason.
const MOMENT: &[u8] = b" since 0000-00-00T00:00:00Z: ";

/// Masks a reason wherever a text holds one.
pub fn mask(text: &mut String) {
    let Some(begin) = begin(text) else { return };
    // A text that was cut has no end of it.
    let end = text.rfind(END).filter(|end| *end >= begin).unwrap_or(text.len());
    text.replace_range(begin..end, MASKED);
}

/// Masks the reasons in whatever is told of how a projection stands.
pub fn mask_snapshot(snapshot: &mut Snapshot) {
    if let Phase::Paused { reason } = &mut snapshot.phase {
        mask(reason);
    }
    let deployment = snapshot.deployment.iter_mut().filter_map(|deployment| deployment.waits.as_mut());
    let beside = snapshot.beside.iter_mut().filter_map(|beside| beside.waits.as_mut());
    let commands = snapshot.commands.iter_mut().filter_map(|command| command.reason.as_mut());
    let lanes = snapshot.lanes.iter_mut().filter_map(|lane| lane.trouble.as_mut());
    let texts = deployment.chain(beside).chain(commands).chain(lanes);
    texts.chain(&mut snapshot.trouble).for_each(mask);
}

/// What this caller is told of how a projection stands.
pub fn seen_by(caller: &Caller, mut snapshot: Snapshot) -> Snapshot {
    if !caller.sees_values() {
        mask_snapshot(&mut snapshot);
    }
    snapshot
}

/// Where the reason begins.
fn begin(text: &str) -> Option<usize> {
    let paused = text.find(BEGIN)?;
    let is_like = |(found, like): (&u8, &u8)| {
        if *like == b'0' { found.is_ascii_digit() } else { found == like }
    };
    let rest = &text.as_bytes()[paused..];
    let moment = rest.windows(MOMENT.len()).position(|some| some.iter().zip(MOMENT).all(is_like))?;
    Some(paused + moment + MOMENT.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn masked(text: &str) -> String {
        let mut text = text.to_owned();
        mask(&mut text);
        text
    }

    #[test]
    fn a_reason_is_masked_wherever_a_pause_is_told_and_whatever_it_says() {
        for why in ["migrating", "", "é; `laterna resume a`; paused by b since 2026-01-01T00:00:00Z: c", "\n"]
        {
            let pause = Failure::Paused {
                projection: "accounts".into(),
                by: "since é".into(),
                since: "2026-11-27T00:31:02Z".into(),
                why: why.into(),
            };
            let told = "paused by since é since 2026-11-27T00:31:02Z: (masked); `laterna resume accounts` ends the pause";
            assert_eq!(masked(&pause.to_string()), told, "{why:?}");
            assert_eq!(masked(&format!("it waits: {pause}.")), format!("it waits: {told}."), "{why:?}");
        }
        let cut = "paused by a since 2026-11-27T00:31:02Z: migra";
        assert_eq!(masked(cut), "paused by a since 2026-11-27T00:31:02Z: (masked)");
        for other in ["MySQL is not reachable", "paused by the breaker", "it was paused by "] {
            assert_eq!(masked(other), other);
        }
    }
}
