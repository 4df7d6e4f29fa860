//! What authors of projectors do: begin a project, build it with its language's own tool, try it on recorded events,
//! look at a component; and what each command says about input that is no good.
//!
//! Projects are really generated, built and run. `dev/build-plugins` brings the toolchains of JavaScript and Python.

mod answers;
mod changing;
mod guide;
mod mistakes;
mod pictures;
mod refusals;
mod totals;
mod trying;
mod tutorial;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;

use crate::support::host::BINARY;
use crate::support::world::said;

fn repository() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).expect("the repository is here")
}

/// Where what is compiled is kept for the next run.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("author-cache")
}

/// A command of the author's in a folder.
fn laterna(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .current_dir(folder)
        .args(arguments)
        .env("XDG_CACHE_HOME", cache())
        .env_remove("LATERNA_LOG")
        .env_remove("LATERNA_CONFIG");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    laterna(folder, arguments).output().expect("the binary runs")
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

/// With the toolchains that `dev/build-plugins` brought before all others.
fn with_toolchains(command: &mut Command) -> &mut Command {
    let tools = repository().join("target/toolchains/bin");
    assert!(tools.join("componentize-py").exists(), "there are no toolchains: run dev/build-plugins");
    let path = std::env::var("PATH").expect("there is a PATH");
    command.env("PATH", format!("{}:{path}", tools.display()))
}

#[test]
fn the_toolchains_of_a_new_project_are_those_of_the_repository() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).expect("it is there");
    let packages = |path: &str| -> Json {
        let lock: Json = serde_json::from_str(&read(path)).expect("it is JSON");
        lock["packages"].clone()
    };
    // What the tests have is what the template in TypeScript names.
    let typescript = packages("plugins/templates/typescript/package-lock.json");
    for other in ["plugins/templates/javascript", "plugins/accounts-js"] {
        let other = packages(&format!("{other}/package-lock.json"));
        for (name, package) in
            other.as_object().expect("packages").iter().filter(|(name, _)| !name.is_empty())
        {
            assert_eq!(&typescript[name], package, "{name}");
        }
    }
    assert_eq!(
        read("plugins/templates/python/requirements.txt"),
        read("plugins/accounts-py/requirements.txt")
    );
}
