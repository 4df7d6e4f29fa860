//! Reading an event, and refusing it with a reason.

use serde::de::DeserializeOwned;

use crate::{Event, Rejection, Value, timestamp};

impl Event {
    /// The payload as `T`. One that does not fit is [`Rejection::Invalid`], with the place and the reason.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        serde_json::from_str(&self.payload)
            .map_err(|error| Rejection::invalid(format!("payload of {}: {error}", self.event_type)))
    }

    /// The metadata as `T`.
    pub fn metadata<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        serde_json::from_str(&self.metadata)
            .map_err(|error| Rejection::invalid(format!("metadata of {}: {error}", self.event_type)))
    }

    /// The sequence; an event without one is invalid.
    pub fn require_sequence(&self) -> Result<i64, Rejection> {
        self.sequence.ok_or_else(|| Rejection::invalid("the event has no sequence"))
    }

    /// The time of the event as a parameter; an event without one is invalid.
    pub fn require_occurred_at(&self) -> Result<Value, Rejection> {
        let text = self.occurred_at.as_ref().ok_or_else(|| Rejection::invalid("the event has no time"))?;
        Ok(timestamp(text))
    }

    /// The rejection for an event whose type or version this projector does not know.
    pub fn unsupported(&self) -> Rejection {
        Rejection::Unsupported(format!("{} of version {}", self.event_type, self.version))
    }
}

impl Rejection {
    /// The event's content is wrong.
    pub fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid(reason.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::event;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Renamed {
        name: String,
    }

    #[test]
    fn a_payload_is_read_into_a_type() {
        let event = event("Renamed", &json!({ "name": "Ada" }));
        assert_eq!(event.payload(), Ok(Renamed { name: "Ada".into() }));
    }

    #[test]
    fn a_double_keeps_every_bit() {
        let number: f64 =
            event("Measured", &json!(1.180_591_620_717_411_3e21)).payload().expect("it is a double");
        assert_eq!(number.to_bits(), 1.180_591_620_717_411_3e21_f64.to_bits());
    }

    #[test]
    fn a_payload_that_does_not_fit_says_where_and_why() {
        let rejection = event("Renamed", &json!({ "name": 7 })).payload::<Renamed>().unwrap_err();
        let expect = "payload of Renamed: invalid type: integer `7`, expected a string at line 1 column 9";
        assert_eq!(rejection, Rejection::invalid(expect));
    }

    #[test]
    fn what_an_event_lacks_is_its_fault() {
        let event = Event { sequence: None, occurred_at: None, ..event("Renamed", &json!({})) };
        assert_eq!(event.require_sequence(), Err(Rejection::invalid("the event has no sequence")));
        assert_eq!(event.require_occurred_at(), Err(Rejection::invalid("the event has no time")));
    }
}
