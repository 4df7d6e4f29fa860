//! What operators ask for, as it is stored: older and newer hosts read it, too. Also what is taken where a request leaves something
//! out, e.g. the length of a canary.

use serde::{Deserialize, Serialize};

use crate::readmodel::lane::dead_letter::{Selection, ShownLetters};
use crate::text::harmless;

/// The canary window of a deployment, in seconds, unless another one is given.
pub const CANARY_SECONDS_DEFAULT: u32 = 60;

/// An operator's request about a projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Request {
    /// Try the heads of the chosen letters again; what they held back follows.
    Replay {
        #[serde(flatten)]
        letters: Letters,
    },
    /// Give the heads of the chosen letters up; what they held back follows.
    Discard {
        #[serde(flatten)]
        letters: Letters,
        why: String,
    },
    /// Report what a replay would come to, and change nothing.
    Rehearse {
        #[serde(flatten)]
        letters: Letters,
    },
    /// Erase what the chosen letters hold of their events.
    Erase {
        #[serde(flatten)]
        letters: Letters,
        why: String,
    },
    /// Take no events until it is resumed.
    Pause { why: String },
    /// Take events again, also when the breaker is open.
    Resume,
    /// Work with this component, which is stored; for so long, it is taken back where it fails what the one before takes.
    Deploy { digest: String, canary_seconds: u32 },
    /// Work with the component before.
    Rollback,
    /// Make the tables anew, beside the live ones, and let them take their place; with a part of history: to be looked at.
    Rebuild { accept: bool, until: Option<String>, aggregate: Option<String> },
    /// Make the tables anew and compare; where they differ, let them take the live ones' place.
    Verify { repair: bool },
    /// Let a generation take the live one's place whatever dead letters it has, and without the events that it was `shown` to
    /// lack: empty where it was shown to lack none. Older command lines do not send what was shown.
    AcceptGeneration {
        generation: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shown: Option<String>,
    },
    /// Let a generation that was live before catch up, and take the live one's place.
    ReturnGeneration { generation: u32 },
    /// Give a generation up, with its tables.
    DropGeneration { generation: u32 },
}

/// Which letters a command is about.
///
/// A host that does not know the first form fails the command: the fields it looks for are not there. It must not take it
/// for the second one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Letters {
    /// Those that were shown, and no other; `like` is what they were chosen by.
    Shown { shown: ShownLetters, like: Selection },
    /// All that fit and were there when the command was written: older command lines write such, and the host itself.
    Fitting { letters: Selection },
}

impl Request {
    /// The one word for it, as it is stored.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Replay { .. } => "replay",
            Self::Discard { .. } => "discard",
            Self::Rehearse { .. } => "rehearse",
            Self::Erase { .. } => "erase",
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Deploy { .. } => "deploy",
            Self::Rollback => "rollback",
            Self::Rebuild { .. } => "rebuild",
            Self::Verify { .. } => "verify",
            Self::AcceptGeneration { .. } => "accept-generation",
            Self::ReturnGeneration { .. } => "return-generation",
            Self::DropGeneration { .. } => "drop-generation",
        }
    }

    /// The letters that it is about, where it names each.
    pub fn shown(&self) -> Option<&ShownLetters> {
        let (Self::Replay { letters }
        | Self::Discard { letters, .. }
        | Self::Rehearse { letters }
        | Self::Erase { letters, .. }) = self
        else {
            return None;
        };
        let Letters::Shown { shown, .. } = letters else { return None };
        Some(shown)
    }

    /// Returns true for what lanes do, one letter after the other.
    pub fn is_about_letters(&self) -> bool {
        let is_it = matches!(self, Self::Replay { .. } | Self::Discard { .. } | Self::Rehearse { .. });
        is_it || matches!(self, Self::Erase { .. })
    }

    /// The request in the host's own words, for the log: nothing that an operator wrote.
    pub fn told(&self) -> String {
        let letters = |what: &str, letters: &Letters| match letters {
            Letters::Shown { shown, .. } => format!("{what} {} letter(s)", shown.letters.count()),
            Letters::Fitting { .. } => format!("{what} the letters that fit"),
        };
        match self {
            Self::Replay { letters: which } => letters("replay", which),
            Self::Discard { letters: which, .. } => letters("discard", which),
            Self::Rehearse { letters: which } => letters("rehearse", which),
            Self::Erase { letters: which, .. } => letters("erase", which),
            Self::Pause { .. } => "pause".to_owned(),
            Self::Resume => "resume".to_owned(),
            Self::Deploy { digest, .. } => format!("deploy {}", harmless(digest)),
            Self::Rollback => "rollback".to_owned(),
            Self::Rebuild { .. } => "rebuild".to_owned(),
            Self::Verify { repair } => (if *repair { "verify and repair" } else { "verify" }).to_owned(),
            Self::AcceptGeneration { generation, .. } => format!("accept generation {generation}"),
            Self::ReturnGeneration { generation } => format!("return to generation {generation}"),
            Self::DropGeneration { generation } => format!("drop generation {generation}"),
        }
    }
}
