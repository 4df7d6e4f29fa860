//! `laterna dlq export`: one JSON object a line and letter, with everything that is stored of it.
//!
//! Letters that come while it runs are left out.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::output;
use crate::operation::export;
use crate::readmodel::lane::dead_letter::{self, Selection};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

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
    while let Some(lines) = export::lines(session, servers, projection, &mut selection).await? {
        for line in lines {
            target.line(&line)?;
            count += 1;
        }
    }
    target.close()?;
    let letters = if count == 1 { "letter" } else { "letters" };
    eprintln!("{count} {letters} exported");
    Ok(ExitCode::SUCCESS)
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
