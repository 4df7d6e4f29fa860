//! Documents, examples and messages against the program: its commands and options, its settings, metrics and classes of
//! failures. What they name has to be there, and what is there has to be named. It asks the program itself: the command
//! line for its definition, the configuration for the keys it takes.

use std::collections::{BTreeMap, BTreeSet};

use clap::CommandFactory;
use laterna::cli::Cli;
use laterna::config::Config;

use super::document::quoted;
use super::tree::{Tree, documents, has_extension, host, repository};

/// The options of each command, by its words.
type Commands = BTreeMap<String, BTreeSet<String>>;

fn commands() -> Commands {
    let mut all = Commands::new();
    collect(&Cli::command(), "", &mut all);
    all
}

fn collect(command: &clap::Command, path: &str, all: &mut Commands) {
    let silent = command.get_arguments().find(|argument| argument.get_help().is_none());
    assert!(silent.is_none(), "`laterna {path}` does not describe {silent:?}");
    assert!(command.get_about().is_some(), "`laterna {path}` does not say what it does");
    let options =
        command.get_arguments().filter_map(|argument| argument.get_long().map(|long| format!("--{long}")));
    all.insert(path.to_owned(), options.collect());
    for sub in command.get_subcommands() {
        collect(sub, format!("{path} {}", sub.get_name()).trim_start(), all);
    }
}

/// What documents show as code: spans in prose, and the lines of code blocks, those that go on joined.
fn shown(text: &str) -> Vec<String> {
    let mut all: Vec<String> = quoted(text).into_iter().map(ToOwned::to_owned).collect();
    let mut is_code = false;
    let mut joined = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            joined.push_str(line.trim_end_matches('\\'));
            if !line.ends_with('\\') {
                all.push(std::mem::take(&mut joined));
            }
        }
    }
    all
}

/// What a text says of commands that there are not: calls of `laterna` with words or options that it does not take.
fn wrong_calls(commands: &Commands, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for code in shown(text) {
        // A remark behind a command is no part of it.
        let code = code.split(" # ").next().unwrap_or_default();
        let words: Vec<&str> = code.split_whitespace().collect();
        // A command begins a line, or stands behind what ends another; variables may stand before it.
        for command in words.split(|word| ["$", "|", "&&", "||", ";", ">", "&"].contains(word)) {
            let mut words = command.iter().copied().skip_while(|word| word.contains('='));
            if words.next().is_some_and(|word| word == "laterna" || word.ends_with("/laterna")) {
                found.extend(wrong_call(commands, &words.collect::<Vec<_>>()));
            }
        }
    }
    found
}

fn wrong_call(commands: &Commands, words: &[&str]) -> Option<String> {
    let (mut path, mut skip, mut options) = (String::new(), false, vec![]);
    let mut is_open = true;
    for word in words {
        let word = word.trim_matches(|c: char| "[](),.:;'\"`…".contains(c));
        if skip || word.is_empty() {
            skip = false;
        } else if word.starts_with("--") {
            options.push(word.split('=').next().unwrap_or_default());
            // Its value is no command.
            skip = path.is_empty() && !word.contains('=');
        } else if word == "-c" {
            skip = true;
        } else if is_open && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
            let deeper = format!("{path} {word}").trim_start().to_owned();
            if commands.contains_key(&deeper) {
                path = deeper;
            } else if commands.keys().any(|known| known.starts_with(&format!("{path} ")) || path.is_empty()) {
                return Some(format!("there is no command `laterna {deeper}`"));
            } else {
                is_open = false;
            }
        } else {
            is_open = false;
        }
    }
    let everywhere = ["--help", "--version", "--config"];
    let own = &commands[&path];
    let wrong = options.iter().find(|option| !own.contains(**option) && !everywhere.contains(option))?;
    Some(format!("`laterna {path}` has no option `{wrong}`"))
}

/// Commands and options that no document shows.
fn undocumented(commands: &Commands, texts: &[&str]) -> Vec<String> {
    let code: Vec<String> = texts.iter().flat_map(|text| shown(text)).collect();
    let has = |what: &str| {
        code.iter().any(|code| {
            code.match_indices(what).any(|(at, _)| {
                let next = code[at + what.len()..].chars().next();
                next.is_none_or(|next| !next.is_ascii_alphanumeric() && next != '-')
            })
        })
    };
    let mut found = Vec::new();
    for (path, options) in commands.iter().filter(|(path, _)| !path.is_empty()) {
        if !has(&format!("laterna {path}")) {
            found.push(format!("no document shows `laterna {path}`"));
        }
        let silent = options
            .iter()
            .filter(|option| !["--help", "--version"].contains(&option.as_str()) && !has(option));
        found.extend(silent.map(|option| format!("no document shows `{option}` of `laterna {path}`")));
    }
    found
}

#[test]
fn documents_show_commands_and_options_that_there_are_and_all_of_them() {
    let commands = commands();
    for bad in [
        "`laterna stauts`",
        "`laterna dlq lst NAME`",
        "`laterna status --lane`",
        "```\nlaterna -c a.toml chek\n```",
    ] {
        assert!(!wrong_calls(&commands, bad).is_empty(), "{bad}");
    }
    for good in [
        "`laterna`",
        "`laterna status --lanes`",
        "`laterna --config FILE run`",
        "`laterna dlq list NAME --json`",
    ] {
        assert_eq!(wrong_calls(&commands, good), Vec::<String>::new(), "{good}");
    }
    assert!(!undocumented(&commands, &["`laterna status --lanes`"]).is_empty());
    let tree = repository();
    let wrong = |(path, text): (&String, &String)| -> Vec<String> {
        wrong_calls(&commands, text).into_iter().map(|wrong| format!("{path}: {wrong}")).collect()
    };
    let mut found: Vec<String> = guides(&tree).flat_map(wrong).collect();
    let texts: Vec<&str> = guides(&tree).map(|(_, text)| text.as_str()).collect();
    found.extend(undocumented(&commands, &texts));
    assert!(found.is_empty(), "{} wrong:\n{}", found.len(), found.join("\n"));
}

/// The documents for people who use the program.
fn guides(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    documents(tree).filter(|(path, _)| *path == "README.md" || path.starts_with("docs/"))
}

/// All settings by their paths, as the configuration itself tells them when it meets a key that it does not know.
fn settings() -> BTreeSet<String> {
    const UNKNOWN: &str = "no_setting";
    let sections = [
        "host",
        "mongodb",
        "mongodb.fields",
        "mysql",
        "upcaster",
        "projection.a",
        "projection.a.budget",
        "projection.a.breaker",
    ];
    let mut all = BTreeSet::new();
    for section in sections {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("laterna.toml");
        std::fs::write(&file, format!("[{section}]\n{UNKNOWN} = 1\n")).expect("it can be written");
        let refused = format!("{:#}", Config::load(&file).expect_err("the key is unknown"));
        let line = refused.lines().find(|line| line.contains(UNKNOWN) && line.contains("expected"));
        let (_, expected) = line
            .and_then(|line| line.split_once("expected"))
            .unwrap_or_else(|| panic!("{section}: the configuration does not tell its keys:\n{refused}"));
        let keys = expected.split('`').skip(1).step_by(2);
        all.extend(keys.map(|key| format!("{}.{key}", section.replace("projection.a", "projection.NAME"))));
    }
    // A section is no setting.
    let sections = sections.map(|section| section.replace("projection.a", "projection.NAME"));
    all.retain(|name| !sections.contains(name));
    all
}

/// The settings that stand in a file of TOML, those behind a `#` too.
fn written(text: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut all = BTreeSet::new();
    for line in text.lines().map(|line| line.trim_start_matches('#').trim()) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let mut parts: Vec<&str> = name.split('.').collect();
            if parts.first() == Some(&"projection") && parts.len() > 1 {
                parts[1] = "NAME";
            }
            section = parts.join(".");
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            all.insert(format!("{section}.{key}"));
        }
    }
    all
}

/// The names in backticks that look like settings and are none.
fn unknown_settings(settings: &BTreeSet<String>, text: &str) -> Vec<String> {
    let sections = ["host.", "mongodb.", "mysql.", "upcaster.", "projection.", "budget.", "breaker."];
    let named = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| sections.iter().any(|start| name.starts_with(start)));
    let is_key = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
    let is_known = |name: &&str| {
        // Any projection may stand for all.
        let mut parts: Vec<&str> = name.trim_end_matches('.').split('.').collect();
        if parts[0] == "projection" && parts.len() > 2 {
            parts[1] = "NAME";
        }
        let name = parts.join(".");
        let end = format!(".{name}");
        let section = format!("{name}.");
        settings.iter().any(|known| *known == name || known.ends_with(&end) || known.starts_with(&section))
    };
    let unknown = named.filter(is_key).filter(|name| !is_known(name) && !has_extension(name, "rs"));
    unknown.map(ToOwned::to_owned).collect()
}

#[test]
fn the_example_has_every_setting_and_nobody_names_one_that_there_is_not() {
    let settings = settings();
    assert!(settings.len() > 40 && settings.contains("projection.NAME.budget.fuel"), "{settings:?}");
    assert_eq!(unknown_settings(&settings, "`host.admn`, `budget.fule`").len(), 2);
    assert!(unknown_settings(&settings, "`host.admin`, `budget.fuel`, `projection.NAME.lanes`").is_empty());
    let tree = repository();
    let example = written(&tree["examples/laterna.toml"]);
    let missing: Vec<_> = settings.difference(&example).collect();
    let unknown: Vec<_> = example.difference(&settings).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}, unknown: {unknown:?}");
    // The names of a test's made-up settings are none.
    let mut found = Vec::new();
    for (path, text) in
        guides(&tree).chain(host(&tree).filter(|(path, _)| !path.starts_with("host/src/config/")))
    {
        found.extend(
            unknown_settings(&settings, text).iter().map(|name| format!("{path}: there is no `{name}`")),
        );
    }
    assert!(found.is_empty(), "{} wrong:\n{}", found.len(), found.join("\n"));
}

/// The metrics that the table of a document has.
fn documented_metrics(text: &str) -> BTreeSet<String> {
    let is_row = |line: &&str| ["| `laterna_", "| `process_"].iter().any(|start| line.starts_with(start));
    let rows = text.lines().filter(is_row);
    let first = rows.filter_map(|row| row.split('|').nth(1));
    first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(ToOwned::to_owned).collect()
}

/// The metrics in a program: texts that are the name of one from end to end.
fn recorded_metrics<'a>(files: impl Iterator<Item = (&'a String, &'a String)>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (_, text) in files.filter(|(_, text)| text.contains("metrics::") || text.contains("# TYPE ")) {
        let names = text.match_indices("\"laterna_").chain(text.match_indices("\"process_"));
        for (at, _) in names {
            let name = text[at + 1..].split('"').next().unwrap_or_default();
            if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                all.insert(name.to_owned());
            }
        }
    }
    all
}

#[test]
fn the_guide_has_every_metric_and_no_other() {
    let made_up = "| `laterna_a`, `laterna_b_total` | counter |\n| `no` |\n";
    assert_eq!(documented_metrics(made_up).into_iter().collect::<Vec<_>>(), ["laterna_a", "laterna_b_total"]);
    let tree = repository();
    let documented = documented_metrics(&tree["docs/metrics.md"]);
    let recorded = recorded_metrics(host(&tree));
    assert!(recorded.len() > 20, "{recorded:?}");
    let missing: Vec<_> = recorded.difference(&documented).collect();
    let unknown: Vec<_> = documented.difference(&recorded).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}, unknown: {unknown:?}");
}

/// The tables that the host creates in the control schema, and those that a document describes in the first column of its
/// table.
fn control_tables(tree: &Tree) -> [BTreeSet<String>; 2] {
    let code = tree.get("host/src/readmodel/control/schema/steps.rs").map_or("", String::as_str);
    let created = code.split("CREATE TABLE IF NOT EXISTS laterna.").skip(1);
    let created = created.filter_map(|rest| rest.split_whitespace().next()).map(ToOwned::to_owned);
    let document = tree.get("docs/control-schema.md").map_or("", String::as_str);
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let described = rows.flat_map(|cell| {
        cell.split('`').filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    });
    [created.collect(), described.filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect()]
}

#[test]
fn every_table_of_the_control_schema_is_described() {
    let sample: Tree = [
        (
            "host/src/readmodel/control/schema/steps.rs",
            "\"CREATE TABLE IF NOT EXISTS laterna.one (\" \"CREATE TABLE IF NOT EXISTS laterna.two (\"",
        ),
        ("docs/control-schema.md", "| `one`, `other` | id |"),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .into();
    let names = |names: [&str; 2]| names.map(ToOwned::to_owned).into();
    assert_eq!(control_tables(&sample), [names(["one", "two"]), names(["one", "other"])]);
    let [created, described] = control_tables(&repository());
    assert!(!created.is_empty());
    assert_eq!(created, described);
}
