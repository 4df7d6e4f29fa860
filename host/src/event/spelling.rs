//! How ids and aggregates are written for people, so that no two are written alike, and how people name them. Pure.
//!
//! Most read as they are: `account/42`. What could be taken for another one, or for something else, is written exactly: the
//! type as a JSON string, a text as a JSON string, everything else bare, as in `"account"/"42"` beside `"account"/42`.

use std::str::FromStr;

use super::{Aggregate, Id};
use crate::text::{is_harmful, quoted};

impl Id {
    /// The id as people see it: two ids that differ are written differently.
    pub fn spelled(&self) -> String {
        let plain = self.to_string();
        if is_plain(&plain) && Self::read(&plain) == *self { plain } else { self.exact() }
    }

    /// The id that [`Id::spelled`] writes so.
    pub fn from_spelled(text: &str) -> Result<Self, String> {
        if !text.starts_with('"') {
            return Ok(Self::read(text));
        }
        let whole = serde_json::from_str(text).map(Self::Text);
        whole.map_err(|wrong| format!("{text} is no text in quotation marks: {wrong}"))
    }

    /// Text in quotation marks, everything else bare.
    fn exact(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            other => other.to_string(),
        }
    }

    /// Reads a bare text as an id.
    fn read(text: &str) -> Self {
        if let Some(number) = text.parse::<i64>().ok().filter(|number| number.to_string() == text) {
            return Self::Integer(number);
        }
        let bytes = |digits: &str| hex::decode(digits).ok();
        let id = match text.len() {
            24 => bytes(text).and_then(|bytes| bytes.try_into().ok()).map(Self::ObjectId),
            36 => bytes(&text.replace('-', "")).and_then(|bytes| bytes.try_into().ok()).map(Self::Uuid),
            _ => None,
        };
        // A text in capitals, or with dashes elsewhere, is no other id's text.
        id.filter(|id| id.to_string() == text).unwrap_or_else(|| Self::Text(text.into()))
    }
}

impl Aggregate {
    /// The aggregate as people see it: two aggregates that differ are written differently.
    pub fn spelled(&self) -> String {
        let Self { kind, id } = self;
        let is_bare = is_plain(kind) && !kind.contains('/') && id.spelled() == id.to_string();
        if is_bare { self.to_string() } else { self.exact() }
    }

    /// The aggregate with its types, so that it can be taken for no other one.
    pub fn exact(&self) -> String {
        format!("{}/{}", quoted(&self.kind), self.id.exact())
    }
}

/// Returns true where a text can stand among others without quotation marks.
fn is_plain(text: &str) -> bool {
    let stands_out = |character: char| {
        character.is_whitespace() || is_harmful(character) || matches!(character, '"' | '\\')
    };
    !text.is_empty() && !text.contains(stands_out)
}

/// An aggregate as somebody names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// This one, and no other.
    Exact(Aggregate),
    /// Whichever reads so, as in `account/42`: it may be several.
    Reads(String),
}

impl Named {
    /// The aggregate of a type whose id is written so, as in a path.
    pub fn of(kind: &str, id: &str) -> Result<Vec<Aggregate>, String> {
        if id.starts_with('"') {
            return Ok(vec![Aggregate { kind: kind.into(), id: Id::from_spelled(id)? }]);
        }
        let mut ids = vec![Id::read(id), Id::Text(id.into())];
        ids.dedup();
        Ok(ids.into_iter().map(|id| Aggregate { kind: kind.into(), id }).collect())
    }

    /// Every aggregate that it may be.
    pub fn readings(&self) -> Vec<Aggregate> {
        match self {
            Self::Exact(aggregate) => vec![aggregate.clone()],
            Self::Reads(text) => {
                let parts = text.match_indices('/').map(|(at, _)| (&text[..at], &text[at + 1..]));
                let parts = parts.filter(|(kind, id)| !kind.is_empty() && !id.is_empty());
                parts.flat_map(|(kind, id)| Self::of(kind, id).unwrap_or_default()).collect()
            }
        }
    }

    pub fn fits(&self, aggregate: &Aggregate) -> bool {
        match self {
            Self::Exact(exact) => exact == aggregate,
            Self::Reads(text) => aggregate.to_string() == *text,
        }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(aggregate) => f.write_str(&aggregate.exact()),
            Self::Reads(text) => f.write_str(text),
        }
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "an aggregate is its type and its id, as in account/42; exactly, the type is in quotation marks, and a \
             text as well: '\"account\"/42', '\"account\"/\"42\"'"
                .to_owned()
        };
        if !text.starts_with('"') {
            return match text.split_once('/') {
                Some((kind, _)) if !kind.is_empty() => Ok(Self::Reads(text.to_owned())),
                _ => Err(wrong()),
            };
        }
        let mut strings = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let kind = strings.next().and_then(Result::ok).ok_or_else(wrong)?;
        let id = text[strings.byte_offset()..].strip_prefix('/').filter(|id| !id.is_empty());
        let id = id.ok_or_else(wrong)?;
        let id = if id.starts_with('"') {
            Id::Text(serde_json::from_str(id).map_err(|_| wrong())?)
        } else {
            match Id::read(id) {
                Id::Text(_) => return Err(wrong()),
                id => id,
            }
        };
        Ok(Self::Exact(Aggregate { kind: kind.into(), id }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn aggregate(kind: &str, id: Id) -> Aggregate {
        Aggregate { kind: kind.into(), id }
    }

    fn text(text: &str) -> Id {
        Id::Text(text.into())
    }

    #[test]
    fn what_can_be_taken_for_another_one_is_written_exactly() {
        let hex = "0123456789abcdef01234567";
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        for (aggregate, spelled) in [
            (aggregate("account", Id::Integer(5)), "account/5"),
            (aggregate("account", text("5")), "\"account\"/\"5\""),
            (aggregate("account", text("05")), "account/05"),
            (aggregate("account", text("a")), "account/a"),
            (aggregate("a", text("b/c")), "a/b/c"),
            (aggregate("a/b", text("c")), "\"a/b\"/\"c\""),
            (aggregate("account", text(uuid)), "\"account\"/\"01234567-89ab-cdef-0123-456789abcdef\""),
            (aggregate("account", text(hex)), "\"account\"/\"0123456789abcdef01234567\""),
            (aggregate("account", text(&hex.to_uppercase())), "account/0123456789ABCDEF01234567"),
            (aggregate("account", text("")), "\"account\"/\"\""),
            (aggregate("account", text("a b")), "\"account\"/\"a b\""),
            (aggregate("account", text("a\n\u{1b}\"")), "\"account\"/\"a\\n\\u001b\\\"\""),
            (aggregate("a/b", Id::Integer(-7)), "\"a/b\"/-7"),
        ] {
            assert_eq!(aggregate.spelled(), spelled);
        }
        assert_eq!(text("5").spelled(), "\"5\"");
        assert_eq!(Id::ObjectId([1; 12]).spelled(), Id::ObjectId([1; 12]).to_string());
    }

    #[test]
    fn what_names_no_aggregate_is_refused() {
        for bad in [
            "",
            "account",
            "/5",
            "\"account\"",
            "\"account\"/",
            "\"account\"/x",
            "\"account\"5",
            "\"a/5",
            "\"account\"/\"5",
            "\"account\"/\"5\"x",
        ] {
            assert!(bad.parse::<Named>().is_err(), "{bad}");
        }
        assert_eq!("a/b/c".parse(), Ok(Named::Reads("a/b/c".to_owned())));
    }

    fn ids() -> impl Strategy<Value = Id> {
        prop_oneof![
            any::<i64>().prop_map(Id::Integer),
            (-3_i64..9).prop_map(|number| text(&number.to_string())),
            any::<[u8; 16]>().prop_map(Id::Uuid),
            any::<[u8; 12]>().prop_map(Id::ObjectId),
            any::<[u8; 16]>().prop_map(|bytes| text(&Id::Uuid(bytes).to_string())),
            any::<[u8; 12]>().prop_map(|bytes| text(&Id::ObjectId(bytes).to_string())),
            "[/\"a5\\\\\n -]{0,4}".prop_map(|text| Id::Text(text.into())),
            any::<String>().prop_map(|text| Id::Text(text.into())),
        ]
    }

    fn aggregates() -> impl Strategy<Value = Aggregate> {
        (prop_oneof!["[/\"a\\\\ 5]{1,3}", any::<String>()], ids())
            .prop_map(|(kind, id)| Aggregate { kind: kind.into(), id })
    }

    proptest! {
        #[test]
        fn two_that_differ_are_written_differently(first in aggregates(), second in aggregates()) {
            prop_assert_eq!(first == second, first.spelled() == second.spelled());
            prop_assert_eq!(first.id == second.id, first.id.spelled() == second.id.spelled());
            prop_assert_eq!(Id::from_spelled(&first.id.spelled()), Ok(first.id.clone()));
        }

        #[test]
        fn what_is_written_exactly_is_read_back_and_is_harmless(aggregate in aggregates()) {
            prop_assert!(!aggregate.spelled().chars().any(is_harmful));
            prop_assert_eq!(aggregate.exact().parse(), Ok(Named::Exact(aggregate.clone())));
            prop_assert_eq!(Aggregate::from_key(&aggregate.key()), Ok(aggregate.clone()));
            if let Ok(named) = aggregate.spelled().parse::<Named>() {
                prop_assert!(named.fits(&aggregate));
            }
        }
    }
}
