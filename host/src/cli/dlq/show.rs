//! A dead letter for people: what it is, why it is there, and its document, with lines as lines and dates as dates.

use std::fmt::Write;

use crate::component::registry::short;
use crate::operation::whole_letter::WholeLetter;
use crate::readmodel::lane::dead_letter::{self, Letter};
use crate::text::harmless;

/// A letter with its document as text.
pub fn render(whole: WholeLetter) -> String {
    let WholeLetter { letter, remedy, trace_id, document, document_base64, operations } = whole;
    let mut text = String::new();
    let trace = trace_id.map(|id| ("trace", harmless(&id)));
    for (name, value) in facts(&letter).into_iter().chain(trace) {
        // A String takes whatever is written.
        let _ = writeln!(text, "{name:<11}{value}");
    }
    for (name, lines) in [("reason", &letter.reason), ("what to do", &remedy), ("operations", &operations)] {
        let Some(lines) = lines else { continue };
        let _ = writeln!(text, "\n{name}:");
        for line in lines.lines() {
            let _ = writeln!(text, "  {}", harmless(line));
        }
    }
    match (document, document_base64) {
        (Some(document), _) => {
            let _ = write!(text, "\ndocument:\n{:#}", dead_letter::readable_document(document));
        }
        (None, Some(bytes)) => {
            let _ = write!(text, "\ndocument_base64, since it is no BSON document:\n{bytes}");
        }
        (None, None) if letter.erased_at.is_some() => text.push_str("\nThe document was erased."),
        (None, None) => text.push_str(
            "\nThe document is not shown: the letter is gone meanwhile, or the token is a viewer's.",
        ),
    }
    text
}

fn facts(letter: &Letter) -> Vec<(&'static str, String)> {
    let Letter { id, state, attempts, created_at, updated_at, digest, document_bytes, .. } = letter;
    let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut facts = vec![
        ("letter", format!("{id}, {}", state.name())),
        ("aggregate", known(letter.aggregate_exact.clone().or_else(|| letter.aggregate_spelled()))),
        ("event", known(letter.event_spelled())),
        ("type", known(letter.event_type.as_deref().map(harmless))),
        ("class", known(letter.class.clone())),
        ("attempts", attempts.to_string()),
        ("since", created_at.clone()),
        ("changed", updated_at.clone()),
        ("component", short(digest).to_owned()),
        ("bytes", document_bytes.to_string()),
    ];
    if let Some(erased) = &letter.erased_at {
        facts.push(("erased", erased.clone()));
    }
    facts
}
