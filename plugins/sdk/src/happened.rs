//! Reading an event into an enum with a variant for each event type, by serde.

use serde::de::{self, DeserializeOwned, DeserializeSeed, EnumAccess, VariantAccess, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::de::StrRead;

use crate::{Event, Rejection};

impl Event {
    /// The event as an enum whose variants are named like the event types, each with its payload: `match` knows then
    /// that none was forgotten. A type that is no variant is [`Rejection::Unsupported`], a payload that does not fit
    /// is [`Rejection::Invalid`].
    ///
    /// ```
    /// use serde::Deserialize;
    ///
    /// #[derive(Debug, PartialEq, Deserialize)]
    /// #[serde(rename_all_fields = "camelCase")]
    /// enum Happened {
    ///     CustomerRegistered { name: String, limit_cents: Option<i64> },
    ///     CustomerRenamed { name: String },
    ///     /// Its payload does not matter.
    ///     CustomerForgotten,
    /// }
    /// let event = laterna_sdk::testing::event("CustomerRenamed", &serde_json::json!({ "name": "Ada" }));
    /// assert_eq!(event.read(), Ok(Happened::CustomerRenamed { name: "Ada".into() }));
    /// ```
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        T::deserialize(Reader(self)).map_err(|error| match error {
            NotRead::UnknownType => self.unsupported(),
            NotRead::Payload(reason) => {
                Rejection::invalid(format!("payload of {}: {reason}", self.event_type))
            }
        })
    }
}

struct Reader<'a>(&'a Event);

#[derive(Debug)]
enum NotRead {
    UnknownType,
    Payload(String),
}

impl std::fmt::Display for NotRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownType => f.write_str("the event type is not known"),
            Self::Payload(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for NotRead {}

impl de::Error for NotRead {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Payload(message.to_string())
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::UnknownType
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = NotRead;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NotRead> {
        Err(de::Error::custom("an event is read into an enum with a variant for each event type"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotRead> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Reader<'de> {
    type Error = NotRead;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), NotRead> {
        let event_type = de::value::StrDeserializer::<NotRead>::new(&self.0.event_type);
        Ok((seed.deserialize(event_type)?, self))
    }
}

impl<'de> VariantAccess<'de> for Reader<'de> {
    type Error = NotRead;

    fn unit_variant(self) -> Result<(), NotRead> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, NotRead> {
        self.payload(|json| seed.deserialize(json))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, NotRead> {
        self.payload(|json| json.deserialize_tuple(length, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotRead> {
        self.payload(|json| json.deserialize_struct("payload", fields, visitor))
    }
}

impl<'de> Reader<'de> {
    /// The payload, which is JSON text, read by serde's own JSON.
    fn payload<T>(
        self,
        read: impl FnOnce(&mut serde_json::Deserializer<StrRead<'de>>) -> serde_json::Result<T>,
    ) -> Result<T, NotRead> {
        let mut json = serde_json::Deserializer::from_str(&self.0.payload);
        let value = read(&mut json).and_then(|value| json.end().map(|()| value));
        value.map_err(|error| NotRead::Payload(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::testing::event;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all_fields = "camelCase")]
    enum Happened {
        Opened { owner_name: String },
        Moved(Moved),
        Closed,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Moved {
        cents: i64,
    }

    fn read(event_type: &str, payload: &Json) -> Result<Happened, Rejection> {
        event(event_type, payload).read()
    }

    #[test]
    fn a_variant_is_an_event_type_with_its_payload() {
        assert_eq!(
            read("Opened", &json!({ "ownerName": "Ada", "more": 1 })),
            Ok(Happened::Opened { owner_name: "Ada".into() })
        );
        assert_eq!(read("Moved", &json!({ "cents": -5 })), Ok(Happened::Moved(Moved { cents: -5 })));
        assert_eq!(read("Closed", &json!({ "why": "?" })), Ok(Happened::Closed));
    }

    #[test]
    fn another_type_is_unsupported() {
        assert_eq!(read("Burned", &json!({})), Err(Rejection::Unsupported("Burned of version 1".into())));
    }

    #[test]
    fn a_payload_that_does_not_fit_is_invalid_with_its_place() {
        let expect = "payload of Opened: missing field `ownerName` at line 1 column 2";
        assert_eq!(read("Opened", &json!({})), Err(Rejection::invalid(expect)));
        let expect = "payload of Moved: invalid type: string \"x\", expected i64 at line 1 column 12";
        assert_eq!(read("Moved", &json!({ "cents": "x" })), Err(Rejection::invalid(expect)));
    }

    #[test]
    fn only_enums_can_be_read() {
        let refused = event("Moved", &json!({ "cents": 1 })).read::<Moved>().unwrap_err();
        assert!(
            matches!(&refused, Rejection::Invalid(reason) if reason.contains("into an enum")),
            "{refused:?}"
        );
    }
}
