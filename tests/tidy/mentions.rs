//! Rules about documents and breakages: links lead somewhere, promises name tests, what is mentioned exists.

use std::collections::BTreeSet;

use super::document::{anchors, link_targets, quoted};
use super::holds;
use super::tree::{Tree, documents, exists, has_extension, is_somewhere, resolve, test_names};

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

/// `dev/mutants` breaks the host by these patches; one that does not fit shows nothing.
fn mutants(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, patch) in tree.iter().filter(|(path, _)| path.starts_with("tests/mutants/")) {
        let said = |key: &str| patch.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        let binary = said("Caught by: ").split(' ').next().unwrap_or_default();
        if said("Breaks: ").is_empty() || !["lib", "main", "faults", "killed"].contains(&binary) {
            found.push(format!(
                "{path}: it says `Breaks: ...`, and `Caught by:` with lib, main, faults or killed"
            ));
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
