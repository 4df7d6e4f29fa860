//! `laterna dlq export`: one JSON object a line and letter, with everything that is stored of it.
//!
//! Letters that come while it runs are left out.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::console::{Console, LetterFilter};
use crate::cli::output;

/// Writes all letters that a filter fits, to a file or to standard output.
pub async fn export(
    console: &mut impl Console,
    projection: &str,
    filter: &LetterFilter,
    file: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let mut target = ExportTarget::open(file)?;
    let mut count = 0_u64;
    let mut write = |line: &str| {
        count += 1;
        target.line(line)
    };
    console.export(projection, filter, &mut write).await?;
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
