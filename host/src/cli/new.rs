//! `laterna new`: a projector's project to begin with, complete in itself: the contract, the SDK where there is one,
//! events to try it on and the answers they should get.
//!
//! What it writes are the files of `plugins/templates`, with another name. It must not need this repository, a network
//! or a server.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};

use super::output;

/// The name that the templates have.
const PLACEHOLDER: &str = "my-projector";
const NAME_BYTES_MAX: usize = 50;
/// Names that cargo does not take for a package, and the folder that every build writes to.
const RESERVED: [&str; 12] = [
    "test",
    "core",
    "std",
    "alloc",
    "proc-macro",
    "build",
    "deps",
    "examples",
    "incremental",
    "src",
    "dist",
    "laterna",
];

#[derive(Debug, Args)]
pub struct NewArguments {
    /// Name of the project and its folder: lower-case letters, digits and hyphens.
    name: String,
    /// Language of the project.
    #[arg(long, short)]
    lang: Language,
    /// Create an upcaster, which brings old versions of events into the form of today; in Rust.
    #[arg(long)]
    upcaster: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Rust,
    #[value(alias = "js")]
    Javascript,
    #[value(alias = "py")]
    Python,
}

/// A file of a project: where it goes, and its text.
type Template = (&'static str, &'static str);

macro_rules! template {
    ($path:literal, $source:literal) => {
        ($path, include_str!(concat!("../../../", $source)))
    };
}

const CONTRACT: [Template; 1] = [template!("wit/projection.wit", "wit/projection.wit")];

const EVENTS: [Template; 2] = [
    template!("events.jsonl", "plugins/templates/events.jsonl"),
    template!("expected.sql", "plugins/templates/expected.sql"),
];

const RUST: [Template; 2] = [
    template!("README.md", "plugins/templates/rust/README.md"),
    template!("src/lib.rs", "plugins/templates/rust/src/lib.rs"),
];

const UPCASTER: [Template; 4] = [
    template!("README.md", "plugins/templates/upcaster/README.md"),
    template!("src/lib.rs", "plugins/templates/upcaster/src/lib.rs"),
    template!("events.jsonl", "plugins/templates/upcaster/events.jsonl"),
    template!("expected.txt", "plugins/templates/upcaster/expected.txt"),
];

/// The files of every project in Rust.
const CRATE: [Template; 15] = [
    template!("Cargo.toml", "plugins/templates/rust/Cargo.toml"),
    template!(".gitignore", "plugins/templates/rust/gitignore"),
    template!("laterna/sdk/Cargo.toml", "plugins/sdk/Cargo.toml"),
    template!("laterna/sdk/src/lib.rs", "plugins/sdk/src/lib.rs"),
    template!("laterna/sdk/src/event.rs", "plugins/sdk/src/event.rs"),
    template!("laterna/sdk/src/happened.rs", "plugins/sdk/src/happened.rs"),
    template!("laterna/sdk/src/extjson.rs", "plugins/sdk/src/extjson.rs"),
    template!("laterna/sdk/src/log.rs", "plugins/sdk/src/log.rs"),
    template!("laterna/sdk/src/manifest.rs", "plugins/sdk/src/manifest.rs"),
    template!("laterna/sdk/src/projector.rs", "plugins/sdk/src/projector.rs"),
    template!("laterna/sdk/src/sql.rs", "plugins/sdk/src/sql.rs"),
    template!("laterna/sdk/src/statement.rs", "plugins/sdk/src/statement.rs"),
    template!("laterna/sdk/src/testing.rs", "plugins/sdk/src/testing.rs"),
    template!("laterna/sdk/src/upcaster.rs", "plugins/sdk/src/upcaster.rs"),
    template!("laterna/sdk/src/value.rs", "plugins/sdk/src/value.rs"),
];

const JAVASCRIPT: [Template; 5] = [
    template!("package.json", "plugins/templates/javascript/package.json"),
    template!("package-lock.json", "plugins/templates/javascript/package-lock.json"),
    template!("README.md", "plugins/templates/javascript/README.md"),
    template!(".gitignore", "plugins/templates/javascript/gitignore"),
    template!("projector.js", "plugins/templates/javascript/projector.js"),
];

const PYTHON: [Template; 4] = [
    template!("requirements.txt", "plugins/templates/python/requirements.txt"),
    template!("README.md", "plugins/templates/python/README.md"),
    template!(".gitignore", "plugins/templates/python/gitignore"),
    template!("src/app.py", "plugins/templates/python/src/app.py"),
];

pub fn new(arguments: &NewArguments) -> anyhow::Result<ExitCode> {
    let name = arguments.name.as_str();
    check_name(name)?;
    let Project { files, kind, steps, expected } = project(arguments)?;
    let folder = Path::new(name);
    // `create_dir` refuses what is there already, whatever it is.
    if let Err(error) = fs::create_dir(folder) {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            bail!("`{name}` is there already: choose another name, or remove it");
        }
        return Err(error).with_context(|| format!("the folder `{name}` cannot be made"));
    }
    for (path, text) in CONTRACT.iter().chain(files.into_iter().flatten()) {
        let place = folder.join(path);
        let written = place.parent().map_or(Ok(()), fs::create_dir_all);
        let text = personal(path, text, name);
        written
            .and_then(|()| fs::write(&place, text))
            .with_context(|| format!("{} cannot be written", place.display()))?;
    }
    output::line(format_args!("{name}: {kind} to begin with; its README.md has more. Next:\n\n  cd {name}"));
    for step in steps {
        output::line(format_args!("  {step}"));
    }
    output::line(format_args!(
        "  laterna build\n  laterna test dist/{name}.wasm --events events.jsonl --expect {expected}"
    ));
    Ok(ExitCode::SUCCESS)
}

/// A project to begin with.
struct Project {
    files: Vec<&'static [Template]>,
    kind: &'static str,
    /// Steps that have to be done before the first build.
    steps: &'static [&'static str],
    expected: &'static str,
}

fn project(arguments: &NewArguments) -> anyhow::Result<Project> {
    let projector = |files, steps| Project { files, kind: "a projector", steps, expected: "expected.sql" };
    Ok(match (arguments.lang, arguments.upcaster) {
        (Language::Rust, false) => projector(vec![&CRATE, &RUST, &EVENTS], &[]),
        (Language::Javascript, false) => projector(vec![&JAVASCRIPT, &EVENTS], &["npm install"]),
        (Language::Python, false) => projector(
            vec![&PYTHON, &EVENTS],
            &["python3 -m venv .venv", ".venv/bin/pip install --requirement requirements.txt"],
        ),
        (Language::Rust, true) => Project {
            files: vec![&CRATE, &UPCASTER],
            kind: "an upcaster",
            steps: &[],
            expected: "expected.txt",
        },
        (_, true) => bail!(
            "the template for upcasters is in Rust only: --lang rust; whatever makes components can build one for the \
             world `upcaster` of `wit`"
        ),
    })
}

/// The template's text in this project.
fn personal(path: &str, text: &str, name: &str) -> String {
    if path == "laterna/sdk/Cargo.toml" {
        // The lints are those of the workspace that the SDK comes from.
        return text.replace("\n[lints]\nworkspace = true\n", "");
    }
    if path.starts_with("laterna/") { text.to_owned() } else { text.replace(PLACEHOLDER, name) }
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    ensure!(
        begins && name.bytes().all(plain) && !name.ends_with('-') && name.len() <= NAME_BYTES_MAX,
        "`{name}` is no name for a projector: take lower-case letters, digits and hyphens, {NAME_BYTES_MAX} at most, \
         a letter first, e.g. `customer-list`"
    );
    ensure!(!RESERVED.contains(&name), "`{name}` means something else to the tools: choose another name");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_every_language_takes() {
        for good in ["a", "customers", "customer-list-2"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for bad in ["", "A", "9a", "-a", "a-", "a_b", "a b", "../a", "a/b", "ä", "test", &long] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_sdk_stands_without_its_workspace() {
        let (path, text) = CRATE[2];
        let text = personal(path, text, "a");
        assert!(text.contains("[dependencies]") && !text.contains("workspace = true"), "{text}");
    }

    #[test]
    fn every_file_of_the_sdk_goes_along() {
        let sources = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/sdk/src"));
        for source in sources.expect("the SDK is there") {
            let name = source.expect("it can be listed").file_name();
            let place = format!("laterna/sdk/src/{}", name.to_string_lossy());
            assert!(CRATE.iter().any(|(path, _)| *path == place), "{place} is missing");
        }
    }
}
