//! Rules about files: their sizes, names and places, what each says of itself, and the names of types.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{BLANKED, blank, functions, item_end, mark_tests, without_tests};
use super::holds;
use super::tree::{BINARY, Tree, has_extension, host, programs, rust};

const FILE_LINES_MAX: usize = 500;

const FUNCTION_LINES_MAX: usize = 70;

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
fn no_two_files_of_a_folder_are_named_nearly_alike() {
    let good = [("host/src/a/read.rs", ""), ("host/src/a/read_model.rs", ""), ("host/src/b/reads.rs", "")];
    for bad in ["host/src/a/lanes.rs", "host/src/a/la_ne.rs"] {
        holds(twins, &[("host/src/a/lane.rs", ""), (bad, "")], &good);
    }
}

/// Files of the host that stand in one folder and whose names differ in nothing but a plural or an underscore.
fn twins(tree: &Tree) -> Vec<String> {
    let mut named: BTreeMap<String, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for (path, _) in host(tree) {
        let plain = path.trim_end_matches(".rs").trim_end_matches('s').replace('_', "");
        if let Some(other) = named.insert(plain, path) {
            found.push(format!("{other} and {path}: one of both needs a name that tells them apart"));
        }
    }
    found
}

#[test]
fn the_root_holds_what_is_listed_and_no_file_is_binary() {
    let good = [("host/src/a.rs", ""), ("README.md", "# A")];
    holds(strays, &[("a-1.0-py3-none-any.whl", "")], &good);
    for bad in ["docs/a.zip", "docs/images/a.zip", "host/a.png"] {
        holds(strays, &[(bad, BINARY)], &[("docs/images/a.png", BINARY)]);
    }
}

#[test]
fn each_type_has_a_name_of_its_own() {
    let one = ("host/src/a.rs", "pub(super) struct Look<T>(T);\nimpl A for B { type Look = u8; }");
    for bad in ["pub enum Look {}", "type Look = u8;", "mod tests {\n    trait Look {}\n}"] {
        holds(type_names, &[one, ("host/src/b.rs", bad)], &[]);
        holds(type_names, &[one, ("host/src/b/simulation/c.rs", bad)], &[one]);
    }
}

/// Types of the host that two places name alike.
fn type_names(tree: &Tree) -> Vec<String> {
    let mut defined: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (path, text) in host(tree) {
        for name in types(&blank(text)) {
            defined.entry(name).or_default().push(path);
        }
    }
    let twice = defined.iter().filter(|(_, paths)| paths.len() > 1);
    twice.map(|(name, paths)| format!("`{name}` is the name of a type in {}", paths.join(" and "))).collect()
}

/// The types that a file defines; those that an implementation gives to a trait are none of its own.
fn types(code: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let item = line.trim_start();
        let item = item.strip_prefix("pub").map_or(item, |rest| {
            let rest =
                rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest);
            rest.trim_start()
        });
        let (keyword, rest) = item.split_once(' ')?;
        let is_type = ["struct", "enum", "trait", "union"].contains(&keyword)
            || keyword == "type" && !line.starts_with(' ');
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        is_type.then(|| rest[..end].to_owned()).filter(|name| !name.is_empty())
    };
    code.lines().filter_map(name).collect()
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

fn strays(tree: &Tree) -> Vec<String> {
    let is_listed = |path: &str| ROOT.contains(&path.split('/').next().unwrap_or(path));
    // What tools and tests leave behind is ignored by git, too.
    let left = ["node_modules", "__pycache__", ".laterna"];
    let is_left =
        |path: &str| has_extension(path, "profraw") || path.split('/').any(|part| left.contains(&part));
    // The pictures of the page, whose sizes a test of the page bounds.
    let is_picture = |path: &str| path.starts_with("docs/images/") && has_extension(path, "png");
    let stray = tree.iter().filter_map(|(path, text)| match text.as_str() {
        _ if !is_listed(path) => Some(format!("{path}: nothing of this name belongs at the root")),
        BINARY if !is_left(path) && !is_picture(path) => {
            Some(format!("{path}: a binary file; build or fetch it by a script"))
        }
        _ => None,
    });
    stray.collect()
}
