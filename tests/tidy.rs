//! The rules of the house that a machine can hold: sizes, names, the direction of imports, what must not be in the
//! code, and that documents tell of things that exist.
//!
//! Every rule is a function from a tree of files to what is wrong in it, and each test first shows that its rule
//! finds a bad sample and passes a good one: a rule that finds nothing anywhere would hold nothing. It reads files
//! only, and knows nothing of Rust but its tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Modules of the host in layers: each may use the layers before it.
const VOCABULARY: [&str; 5] = ["event", "position", "statement", "failure", "retry"];
const STAGES: [&str; 3] = ["source", "projector", "readmodel"];

/// Crates that have one home in the host.
const HOMES: [(&str, &str); 7] = [
    ("mongodb", "source"),
    ("wasmtime", "projector"),
    ("wasmtime_wasi", "projector"),
    ("wasmparser", "projector"),
    ("sqlx", "readmodel"),
    ("axum", "admin"),
    ("sqlparser", "sql"),
];

const VAGUE_NAMES: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "prelude", "manager", "misc"];

/// The text files of the repository, by their paths from its root. Files that are not text are empty here.
type Tree = BTreeMap<String, String>;

type Rule = fn(&Tree) -> Vec<String>;

// ---- the rules ----

#[test]
fn files_have_at_most_500_lines_without_their_tests() {
    let long = "//! Long.\n".to_owned() + &"fn f() {}\n".repeat(FILE_LINES_MAX);
    let tested = format!("//! Short.\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    holds(file_size, &[("host/src/a.rs", &long)], &[("host/src/a.rs", &tested), ("tests/a.rs", &long)]);
}

#[test]
fn functions_have_at_most_70_lines() {
    let long = format!("fn f<T>(a: [u8; 3]) -> &'static str {{\n{}\"}}\"\n}}\n", "// {\n".repeat(FUNCTION_LINES_MAX));
    let short = "fn f();\nfn g() {\n}\n".repeat(FUNCTION_LINES_MAX);
    holds(function_size, &[("plugins/a.rs", &long)], &[("plugins/a.rs", &short), ("tests/a.rs", &long)]);
}

#[test]
fn every_file_says_what_it_is() {
    holds(module_docs, &[("tests/guests/a.rs", "use a;\n")], &[("host/src/a.rs", "//! A thing.\nuse a;\n")]);
}

#[test]
fn files_are_named_for_what_is_in_them() {
    for bad in ["host/src/a/mod.rs", "plugins/sdk/src/utils.rs", "tests/common/a.rs", "host/src/lane_manager.rs"] {
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
        ("host/src/projector/guest.rs", "mod tests { use super::super::super::projection::Lane; }"),
        ("host/src/readmodel/apply.rs", "use crate::{\n    sql::{a, b},\n    projection::{c as d, e},\n};"),
        ("host/src/projection/lane.rs", "use crate::operation::load;"),
        ("host/src/operation.rs", "use crate::cli::parts;"),
        ("host/src/admin.rs", "use crate::config::Config;"),
        ("host/src/config.rs", "use crate::projector::Engine;"),
        ("host/src/config/check.rs", "use crate::source::{Fields, Outbox};"),
        ("host/src/telemetry.rs", "use crate::projection::Status;"),
        ("host/src/stranger.rs", "use crate::event::Id;"),
    ] {
        holds(imports, &[bad], &[]);
    }
    let good = [
        ("host/src/event.rs", "use crate::position::Position; // crate::cli"),
        ("host/src/readmodel/apply.rs", "use crate::{event::Id, sql::coalesce}; use super::batch::Batch;"),
        ("host/src/projection/parts.rs", "use crate::source::Feed; const A: &str = \"crate::cli::A\";"),
        ("host/src/cli/run.rs", "use crate::{admin, shutdown, telemetry}; use super::super::config::Config;"),
        ("host/src/config.rs", "use crate::projector::Budget; mod tests { use super::*; }"),
        ("host/src/main.rs", "fn main() { laterna::cli::Cli::parse() }"),
    ];
    holds(imports, &[], &good);
}

#[test]
fn a_driver_is_used_in_its_home_only() {
    let good = [
        ("host/src/readmodel/bind.rs", "use sqlx::MySql;"),
        ("host/src/source.rs", "use mongodb::Client;"),
        ("host/src/cli/run.rs", "let uri = config.mongodb.uri; // sqlx::query"),
        ("tests/support/world.rs", "use sqlx::Row;"),
    ];
    for bad in [
        ("host/src/projection/lane.rs", "use {std::fmt, mongodb::Client};"),
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
    for bad in [("host/src/a.rs", "fn f() { todo!() }"), ("dev/a", word), ("a.rs", "unimplemented!(\"later\")")] {
        holds(unfinished, &[bad], &[("dev/a", "mktemp /tmp/a.XXXXXX"), ("a.rs", "// \"todo!\" is a word")]);
    }
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    let tested = "#[cfg(test)]\nmod tests { fn f() { a.unwrap() } }";
    let good = [("host/src/a.rs", tested), ("tests/a.rs", "a.unwrap();"), ("host/src/b.rs", "a.unwrap_or(b)")];
    let bad = format!("{tested}\nfn f() {{ a\n    .unwrap() }}");
    holds(unwrapped, &[("host/src/a.rs", &bad)], &good);
}

#[test]
fn a_lint_is_expected_with_a_reason_and_never_allowed() {
    let good = [("host/src/a.rs", "#[expect(a::b, reason = \"so\")]\nfn allow(a: u8) {}"), ("a.rs", "x[allow(1)]")];
    for bad in ["#[allow(dead_code)]", "#![allow(a)]", "#[cfg_attr(test, allow(a))]", "#[expect(dead_code)]"] {
        holds(lints, &[("plugins/a.rs", bad)], &good);
    }
}

#[test]
fn a_test_waits_for_a_state_and_never_sleeps() {
    let good = [("tests/support/wait.rs", "tokio::time::sleep(a)"), ("tests/bench/src/main.rs", "thread::sleep(a)")];
    for bad in ["std::thread::sleep(a);", "tokio::time::sleep (a).await", "use std::thread::sleep;"] {
        holds(sleeps, &[("tests/lanes.rs", bad)], &good);
    }
}

#[test]
fn every_link_in_a_document_leads_somewhere() {
    let good = [
        ("docs/a.md", "[b](b.md) [here](#two-words) [`c`](../host) [web](https://a.b)\n# Two `words`!\n```\n[x](y)\n```"),
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
    let good = [("dev/a", "cd \"$root/root\" && ls https://a.b/work/c"), ("dev/b", "/homestead /rooted")];
    for bad in [home, work, concat!("x=/ro", "ot")] {
        holds(machine_paths, &[("dev/a", bad)], &good);
    }
}

#[test]
fn every_promise_of_the_readme_names_tests_that_exist() {
    let test = ("tests/a.rs", "#[tokio::test(flavor = \"x\")]\nasync fn it_holds() {}\nfn it_is_no_test() {}");
    let promise = |proof: &str| format!("| promise | test |\n|---|---|\n| **G1** Nothing is lost. | {proof} |\n");
    for bad in ["", "trust us", "`it_fails`", "`a::it_is_no_test`", "`a::it_holds` and `it_fails`"] {
        holds(promises, &[("README.md", &promise(bad)), test], &[]);
    }
    holds(promises, &[("README.md", "# No promises"), test], &[("README.md", &promise("`tests::a::it_holds`")), test]);
}

#[test]
fn the_tests_and_files_that_documents_name_exist() {
    let code = ("host/src/sql/a.rs", "#[test]\nfn this_is_how_it_is() {}");
    let good = "`this_is_how_it_is`, `sql/a.rs`, `host/src/sql`, `innodb_flush_log_at_trx_commit`, `sql/*.rs`";
    for bad in ["`this_is_not_how_it_is`", "`sql/b.rs`", "`host/src/nowhere`"] {
        holds(mentions, &[("docs/a.md", bad), code], &[("docs/a.md", good), code]);
    }
}

/// Fails unless the rule finds something in the bad sample, nothing in the good one, and nothing in the repository.
#[track_caller]
fn holds(rule: Rule, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    let tree = |sample: &[(&str, &str)]| -> Tree {
        sample.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    };
    assert!(bad.is_empty() || !rule(&tree(bad)).is_empty(), "the rule does not find what is wrong in {bad:?}");
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
        for used in crate_paths(path, &blank(text)) {
            let target = used.first().map_or("", String::as_str);
            if target != home && !may_use(home, &used) {
                found.push(format!("{path}: `{home}` must not use `crate::{}`", used.join("::")));
            }
        }
    }
    found
}

/// Whether a module at the top of the host may use a path of another one.
fn may_use(home: &str, used: &[String]) -> bool {
    let (target, item) = (used[0].as_str(), used.get(1).map_or("", String::as_str));
    let vocabulary = VOCABULARY.contains(&target);
    let pure = vocabulary || target == "sql";
    let stage = pure || STAGES.contains(&target);
    match home {
        home if VOCABULARY.contains(&home) => vocabulary,
        "sql" => vocabulary,
        home if STAGES.contains(&home) => pure,
        "projection" => stage,
        "operation" => stage || target == "projection",
        "admin" => stage || ["projection", "operation"].contains(&target),
        "config" => vocabulary || [("projector", "Budget"), ("source", "Fields")].contains(&(target, item)),
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
    let is_ignored = |attribute: &str| word_starts(attribute, "ignore").next().is_some();
    with_attribute(tree, is_ignored, "a test is ignored: make it pass, or take it away")
}

fn unfinished(tree: &Tree) -> Vec<String> {
    let marks = [concat!("FIX", "ME"), concat!("XX", "X")];
    let mut found = Vec::new();
    for (path, text) in tree {
        found.extend(marks.iter().filter(|mark| has_word(text, mark)).map(|mark| format!("{path}: {mark}")));
    }
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with(".rs")) {
        let code = blank(text);
        let is_called = |name: &&&str| word_starts(&code, name).any(|at| code[at + name.len()..].starts_with('!'));
        found.extend(["todo", "unimplemented"].iter().filter(is_called).map(|name| format!("{path}: {name}!")));
    }
    found
}

fn unwrapped(tree: &Tree) -> Vec<String> {
    let code = programs(tree).map(|(path, text)| (path, without_tests(text)));
    let unwraps = code.filter(|(_, code)| code.contains(".unwrap()"));
    unwraps.map(|(path, _)| format!("{path}: `.unwrap()`: say why it cannot fail with `expect`, or handle it")).collect()
}

fn lints(tree: &Tree) -> Vec<String> {
    let has_call = |attribute: &str, name: &str| {
        word_starts(attribute, name).any(|at| attribute[at + name.len()..].trim_start().starts_with('('))
    };
    let is_wrong = |attribute: &str| {
        has_call(attribute, "allow") || has_call(attribute, "expect") && !has_word(attribute, "reason")
    };
    with_attribute(tree, is_wrong, "write `#[expect(…, reason = \"…\")]`")
}

fn sleeps(tree: &Tree) -> Vec<String> {
    let is_test = |path: &str| is_test_folder(path) && !path.starts_with("tests/support");
    let code = rust(tree).filter(|(path, _)| is_test(path)).map(|(path, text)| (path, blank(text)));
    let sleeping = code.filter(|(_, code)| has_word(code, "sleep"));
    sleeping.map(|(path, _)| format!("{path}: it sleeps: wait for a state with `support::until`")).collect()
}

fn links(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in documents(tree) {
        for target in link_targets(text) {
            let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let file = if file.is_empty() { path.clone() } else { resolve(path, file) };
            let is_there = exists(tree, &file);
            let is_anchored = anchor.is_none_or(|anchor| {
                tree.get(&file).is_none_or(|text| !file.ends_with(".md") || anchors(text).contains(anchor))
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
    for name in tree.keys().filter_map(|path| path.strip_prefix("docs/adr/")).filter(|name| *name != "README.md") {
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
    let is_inside = |character: char| character.is_alphanumeric() || "./~$}_-\"".contains(character);
    let is_absolute = |text: &str, folder: &str| {
        text.match_indices(folder).any(|(at, _)| {
            let quoted_variable = text[..at].ends_with("}\"") || text[..at].ends_with("$\"");
            let before = text[..at].chars().next_back();
            let after = text[at + folder.len()..].chars().next();
            let begins = before.is_none_or(|character| character == '"' && !quoted_variable || !is_inside(character));
            begins && after.is_none_or(|character| !character.is_alphanumeric() && !"_-".contains(character))
        })
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
        line.starts_with('|') && cell.strip_prefix('G').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
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
        ["host", "plugins", "examples", "tests", "wit", "dev", "docs"].contains(&top) || name.ends_with(".rs")
    };
    let mut found = Vec::new();
    for (path, text) in documents(tree) {
        for name in quoted(text) {
            let is_word = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            let is_test = is_word && name.matches('_').count() >= UNDERSCORES_OF_A_TEST && !name.starts_with("innodb_");
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

// ---- the tree ----

fn repository() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host is a folder of the repository");
    let ignored = std::fs::read_to_string(root.join(".gitignore")).expect("there is a .gitignore");
    let mut skipped: Vec<&str> = ignored.lines().filter_map(|line| line.trim().strip_prefix('/')).collect();
    skipped.push(".git");
    let mut tree = Tree::new();
    read_folder(root, "", &skipped, &mut tree);
    assert!(tree.contains_key("host/src/lib.rs"), "this is not the repository: {}", root.display());
    tree
}

fn read_folder(root: &Path, folder: &str, skipped: &[&str], tree: &mut Tree) {
    for entry in std::fs::read_dir(root.join(folder)).expect("a folder can be read") {
        let entry = entry.expect("a folder can be read");
        let name = entry.file_name().into_string().expect("names are text");
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if skipped.iter().any(|skipped| skipped.trim_end_matches('/') == path) {
            continue;
        }
        // A file may go while this runs, as editors' and tests' own files do.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            read_folder(root, &path, skipped, tree);
        } else if let Ok(bytes) = std::fs::read(entry.path()) {
            tree.insert(path, String::from_utf8(bytes).unwrap_or_default());
        }
    }
}

/// All Rust files that are ours.
fn rust(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    let folders = ["host/src/", "examples/", "plugins/", "tests/"];
    tree.iter().filter(move |(path, _)| path.ends_with(".rs") && folders.iter().any(|folder| path.starts_with(folder)))
}

fn host(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    rust(tree).filter(|(path, _)| path.starts_with("host/src/"))
}

/// Rust files that are not tests from end to end.
fn programs(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    let tests = test_modules(tree);
    rust(tree).filter(move |(path, _)| {
        let stem = path.trim_end_matches(".rs");
        let is_test = |module: &String| stem == module || stem.starts_with(&format!("{module}/"));
        !is_test_folder(path) && !tests.iter().any(is_test)
    })
}

/// The benchmark and the guests are programs that happen to stand among the tests.
fn is_test_folder(path: &str) -> bool {
    path.starts_with("tests/") && !path.starts_with("tests/bench/") && !path.starts_with("tests/guests/")
}

/// The paths, without `.rs`, of modules that are declared behind `#[cfg(test)]`.
fn test_modules(tree: &Tree) -> Vec<String> {
    let mut modules = Vec::new();
    for (path, text) in rust(tree) {
        let code = blank(text);
        for (at, end) in test_items(&code) {
            let item = code[at..end].trim_end_matches(';').trim();
            if let Some(name) = item.rsplit_once("mod ").map(|(_, name)| name).filter(|_| code[..end].ends_with(';')) {
                let stem = path.trim_end_matches(".rs");
                let folder = stem.strip_suffix("/lib").or(stem.strip_suffix("/main")).unwrap_or(stem);
                modules.push(format!("{folder}/{name}"));
            }
        }
    }
    modules
}

fn documents(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    tree.iter().filter(|(path, _)| path.ends_with(".md"))
}

fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    path.is_empty() || tree.contains_key(path) || tree.keys().any(|file| file.starts_with(&folder))
}

/// Whether a path that a document mentions is one from the root, or the end of one.
fn is_somewhere(tree: &Tree, name: &str) -> bool {
    let end = format!("/{name}");
    exists(tree, name) || tree.keys().any(|path| path.ends_with(&end))
}

fn resolve(from: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

// ---- documents ----

/// The targets of a document's links, those in code left out.
fn link_targets(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for line in prose(text) {
        let mut is_code = false;
        let mut rest = line;
        while let Some(at) = rest.find(['`', ']']) {
            let after = &rest[at + 1..];
            if rest[at..].starts_with('`') {
                is_code = !is_code;
            } else if let Some(target) = after.strip_prefix('(').filter(|_| !is_code) {
                targets.extend(target.split([')', ' ']).next());
            } else if let Some(target) = after.strip_prefix(": ").filter(|_| line.starts_with('[')) {
                targets.extend(target.split(' ').next());
            }
            rest = after;
        }
    }
    targets
}

/// The lines of a document that are not in a code block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// What stands in backticks in a document's prose.
fn quoted(text: &str) -> Vec<&str> {
    prose(text).flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The anchors of a document's headings, as they are made on the web.
fn anchors(text: &str) -> BTreeSet<String> {
    let slug = |heading: &str| {
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    prose(text).filter(|line| line.starts_with('#')).map(|line| slug(line.trim_start_matches('#'))).collect()
}

/// The names of all tests.
fn test_names(tree: &Tree) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for (_, text) in rust(tree) {
        let code = blank(text);
        for (at, attribute) in attributes(&code) {
            let is_test = ["#[test]", "#[tokio::test]"].contains(&attribute) || attribute.starts_with("#[tokio::test(");
            if is_test {
                tests.extend(functions(&code[at..]).next().map(|(_, name)| name.to_owned()));
            }
        }
        // Property tests have the attribute inside of a macro, where it is found as well.
    }
    tests
}

// ---- Rust, by its tokens ----

/// How lines of test items begin once they are marked.
const BLANKED: char = '\u{0}';

/// The text with comments and literals turned to spaces; what is left are names and punctuation where they were.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match literal_end(bytes, at) {
            Some(end) => end,
            None => {
                at += 1;
                continue;
            }
        };
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(code).expect("only whole literals were turned to spaces")
}

/// Where the comment or literal that begins here ends; none when none begins here.
fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let until = |end: Option<usize>| Some(end.map_or(bytes.len(), |end| at + end));
    match rest {
        [b'/', b'/', ..] => until(rest.iter().position(|byte| *byte == b'\n')),
        [b'/', b'*', ..] => {
            let (mut depth, mut end) = (1, 2);
            while depth > 0 && end < rest.len() {
                match &rest[end..] {
                    [b'/', b'*', ..] => (depth, end) = (depth + 1, end + 2),
                    [b'*', b'/', ..] => (depth, end) = (depth - 1, end + 2),
                    _ => end += 1,
                }
            }
            Some(at + end)
        }
        [b'"', ..] => until(string_end(rest, b'"')),
        [b'r', b'"' | b'#', ..] if !at.checked_sub(1).is_some_and(|before| is_raw_blocked(bytes, before, is_word)) => {
            let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
            if rest.get(1 + hashes) != Some(&b'"') {
                return None;
            }
            let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
            let body = &rest[2 + hashes..];
            until(body.windows(close.len()).position(|window| window == close).map(|end| 2 + 2 * hashes + 1 + end))
        }
        [b'\'', b'\\', ..] => until(string_end(rest, b'\'')),
        [b'\'', first, ..] => {
            let length = match first {
                0..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                _ => 4,
            };
            // Without a closing quote it is a lifetime.
            (rest.get(1 + length) == Some(&b'\'')).then_some(at + 2 + length)
        }
        _ => None,
    }
}

/// Whether an `r` behind this byte is the end of a word and not the beginning of a raw string: `br` and `cr` are one.
fn is_raw_blocked(bytes: &[u8], before: usize, is_word: impl Fn(&u8) -> bool) -> bool {
    match bytes[before] {
        b'b' | b'c' => before.checked_sub(1).is_some_and(|earlier| is_word(&bytes[earlier])),
        byte => is_word(&byte),
    }
}

/// Behind the closing quote of a literal with escapes.
fn string_end(literal: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    while at < literal.len() {
        match literal[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Where an item that begins here ends: behind its semicolon or its braces.
fn item_end(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth -= 1;
                if depth == 0 && byte == b'}' {
                    return Some(at + 1);
                }
            }
            b';' if depth == 0 => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The attributes of a text, and where they end.
fn attributes(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.match_indices('#').filter_map(|(at, _)| {
        let open = code[at + 1..].trim_start_matches('!');
        let from = code.len() - open.len();
        if !open.starts_with('[') {
            return None;
        }
        let mut depth = 0_i32;
        let length = open.bytes().position(|byte| {
            depth += i32::from(byte == b'[') - i32::from(byte == b']');
            depth == 0
        })?;
        let end = from + length + 1;
        Some((end, &code[at..end]))
    })
}

/// From where to where items behind `#[cfg(test)]` go.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let tests = attributes(code).filter(|(_, attribute)| *attribute == "#[cfg(test)]");
    tests.filter_map(|(at, _)| Some((at, item_end(code, behind_attributes(code, at))?))).collect()
}

/// Where the item begins whose further attributes begin here.
fn behind_attributes(code: &str, from: usize) -> usize {
    let at = code.len() - code[from..].trim_start().len();
    let next = attributes(&code[at..]).next().filter(|_| code[at..].starts_with('#'));
    next.map_or(at, |(length, _)| behind_attributes(code, at + length))
}

/// The code without comments, literals and test items.
fn without_tests(text: &str) -> String {
    let mut code = blank(text);
    for (from, to) in test_items(&code.clone()) {
        let spaces: String = code[from..to].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        // A character of several bytes would be several spaces; the rest only looks at lines.
        code.replace_range(from..to, &spaces);
        if spaces.len() != to - from {
            return without_tests(&code);
        }
    }
    code
}

/// The text with the lines of test items marked.
fn mark_tests(text: &str) -> String {
    let code = blank(text);
    let tests = test_items(&code);
    let mut at = 0;
    let mut marked = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if tests.iter().any(|(from, to)| (*from..*to).contains(&at)) {
            marked.push(BLANKED);
        }
        marked.push_str(line);
        at += line.len();
    }
    marked
}

/// Where each named function begins.
fn functions(code: &str) -> impl Iterator<Item = (usize, &str)> {
    word_starts(code, "fn").filter_map(|at| {
        let name = code[at + 2..].trim_start();
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
        (end > 0).then(|| (at, &name[..end]))
    })
}

fn with_attribute(tree: &Tree, is_wrong: impl Fn(&str) -> bool, remedy: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in rust(tree) {
        let code = blank(text);
        let wrong = attributes(&code).filter(|(_, attribute)| is_wrong(attribute));
        found.extend(wrong.map(|(at, attribute)| {
            format!("{path}:{}: {}: {remedy}", code[..at].lines().count(), attribute.trim())
        }));
    }
    found
}

fn word_starts<'a>(text: &'a str, word: &str) -> impl Iterator<Item = usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let length = word.len();
    let starts: Vec<usize> = text.match_indices(word).map(|(at, _)| at).collect();
    starts.into_iter().filter(move |at| {
        !text[..*at].ends_with(is_word) && !text[at + length..].starts_with(is_word)
    })
}

fn has_word(text: &str, word: &str) -> bool {
    word_starts(text, word).next().is_some()
}

/// Whether a path begins with this crate.
fn uses_crate(code: &str, name: &str) -> bool {
    word_starts(code, name).any(|at| {
        let (before, after) = (code[..at].trim_end(), code[at + name.len()..].trim_start());
        let is_path = after.starts_with("::") || before.ends_with("use") || before.ends_with("extern crate");
        is_path && !(before.ends_with("::") && before.len() > 2 && before[..before.len() - 2].ends_with(char::is_alphanumeric))
    })
}

fn top_module(path: &str) -> &str {
    let inside = path.strip_prefix("host/src/").unwrap_or(path);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

/// Every path from the root of the crate, those that begin with `super` included.
fn crate_paths(path: &str, code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for at in word_starts(code, "crate").filter(|at| !code[..*at].ends_with('$')) {
        if let Some(rest) = code[at + "crate".len()..].strip_prefix("::") {
            paths(rest, &[], &mut found);
        }
    }
    let depth = match path.strip_prefix("host/src/").unwrap_or(path) {
        "lib.rs" | "main.rs" => 0,
        inside => inside.split('/').count(),
    };
    for at in word_starts(code, "super").filter(|at| !code[..*at].ends_with("super::")) {
        let (mut rest, mut up) = (&code[at..], 0);
        while let Some(further) = rest.strip_prefix("super::") {
            (rest, up) = (further, up + 1);
        }
        if up >= depth + inline_modules(&code[..at]) && up > 0 {
            paths(rest, &[], &mut found);
        }
    }
    found.retain(|path| path.first().is_some_and(|first| first != "super" && first != "*"));
    found
}

/// How many `mod name {` are open at the end of a text.
fn inline_modules(code: &str) -> usize {
    let mut open = Vec::new();
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'{' => {
                let mut words = code[..at].split_whitespace().rev();
                open.push(words.nth(1) == Some("mod"));
            }
            b'}' => _ = open.pop(),
            _ => {}
        }
    }
    open.into_iter().filter(|is_module| *is_module).count()
}

/// The paths of a `use` tree, or the one path, that begins here. Answers with what comes behind it.
fn paths<'a>(text: &'a str, before: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = paths(rest, before, found).trim_start();
            match rest.strip_prefix(',') {
                Some(further) => rest = further,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*').unwrap_or(text.len());
    if end == 0 {
        return text;
    }
    let path = [before, &[text[..end].to_owned()]].concat();
    let rest = text[end..].trim_start();
    match rest.strip_prefix("::") {
        Some(further) if !further.starts_with('<') => paths(further, &path, found),
        _ => {
            found.push(path);
            let renamed = rest.strip_prefix("as ").map(str::trim_start);
            renamed.map_or(rest, |name| name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
        }
    }
}
