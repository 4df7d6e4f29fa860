//! What authors of projectors do: begin a project, build it with its language's own tool, try it on recorded events,
//! look at a component; and what each command says about input that is no good.
//!
//! Projects are really generated, built and run. `dev/build-plugins` brings the toolchains of JavaScript and Python.

mod answers;
mod changing;
mod guide;
mod mistakes;
mod refusals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
    let template = read("plugins/templates/javascript/package-lock.json");
    let ours = read("plugins/accounts-js/package-lock.json").replace("accounts-js", "my-projector");
    let without_license = |text: String| text.replacen("      \"license\": \"MIT\",\n", "", 1);
    assert_eq!(without_license(template), without_license(ours));
    assert_eq!(
        read("plugins/templates/python/requirements.txt"),
        read("plugins/accounts-py/requirements.txt")
    );
}
