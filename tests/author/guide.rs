//! The guide, docs/writing-a-projector.md: its commands, in its order, in an empty folder.
//!
//! What installs tools takes what `dev/build-plugins` brought instead; with `LATERNA_GUIDE=install` it really installs,
//! from the network, and the blocks for other tools (cargo-component, componentize-js) are run, too.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use bson::{Bson, Document};

use super::{repository, with_toolchains};
use crate::support::host::BINARY;
use crate::support::world::{free_port, said};
use crate::support::{Host, Options, World};

/// The guide's code blocks of one heading: what they are, and their text.
pub fn blocks(heading: &str) -> Vec<(String, String)> {
    let guide =
        fs::read_to_string(repository().join("docs/writing-a-projector.md")).expect("the guide is there");
    let section = guide.split("\n## ").find(|section| section.lines().next() == Some(heading));
    let section = section.unwrap_or_else(|| panic!("the guide has no part `{heading}`"));
    let fenced = section.split("\n```").skip(1).step_by(2);
    let block = |text: &str| text.split_once('\n').map(|(kind, text)| (kind.to_owned(), text.to_owned()));
    fenced.filter_map(block).collect()
}

fn installs() -> bool {
    std::env::var("LATERNA_GUIDE").is_ok_and(|value| value == "install")
}

/// The commands of a part.
fn commands(heading: &str) -> String {
    let wanted = |kind: &str| kind == "sh" || kind == "sh with-other-tools" && installs();
    let blocks = blocks(heading).into_iter().filter(|(kind, _)| wanted(kind));
    let script: String = blocks.map(|(_, text)| text + "\n").collect();
    assert!(script.contains("laterna "), "the part `{heading}` has no commands");
    script
}

/// An empty folder that keeps its name from run to run, so that compilers know again what is in it.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the last run's folder goes");
    }
    fs::create_dir_all(folder.join("bin")).expect("a folder");
    symlink(BINARY, folder.join("bin/laterna")).expect("a link");
    folder
}

/// Runs commands as a reader would, who stops at the first that fails.
pub fn follow(folder: &Path, script: &str, settings: &[(&str, String)]) -> String {
    let repository = repository();
    let home =
        std::env::var("CARGO_HOME").unwrap_or_else(|_| std::env::var("HOME").expect("a home") + "/.cargo");
    let path =
        format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").expect("there is a PATH"));
    let flags = format!(
        "--remap-path-prefix={home}/registry/src=registry --remap-path-prefix={}/=",
        repository.display()
    );
    let mut command = Command::new("bash");
    command.args(["-euxo", "pipefail", "-c", script]).current_dir(folder);
    with_toolchains(&mut command);
    let tools = repository.join("target/toolchains/bin");
    command
        .env("PATH", format!("{}:{path}", tools.display()))
        .env("XDG_CACHE_HOME", super::cache())
        // What the plugins have compiled already is not compiled again: the same flags and folder.
        .env("CARGO_TARGET_DIR", repository.join("target/plugins"))
        .env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", flags)
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("LATERNA_LOG")
        .env_remove("LATERNA_CONFIG")
        .envs(settings.iter().map(|(name, value)| (*name, value.as_str())));
    let output = command.output().expect("bash runs");
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("it is text")
}

fn gave_the_expected_answers(text: &str) {
    assert!(text.contains("ready to be deployed"), "{text}");
    assert!(text.contains("7 events, 5 statements, 1 passed by, 1 failed"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_in_rust_leads_from_nothing_to_rows() {
    let folder = folder("rust");
    // The versions that the plugins have, which are here already.
    let lock = format!("cp {}/plugins/Cargo.lock .\n", repository().display());
    let script = commands("Rust").replace("cd customers\n", &format!("cd customers\n{lock}"));
    let script = script.replace("target/wasm32-wasip1", "$CARGO_TARGET_DIR/wasm32-wasip1");
    let text = follow(&folder, &script, &[]);
    gave_the_expected_answers(&text);
    assert!(text.contains("2 passed"), "{text}");
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--check", "--edition", "2024", "src/lib.rs"]).current_dir(folder.join("customers"));
    super::succeeds(&rustfmt.output().expect("rustfmt runs"));
    deploy(&folder.join("customers")).await;
}

/// The part about deploying, with the addresses of the servers that there are here.
async fn deploy(project: &Path) {
    let world = World::with(&[("customers", "accounts")], Options::mysql()).await;
    let text = fs::read_to_string(project.join("events.jsonl")).expect("the events are there");
    let document = |line| serde_json::from_str::<Document>(line).expect("it is Extended JSON");
    world.insert(text.lines().map(document)).await;
    let parts = blocks("Deploying it");
    let (_, toml) = parts.iter().find(|(kind, _)| kind == "toml").expect("there is a configuration");
    fs::write(project.join("laterna.toml"), toml).expect("it is written");
    let port = free_port();
    let settings = [
        ("LATERNA_MONGODB__URI", world.options.mongodb.clone()),
        ("LATERNA_MONGODB__DATABASE", world.name.clone()),
        ("LATERNA_MYSQL__URL", world.url()),
        ("LATERNA_MYSQL__DDL_URL", world.url()),
        ("LATERNA_MYSQL__CONTROL_SCHEMA", world.control()),
        ("LATERNA_HOST__ADMIN", format!("127.0.0.1:{port}")),
        ("LATERNA_HOST__HEALTH", "127.0.0.1:0".to_owned()),
    ];
    let commands: Vec<String> =
        parts.into_iter().filter(|(kind, _)| kind == "sh").map(|(_, text)| text).collect();
    let [first, then] = commands.as_slice() else { panic!("{commands:?}") };
    let (check, run) = first.split_once('\n').expect("two commands");
    assert_eq!(run, "laterna run &");
    let folder = project.parent().expect("it is in a folder");
    let inside = |command: &str| follow(folder, &format!("cd customers\n{command}"), &settings);
    assert!(inside(check).contains("Everything is ready"));
    let mut command = Command::new(BINARY);
    command.current_dir(project).envs(settings.iter().map(|(name, value)| (*name, value.as_str())));
    let host = Host::start_as(command, &project.join("laterna.toml"), port);
    world.until_committed("customers", 7).await;
    host.until_phase("customers", "streaming").await;
    let told = inside(then);
    assert!(told.contains("streaming") && told.contains("has no time"), "{told}");
    let text = |column: &str| format!("{column} COLLATE utf8mb4_general_ci");
    let (id, name) = (text("customer_id"), text("name"));
    let query = format!("SELECT {id}, {name}, orders, total_cents FROM customers ORDER BY customer_id");
    shows_rows(project, &world);
    let rows = world.rows(&query).await;
    let rows: Vec<(String, String, i32, i64)> =
        rows.iter().map(|row| sqlx::FromRow::from_row(row).expect("a row")).collect();
    // The second one is still there: what forgets it waits behind the dead letter.
    let expect = [("c-1", "Ada King", 1, 1250), ("c-2", "Grace O'Malley", 0, 0)];
    let expect = expect.map(|(id, name, orders, cents)| (id.to_owned(), name.to_owned(), orders, cents));
    assert_eq!(rows, expect);
    assert!(host.stop().await.success());
}

/// The command that shows rows, and what the guide says that it shows.
fn shows_rows(project: &Path, world: &World) {
    let blocks = blocks("Trying it on events");
    let (_, command) = blocks.iter().find(|(kind, _)| kind == "sh on-a-server").expect("there is one");
    let (command, url) = command.rsplit_once(' ').expect("it ends with the server");
    assert!(url.starts_with("mysql://"), "{url}");
    let mut shell = Command::new("bash");
    let tried = shell.args(["-c", &format!("{command} '{}'", world.url())]).current_dir(project);
    let path = std::env::var("PATH").expect("there is a PATH");
    let place = project.parent().expect("it is in a folder").join("bin");
    let output = tried.env("PATH", format!("{}:{path}", place.display())).output().expect("bash runs");
    let text = said(&output);
    let (_, shown) = blocks.iter().find(|(_, text)| text.contains("-- table ")).expect("rows are shown");
    for line in shown.lines().filter(|line| !line.is_empty()) {
        assert!(text.lines().any(|other| other == line), "{line} is missing in\n{text}");
    }
}

#[test]
fn the_guide_leads_from_nothing_to_an_upcaster() {
    let folder = folder("upcaster");
    let lock = format!("cp {}/plugins/Cargo.lock .\n", repository().display());
    let script = commands("Upcasters").replace("cd shop-upcasts\n", &format!("cd shop-upcasts\n{lock}"));
    let text = follow(&folder, &script, &[]);
    for expect in [
        "ready to be deployed",
        "7 events, 1 passed by, 1 failed, 6 upcast to 5, 1 ignored",
        "upcaster    shop-upcasts 0.1.0",
        "2 passed",
    ] {
        assert!(text.contains(expect), "{expect}: {text}");
    }
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--check", "--edition", "2024", "src/lib.rs"]).current_dir(folder.join("shop-upcasts"));
    super::succeeds(&rustfmt.output().expect("rustfmt runs"));
}

/// Commands, with the packages that are here instead of those that `npm install` brings.
fn with_packages(script: &str) -> String {
    if installs() {
        return script.to_owned();
    }
    let modules = repository().join("target/toolchains/node_modules");
    script.replace("npm install\n", &format!("ln -s {} node_modules\n", modules.display()))
}

#[test]
fn the_guide_in_javascript_leads_from_nothing_to_answers() {
    let script = with_packages(&commands("JavaScript"));
    gave_the_expected_answers(&follow(&folder("javascript"), &script, &[]));
}

#[test]
fn the_guide_in_typescript_leads_from_nothing_to_answers() {
    let script = with_packages(&commands("TypeScript"));
    gave_the_expected_answers(&follow(&folder("typescript"), &script, &[]));
}

#[test]
fn the_upcaster_is_the_same_in_every_other_language() {
    for language in ["javascript", "typescript", "python"] {
        let packages = if language == "python" { "" } else { "npm install\n" };
        let steps = "laterna build\n\
                     laterna test dist/shop-upcasts.wasm --events events.jsonl --expect expected.txt\n";
        let script = format!(
            "laterna new shop-upcasts --lang {language} --upcaster\ncd shop-upcasts\n{packages}{steps}"
        );
        let text = follow(&folder(&format!("upcaster-{language}")), &with_packages(&script), &[]);
        assert!(text.contains("6 upcast to 5, 1 ignored"), "{text}");
    }
}

#[test]
fn the_guide_in_python_leads_from_nothing_to_answers() {
    let mut script = commands("Python") + &commands("Trying it on events");
    if !installs() {
        let lines: Vec<&str> = script.lines().filter(|line| !line.contains("venv")).collect();
        script = lines.join("\n");
    }
    let text = follow(&folder("python"), &script, &[]);
    gave_the_expected_answers(&text);
    assert!(text.contains("projector   customers-py 0.1.0"), "{text}");
}

#[test]
fn the_guides_answers_are_those_that_the_template_gets() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).expect("it is there");
    let expected = read("plugins/templates/expected.sql");
    let blocks = blocks("Trying it on events");
    let (_, shown) = blocks.iter().find(|(kind, _)| kind.is_empty()).expect("answers are shown");
    for line in shown.lines().filter(|line| !line.starts_with("-- |") && !line.is_empty()) {
        assert!(expected.lines().any(|other| other == line), "{line}");
    }
    // Every event of the template is one that a driver would write.
    for line in read("plugins/templates/events.jsonl").lines() {
        let document: Document = serde_json::from_str(line).expect("it is Extended JSON");
        assert!(matches!(document.get("_id"), Some(Bson::String(_))), "{line}");
    }
}
