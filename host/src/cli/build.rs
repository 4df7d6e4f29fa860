//! `laterna build`: calls the language's own tool, and looks at what came out as a host would.
//!
//! It must not install anything: it prints what is missing and how to get it.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;

use super::{component, output, table};
use crate::component::version::{Loaded, LoadedComponent, LoadedUpcaster};
use crate::projector::Budget;

const TARGET: &str = "wasm32-wasip2";

#[derive(Debug, Args)]
pub struct BuildArguments {
    /// Folder of the project.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

/// Exit code 1 when what was built cannot be deployed; 2 when nothing was built.
pub fn build(arguments: &BuildArguments) -> anyhow::Result<ExitCode> {
    let folder = fs::canonicalize(&arguments.folder)
        .with_context(|| format!("there is no folder {}", arguments.folder.display()))?;
    let name = folder.file_name().unwrap_or(OsStr::new("projector")).to_string_lossy().into_owned();
    let built = folder.join("dist").join(format!("{name}.wasm"));
    fs::create_dir_all(folder.join("dist")).context("the folder `dist` cannot be made")?;
    let before = ComponentBefore::keep(&built)?;
    if let Err(failed) = call_tool(&folder, &built) {
        return Err(before.put_back(&built, failed)?);
    }
    match component::load_either(&built, &Budget::default()) {
        Ok(half) => {
            before.forget()?;
            let (name, version, digest) = about(&half);
            output::line(format_args!(
                "{}: {} {} ({}), {} bytes, ready to be deployed",
                shown(&built),
                name,
                version,
                digest,
                table::number(fs::metadata(&built)?.len()),
            ));
            if let LoadedComponent::Projector(loaded) = &half {
                loaded
                    .deployed
                    .schema
                    .notes()
                    .iter()
                    .for_each(|note| output::line(format_args!("note: {note}")));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(refused) => {
            let aside = built.with_extension("refused.wasm");
            fs::rename(&built, &aside).with_context(|| format!("{} cannot be written", aside.display()))?;
            let refused = anyhow!("{} was built, but no host would run it:\n{refused}", shown(&aside));
            output::error_line(format_args!("error: {:#}", before.put_back(&built, refused)?));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The component of the build before: what is in its place is always one that a host would run.
struct ComponentBefore {
    /// A copy of it, if there is one.
    copy: Option<PathBuf>,
}

impl ComponentBefore {
    fn keep(built: &Path) -> anyhow::Result<Self> {
        let copy = built.with_extension("before");
        // A build that was killed has left it, and what is in its place may be anything.
        if copy.is_file() {
            return Ok(Self { copy: Some(copy) });
        }
        match fs::copy(built, &copy) {
            Ok(_) => Ok(Self { copy: Some(copy) }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self { copy: None }),
            Err(error) => Err(error).with_context(|| format!("{} cannot be written", copy.display())),
        }
    }

    /// Puts it back in its place, and adds that to why nothing new is there.
    fn put_back(self, built: &Path, why: anyhow::Error) -> anyhow::Result<anyhow::Error> {
        let Some(copy) = self.copy else { return Ok(why) };
        fs::rename(&copy, built).with_context(|| format!("{} cannot be put back", built.display()))?;
        Ok(anyhow!("{why:#}\n{} is still the component of the build before", shown(built)))
    }

    /// What was built now is in its place. A copy that stayed would be put back by a later build that fails.
    fn forget(self) -> anyhow::Result<()> {
        let Some(copy) = self.copy else { return Ok(()) };
        fs::remove_file(&copy).with_context(|| format!("{} cannot be removed", copy.display()))
    }
}

/// A path as somebody in this folder writes it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// Has the tool of the project's language write the component.
fn call_tool(folder: &Path, built: &Path) -> anyhow::Result<()> {
    let has = |file: &str| folder.join(file).is_file();
    if has("Cargo.toml") {
        build_rust(folder, built)?;
    } else if has("package.json") {
        build_javascript(folder)?;
    } else if has("src/app.py") {
        build_python(folder, built, "projection", "app")?;
    } else if has("src/upcaster.py") {
        build_python(folder, built, "upcaster", "upcaster")?;
    } else {
        bail!(
            "{} is no projector's project: there is no Cargo.toml, package.json, src/app.py or src/upcaster.py; `laterna \
             new` makes one",
            folder.display()
        );
    }
    ensure!(built.is_file(), "the build wrote no {}", built.display());
    Ok(())
}

/// Its own name and version, and its digest.
fn about(half: &LoadedComponent) -> (&str, &str, &str) {
    match half {
        LoadedComponent::Projector(Loaded { component, .. }) => {
            (&component.manifest().name, &component.manifest().version, component.short_digest())
        }
        LoadedComponent::Upcaster(LoadedUpcaster { component, .. }) => {
            (&component.manifest().name, &component.manifest().version, component.short_digest())
        }
    }
}

/// `cargo build`, as everybody does it. Cargo reports where the file is.
fn build_rust(folder: &Path, built: &Path) -> anyhow::Result<()> {
    const CARGO: &str = "install Rust from https://rustup.rs";
    let libraries = run(
        Command::new("rustc").current_dir(folder).args(["--print", "target-libdir", "--target", TARGET]),
        "rustc",
        CARGO,
    )?;
    ensure!(
        Path::new(libraries.trim()).is_dir(),
        "Rust's target {TARGET} is not here: rustup target add {TARGET}"
    );
    let messages = run(
        Command::new("cargo").current_dir(folder).args([
            "build",
            "--release",
            "--target",
            TARGET,
            "--message-format",
            "json-render-diagnostics",
        ]),
        "cargo",
        CARGO,
    )?;
    let component = messages.lines().filter_map(artifact).next_back();
    let component =
        component.context("cargo built no component: Cargo.toml needs `[lib] crate-type = [\"cdylib\"]`")?;
    place(&component, built)
}

/// The component that a message of cargo names.
fn artifact(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let files = message.get("filenames")?.as_array()?;
    let mut files = files.iter().filter_map(serde_json::Value::as_str).map(PathBuf::from);
    files.rfind(|file| file.extension() == Some(OsStr::new("wasm")))
}

/// The script `build` of package.json, which says how: with componentize-qjs or another tool, bundled or not.
fn build_javascript(folder: &Path) -> anyhow::Result<()> {
    ensure!(
        folder.join("node_modules").is_dir(),
        "the packages of {} are not installed: npm install",
        folder.join("package.json").display()
    );
    run(
        Command::new("npm").current_dir(folder).args(["run", "build", "--silent"]),
        "npm",
        "install Node.js 18 or newer, from https://nodejs.org or your system's packages",
    )?;
    Ok(())
}

/// componentize-py of the project's own environment, or the one on the path.
fn build_python(folder: &Path, built: &Path, world: &str, module: &str) -> anyhow::Result<()> {
    let own = folder.join(".venv/bin/componentize-py");
    let draft = built.with_extension("draft");
    let tool = if own.is_file() { own.as_os_str() } else { OsStr::new("componentize-py") };
    let arguments = ["--quiet", "--wit-path", "wit", "--world", world, "componentize"];
    run(
        Command::new(tool)
            .current_dir(folder)
            .args(arguments)
            .args(["--python-path", "src", "--output"])
            .arg(&draft)
            .arg(module),
        "componentize-py",
        "python3 -m venv .venv && .venv/bin/pip install --requirement requirements.txt",
    )?;
    fs::rename(&draft, built).with_context(|| format!("{} cannot be written", built.display()))
}

/// Runs a tool and returns its standard output; its standard error goes to the author.
fn run(command: &mut Command, tool: &str, remedy: &str) -> anyhow::Result<String> {
    let done = match command.stdin(Stdio::null()).stderr(Stdio::inherit()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("`{tool}` is not here: {remedy}"),
        done => done.with_context(|| format!("`{tool}` cannot be run"))?,
    };
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    if !done.status.success() {
        // What is not a message of cargo's is for people.
        eprint!(
            "{}",
            text.lines()
                .filter(|line| !line.starts_with('{'))
                .fold(String::new(), |all, line| all + line + "\n")
        );
        bail!("`{tool}` failed ({}); its output stands above", done.status);
    }
    Ok(text)
}

/// A rename, so that nobody reads half a file.
fn place(from: &Path, to: &Path) -> anyhow::Result<()> {
    let draft = to.with_extension("draft");
    let placed = fs::copy(from, &draft).and_then(|_| fs::rename(&draft, to));
    placed.with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))
}
