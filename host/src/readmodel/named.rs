//! The words that the control schema stores for the variants of an enum.

use crate::failure::{Failure, RUN_NEWER};
use crate::text::quoted;

/// Gives an enum its words, in both directions.
macro_rules! named {
    ($kind:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $kind {
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            pub(in crate::readmodel) fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

pub(in crate::readmodel) use named;

/// The failure of reading a row with a word that a newer version of the host has written.
pub(in crate::readmodel) fn unknown(row: &str, word: &str) -> Failure {
    let what = format!("{row} has {}, which this version does not know", quoted(word));
    Failure::misconfigured(what, RUN_NEWER)
}
