//! Mistakes that a language makes easy: the author is told which one it was, in which statement, parameter and line, and
//! the way out that is told works.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{laterna, repository, run, succeeds, with_toolchains};
use crate::support::world::said;

/// Where the sources are that make the mistakes.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/author/mistakes");

/// A mistake's name in the source, and what is said about it.
type Told = (&'static str, &'static [&'static str]);

/// A new project whose own code is this.
fn project(folder: &Path, language: &str, code: &str, text: &str) -> PathBuf {
    succeeds(&run(folder, &["new", "tried", "--lang", language]));
    let project = folder.join("tried");
    fs::write(project.join(code), text).expect("it is written");
    symlink(repository().join("target/toolchains/node_modules"), project.join("node_modules"))
        .expect("a link");
    project
}

fn source(name: &str) -> String {
    fs::read_to_string(Path::new(SOURCES).join(name)).expect("the source is there")
}

fn build(project: &Path) -> std::process::Output {
    with_toolchains(&mut laterna(project, &["build"])).output().expect("the binary runs")
}

/// Each event's answer, under its name.
fn answers(project: &Path, names: &[&str]) -> Vec<String> {
    let payload = json!({
        "name": "ab😀cd", "oid": { "$oid": "0123456789abcdef01234567" }, "price": { "$numberDecimal": "12.30" },
        "at": { "$date": "2026-01-31T12:00:00.5Z" }, "old": { "$date": { "$numberLong": "-1" } },
        "big": { "$numberLong": "9007199254740993" }, "bin": { "$binary": { "base64": "AQI=", "subType": "00" } },
    });
    let event = |name: &&str| {
        let mut payload = payload.clone();
        payload["do"] = json!(name);
        json!({ "_id": name, "type": "Happened", "aggregateType": "thing", "aggregateId": "1", "payload": payload })
    };
    let lines: String = names.iter().map(event).map(|event| event.to_string() + "\n").collect();
    fs::write(project.join("events.jsonl"), lines).expect("it is written");
    let text = said(&run(project, &["test", "dist/tried.wasm", "--events", "events.jsonl"]));
    let answer = |name: &&str| {
        let answer = text.split(&format!("of thing/1, event {name}\n")).nth(1);
        let answer = answer.unwrap_or_else(|| panic!("{name} is missing in {text}"));
        answer.split("-- | fuel").next().expect("the answer").to_owned()
    };
    names.iter().map(answer).collect()
}

/// Builds a source and checks what is said about each of its mistakes. `LINE` is the line that makes it.
fn are_told(language: &str, code: &str, source: &str, mistakes: &[Told]) {
    let folder = tempfile::tempdir().expect("a folder");
    let project = project(folder.path(), language, code, source);
    succeeds(&build(&project));
    let names: Vec<&str> = mistakes.iter().map(|(name, _)| *name).collect();
    for ((name, expect), answer) in mistakes.iter().zip(answers(&project, &names)) {
        let is_here = |line: &str| {
            let line = line.trim_start().trim_start_matches('"');
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['"', ':']))
        };
        let line = source.lines().position(is_here).unwrap_or_else(|| panic!("{name} is in the source")) + 1;
        let file = code.strip_prefix("src/").filter(|_| language == "python").unwrap_or(code);
        for expect in *expect {
            let expect = expect.replace("LINE", &format!("{file}:{line}"));
            assert!(answer.contains(&expect), "{name}: {expect} is missing in\n{answer}");
        }
    }
}

/// What JavaScript and TypeScript are told.
const SCRIPT: [Told; 22] = [
    (
        "forgot",
        &["as failed: statement `change`, parameter 1: \"ab😀cd\" has no type; write `text(...)`", "LINE"],
    ),
    ("typo", &["there is no statement `sav`; there are save, change", "LINE"]),
    ("count", &["the statement `save` takes 2 parameters, and gets 1", "LINE"]),
    ("none", &["statement `save`, parameter 2: it is undefined; `optional(value, text)` makes NULL"]),
    (
        "missing",
        &[
            "statement `save`, parameter 2: text() takes a string, not undefined; is the field missing",
            "LINE",
        ],
    ),
    (
        "double",
        &[
            "as invalid: statement `save`, parameter 2: decimal() takes an exact number, and 0.1 is a double",
            "LINE",
        ],
    ),
    ("fraction", &["statement `save`, parameter 2: 1.5 has no type; write `number(1.5)`"]),
    ("nan", &["number() takes a finite number, not NaN", "LINE"]),
    ("large", &["1152921504606847000, which is beyond 2^53", "LINE"]),
    (
        "cut",
        &[
            "statement `save`, parameter 2: text() got a text that was cut inside a character",
            "Array.from(text)",
            "LINE",
        ],
    ),
    ("cut_json", &["json() got a text that was cut inside a character", "LINE"]),
    (
        "date",
        &[
            "timestamp() takes RFC 3339 text such as \"2026-01-31T12:00:00Z\", or a date, not \"ab😀cd\"",
            "LINE",
        ],
    ),
    ("promise", &["the handler of Happened is async: there is nothing to wait for"]),
    ("nothing", &["has to return a list of operations, `[]` for none, and returned undefined"]),
    ("nested", &["has to return a list of operations, and item 0 is [{"]),
    ("random", &["Math.random() differs each time", "derive ids from the event's id", "LINE"]),
    ("clock", &["Date.now() differs each time", "use the event's time", "LINE"]),
    ("date_of_today", &["new Date() differs each time", "LINE"]),
    (
        "key",
        &["rejected the event as failed: TypeError: cannot read property 'deeper' of undefined\n", "LINE"],
    ),
    ("rejects", &["rejected the event as invalid: as it should\n"]),
    (
        "logs",
        &["VALUES ('0123456789abcdef01234567', '12.30')", "INFO seen ab😀cd {\"n\":1}", "WARN cut \u{fffd}"],
    ),
    (
        "values",
        &[
            "VALUES ('2026-01-31T12:00:00.500Z', '1969-12-31T23:59:59.999Z')",
            "VALUES ('9007199254740993', CONCAT(_utf8mb4 X'0102'))",
            "VALUES ('2026-01-31T12:00:00.500Z', NULL)",
            "VALUES ('ab😀', '{\"$date\":\"2026-01-31T12:00:00.5Z\"}')",
        ],
    ),
];

#[test]
fn javascript_names_the_statement_the_parameter_and_the_line_of_a_mistake() {
    are_told("javascript", "projector.js", &source("mistakes.js"), &SCRIPT);
}

#[test]
fn typescript_names_the_lines_of_its_sources() {
    let text = source("mistakes.js").replace("./laterna", "../laterna");
    let code = "src/projector.ts";
    // What the compiler would refuse is what is tried.
    are_told(
        "typescript",
        code,
        &format!("// @ts-nocheck\ntype Unused<T> = {{\n    of: T;\n}};\n{text}"),
        &SCRIPT,
    );
}

#[test]
fn typescript_does_not_compile_with_a_forgotten_type_or_a_statement_that_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let code = repository().join("plugins/templates/typescript/src/projector.ts");
    let template = fs::read_to_string(code).expect("the template is there");
    let project = project(folder.path(), "typescript", "src/projector.ts", &template);
    for (from, to, expect) in [
        ("sql.forget(text(aggregateId))", "sql.forgot(text(aggregateId))", "'forgot' does not exist"),
        (
            "sql.forget(text(aggregateId))",
            "sql.forget(aggregateId)",
            "'string' is not assignable to parameter of type 'Value'",
        ),
        ("({ aggregateId }) =>", "async ({ aggregateId }) =>", "Promise<Operation[]>"),
    ] {
        let text = template.replace(from, to);
        assert_ne!(text, template, "the template has {from}");
        fs::write(project.join("src/projector.ts"), text).expect("it is written");
        let told = said(&build(&project));
        assert!(told.contains(expect) && told.contains("src/projector.ts"), "{expect}: {told}");
        assert!(told.contains("`npm` failed"), "{told}");
    }
}

#[test]
fn python_names_the_statement_the_parameter_and_the_line_of_a_mistake() {
    const PYTHON: [Told; 30] = [
        (
            "forgot",
            &["as failed: statement `change`, parameter 1: 'ab😀cd' has no type; write text(...)", "LINE"],
        ),
        ("typo", &["there is no statement `sav`; there are save, change", "LINE"]),
        ("count", &["the statement `save` takes 2 parameters, and gets 1", "LINE"]),
        ("none", &["statement `save`, parameter 2: it is None; optional(value, text) makes NULL"]),
        (
            "missing",
            &["statement `save`, parameter 2: text() takes a str, not None; is the field missing", "LINE"],
        ),
        (
            "double",
            &[
                "as invalid: statement `save`, parameter 2: decimal() takes an exact number, and 0.1 is a float",
                "LINE",
            ],
        ),
        ("truth", &["integer() takes a whole number, not True", "LINE"]),
        ("nan", &["number() takes a finite number, not nan", "LINE"]),
        ("number", &["text() takes a str, not 5", "LINE"]),
        ("cut", &["text() got text with half of a character", "LINE"]),
        ("zone", &["timestamp() got 2026-01-31 00:00:00, which has no time zone", "LINE"]),
        ("date", &["timestamp() takes RFC 3339 text such as \"2026-01-31T12:00:00Z\"", "LINE"]),
        ("async", &["the handler of Happened is async: there is nothing to wait for"]),
        ("nothing", &["has to return a list of operations, [] for none, and returned None"]),
        ("nested", &["has to return a list of operations, and item 0 is [Operation("]),
        (
            "random",
            &["the module `random` gives other numbers each time", "derive ids from the event's id", "LINE"],
        ),
        ("chance", &["the module `random` gives other numbers each time", "chance (app.py:"]),
        ("clock", &["as failed: time.time() differs each time", "use the event's time", "LINE"]),
        ("clock_imported", &["time.monotonic() differs each time", "LINE"]),
        ("clock_of_today", &["time.strftime() differs each time", "LINE"]),
        ("now", &["datetime.now() differs each time", "event.occurred_at", "LINE"]),
        ("now_by_name", &["datetime.now() differs each time", "LINE"]),
        ("utcnow", &["datetime.utcnow() differs each time", "LINE"]),
        ("today", &["date.today() differs each time", "LINE"]),
        ("sleep", &["time.sleep() waits, and a projector never does", "LINE"]),
        (
            "dated",
            &[
                "VALUES ('2026-01-31T12:00:00.000Z', 'True 1970 1 day, 0:00:00')",
                "VALUES ('2026-01-31T12:00:00.000Z', 'False')",
            ],
        ),
        ("key", &["rejected the event as failed: KeyError: 'nothing'\n", "LINE"]),
        ("rejects", &["rejected the event as invalid: as it should\n"]),
        ("logs", &["VALUES ('0123456789abcdef01234567', '12.30')", "WARN seen ab😀cd"]),
        (
            "values",
            &[
                "VALUES ('2026-01-31T12:00:00.500Z', '1969-12-31T23:59:59.999Z')",
                "VALUES ('9007199254740993', CONCAT(_utf8mb4 X'0102'))",
                "VALUES ('0.00000001', NULL)",
                "'{\"$date\":\"2026-01-31T12:00:00.5Z\"}')",
            ],
        ),
    ];
    are_told("python", "src/app.py", &source("mistakes.py"), &PYTHON);
}

#[test]
fn javascript_without_the_sdk_is_told_about_cut_characters_and_unknown_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let project = project(folder.path(), "javascript", "projector.js", &source("by_hand.js"));
    succeeds(&build(&project));
    let [cut, typo] = answers(&project, &["cut", "typo"]).try_into().expect("two answers");
    assert!(cut.contains("trapped") && cut.contains("cut inside a character"), "{cut}");
    assert!(cut.contains(r#"Array.from(text).slice(0, 20).join("")"#), "{cut}");
    assert!(typo.contains("uses statement 4294967295 (which is -1: its name was not found)"), "{typo}");
}

#[test]
fn python_without_the_sdk_that_logs_is_told_what_to_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let project = project(folder.path(), "python", "src/app.py", &source("by_hand.py"));
    succeeds(&build(&project));
    let [told, taken] = answers(&project, &["logging", "print"]).try_into().expect("two answers");
    assert!(told.contains("it read the clock") && told.contains("Python's `logging`"), "{told}");
    for way_out in ["print", "log.write"] {
        assert!(told.contains(way_out), "{told}");
    }
    assert!(taken.contains("INSERT INTO `notes`") && taken.contains("seen, too"), "{taken}");
}

#[test]
fn what_is_wrong_with_a_definition_is_told_by_the_build() {
    let folder = tempfile::tempdir().expect("a folder");
    let code = repository().join("plugins/templates/javascript/projector.js");
    let template = fs::read_to_string(code).expect("the template is there");
    let project = project(folder.path(), "javascript", "projector.js", &template);
    for (from, to, expect) in [
        (
            "version: \"0.1.0\",",
            "version: \"0.1.0\",\n    ordering: \"streams\",",
            "it is \"aggregate\" or \"stream\"",
        ),
        ("CustomerForgotten: (", "CustomerForgotten: async (", "the handler of CustomerForgotten is async"),
        ("statements: sql,", "statements: {},", "`statements` is what the function `statements` made"),
    ] {
        let text = template.replace(from, to);
        assert_ne!(text, template, "the template has {from}");
        fs::write(project.join("projector.js"), text).expect("it is written");
        let told = said(&build(&project));
        assert!(told.contains(expect) && told.contains("/projector.js:"), "{expect}: {told}");
    }
}
