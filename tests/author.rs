//! What authors of projectors do: begin a project, build it with its language's own tool, try it on recorded events,
//! look at a component; and what each command says about input that is no good.
//!
//! Projects are really generated, built and run. `dev/build-plugins` brings the toolchains of JavaScript and Python.

mod answers;
mod refusals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::host::BINARY;
use crate::support::world::said;

fn repository() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).expect("the repository is here")
}

/// A command of the author's in a folder. What it compiles is kept for the next run.
fn laterna(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .current_dir(folder)
        .args(arguments)
        .env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("author-cache"))
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

/// A fresh project in a folder that keeps its name from run to run, so that compilers know it again.
fn new_project(name: &str, lang: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("author");
    fs::create_dir_all(&folder).expect("a folder");
    let project = folder.join(name);
    if project.exists() {
        fs::remove_dir_all(&project).expect("the last run's project goes");
    }
    succeeds(&run(&folder, &["new", name, "--lang", lang]));
    project
}

/// With the toolchains that `dev/build-plugins` brought before all others.
fn with_toolchains(command: &mut Command) -> &mut Command {
    let tools = repository().join("target/toolchains/bin");
    assert!(tools.join("componentize-py").exists(), "there are no toolchains: run dev/build-plugins");
    let path = std::env::var("PATH").expect("there is a PATH");
    command.env("PATH", format!("{}:{path}", tools.display()))
}

/// The same answers in every language: those of the template.
fn gives_the_expected_answers(project: &Path, component: &str) {
    let arguments = ["test", component, "--events", "events.jsonl", "--expect", "expected.sql"];
    let text = succeeds(&run(project, &arguments));
    assert!(text.contains("7 events, 5 statements, 1 passed by, 1 failed"), "{text}");
}

#[test]
fn a_new_project_in_rust_is_built_tested_and_gives_the_expected_answers() {
    let project = new_project("new-rust", "rust");
    let repository = repository();
    // What the plugins have compiled already need not be compiled again: the same versions, flags and folder.
    fs::copy(repository.join("plugins/Cargo.lock"), project.join("Cargo.lock")).expect("the lock is copied");
    let home =
        std::env::var("CARGO_HOME").unwrap_or_else(|_| std::env::var("HOME").expect("a home") + "/.cargo");
    let flags = format!(
        "--remap-path-prefix={home}/registry/src=registry --remap-path-prefix={}/=",
        repository.display()
    );
    let cargo = |command: &mut Command| {
        command
            .env("CARGO_TARGET_DIR", repository.join("target/plugins"))
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .env_remove("LLVM_PROFILE_FILE")
            .output()
            .expect("it runs")
    };
    let built = cargo(laterna(&project, &["build"]).env("RUSTFLAGS", flags));
    assert!(succeeds(&built).contains("dist/new-rust.wasm: new-rust 0.1.0"), "{}", said(&built));
    gives_the_expected_answers(&project, "dist/new-rust.wasm");
    let tested = cargo(Command::new("cargo").current_dir(&project).args(["test", "--quiet"]));
    assert!(succeeds(&tested).contains("2 passed"), "{}", said(&tested));
    let format =
        Command::new("rustfmt").args(["--check", "--edition", "2024", "src/lib.rs"]).current_dir(&project);
    succeeds(&{ format }.output().expect("rustfmt runs"));
}

#[test]
fn a_new_project_in_javascript_is_built_and_gives_the_expected_answers() {
    let project = new_project("new-javascript", "javascript");
    let modules = repository().join("target/toolchains/node_modules");
    std::os::unix::fs::symlink(modules, project.join("node_modules")).expect("a link");
    let built = with_toolchains(&mut laterna(&project, &["build"])).output().expect("the binary runs");
    assert!(succeeds(&built).contains("dist/new-javascript.wasm: new-javascript 0.1.0"), "{}", said(&built));
    gives_the_expected_answers(&project, "dist/new-javascript.wasm");
}

#[test]
fn a_new_project_in_python_is_built_and_gives_the_expected_answers() {
    let project = new_project("new-python", "python");
    let built = with_toolchains(&mut laterna(&project, &["build"])).output().expect("the binary runs");
    assert!(succeeds(&built).contains("dist/new-python.wasm: new-python 0.1.0"), "{}", said(&built));
    gives_the_expected_answers(&project, "dist/new-python.wasm");
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
