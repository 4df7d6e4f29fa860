//! `laterna dlq export`: one JSON object a line and letter, with everything that is stored of it.
//!
//! Letters are read page by page behind the last id, so that memory stays small and none comes twice. Those that come
//! while it runs are left out; those that go are left out, too.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Map, Value};

use super::PAGE;
use crate::cli::output;
use crate::readmodel::lane::dead_letter::{self, Content, Letter, Selection};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// How many bytes of documents are read at a time; one document may have more.
const BYTES_MAX: u64 = 4 << 20;

/// Writes all letters that a selection fits, to a file or to standard output.
pub async fn export(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    selection: Selection,
    file: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let mut target = ExportTarget::open(file)?;
    let until = dead_letter::newest(session, &servers.control, projection).await?;
    let mut selection = Selection { until: Some(until), ..selection };
    let mut count = 0_u64;
    loop {
        let page = dead_letter::select(session, &servers.control, projection, &selection, PAGE).await?;
        let Some(last) = page.last() else { break };
        selection.after = last.id;
        let mut rest = &page[..];
        while !rest.is_empty() {
            let (some, others) = rest.split_at(fitting(rest));
            rest = others;
            let contents = dead_letter::contents(session, &servers.control, some).await?;
            for (letter, content) in some.iter().zip(contents) {
                // It was replayed or discarded in between.
                let Some(content) = content else { continue };
                target.line(&line(letter, content)?)?;
                count += 1;
            }
        }
    }
    target.close()?;
    let letters = if count == 1 { "letter" } else { "letters" };
    eprintln!("{count} {letters} exported");
    Ok(ExitCode::SUCCESS)
}

/// How many of these letters are read together: one at least.
fn fitting(letters: &[Letter]) -> usize {
    let mut bytes = 0;
    let fits = |letter: &&Letter| {
        bytes += letter.document_bytes;
        bytes <= BYTES_MAX
    };
    letters.iter().take_while(fits).count().max(1)
}

fn line(letter: &Letter, content: Content) -> anyhow::Result<String> {
    let mut line: Map<String, Value> = match serde_json::to_value(letter)? {
        Value::Object(fields) => fields,
        other => Map::from_iter([("letter".to_owned(), other)]),
    };
    line.insert("document_key".to_owned(), hex::encode(&letter.document_key).into());
    line.insert("position".to_owned(), serde_json::from_str(&content.position).unwrap_or(Value::Null));
    line.insert("operations".to_owned(), content.operations.into());
    let (name, document) = dead_letter::shown_document(content.document);
    line.insert(name.to_owned(), document);
    Ok(Value::Object(line).to_string())
}

/// Where the lines go. A file comes to its name when it is complete.
enum ExportTarget {
    Standard,
    File { writer: BufWriter<File>, partial: PathBuf, path: PathBuf },
}

impl ExportTarget {
    fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::Standard) };
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial)
            .with_context(|| format!("`--output` {} cannot be written", path.display()))?;
        Ok(Self::File { writer: BufWriter::new(file), partial, path: path.to_owned() })
    }

    fn line(&mut self, text: &str) -> anyhow::Result<()> {
        let Self::File { writer, path, .. } = self else {
            output::line(text);
            return Ok(());
        };
        writeln!(writer, "{text}").with_context(|| format!("writing {}", path.display()))
    }

    fn close(self) -> anyhow::Result<()> {
        let Self::File { writer, partial, path } = self else { return Ok(()) };
        let closing = || -> std::io::Result<()> {
            writer.into_inner()?.sync_all()?;
            std::fs::rename(&partial, &path)
        };
        closing().with_context(|| format!("writing {}", path.display()))
    }
}
