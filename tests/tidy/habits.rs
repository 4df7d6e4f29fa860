//! Rules about code that no lint holds here: ignored tests, marks of what is to be done, unwraps, lints, sleeps.

use super::code::{attributes, blank, has_word, item_end, without_tests, word_starts};
use super::holds;
use super::tree::{Tree, has_extension, host, is_test_folder, programs, rust};

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
fn the_log_has_no_debug_text_of_types() {
    let good = [
        (
            "host/src/a.rs",
            "tracing::debug!(?state, \"{a:?}\"); tracing::info!(%a, b = f()?, \"{c}\"); let d = \"{d:?}\";",
        ),
        ("tests/a.rs", "tracing::info!(?state);"),
    ];
    for bad in [
        "tracing::info!(\"it is {state:?}\");",
        "tracing::warn!(projection, \"{:#?}\", state);",
        "tracing::error!(state = ?state, \"it is\");",
        "tracing::warn!(\n    ?state,\n    \"it is\"\n);",
        "tracing::event!(target: \"a\", Level::INFO, a, ?state);",
        "use tracing::{info, warn};",
    ] {
        holds(debug_text, &[("host/src/a.rs", bad)], &good);
    }
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

/// What reads well as debug text, by its file: a time such as `1.5s`.
const DEBUG_TEXTS: [(&str, &str); 1] = [("host/src/supervisor.rs", "{wait:?}")];

/// Lines of the log are read by people, and a type's inside is none of their words.
fn debug_text(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in host(tree) {
        let code = blank(text);
        if code.contains("use tracing::{") {
            found.push(format!(
                "{path}: a macro of the log has to be named `tracing::…!`, so that it is found"
            ));
        }
        for name in ["info", "warn", "error", "event"] {
            let called = format!("tracing::{name}!(");
            for (at, _) in code.match_indices(&called) {
                let end = at + code[at..].find(");").unwrap_or(code.len() - at);
                let mut said = text[at..end].to_owned();
                for (_, known) in DEBUG_TEXTS.iter().filter(|(file, _)| file == path) {
                    said = said.replace(known, "");
                }
                let is_field = |sign: &usize| {
                    let before = code[at..at + sign].trim_end();
                    before.ends_with(['=', ',', '('])
                };
                let mut signs = code[at..end].match_indices('?').map(|(sign, _)| sign);
                if said.contains(":?}") || said.contains(":#?}") || signs.any(|sign| is_field(&sign)) {
                    found.push(format!("{path}: tracing::{name}! tells a type's debug text: give it words"));
                }
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
