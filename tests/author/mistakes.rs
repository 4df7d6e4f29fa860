//! Mistakes that a language makes easy: the author is told which one it was, and the way out that is told works.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{laterna, repository, run, succeeds, with_toolchains};
use crate::support::world::said;

/// One event, with a name whose twentieth character is an emoji.
const EVENT: &str = r#"{"_id":"e1","type":"CustomerRegistered","aggregateType":"customer","aggregateId":"c1","sequence":1,"occurredAt":{"$date":"2026-01-31T12:00:00Z"},"payload":{"name":"nineteen characters😀 and more"}}"#;

/// Begins a project, changes its code, builds it, and tells what becomes of the event.
fn tried(folder: &Path, language: &str, code: &str, changes: &[[&str; 2]]) -> String {
    let name = "tried";
    let project = folder.join(name);
    if project.exists() {
        fs::remove_dir_all(&project).expect("the try before goes");
    }
    succeeds(&run(folder, &["new", name, "--lang", language]));
    let mut text = fs::read_to_string(project.join(code)).expect("the template is there");
    for [from, to] in changes {
        assert!(text.contains(from), "the template has changed: there is no {from}");
        text = text.replacen(from, to, 1);
    }
    fs::write(project.join(code), text).expect("it is written");
    let modules = repository().join("target/toolchains/node_modules");
    symlink(modules, project.join("node_modules")).expect("a link");
    let built = with_toolchains(&mut laterna(&project, &["build"])).output().expect("the binary runs");
    succeeds(&built);
    fs::write(project.join("events.jsonl"), EVENT).expect("it is written");
    said(&run(&project, &["test", "dist/tried.wasm", "--events", "events.jsonl"]))
}

#[test]
fn javascript_that_cuts_a_character_is_told_how_to_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let cut = |how: &str| {
        let name = r#"text(needed(payload, "name"))"#;
        tried(
            folder.path(),
            "javascript",
            "projector.js",
            &[[name, &how.replace("NAME", r#"needed(payload, "name")"#)]],
        )
    };
    let told = cut("text(NAME.slice(0, 20))");
    let way_out = r#"Array.from(text).slice(0, 20).join("")"#;
    assert!(
        told.contains("trapped") && told.contains("cut inside a character") && told.contains(way_out),
        "{told}"
    );
    let taken = cut(&format!("text({})", way_out.replace("text", "NAME")));
    assert!(taken.contains("'nineteen characters😀'"), "{taken}");
}

#[test]
fn python_that_logs_is_told_what_to_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let imports = "import json\nimport logging\nfrom wit_world.imports import log";
    let logs = |how: &str| {
        let code = format!("payload = json.loads(event.payload)\n    {how}");
        tried(
            folder.path(),
            "python",
            "src/app.py",
            &[["import json", imports], ["payload = json.loads(event.payload)", &code]],
        )
    };
    let told = logs("logging.warning('seen')");
    assert!(told.contains("it read the clock") && told.contains("Python's `logging`"), "{told}");
    for way_out in ["print", "log.write"] {
        assert!(told.contains(way_out), "{told}");
    }
    let taken = logs("print('seen'); log.write(log.Level.INFO, 'seen, too')");
    assert!(taken.contains("INSERT INTO `customers`") && taken.contains("seen, too"), "{taken}");
}
