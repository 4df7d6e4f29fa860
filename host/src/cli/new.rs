//! `laterna new`: a projector's or upcaster's project to begin with, complete in itself: the contract, the SDK where there is one,
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
    /// Create an upcaster, which turns old versions of events into the current one.
    #[arg(long)]
    upcaster: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Rust,
    #[value(alias = "js")]
    Javascript,
    #[value(alias = "ts")]
    Typescript,
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

const RUST_UPCASTER: [Template; 2] = [
    template!("README.md", "plugins/templates/upcaster/README.md"),
    template!("src/lib.rs", "plugins/templates/upcaster/src/lib.rs"),
];

const UPCASTER_EVENTS: [Template; 2] = [
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

/// The SDK of JavaScript and TypeScript.
const SCRIPT_SDK: [Template; 6] = [
    template!("laterna/sdk.js", "plugins/sdk-js/sdk.js"),
    template!("laterna/sdk.d.ts", "plugins/sdk-js/sdk.d.ts"),
    template!("laterna/errors.js", "plugins/sdk-js/errors.js"),
    template!("laterna/sandbox.js", "plugins/sdk-js/sandbox.js"),
    template!("laterna/statements.js", "plugins/sdk-js/statements.js"),
    template!("laterna/values.js", "plugins/sdk-js/values.js"),
];

/// The files of every project in JavaScript.
const NODE: [Template; 2] = [
    template!("package-lock.json", "plugins/templates/javascript/package-lock.json"),
    template!(".gitignore", "plugins/templates/javascript/gitignore"),
];

const JAVASCRIPT: [Template; 3] = [
    template!("package.json", "plugins/templates/javascript/package.json"),
    template!("README.md", "plugins/templates/javascript/README.md"),
    template!("projector.js", "plugins/templates/javascript/projector.js"),
];

const JAVASCRIPT_UPCASTER: [Template; 3] = [
    template!("package.json", "plugins/templates/upcaster/javascript/package.json"),
    template!("README.md", "plugins/templates/upcaster/javascript/README.md"),
    template!("upcaster.js", "plugins/templates/upcaster/javascript/upcaster.js"),
];

/// The files of every project in TypeScript.
const COMPILED: [Template; 4] = [
    template!("package-lock.json", "plugins/templates/typescript/package-lock.json"),
    template!(".gitignore", "plugins/templates/typescript/gitignore"),
    template!("tsconfig.json", "plugins/templates/typescript/tsconfig.json"),
    template!("laterna/bundle.mjs", "plugins/sdk-js/bundle.mjs"),
];

const TYPESCRIPT: [Template; 3] = [
    template!("package.json", "plugins/templates/typescript/package.json"),
    template!("README.md", "plugins/templates/typescript/README.md"),
    template!("src/projector.ts", "plugins/templates/typescript/src/projector.ts"),
];

const TYPESCRIPT_UPCASTER: [Template; 3] = [
    template!("package.json", "plugins/templates/upcaster/typescript/package.json"),
    template!("README.md", "plugins/templates/upcaster/typescript/README.md"),
    template!("src/upcaster.ts", "plugins/templates/upcaster/typescript/src/upcaster.ts"),
];

/// The files of every project in Python.
const VENV: [Template; 3] = [
    template!("requirements.txt", "plugins/templates/python/requirements.txt"),
    template!(".gitignore", "plugins/templates/python/gitignore"),
    template!("src/laterna.py", "plugins/sdk-py/laterna.py"),
];

const PYTHON: [Template; 2] = [
    template!("README.md", "plugins/templates/python/README.md"),
    template!("src/app.py", "plugins/templates/python/src/app.py"),
];

const PYTHON_UPCASTER: [Template; 2] = [
    template!("README.md", "plugins/templates/upcaster/python/README.md"),
    template!("src/upcaster.py", "plugins/templates/upcaster/python/src/upcaster.py"),
];

pub fn new(arguments: &NewArguments) -> anyhow::Result<ExitCode> {
    let name = arguments.name.as_str();
    check_name(name)?;
    let Project { files, kind, steps, expected } = project(arguments);
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

fn project(arguments: &NewArguments) -> Project {
    let (steps, every, projector, upcaster): (&[_], Vec<&[Template]>, &[Template], &[Template]) =
        match arguments.lang {
            Language::Rust => (&[], vec![&CRATE], &RUST, &RUST_UPCASTER),
            Language::Javascript => {
                (&["npm install"], vec![&NODE, &SCRIPT_SDK], &JAVASCRIPT, &JAVASCRIPT_UPCASTER)
            }
            Language::Typescript => {
                (&["npm install"], vec![&COMPILED, &SCRIPT_SDK], &TYPESCRIPT, &TYPESCRIPT_UPCASTER)
            }
            Language::Python => (
                &["python3 -m venv .venv", ".venv/bin/pip install --requirement requirements.txt"],
                vec![&VENV],
                &PYTHON,
                &PYTHON_UPCASTER,
            ),
        };
    let (kind, own, events, expected): (_, _, &[Template], _) = if arguments.upcaster {
        ("an upcaster", upcaster, &UPCASTER_EVENTS, "expected.txt")
    } else {
        ("a projector", projector, &EVENTS, "expected.sql")
    };
    Project { files: every.into_iter().chain([own, events]).collect(), kind, steps, expected }
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
    fn every_file_of_the_sdks_goes_along() {
        let check = |folder: &str, to: &str, files: &[Template]| {
            let sources = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(folder));
            for source in sources.expect("the SDK is there") {
                let name = source.expect("it can be listed").file_name();
                let place = format!("{to}/{}", name.to_string_lossy());
                assert!(files.iter().any(|(path, _)| *path == place), "{place} is missing");
            }
        };
        check("sdk/src", "laterna/sdk/src", &CRATE);
        check("sdk-js", "laterna", &[&SCRIPT_SDK[..], &COMPILED].concat());
    }
}
