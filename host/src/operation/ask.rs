//! Why something is not asked of a projection at all: the refusals that the command line and the API say in the same words.

use crate::event::Named;
use crate::failure::Failure;
use crate::readmodel::control::registration::Registration;
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// Why something is not asked for.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is nothing of this name.
    #[error("{0}")]
    NotThere(String),
    /// There is, and as it stands this cannot be done to it.
    #[error("{0}")]
    InTheWay(String),
    /// What is asked for is not as it has to be.
    #[error("{0}")]
    Wrong(String),
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// A projection that the control schema does not have is refused.
pub async fn registered(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
) -> Result<Registration, Refusal> {
    let found = servers.control.of(session, projection).registration().await?;
    found.ok_or_else(|| {
        Refusal::NotThere(format!(
            "there is no projection `{projection}`, or it has not begun: `laterna status` lists those that have begun, and \
             `laterna check` says what keeps a configured one from it. Until then it has no rows and no dead letters"
        ))
    })
}

/// How an aggregate may be named, as long as the control schema takes it.
pub fn aggregate(text: &str) -> Result<String, String> {
    const CHARACTERS_MAX: usize = 700;
    if text.chars().count() > CHARACTERS_MAX {
        return Err(format!("it has more than {CHARACTERS_MAX} characters"));
    }
    text.parse::<Named>().map(|_| text.to_owned())
}

/// A moment as events have it: in UTC, with milliseconds. None where the text is no moment.
pub fn moment(text: &str) -> Option<String> {
    use time::format_description::well_known::Rfc3339;
    use time::macros::format_description;
    let moment = time::OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    moment.to_offset(time::UtcOffset::UTC).format(form).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_events_have_it() {
        assert_eq!(moment("2026-01-31T12:00:00Z").as_deref(), Some("2026-01-31T12:00:00.000Z"));
        assert_eq!(moment("2026-01-31T12:00:00.12+02:00").as_deref(), Some("2026-01-31T10:00:00.120Z"));
        assert_eq!(moment("yesterday"), None);
    }
}
