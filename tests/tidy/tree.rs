//! The files of the repository, and which of them are what: programs, tests, documents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::code::{attributes, blank, functions, test_items};

/// The text files of the repository, by their paths from its root. Files that are not text are [`BINARY`] here.
pub type Tree = BTreeMap<String, String>;

/// What stands for the content of a file that is not text.
pub const BINARY: &str = "\0";

pub fn repository() -> Tree {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host is a folder of the repository");
    let ignored = std::fs::read_to_string(root.join(".gitignore")).expect("there is a .gitignore");
    let mut skipped: Vec<&str> = ignored.lines().filter_map(|line| line.trim().strip_prefix('/')).collect();
    skipped.push(".git");
    let mut tree = Tree::new();
    read_folder(root, "", &skipped, &mut tree);
    assert!(tree.contains_key("host/src/lib.rs"), "this is not the repository: {}", root.display());
    tree
}

pub fn read_folder(root: &Path, folder: &str, skipped: &[&str], tree: &mut Tree) {
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
            tree.insert(path, String::from_utf8(bytes).unwrap_or_else(|_| BINARY.to_owned()));
        }
    }
}

/// All Rust files that are ours.
pub fn rust(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    let folders = ["host/src/", "examples/", "plugins/", "tests/"];
    tree.iter().filter(move |(path, _)| {
        has_extension(path, "rs") && folders.iter().any(|folder| path.starts_with(folder))
    })
}

pub fn host(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    rust(tree).filter(|(path, _)| path.starts_with("host/src/"))
}

/// Rust files that are not tests from end to end.
pub fn programs(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    let tests = test_modules(tree);
    rust(tree).filter(move |(path, _)| {
        let stem = path.trim_end_matches(".rs");
        let is_test = |module: &String| stem == module || stem.starts_with(&format!("{module}/"));
        !is_test_folder(path) && !tests.iter().any(is_test)
    })
}

/// The benchmark and the guests are programs that happen to stand among the tests.
pub fn is_test_folder(path: &str) -> bool {
    path.starts_with("tests/") && !path.starts_with("tests/bench/") && !path.starts_with("tests/guests/")
}

/// The paths, without `.rs`, of modules that are declared behind `#[cfg(test)]`.
pub fn test_modules(tree: &Tree) -> Vec<String> {
    let mut modules = Vec::new();
    for (path, text) in rust(tree) {
        let code = blank(text);
        for (at, end) in test_items(&code) {
            let item = code[at..end].trim_end_matches(';').trim();
            if let Some(name) =
                item.rsplit_once("mod ").map(|(_, name)| name).filter(|_| code[..end].ends_with(';'))
            {
                let stem = path.trim_end_matches(".rs");
                let folder = stem.strip_suffix("/lib").or(stem.strip_suffix("/main")).unwrap_or(stem);
                modules.push(format!("{folder}/{name}"));
            }
        }
    }
    modules
}

pub fn documents(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    tree.iter().filter(|(path, _)| has_extension(path, "md"))
}

pub fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

pub fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    path.is_empty() || tree.contains_key(path) || tree.keys().any(|file| file.starts_with(&folder))
}

/// Whether a path that a document mentions is one from the root, or the end of one.
pub fn is_somewhere(tree: &Tree, name: &str) -> bool {
    let end = format!("/{name}");
    exists(tree, name) || tree.keys().any(|path| path.ends_with(&end))
}

pub fn resolve(from: &str, relative: &str) -> String {
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

/// The names of all tests.
pub fn test_names(tree: &Tree) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for (_, text) in rust(tree) {
        let code = blank(text);
        for (at, attribute) in attributes(&code) {
            let is_test =
                ["#[test]", "#[tokio::test]"].contains(&attribute) || attribute.starts_with("#[tokio::test(");
            if is_test {
                tests.extend(functions(&code[at..]).next().map(|(_, name)| name.to_owned()));
            }
        }
        // Property tests have the attribute inside of a macro, where it is found as well.
    }
    tests
}
