//! Dead letters as they are exported: one JSON object a line and letter, with everything that is stored of it.
//!
//! Letters are read page by page behind the last id, so that memory stays small and none comes twice. Those that go while
//! it runs are left out.

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::readmodel::lane::dead_letter::{self, Content, Letter, Selection};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// How many letters are read at a time.
const PAGE: u32 = 200;

/// How many bytes of documents are read at a time; one document may have more.
const BYTES_MAX: u64 = 4 << 20;

/// The lines of the next letters that fit, and the selection of those behind them; none behind the last one.
pub async fn lines(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    selection: &mut Selection,
) -> Result<Option<Vec<String>>, Failure> {
    let control = &servers.control;
    let page = dead_letter::select(session, control, projection, selection, PAGE).await?;
    let some = &page[..fitting(&page)];
    let Some(last) = some.last() else { return Ok(None) };
    selection.after = last.id;
    let contents = dead_letter::contents(session, control, some).await?;
    // It was replayed or discarded in between.
    let there = some.iter().zip(contents).filter_map(|(letter, content)| Some((letter, content?)));
    Ok(Some(there.map(|(letter, content)| line(letter, content)).collect()))
}

/// How many of these letters are read together: one at least.
fn fitting(letters: &[Letter]) -> usize {
    let mut bytes = 0;
    let fits = |letter: &&Letter| {
        bytes += letter.document_bytes;
        bytes <= BYTES_MAX
    };
    letters.iter().take_while(fits).count().max(1).min(letters.len())
}

fn line(letter: &Letter, content: Content) -> String {
    let mut line: Map<String, Value> = match serde_json::to_value(letter) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    line.insert("document_key".to_owned(), hex::encode(&letter.document_key).into());
    line.insert("position".to_owned(), serde_json::from_str(&content.position).unwrap_or(Value::Null));
    line.insert("operations".to_owned(), content.operations.into());
    let (name, document) = dead_letter::shown_document(content.document);
    line.insert(name.to_owned(), document);
    Value::Object(line).to_string()
}
