//! A recorded event: one line of JSON as the outbox document it stands for.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, ensure};
use bson::{Document, RawDocumentBuf};

/// The documents of a file, each with its line.
pub fn documents(
    path: &Path,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(usize, RawDocumentBuf)>>> {
    let file = File::open(path).with_context(|| format!("the events {} cannot be read", path.display()))?;
    let lines = BufReader::new(file).lines().zip(1..);
    Ok(lines.filter_map(move |(line, number)| {
        let place = format!("{}, line {number}", path.display());
        match line.with_context(|| place.clone()) {
            Ok(line) if line.trim().is_empty() => None,
            Ok(line) => Some(document(&line).with_context(|| place).map(|document| (number, document))),
            Err(error) => Some(Err(error)),
        }
    }))
}

/// The document of a line in Extended JSON, relaxed or canonical.
pub fn document(line: &str) -> anyhow::Result<RawDocumentBuf> {
    ensure!(line.trim_start().starts_with('{'), "it is not a JSON object: give one document a line");
    let document: Document = serde_json::from_str(line).context("it is not Extended JSON")?;
    RawDocumentBuf::try_from(document).context("it is not a BSON document")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Id};
    use crate::source::{Decoder, Fields};

    fn event(line: &str) -> Event {
        let document = document(line).expect("it is a document");
        let event = Decoder::new(Fields::default(), 1 << 20).decode(&document).expect("it is an event");
        (*event).clone()
    }

    #[test]
    fn plain_json_is_an_event() {
        let line = r#"{"_id":"e1","type":"T","aggregateType":"a","aggregateId":5,"sequence":1,
            "occurredAt":"2026-01-31T12:00:00Z","payload":{"z":1,"a":0.5}}"#;
        let event = event(line);
        assert_eq!(event.aggregate.id, Id::Integer(5));
        assert_eq!(event.occurred_at.as_deref(), Some("2026-01-31T12:00:00.000Z"));
        assert_eq!(event.payload, r#"{"z":1,"a":0.5}"#);
    }

    #[test]
    fn extended_json_is_an_event_both_ways() {
        let line = r#"{"_id":{"$uuid":"abababab-abab-abab-abab-abababababab"},"type":"T","aggregateType":"a",
            "aggregateId":{"$oid":"010101010101010101010101"},"sequence":{"$numberLong":"7"},
            "occurredAt":{"$date":"2026-01-31T12:00:00Z"},
            "payload":{"big":{"$numberLong":"9007199254740993"},"price":{"$numberDecimal":"12.30"},
            "at":{"$date":{"$numberLong":"0"}},"n":{"$numberInt":"3"},"b":{"$binary":{"base64":"AQI=","subType":"00"}}}}"#;
        let event = event(line);
        assert_eq!((event.id, event.sequence), (Id::Uuid([0xab; 16]), Some(7)));
        assert_eq!(event.aggregate.id, Id::ObjectId([1; 12]));
        assert_eq!(event.occurred_at.as_deref(), Some("2026-01-31T12:00:00.000Z"));
        assert_eq!(
            event.payload,
            r#"{"big":{"$numberLong":"9007199254740993"},"price":{"$numberDecimal":"12.30"},"at":{"$date":"1970-01-01T00:00:00Z"},"n":3,"b":{"$binary":{"base64":"AQI=","subType":"00"}}}"#
        );
    }

    #[test]
    fn a_double_keeps_every_bit() {
        for number in [
            "1.1805916207174113e21",
            "0.1",
            "5e-324",
            "1.7976931348623157e308",
            "-0.0",
            "2.2250738585072014e-308",
        ] {
            let line = format!(
                r#"{{"_id":"e1","type":"T","aggregateType":"a","aggregateId":"1","payload":{{"plain":{number},"typed":{{"$numberDouble":"{number}"}}}}}}"#
            );
            assert_eq!(event(&line).payload, format!(r#"{{"plain":{number},"typed":{number}}}"#));
        }
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let check = |line: &str, expect: &str| {
            let refused = format!("{:#}", document(line).expect_err("it is refused"));
            assert!(refused.contains(expect), "{line}: {refused}");
        };
        check("[]", "it is not a JSON object");
        check("{\"a\":", "EOF while parsing");
        check("{\"a\":1} x", "trailing characters");
        check(r#"{"a":{"$numberLong":"x"}}"#, "not Extended JSON");
    }
}
