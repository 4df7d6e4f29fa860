//! Bad input of the author's commands: exit code 2, and a line that says what to do.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::{fs, io};

use super::{laterna, repository, run, with_toolchains};
use crate::guests;
use crate::support::world::said;

fn refused(folder: &Path, arguments: &[&str], expect: &str) {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
    assert!(said(&output).contains(expect), "{arguments:?}: {}", said(&output));
}

/// A folder with files in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        fs::write(path, text).expect("it is written");
    }
    folder
}

#[test]
fn new_refuses_languages_names_and_folders_that_it_cannot_take() {
    let folder = folder(&[("taken", "a file"), ("there/a", "a folder")]);
    let check =
        |name: &str, lang: &str, expect: &str| refused(folder.path(), &["new", name, "--lang", lang], expect);
    check("a", "cobol", "[possible values: rust, javascript, typescript, python]");
    check("taken", "rust", "`taken` is there already");
    check("there", "rust", "`there` is there already");
    check("../up", "rust", "is no name for a projector");
    check("Upper", "python", "is no name for a projector");
    check("test", "rust", "means something else to the tools");
    refused(folder.path(), &["new", "a"], "--lang");
    // Nothing was begun.
    assert_eq!(fs::read_dir(folder.path()).expect("it can be listed").count(), 2);
}

#[test]
fn build_says_what_is_missing_and_how_to_get_it() {
    let check = |files: &[(&str, &str)], expect: &str| {
        let folder = folder(files);
        let empty = tempfile::tempdir().expect("a folder");
        let output = laterna(folder.path(), &["build"]).env("PATH", empty.path()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(expect), "{}", said(&output));
    };
    check(&[], "is no projector's project");
    check(&[("Cargo.toml", "")], "`rustc` is not here: install Rust from https://rustup.rs");
    check(&[("package.json", "{}")], "are not installed: npm install");
    check(
        &[("package.json", "{}"), ("node_modules/a", "")],
        "`npm` is not here: install Node.js 18 or newer",
    );
    check(
        &[("src/app.py", "")],
        "`componentize-py` is not here: python3 -m venv .venv && .venv/bin/pip install --requirement requirements.txt",
    );
    refused(Path::new("."), &["build", "nowhere"], "there is no folder nowhere");
}

#[test]
fn a_build_that_fails_is_told_in_the_tools_own_words() {
    let wit = fs::read_to_string(repository().join("wit/projection.wit")).expect("the contract is there");
    let check = |files: &[(&str, &str)], tool: &str, expect: &str| {
        let folder = folder(files);
        let mut command = laterna(folder.path(), &["build"]);
        command.env_remove("RUSTC_WORKSPACE_WRAPPER");
        let output = with_toolchains(&mut command).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        let said = said(&output);
        assert!(said.contains(&format!("`{tool}` failed")) && said.contains(expect), "{said}");
    };
    check(
        &[("Cargo.toml", "[package]\nname = \"a\"\n[workspace]\n"), ("src/lib.rs", "fn f() -> u8 { \"x\" }")],
        "cargo",
        "mismatched types",
    );
    let package = r#"{ "scripts": { "build": "node -e 'throw new Error(\"no such thing\")'" } }"#;
    check(&[("package.json", package), ("node_modules/a", "")], "npm", "no such thing");
    check(
        &[("src/app.py", "import nothing_like_it\n"), ("wit/projection.wit", &wit)],
        "componentize-py",
        "nothing_like_it",
    );
}

#[test]
fn a_build_that_makes_no_projector_is_refused_as_by_a_host() {
    let library = "[package]\nname = \"a\"\nedition = \"2024\"\n[workspace]\n";
    let files: [(&str, &str); 2] = [("Cargo.toml", library), ("src/lib.rs", "")];
    let library = folder(&files);
    let mut command = laterna(library.path(), &["build"]);
    let output = command.env_remove("RUSTC_WORKSPACE_WRAPPER").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("cargo built no component: Cargo.toml needs"), "{}", said(&output));

    let package = r#"{ "scripts": { "build": "cp other.wasm dist/$(basename $PWD).wasm" } }"#;
    let other = folder(&[("package.json", package), ("node_modules/a", "")]);
    fs::copy(guests::path("other-world"), other.path().join("other.wasm")).expect("it is copied");
    let output = with_toolchains(&mut laterna(other.path(), &["build"])).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("it is no projector: it has to export"), "{}", said(&output));
}

#[test]
fn a_build_that_makes_nothing_better_leaves_the_component_of_the_build_before() {
    let package = |script: &str| format!(r#"{{ "scripts": {{ "build": "{script}" }} }}"#);
    let copies = "cp next.wasm dist/$(basename $PWD).wasm";
    let project = folder(&[("package.json", &package(copies)), ("node_modules/a", "")]);
    let path = project.path();
    let build = |guest: &str, script: &str| {
        fs::copy(guests::path(guest), path.join("next.wasm")).expect("it is copied");
        fs::write(path.join("package.json"), package(script)).expect("it is written");
        let output = with_toolchains(&mut laterna(path, &["build"])).output().expect("it runs");
        (output.status.code(), said(&output))
    };
    let dist = || {
        let files = fs::read_dir(path.join("dist")).expect("it is there");
        let name =
            |file: io::Result<fs::DirEntry>| file.expect("a file").file_name().into_string().expect("text");
        files.map(name).collect::<BTreeSet<_>>()
    };
    let name = path.file_name().and_then(OsStr::to_str).expect("a name");
    let (component, aside) = (format!("{name}.wasm"), format!("{name}.refused.wasm"));
    let (code, told) = build("other-world", copies);
    assert_eq!((code, dist()), (Some(1), BTreeSet::from([aside.clone()])), "{told}");
    let (code, told) = build("recorder", copies);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(dist(), BTreeSet::from([component.clone(), aside.clone()]));
    let bytes = fs::read(path.join("dist").join(&component)).expect("it is built");
    for (guest, script, expected) in [("other-world", copies, 1), ("recorder", "exit 3", 2)] {
        let (code, told) = build(guest, script);
        assert_eq!(code, Some(expected), "{told}");
        assert!(told.contains(&format!("{component} is still the component of the build before")), "{told}");
        assert_eq!(fs::read(path.join("dist").join(&component)).expect("it is there"), bytes);
    }
    assert_eq!(dist(), BTreeSet::from([component, aside]), "nothing else is left");
}

#[test]
fn test_refuses_what_is_no_component_and_what_are_no_events() {
    let event = r#"{"_id":"e1","type":"T","aggregateType":"a","aggregateId":"1","payload":{}}"#;
    let folder = folder(&[
        ("text.wasm", "hello"),
        ("empty.wasm", ""),
        ("good.jsonl", event),
        ("bad.jsonl", &format!("{event}\n\n{event}\n{{\"_id\":\n")),
        ("list.jsonl", "[]\n"),
        ("none.jsonl", "\n\n"),
        ("number.jsonl", r#"{"_id":{"$numberLong":"x"}}"#),
    ]);
    fs::write(folder.path().join("core.wasm"), wat::parse_str("(module)").expect("it parses"))
        .expect("a file");
    let check = |component: &str, events: &str, expect: &str| {
        refused(folder.path(), &["test", component, "--events", events], expect);
    };
    check("nowhere.wasm", "good.jsonl", "nowhere.wasm: cannot be read");
    check("text.wasm", "good.jsonl", "it is not WebAssembly");
    check("empty.wasm", "good.jsonl", "it is empty");
    check("core.wasm", "good.jsonl", "it is a core module, not a component");
    let path = guests::path("recorder");
    let recorder = path.to_str().expect("a path");
    check(recorder, "nowhere.jsonl", "the events nowhere.jsonl cannot be read");
    check(recorder, "bad.jsonl", "bad.jsonl, line 4: it is not Extended JSON: EOF while parsing");
    check(recorder, "list.jsonl", "list.jsonl, line 1: it is not a JSON object");
    check(recorder, "number.jsonl", "number.jsonl, line 1: it is not Extended JSON");
    check(recorder, "none.jsonl", "none.jsonl has no events");
    let path = guests::path("bad-function");
    check(path.to_str().expect("a path"), "good.jsonl", "bad-function.wasm: ");
    refused(folder.path(), &["test", recorder, "--events", "good.jsonl", "--update"], "--expect");
    refused(folder.path(), &["test", recorder], "--events");
    let unknown = ["test", recorder, "--events", "good.jsonl", "--projection", "p"];
    let says = "cannot read the configuration laterna.toml; name another with --config, or write one with `laterna init`";
    refused(folder.path(), &unknown, says);
}

#[test]
fn inspect_shows_also_what_is_refused() {
    let folder = folder(&[("text.wasm", "hello")]);
    fs::write(folder.path().join("core.wasm"), wat::parse_str("(module)").expect("it parses"))
        .expect("a file");
    refused(folder.path(), &["inspect", "core.wasm"], "it is a core module, not a component");
    refused(folder.path(), &["inspect", "text.wasm"], "it is not WebAssembly");
    refused(folder.path(), &["inspect", "nowhere.wasm"], "nowhere.wasm cannot be read");
    let path = guests::path("http-import");
    let output = run(folder.path(), &["inspect", path.to_str().expect("a path")]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let text = said(&output);
    for expect in ["digest", "imports", "wasi:http/types@0.2", "refused", "a projector has no network"] {
        assert!(text.contains(expect), "{expect}: {text}");
    }
}

#[test]
fn inspect_shows_digest_imports_tables_and_statements() {
    use sha2::{Digest, Sha256};
    let path = guests::path("accounts");
    let output = run(Path::new("."), &["inspect", path.to_str().expect("a path")]);
    let text = super::succeeds(&output);
    let digest = hex::encode(Sha256::digest(guests::bytes("accounts")));
    for expect in [
        digest.as_str(),
        "laterna:projection/projector@0.1.0",
        "wasi:cli/stderr@0.2",
        "projector   accounts 0.1.0",
        "AccountOpened, MoneyDeposited",
        "table       accounts",
        "statement   move_money, 4 parameters",
        "DELETE FROM `accounts` WHERE `account_id` = ?",
    ] {
        assert!(text.contains(expect), "{expect}: {text}");
    }
}
