//! The rules of the house that a machine can hold: sizes, names, the direction of imports, what must not be in the
//! code, and that documents tell of things that exist.
//!
//! Every rule is a function from a tree of files to what is wrong in it, and each test first shows that its rule
//! finds a bad sample and passes a good one: a rule that finds nothing anywhere would hold nothing. It reads files
//! only, and knows nothing of Rust but its tokens.

mod agreement;
mod code;
mod document;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use code::{
    BLANKED, attributes, blank, functions, has_word, item_end, mark_tests, module_path, module_uses,
    top_module, uses_crate, without_tests, word_starts,
};
use document::{anchors, link_targets, quoted};
use tree::{
    BINARY, Tree, documents, exists, has_extension, host, is_somewhere, is_test_folder, programs, repository,
    resolve, rust, test_names,
};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Modules of the host in layers: each may use the layers before it.
const VOCABULARY: [&str; 7] = ["text", "event", "position", "fingerprint", "statement", "failure", "retry"];
const STAGES: [&str; 3] = ["source", "projector", "readmodel"];

/// What runs: each uses the stages, and those before it.
const RUNNING: [&str; 7] = ["status", "servers", "pipeline", "component", "supervisor", "operation", "admin"];

/// Crates that have one home in the host.
const HOMES: [(&str, &str); 9] = [
    ("mongodb", "source"),
    ("wasmtime", "projector"),
    ("wasmtime_wasi", "projector"),
    ("wasmparser", "projector"),
    ("sqlx", "readmodel"),
    ("axum", "admin"),
    ("hyper", "admin"),
    ("hyper_util", "admin"),
    ("sqlparser", "sql"),
];

const VAGUE_NAMES: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "prelude", "manager", "misc"];

/// The files and folders that stand at the root.
const ROOT: [&str; 20] = [
    ".ci",
    ".dockerignore",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "clippy.toml",
    "compose.yaml",
    "dev",
    "docs",
    "examples",
    "host",
    "plugins",
    "rustfmt.toml",
    "tests",
    "wit",
];

type Rule = fn(&Tree) -> Vec<String>;

/// The names of all tests there are, for tables that point at some of them.
pub fn tests_of_the_repository() -> BTreeSet<String> {
    test_names(&repository())
}

// ---- the rules ----

#[test]
fn files_have_at_most_500_lines_without_their_tests() {
    let long = "//! Long.\n".to_owned() + &"fn f() {}\n".repeat(FILE_LINES_MAX);
    let tested = format!("//! Short.\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    holds(file_size, &[("host/src/a.rs", &long)], &[("host/src/a.rs", &tested), ("tests/a.rs", &long)]);
}

#[test]
fn functions_have_at_most_70_lines() {
    let long = format!(
        "fn f<T>(a: [u8; 3]) -> &'static str {{\n{}\"}}\"\n}}\n",
        "// {\n".repeat(FUNCTION_LINES_MAX)
    );
    let short = "fn f();\nfn g() {\n}\n".repeat(FUNCTION_LINES_MAX);
    holds(function_size, &[("plugins/a.rs", &long)], &[("plugins/a.rs", &short), ("tests/a.rs", &long)]);
}

#[test]
fn every_file_says_what_it_is() {
    holds(module_docs, &[("tests/guests/a.rs", "use a;\n")], &[("host/src/a.rs", "//! A thing.\nuse a;\n")]);
}

#[test]
fn files_are_named_for_what_is_in_them() {
    for bad in
        ["host/src/a/mod.rs", "plugins/sdk/src/utils.rs", "tests/common/a.rs", "host/src/lane_manager.rs"]
    {
        holds(names, &[(bad, "")], &[("host/src/lane.rs", "")]);
    }
}

#[test]
fn imports_go_one_way() {
    for bad in [
        ("host/src/event.rs", "use crate::sql::check;"),
        ("host/src/sql/dml.rs", "use crate::{event::Id, source::Fields};"),
        ("host/src/source/tail.rs", "fn f() { crate::readmodel::Batch::new() }"),
        ("host/src/projector.rs", "use super::source::Fields;"),
        ("host/src/projector/guest.rs", "mod tests { use super::super::super::pipeline::lane::Lane; }"),
        (
            "host/src/readmodel/lane/apply.rs",
            "use crate::{\n    sql::{a, b},\n    projection::{c as d, e},\n};",
        ),
        ("host/src/pipeline/lane.rs", "use crate::operation::load;"),
        ("host/src/pipeline/run.rs", "use crate::supervisor::startup;"),
        ("host/src/status.rs", "use crate::pipeline::run;"),
        ("host/src/component/registry.rs", "use crate::supervisor::settings;"),
        ("host/src/operation.rs", "use crate::cli::compose;"),
        ("host/src/admin.rs", "use crate::config::Config;"),
        ("host/src/config.rs", "use crate::projector::Engine;"),
        ("host/src/config/check.rs", "use crate::source::{Fields, Outbox};"),
        ("host/src/telemetry.rs", "use crate::status::Status;"),
        ("host/src/stranger.rs", "use crate::event::Id;"),
    ] {
        holds(imports, &[bad], &[]);
    }
    let good = [
        ("host/src/event.rs", "use crate::position::Position; // crate::cli"),
        (
            "host/src/readmodel/lane/apply.rs",
            "use crate::{event::Id, sql::coalesce}; use super::batch::Batch;",
        ),
        ("host/src/pipeline/ports.rs", "use crate::source::Feed; const A: &str = \"crate::cli::A\";"),
        ("host/src/cli/run.rs", "use crate::{admin, shutdown, telemetry}; use super::super::config::Config;"),
        ("host/src/config.rs", "use crate::projector::Budget; mod tests { use super::*; }"),
        ("host/src/main.rs", "fn main() { laterna::cli::Cli::parse() }"),
    ];
    holds(imports, &[], &good);
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let bad = [
        ("host/src/a/one.rs", "use super::two::Two;"),
        ("host/src/a/two.rs", "use crate::b::Three;"),
        ("host/src/b.rs", "fn f() { crate::a::one::one() }"),
    ];
    let good = [
        ("host/src/a.rs", "mod one; use one::One; #[cfg(test)] mod tests { use crate::b::B; }"),
        ("host/src/a/one.rs", "use super::A; mod tests { use super::*; }"),
        ("host/src/b.rs", "use crate::a::A; // crate::a::one"),
    ];
    holds(circles, &bad, &good);
}

#[test]
fn a_driver_is_used_in_its_home_only() {
    let good = [
        ("host/src/readmodel/mysql/bind.rs", "use sqlx::MySql;"),
        ("host/src/source.rs", "use mongodb::Client;"),
        ("host/src/cli/run.rs", "let uri = config.mongodb.uri; // sqlx::query"),
        ("tests/support/world.rs", "use sqlx::Row;"),
    ];
    for bad in [
        ("host/src/pipeline/lane.rs", "use {std::fmt, mongodb::Client};"),
        ("host/src/operation/load.rs", "fn f(engine: &wasmtime::Engine) {}"),
        ("host/src/cli.rs", "use axum;"),
        ("host/src/source/tail.rs", "use wasmtime_wasi::p2;"),
    ] {
        holds(homes, &[bad], &good);
    }
}

#[test]
fn no_test_is_ignored() {
    let bad = "#[test]\n#[ignore = \"slow\"]\nfn a() {}";
    holds(ignored, &[("tests/a.rs", bad)], &[("tests/a.rs", "// #[ignore]\nfn ignore() {}")]);
}

#[test]
fn nothing_is_left_to_be_done() {
    let word = concat!("FIX", "ME");
    for bad in
        [("host/src/a.rs", "fn f() { todo!() }"), ("dev/a", word), ("a.rs", "unimplemented!(\"later\")")]
    {
        holds(unfinished, &[bad], &[("dev/a", "mktemp /tmp/a.XXXXXX"), ("a.rs", "// \"todo!\" is a word")]);
    }
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    let tested = "#[cfg(test)]\nmod tests { fn f() { a.unwrap() } }";
    let good =
        [("host/src/a.rs", tested), ("tests/a.rs", "a.unwrap();"), ("host/src/b.rs", "a.unwrap_or(b)")];
    let bad = format!("{tested}\nfn f() {{ a\n    .unwrap() }}");
    holds(unwrapped, &[("host/src/a.rs", &bad)], &good);
}

#[test]
fn a_lint_is_expected_with_a_reason_and_never_allowed() {
    let good = [
        ("host/src/a.rs", "#[expect(a::b, reason = \"so\")]\nfn allow(a: u8) {} const A: u8 = x[allow(1)];"),
        (
            "plugins/a.rs",
            "macro_rules! a { () => { #[allow(b, reason = \"only some callers' code has it\")] } }",
        ),
    ];
    for bad in [
        "#[allow(dead_code)]",
        "#![allow(a)]",
        "#[cfg_attr(test, allow(a, reason = \"so\"))]",
        "#[expect(dead_code)]",
        "macro_rules! a { () => { #[allow(b)] } }",
    ] {
        holds(lints, &[("plugins/a.rs", bad)], &good);
    }
}

#[test]
fn a_test_waits_for_a_state_and_never_sleeps() {
    let good =
        [("tests/support/wait.rs", "tokio::time::sleep(a)"), ("tests/bench/src/main.rs", "thread::sleep(a)")];
    for bad in ["std::thread::sleep(a);", "tokio::time::sleep (a).await", "use std::thread::sleep;"] {
        holds(sleeps, &[("tests/lanes.rs", bad)], &good);
    }
}

#[test]
fn every_link_in_a_document_leads_somewhere() {
    let good = [
        (
            "docs/a.md",
            "[b](b.md) [here](#two-words) [`c`](../host) [web](https://a.b)\n# Two `words`!\n```\n[x](y)\n```",
        ),
        ("docs/b.md", "[a](a.md#two-words)\n\n[c]: ../host/c.rs\n\n`[x](y)`"),
        ("host/c.rs", ""),
    ];
    for bad in ["[b](nowhere.md)", "[b](#nowhere)", "[b](b.md#nowhere)", "[b]: nowhere.md"] {
        holds(links, &[("docs/a.md", bad), ("docs/b.md", "# Two")], &good);
    }
}

#[test]
fn every_decision_is_in_the_index_and_has_a_number_of_its_own() {
    let index = ("docs/adr/README.md", "[1](0001-a.md)");
    holds(decisions, &[index, ("docs/adr/0001-a.md", ""), ("docs/adr/0002-b.md", "")], &[]);
    let two = "[1](0001-a.md) [2](0001-b.md)";
    let twins = [("docs/adr/README.md", two), ("docs/adr/0001-a.md", ""), ("docs/adr/0001-b.md", "")];
    holds(decisions, &twins, &[index, ("docs/adr/0001-a.md", "")]);
}

#[test]
fn no_file_knows_a_machine() {
    let (home, work) = (concat!("/ho", "me/me/a"), concat!("cd /wo", "rk/main"));
    let good = [
        (
            "dev/a",
            concat!("cd \"$a/ro", "ot\" \"$a\"/ro", "ot ${a}/ro", "ot ../ro", "ot https://a.b/wo", "rk/c"),
        ),
        ("dev/b", "/homestead"),
    ];
    for bad in [home, work, concat!("x=/ro", "ot"), concat!("x=\"/ro", "ot/a\"")] {
        holds(machine_paths, &[("dev/a", bad)], &good);
    }
}

#[test]
fn the_root_holds_what_is_listed_and_no_file_is_binary() {
    let good = [("host/src/a.rs", ""), ("README.md", "# A")];
    holds(strays, &[("a-1.0-py3-none-any.whl", "")], &good);
    holds(strays, &[("docs/a.zip", BINARY)], &[]);
}

#[test]
fn every_promise_of_the_readme_names_tests_that_exist() {
    let test =
        ("tests/a.rs", "#[tokio::test(flavor = \"x\")]\nasync fn it_holds() {}\nfn it_is_no_test() {}");
    let promise =
        |proof: &str| format!("| promise | test |\n|---|---|\n| **G1** Nothing is lost. | {proof} |\n");
    for bad in ["", "trust us", "`it_fails`", "`a::it_is_no_test`", "`a::it_holds` and `it_fails`"] {
        holds(promises, &[("README.md", &promise(bad)), test], &[]);
    }
    holds(
        promises,
        &[("README.md", "# No promises"), test],
        &[("README.md", &promise("`tests::a::it_holds`")), test],
    );
}

#[test]
fn the_tests_and_files_that_documents_name_exist() {
    let code = ("host/src/sql/a.rs", "#[test]\nfn this_is_how_it_is() {}");
    let good =
        "`this_is_how_it_is`, `sql/a.rs`, `host/src/sql`, `innodb_flush_log_at_trx_commit`, `sql/*.rs`";
    for bad in ["`this_is_not_how_it_is`", "`sql/b.rs`", "`host/src/nowhere`"] {
        holds(mentions, &[("docs/a.md", bad), code], &[("docs/a.md", good), code]);
    }
}

#[test]
fn every_breakage_fits_the_code_and_says_which_test_notices() {
    let code = ("host/src/a.rs", "fn a() {\n    one();\n    two();\n}\n");
    let patch = |head: &str, line: &str| {
        format!(
            "{head}\ndiff --git a/host/src/a.rs b/host/src/a.rs\n--- a/host/src/a.rs\n+++ b/host/src/a.rs\n\
                 @@ -1,4 +1,3 @@\n fn a() {{\n     one();\n-    {line}();\n }}\n"
        )
    };
    let (head, name) = ("Breaks: it\nCaught by: main a\n", "tests/mutants/a.patch");
    for (head, line) in
        [("", "two"), ("Breaks: it\n", "two"), ("Breaks: it\nCaught by: nobody a\n", "two"), (head, "three")]
    {
        holds(mutants, &[(name, &patch(head, line)), code], &[]);
    }
    holds(mutants, &[], &[(name, &patch(head, "two")), code]);
}

/// Fails unless the rule finds something in the bad sample, nothing in the good one, and nothing in the repository.
#[track_caller]
fn holds(rule: Rule, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    let tree = |sample: &[(&str, &str)]| -> Tree {
        sample.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    };
    assert!(
        bad.is_empty() || !rule(&tree(bad)).is_empty(),
        "the rule does not find what is wrong in {bad:?}"
    );
    if !good.is_empty() {
        assert_eq!(rule(&tree(good)), Vec::<String>::new(), "the rule finds fault with a good sample");
    }
    let found = rule(&repository());
    assert!(found.is_empty(), "{} in the repository:\n{}", found.len(), found.join("\n"));
}

fn file_size(tree: &Tree) -> Vec<String> {
    let too_long = |(path, text): (&String, String)| {
        let lines = text.lines().filter(|line| !line.starts_with(BLANKED)).count();
        (lines > FILE_LINES_MAX).then(|| format!("{path}: {lines} lines, at most {FILE_LINES_MAX}: split it"))
    };
    programs(tree).map(|(path, text)| (path, mark_tests(text))).filter_map(too_long).collect()
}

fn function_size(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in programs(tree) {
        let code = without_tests(text);
        for (at, name) in functions(&code) {
            let Some(end) = item_end(&code, at) else { continue };
            let lines = code[at..end].lines().count();
            if lines > FUNCTION_LINES_MAX {
                found.push(format!("{path}: `{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}"));
            }
        }
    }
    found
}

fn strays(tree: &Tree) -> Vec<String> {
    let is_listed = |path: &str| ROOT.contains(&path.split('/').next().unwrap_or(path));
    // What tools and tests leave behind is ignored by git, too.
    let left = ["node_modules", "__pycache__", ".laterna"];
    let is_left =
        |path: &str| has_extension(path, "profraw") || path.split('/').any(|part| left.contains(&part));
    let stray = tree.iter().filter_map(|(path, text)| match text.as_str() {
        _ if !is_listed(path) => Some(format!("{path}: nothing of this name belongs at the root")),
        BINARY if !is_left(path) => Some(format!("{path}: a binary file; build or fetch it by a script")),
        _ => None,
    });
    stray.collect()
}

fn module_docs(tree: &Tree) -> Vec<String> {
    let silent = rust(tree).filter(|(_, text)| !text.starts_with("//!"));
    silent.map(|(path, _)| format!("{path}: begin with `//!`: what it is, and what it must not do")).collect()
}

fn names(tree: &Tree) -> Vec<String> {
    let is_vague = |part: &str| {
        let stem = part.strip_suffix(".rs").unwrap_or(part);
        let last = stem.rsplit('_').next().unwrap_or(stem);
        part == "mod.rs" || VAGUE_NAMES.contains(&stem) || VAGUE_NAMES.contains(&last)
    };
    let vague = rust(tree).filter(|(path, _)| path.split('/').any(is_vague));
    vague.map(|(path, _)| format!("{path}: name it by its domain word")).collect()
}

fn imports(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in host(tree) {
        let home = top_module(path);
        for used in module_uses(&module_path(path), &blank(text)) {
            let target = used.first().map_or("", String::as_str);
            if target != home && !may_use(home, &used) {
                found.push(format!("{path}: `{home}` must not use `crate::{}`", used.join("::")));
            }
        }
    }
    found
}

/// What the stages lend the configuration: the types of their own settings.
const SETTINGS: [(&str, &str); 5] = [
    ("projector", "Budget"),
    ("readmodel", "Acknowledge"),
    ("source", "Fields"),
    ("source", "MARK_FIELD"),
    ("source", "OnLost"),
];

/// Files that import each other in a circle, but a module and its own parts. Tests and the simulation may.
fn circles(tree: &Tree) -> Vec<String> {
    let files: Vec<(Vec<String>, &str)> = host(tree)
        .filter(|(path, _)| {
            !["/simulation", "/tests", "/random", "test_component"].iter().any(|part| path.contains(part))
        })
        .map(|(path, text)| (module_path(path), text.as_str()))
        .collect();
    let names: BTreeSet<&[String]> = files.iter().map(|(name, _)| &name[..]).collect();
    let home = |used: &[String]| (1..=used.len()).rev().find_map(|end| names.get(&used[..end]).copied());
    let mut uses: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
    for (name, text) in &files {
        let paths = module_uses(name, &without_tests(text));
        let others = paths.iter().filter_map(|path| home(path));
        uses.insert(
            name,
            others.filter(|other| !other.starts_with(name) && !name.starts_with(other)).collect(),
        );
    }
    let reaches = |from: &[String], to: &[String]| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(next) = open.pop() {
            if next == to {
                return true;
            }
            if seen.insert(next) {
                open.extend(uses.get(next).into_iter().flatten().copied());
            }
        }
        false
    };
    let arrows = uses.iter().flat_map(|(from, others)| others.iter().map(move |to| (*from, *to)));
    let back = arrows.filter(|(from, to)| reaches(to, from));
    back.map(|(from, to)| format!("`{}` and `{}` import each other", from.join("::"), to.join("::")))
        .collect()
}

/// Whether a module at the top of the host may use a path of another one.
fn may_use(home: &str, used: &[String]) -> bool {
    let (target, item) = (used[0].as_str(), used.last().map_or("", String::as_str));
    let vocabulary = VOCABULARY.contains(&target);
    let pure = vocabulary || target == "sql";
    let stage = pure || STAGES.contains(&target);
    match home {
        home if VOCABULARY.contains(&home) => vocabulary,
        "sql" => vocabulary,
        home if STAGES.contains(&home) => pure,
        home if RUNNING.contains(&home) => {
            stage || RUNNING.iter().take_while(|earlier| **earlier != home).any(|earlier| *earlier == target)
        }
        "config" => vocabulary || SETTINGS.contains(&(target, item)),
        "telemetry" => vocabulary || target == "config",
        "shutdown" => vocabulary,
        "cli" | "lib" | "main" => true,
        _ => false,
    }
}

fn homes(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in host(tree) {
        let code = blank(text);
        for (driver, home) in HOMES {
            if top_module(path) != home && uses_crate(&code, driver) {
                found.push(format!("{path}: `{driver}` is used in host/src/{home} only"));
            }
        }
    }
    found
}

fn ignored(tree: &Tree) -> Vec<String> {
    let is_ignored = |_: &str, _: usize, attribute: &str| has_word(attribute, "ignore");
    with_attribute(tree, is_ignored, "a test is ignored: make it pass, or take it away")
}

fn unfinished(tree: &Tree) -> Vec<String> {
    let marks = [concat!("FIX", "ME"), concat!("XX", "X")];
    let mut found = Vec::new();
    for (path, text) in tree {
        found.extend(marks.iter().filter(|mark| has_word(text, mark)).map(|mark| format!("{path}: {mark}")));
    }
    for (path, text) in tree.iter().filter(|(path, _)| has_extension(path, "rs")) {
        let code = blank(text);
        let is_called =
            |name: &&&str| word_starts(&code, name).any(|at| code[at + name.len()..].starts_with('!'));
        found.extend(
            ["todo", "unimplemented"].iter().filter(is_called).map(|name| format!("{path}: {name}!")),
        );
    }
    found
}

fn unwrapped(tree: &Tree) -> Vec<String> {
    let code = programs(tree).map(|(path, text)| (path, without_tests(text)));
    let unwraps = code.filter(|(_, code)| code.contains(".unwrap()"));
    unwraps
        .map(|(path, _)| format!("{path}: `.unwrap()`: say why it cannot fail with `expect`, or handle it"))
        .collect()
}

fn lints(tree: &Tree) -> Vec<String> {
    let has_call = |attribute: &str, name: &str| {
        word_starts(attribute, name).any(|at| attribute[at + name.len()..].trim_start().starts_with('('))
    };
    // In a macro's code a lint may or may not be broken, so that it cannot be expected.
    let is_in_macro = |code: &str, at: usize| {
        let mut macros = word_starts(code, "macro_rules");
        macros.any(|from| from < at && item_end(code, from).is_some_and(|end| at < end))
    };
    let is_wrong = |code: &str, at: usize, attribute: &str| {
        let has_reason = has_word(attribute, "reason");
        let allows = has_call(attribute, "allow");
        allows && !(has_reason && is_in_macro(code, at)) || has_call(attribute, "expect") && !has_reason
    };
    with_attribute(tree, is_wrong, "write `#[expect(…, reason = \"…\")]`")
}

fn sleeps(tree: &Tree) -> Vec<String> {
    // The nemesis of the chaos keeps to a schedule in time: that is what it is.
    let may_sleep = |path: &str| path.starts_with("tests/support") || path.starts_with("tests/faults/chaos");
    let is_test = |path: &str| is_test_folder(path) && !may_sleep(path);
    let code = rust(tree).filter(|(path, _)| is_test(path)).map(|(path, text)| (path, blank(text)));
    let sleeping = code.filter(|(_, code)| has_word(code, "sleep"));
    sleeping.map(|(path, _)| format!("{path}: it sleeps: wait for a state with `support::until`")).collect()
}

fn links(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in documents(tree) {
        for target in link_targets(text) {
            let (file, anchor) =
                target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let file = if file.is_empty() { path.clone() } else { resolve(path, file) };
            let is_there = exists(tree, &file);
            let is_anchored = anchor.is_none_or(|anchor| {
                tree.get(&file)
                    .is_none_or(|text| !has_extension(&file, "md") || anchors(text).contains(anchor))
            });
            if !is_there || !is_anchored {
                found.push(format!("{path}: the link to `{target}` leads nowhere"));
            }
        }
    }
    found
}

fn decisions(tree: &Tree) -> Vec<String> {
    let index = tree.get("docs/adr/README.md").map_or("", String::as_str);
    let indexed: BTreeSet<&str> = link_targets(index).into_iter().collect();
    let mut numbers = BTreeSet::new();
    let mut found = Vec::new();
    for name in
        tree.keys().filter_map(|path| path.strip_prefix("docs/adr/")).filter(|name| *name != "README.md")
    {
        if !indexed.contains(name) {
            found.push(format!("docs/adr/README.md does not list {name}"));
        }
        if !numbers.insert(name.split('-').next()) {
            found.push(format!("docs/adr/{name}: its number is taken"));
        }
    }
    found
}

fn machine_paths(tree: &Tree) -> Vec<String> {
    let folders = [concat!("/wo", "rk"), concat!("/ro", "ot"), concat!("/ho", "me")];
    let is_word = |character: char| character.is_alphanumeric() || "_-".contains(character);
    // Behind a name, a dot or a variable it goes on with a path that began before.
    let goes_on = |before: &str| {
        let unquoted = before.strip_suffix('"').unwrap_or(before);
        let is_variable = unquoted.trim_end_matches(is_word).ends_with('$') || unquoted.ends_with('}');
        is_variable || before.ends_with(is_word) || before.ends_with(['.', '/', '~'])
    };
    let is_absolute = |text: &str, folder: &str| {
        text.match_indices(folder)
            .any(|(at, _)| !goes_on(&text[..at]) && !text[at + folder.len()..].starts_with(is_word))
    };
    let mut found = Vec::new();
    for (path, text) in tree {
        let known = folders.iter().filter(|folder| is_absolute(text, folder));
        found.extend(known.map(|folder| format!("{path}: `{folder}` is a place on one machine")));
    }
    found
}

fn promises(tree: &Tree) -> Vec<String> {
    let readme = tree.get("README.md").map_or("", String::as_str);
    let tests = test_names(tree);
    let is_promise = |line: &&str| {
        let cell = line.trim_start_matches(['|', ' ', '*']);
        line.starts_with('|')
            && cell.strip_prefix('G').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let promises: Vec<&str> = readme.lines().filter(is_promise).collect();
    let mut found = Vec::new();
    if promises.is_empty() {
        found.push("README.md has no table of promises: rows that begin with G1, G2 and so on".to_owned());
    }
    for promise in promises {
        let named: Vec<&str> = quoted(promise).into_iter().filter(|name| name.contains('_')).collect();
        if named.is_empty() {
            found.push(format!("README.md: no test is named for: {promise}"));
        }
        let last = |name: &str| name.rsplit("::").next().unwrap_or(name).to_owned();
        let unknown = named.iter().filter(|name| !tests.contains(&last(name)));
        found.extend(unknown.map(|name| format!("README.md: there is no test `{name}`")));
    }
    found
}

fn mentions(tree: &Tree) -> Vec<String> {
    const UNDERSCORES_OF_A_TEST: usize = 4;
    let tests = test_names(tree);
    let is_path = |name: &str| {
        let top = name.split_once('/').map_or("", |(top, _)| top);
        ["host", "plugins", "examples", "tests", "wit", "dev", "docs"].contains(&top)
            || has_extension(name, "rs")
    };
    let mut found = Vec::new();
    for (path, text) in documents(tree) {
        for name in quoted(text) {
            let is_word = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            let is_test =
                is_word && name.matches('_').count() >= UNDERSCORES_OF_A_TEST && !name.starts_with("innodb_");
            if is_test && !tests.contains(name) {
                found.push(format!("{path}: there is no test `{name}`"));
            }
            let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            let is_ignored = name.contains("/dist") || name.contains("/target");
            if is_plain && is_path(name) && !is_ignored && !is_somewhere(tree, name) {
                found.push(format!("{path}: there is no `{name}`"));
            }
        }
    }
    found
}

/// What is wrong with attributes; the rule is asked with the file's code and the attribute's end.
fn with_attribute(tree: &Tree, is_wrong: impl Fn(&str, usize, &str) -> bool, remedy: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in rust(tree) {
        let code = blank(text);
        let wrong = attributes(&code).filter(|(at, attribute)| is_wrong(&code, *at, attribute));
        found.extend(wrong.map(|(at, attribute)| {
            format!("{path}:{}: {}: {remedy}", code[..at].lines().count(), attribute.trim())
        }));
    }
    found
}

/// `dev/mutants` breaks the host by these patches; one that does not fit shows nothing.
fn mutants(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, patch) in tree.iter().filter(|(path, _)| path.starts_with("tests/mutants/")) {
        let said = |key: &str| patch.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        let binary = said("Caught by: ").split(' ').next().unwrap_or_default();
        if said("Breaks: ").is_empty() || !["lib", "main", "faults"].contains(&binary) {
            found.push(format!("{path}: it says `Breaks: ...`, and `Caught by:` with lib, main or faults"));
        }
        let mut file = String::new();
        for hunk in patch.split("\n@@ ") {
            let (_, lines) = hunk.split_once('\n').unwrap_or_default();
            let before = lines.lines().take_while(|line| !line.starts_with("diff "));
            let before =
                before.filter_map(|line| line.strip_prefix([' ', '-'])).map(|line| format!("{line}\n"));
            let is_there = tree.get(&file).is_some_and(|text| text.contains(&before.collect::<String>()));
            if !file.is_empty() && !is_there {
                found.push(format!("{path}: it does not fit {file}"));
            }
            let next = hunk.lines().find_map(|line| line.strip_prefix("--- a/"));
            file = next.map_or(file, str::to_owned);
        }
    }
    found
}
