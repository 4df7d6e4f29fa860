//! Variations of recorded events: fields that are missing, null, of another type, huge, or of unusual characters. What
//! a projector makes of them shows how it will take events that nobody has recorded yet. The same events always have
//! the same variations.

use std::collections::BTreeMap;

use bson::{Bson, Document, RawDocumentBuf, doc};

use super::bench::Bench;
use super::report::{ASIDE, EventReport};
use super::rows::ScratchServer;
use crate::failure::{Failure, Fault};
use crate::statement::Schema;

/// So many events of each type are varied.
const EVENTS_OF_A_TYPE: usize = 20;
/// Fields are varied so deep in the payload.
const DEPTH: usize = 4;
/// So many examples are shown of a finding.
const EXAMPLES: usize = 3;
/// Longer than TEXT.
const HUGE: usize = 70_000;

pub struct Fuzz<'a> {
    pub schema: &'a Schema,
    pub server: Option<ScratchServer>,
    findings: BTreeMap<(String, &'static str), FuzzFinding>,
    varied: BTreeMap<String, usize>,
    events: usize,
    variations: usize,
}

#[derive(Default)]
struct FuzzFinding {
    count: usize,
    examples: Vec<String>,
}

/// What is found, and whether a projector could do anything about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FuzzVerdict {
    Fine,
    /// A dead letter because of the values, which may be what is wanted.
    Letter(&'static str),
    Fault(&'static str),
}

impl<'a> Fuzz<'a> {
    pub fn new(schema: &'a Schema, server: Option<ScratchServer>) -> Self {
        let (findings, varied) = (BTreeMap::new(), BTreeMap::new());
        Self { schema, server, findings, varied, events: 0, variations: 0 }
    }

    /// Tries the variations of an event, and then applies the event itself, so that later ones meet its rows.
    pub fn event(&mut self, bench: &mut Bench<'_>, document: &RawDocumentBuf) -> anyhow::Result<()> {
        self.events += 1;
        let report = bench.run(document)?;
        let Some(event) = &report.event else { return Ok(()) };
        let varied = self.varied.entry(event.event_type.to_string()).or_default();
        *varied += 1;
        if *varied <= EVENTS_OF_A_TYPE {
            let event_type = event.event_type.clone();
            for (what, variation) in variations(&Document::try_from(document.clone())?) {
                self.variation(bench, &event_type, &what, &RawDocumentBuf::try_from(variation)?)?;
            }
        }
        if let Some(server) = &mut self.server {
            server.apply(&report, self.schema)?;
        }
        Ok(())
    }

    fn variation(
        &mut self,
        bench: &mut Bench<'_>,
        event_type: &str,
        what: &str,
        document: &RawDocumentBuf,
    ) -> anyhow::Result<()> {
        self.variations += 1;
        let report = bench.run(document)?;
        let refused = match &mut self.server {
            Some(server) if report.failure().is_none() => server.try_out(&report, self.schema).err(),
            _ => None,
        };
        let (class, counts) = match verdict(&report, refused.as_ref()) {
            FuzzVerdict::Fine => return Ok(()),
            FuzzVerdict::Letter(class) => (class, "letter"),
            FuzzVerdict::Fault(class) => (class, "fault"),
        };
        let message = report.failure().or(refused.as_ref()).map(ToString::to_string).unwrap_or_default();
        let finding = self.findings.entry((format!("{event_type}: {class}"), counts)).or_default();
        finding.count += 1;
        if finding.examples.len() < EXAMPLES {
            let message = message.lines().next().unwrap_or_default();
            let cut: String = message.chars().take(160).collect();
            finding.examples.push(format!("{what}: {cut}"));
        }
        Ok(())
    }

    /// What was found, in lines, and whether there is a fault.
    pub fn report(&self) -> (Vec<String>, bool) {
        let mut lines = Vec::new();
        for ((title, _), FuzzFinding { count, examples }) in &self.findings {
            lines.push(format!("-- {title}: {count} variations"));
            lines.extend(examples.iter().map(|example| format!("{ASIDE}{example}")));
        }
        let faults: usize = self.counted("fault");
        lines.push(format!(
            "{ASIDE}{} variations of {} events: {faults} show a fault of the projector, {} would be dead letters \
             because of their values",
            self.variations,
            self.events,
            self.counted("letter"),
        ));
        (lines, faults > 0)
    }

    fn counted(&self, kind: &str) -> usize {
        let of = self.findings.iter().filter(|((_, counts), _)| *counts == kind);
        of.map(|(_, finding)| finding.count).sum()
    }
}

fn verdict(report: &EventReport, refused: Option<&Failure>) -> FuzzVerdict {
    if report.keeps_state() {
        return FuzzVerdict::Fault("it keeps state: it answers otherwise after other events than alone");
    }
    match (report.failure(), refused) {
        (None, None)
        | (
            Some(Failure::Rejected { kind: "invalid" | "unsupported", .. } | Failure::Undecodable { .. }),
            _,
        ) => FuzzVerdict::Fine,
        (Some(Failure::Upcaster { .. }), _) => FuzzVerdict::Letter("the upcaster does not take it"),
        (Some(Failure::Rejected { .. }), _) => {
            FuzzVerdict::Fault("an error that the projector did not expect; reject what is wrong as invalid")
        }
        (Some(Failure::BadValue { .. }), _) => FuzzVerdict::Letter("a value that its column cannot hold"),
        (Some(failure), _) => FuzzVerdict::Fault(failure.class()),
        (None, Some(refused)) if refused.fault() == Fault::Event => {
            FuzzVerdict::Letter("refused by the server")
        }
        (None, Some(_)) => {
            FuzzVerdict::Fault("refused by the server in a way that would pause the projection")
        }
    }
}

/// Every variation of a document, with what it is.
fn variations(document: &Document) -> Vec<(String, Document)> {
    let mut all = Vec::new();
    for name in ["occurredAt", "sequence", "metadata", "version"] {
        if document.contains_key(name) {
            let mut other = document.clone();
            other.remove(name);
            all.push((format!("{name} is missing"), other));
        }
    }
    let Ok(payload) = document.get_document("payload") else { return all };
    for path in paths(payload, DEPTH) {
        let name = format!("payload{}", path.iter().map(FuzzStep::spelled).collect::<String>());
        let Some((last, before)) = path.split_last() else { continue };
        let changed = |what: &str, change: &dyn Fn(&mut Bson)| {
            let mut other = document.clone();
            let parent = at(other.get_mut("payload")?, before)?;
            change(parent);
            Some((format!("{name} is {what}"), other))
        };
        all.extend(changed("missing", &|parent| last.remove(parent)));
        let replaced = values()
            .into_iter()
            .filter_map(|(what, value)| changed(what, &|parent| last.replace(parent, value.clone())));
        all.extend(replaced);
    }
    all
}

/// A step into a payload.
#[derive(Debug, Clone, PartialEq)]
enum FuzzStep {
    Field(String),
    /// Into the first element of a list: what is wrong with one is wrong with each.
    First,
}

impl FuzzStep {
    fn spelled(&self) -> String {
        match self {
            Self::Field(name) => format!(".{name}"),
            Self::First => "[0]".to_owned(),
        }
    }

    /// What is there.
    fn enter<'d>(&self, value: &'d mut Bson) -> Option<&'d mut Bson> {
        match (self, value) {
            (Self::Field(name), Bson::Document(document)) => document.get_mut(name),
            (Self::First, Bson::Array(list)) => list.first_mut(),
            _ => None,
        }
    }

    fn remove(&self, parent: &mut Bson) {
        match (self, parent) {
            (Self::Field(name), Bson::Document(document)) => {
                document.remove(name);
            }
            (Self::First, Bson::Array(list)) if !list.is_empty() => {
                list.remove(0);
            }
            _ => {}
        }
    }

    fn replace(&self, parent: &mut Bson, value: Bson) {
        if let Some(here) = self.enter(parent) {
            *here = value;
        }
    }
}

/// The paths of all fields, and of the first elements of lists.
fn paths(document: &Document, depth: usize) -> Vec<Vec<FuzzStep>> {
    let fields = document.iter().map(|(name, value)| (FuzzStep::Field(name.clone()), value));
    fields.flat_map(|(step, value)| behind(step, value, depth)).collect()
}

/// The paths that begin with a step to this value.
fn behind(step: FuzzStep, value: &Bson, depth: usize) -> Vec<Vec<FuzzStep>> {
    let further = match value {
        Bson::Document(inner) if depth > 1 => paths(inner, depth - 1),
        Bson::Array(list) if depth > 1 => {
            list.first().map(|first| behind(FuzzStep::First, first, depth - 1)).unwrap_or_default()
        }
        _ => vec![],
    };
    let mut all: Vec<_> =
        further.into_iter().map(|rest| [std::slice::from_ref(&step), rest.as_slice()].concat()).collect();
    all.push(vec![step]);
    all
}

/// The value of the payload at this path.
fn at<'d>(payload: &'d mut Bson, path: &[FuzzStep]) -> Option<&'d mut Bson> {
    path.iter().try_fold(payload, |value, step| step.enter(value))
}

/// What a field is given instead.
fn values() -> Vec<(&'static str, Bson)> {
    let decimal = "9.999999999999999999999999999999999E+6144".parse().map_or(Bson::Null, Bson::Decimal128);
    vec![
        ("null", Bson::Null),
        ("an empty text", Bson::String(String::new())),
        ("a text of unusual characters", Bson::String("e\u{301}😀\u{202e}\u{0}'\\".to_owned())),
        ("a text of 70 000 characters", Bson::String("x".repeat(HUGE))),
        ("a number where a text may be, -1", Bson::Int32(-1)),
        ("the largest integer", Bson::Int64(i64::MAX)),
        ("a fraction", Bson::Double(0.5)),
        ("not a number", Bson::Double(f64::NAN)),
        ("the largest decimal", decimal),
        ("true", Bson::Boolean(true)),
        ("an empty list", Bson::Array(Vec::new())),
        ("an empty document", Bson::Document(doc! {})),
        ("a date before 1970", Bson::DateTime(bson::DateTime::from_millis(-1))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_varied_and_the_rest_stays() {
        let document = doc! { "_id": "e1", "sequence": 1, "payload": { "a": { "b": 1 }, "c": "x" } };
        let all = variations(&document);
        assert_eq!(all.len(), 1 + 3 * (1 + values().len()), "{all:?}");
        let (_, other) = all.iter().find(|(what, _)| what == "payload.a.b is missing").expect("it is varied");
        assert_eq!(other, &doc! { "_id": "e1", "sequence": 1, "payload": { "a": {}, "c": "x" } });
        let (_, other) = all.iter().find(|(what, _)| what == "payload.c is null").expect("it is varied");
        assert_eq!(
            other.get_document("payload").ok().and_then(|payload| payload.get("c")),
            Some(&Bson::Null)
        );
    }

    #[test]
    fn the_first_element_of_a_list_is_varied_and_so_are_its_fields() {
        let items = vec![doc! { "sku": "a", "tags": ["x", "y"] }, doc! { "sku": "b" }];
        let document = doc! { "_id": "e1", "payload": { "items": items } };
        let all = variations(&document);
        // The list, its first element, that one's two fields, and the first tag.
        assert_eq!(all.len(), 5 * (1 + values().len()), "{all:?}");
        let found = |name: &str| {
            let (_, other) = all.iter().find(|(what, _)| what == name).expect("it is varied");
            other.get_document("payload").expect("it is there").get_array("items").expect("a list").clone()
        };
        let other = Bson::Document(doc! { "sku": "b" });
        let first = |first: Document| vec![Bson::Document(first), other.clone()];
        assert_eq!(found("payload.items[0].sku is missing"), first(doc! { "tags": ["x", "y"] }));
        assert_eq!(
            found("payload.items[0].tags[0] is null"),
            first(doc! { "sku": "a", "tags": [null, "y"] })
        );
        assert_eq!(found("payload.items[0] is null"), [Bson::Null, other.clone()]);
        assert_eq!(found("payload.items[0] is missing"), [other]);
    }
}
