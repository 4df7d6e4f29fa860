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

/// Letters as they were read, not decoded yet: whoever shares a session gives it back first.
#[derive(Debug)]
pub struct StoredPage(Vec<(Letter, Content)>);

/// The next letters that fit, and the selection of those behind them; none behind the last one.
pub async fn page(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    selection: &mut Selection,
) -> Result<Option<StoredPage>, Failure> {
    let control = &servers.control;
    let mut db = control.of(session, projection);
    let mut some = db.letters(selection, PAGE).await?;
    some.truncate(fitting(&some));
    let Some(last) = some.last() else { return Ok(None) };
    selection.after = last.id;
    let contents = db.letter_contents(&some).await?;
    // It was replayed or discarded in between.
    let there = some.into_iter().zip(contents).filter_map(|(letter, content)| Some((letter, content?)));
    Ok(Some(StoredPage(there.collect())))
}

impl StoredPage {
    /// Decodes the letters, each to a line with its end. Asks no server.
    pub fn lines(self) -> String {
        let lines = self.0.into_iter().map(|(letter, content)| line(&letter, content) + "\n");
        lines.collect()
    }
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
