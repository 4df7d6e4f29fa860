//! Rules about imports: their direction between modules, circles, and the homes of drivers.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{blank, module_path, module_uses, top_module, uses_crate, without_tests};
use super::holds;
use super::tree::{Tree, host};

/// Modules of the host in layers: each may use the layers before it.
const VOCABULARY: [&str; 7] = ["text", "event", "position", "fingerprint", "statement", "failure", "retry"];

const STAGES: [&str; 3] = ["source", "projector", "readmodel"];

/// What runs: each uses the stages, and those before it.
const RUNNING: [&str; 7] = ["status", "servers", "pipeline", "component", "supervisor", "operation", "admin"];

/// Crates that have one home in the host.
const HOMES: [(&str, &str); 12] = [
    ("mongodb", "source"),
    ("wasmtime", "projector"),
    ("wasmtime_wasi", "projector"),
    ("wasmparser", "projector"),
    ("sqlx", "readmodel"),
    ("axum", "admin"),
    ("hyper", "admin"),
    ("hyper_util", "admin"),
    ("sqlparser", "sql"),
    ("opentelemetry_sdk", "telemetry"),
    ("opentelemetry_otlp", "telemetry"),
    ("opentelemetry_http", "telemetry"),
];

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
fn a_module_lists_its_parts_before_those_that_use_them() {
    let list = ("host/src/a.rs", "mod one;\npub mod two;\n#[cfg(test)]\nmod tests;");
    for bad in ["use super::two::Two;", "fn f() { crate::a::two::two() }"] {
        holds(upward, &[list, ("host/src/a/one.rs", bad)], &[]);
        holds(upward, &[list, ("host/src/a/one/part.rs", "use crate::a::{one, two::Two};")], &[]);
    }
    let good = [
        list,
        ("host/src/a/two.rs", "use super::one::One; mod tests { use crate::a::three::Three; }"),
        ("host/src/a/one.rs", "use super::A; // crate::a::two\nuse crate::b::two;"),
    ];
    holds(upward, &[], &good);
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
        .filter(|(path, _)| is_program(path))
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

/// Parts of one module that know each other: a lane writes rows of the control schema, which says what its letters are.
const TOGETHER: (&str, [&str; 2]) = ("readmodel", ["control", "lane"]);

/// Parts of a module that use one which stands behind them in its list.
fn upward(tree: &Tree) -> Vec<String> {
    let mut lists = BTreeMap::new();
    let mut found = Vec::new();
    let uses = |(path, text): (&String, &String)| {
        let (name, code) = (module_path(path), without_tests(text));
        lists.insert(name.clone(), listed(&code));
        let used = module_uses(&name, &code);
        (path.clone(), name, used)
    };
    let files: Vec<_> = host(tree).filter(|(path, _)| is_program(path)).map(uses).collect();
    for (path, name, used) in &files {
        // The root's list has a rule of its own.
        for depth in 1..name.len() {
            let (parent, own) = name.split_at(depth);
            let Some(list) = lists.get(parent) else { continue };
            let place = |part: &String| list.iter().position(|one| one == part);
            let Some(at) = place(&own[0]) else { continue };
            let parts = used.iter().filter_map(|path| path.strip_prefix(parent)?.first());
            for behind in parts.filter(|part| place(part) > Some(at)) {
                let know_each_other = parent == [TOGETHER.0]
                    && [&own[0], behind].iter().all(|one| TOGETHER.1.contains(&one.as_str()));
                if !know_each_other {
                    let parent = parent.join("::");
                    found.push(format!(
                        "{path}: `{parent}` lists `{behind}` behind `{}`: move one of both",
                        own[0]
                    ));
                }
            }
        }
    }
    found
}

/// The modules that a file lists, in their order.
fn listed(code: &str) -> Vec<String> {
    let module = |line: &str| {
        let (before, name) = line.strip_suffix(';')?.rsplit_once("mod ")?;
        (before.is_empty() || before.starts_with("pub")).then(|| name.to_owned())
    };
    code.lines().filter_map(module).collect()
}

/// Whether a file is none of tests.
fn is_program(path: &str) -> bool {
    !["/simulation", "/tests", "/random", "test_component"].iter().any(|part| path.contains(part))
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
