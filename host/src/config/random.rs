//! Random configurations: whatever is wrong in one is named, all at once, and nothing panics.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::tests::{VALID, load, refusal};

const PROJECTION: &str = "projection.accounts";

/// Every number that can be set, with the least and the largest that is taken. A bound that is checked and does not
/// stand here is found by `every_bound_stands_in_the_list`.
const BOUNDS: [(&str, &str, u64, u64); 23] = [
    ("host", "lease_seconds", 2, 300),
    ("host", "stop_seconds", 1, 600),
    ("host", "memory_bytes", 16 << 20, 2 << 30),
    ("host", "audit_retention_days", 0, 36_500),
    ("host", "component_retention_days", 0, 36_500),
    ("mysql", "statement_seconds", 2, 600),
    ("mongodb", "payload_bytes_max", 1024, 32 << 20),
    ("mongodb", "delete_after_seconds", 0, 31 * 86_400),
    (PROJECTION, "lanes", 1, 64),
    (PROJECTION, "batch_max", 1, 5000),
    (PROJECTION, "dedupe_window", 1000, 1_000_000),
    (PROJECTION, "dead_letters_max", 1, 10_000_000),
    (PROJECTION, "dead_letter_bytes_max", 17 << 20, 1 << 40),
    (PROJECTION, "letter_retention_days", 0, 36_500),
    (PROJECTION, "breaker.aggregates", 0, 100_000),
    (PROJECTION, "breaker.seconds", 1, 3600),
    (PROJECTION, "breaker.percent", 0, 99),
    (PROJECTION, "rebuild_percent", 1, 100),
    (PROJECTION, "budget.fuel", 1_000_000, 1_000_000_000_000),
    (PROJECTION, "budget.memory_bytes", 1 << 20, 4 << 30),
    (PROJECTION, "budget.operations", 1, 100_000),
    (PROJECTION, "budget.output_bytes", 1024, 12 << 20),
    (PROJECTION, "budget.compare_every", 1, 1_000_000),
];

/// Values that are no text, no address and none of a few words, whatever is asked for.
const NO_TEXT: [&str; 3] = ["[1]", "{ a = 1 }", "[]"];
const NO_NUMBER: [&str; 12] = [
    "true",
    "false",
    "2.5",
    "nan",
    "inf",
    "-1",
    "\"many\"",
    "\"\"",
    "\"on\"",
    "[1]",
    "{ a = 1 }",
    "9223372036854775807",
];

/// Sections, each with its keys and the TOML text of their values.
type Sections = BTreeMap<String, BTreeMap<String, String>>;

fn valid() -> Sections {
    let section = |name: &str, fields: &[(&str, &str)]| {
        let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        (name.to_owned(), fields.collect())
    };
    BTreeMap::from([
        section("host", &[]),
        section("mongodb", &[("uri", "\"mongodb://127.0.0.1\""), ("database", "\"bank\"")]),
        section("mysql", &[("url", "\"mysql://app@127.0.0.1/bank\"")]),
        section(PROJECTION, &[("component", "\"accounts.wasm\"")]),
    ])
}

fn toml(sections: &Sections) -> String {
    let lines = sections.iter().flat_map(|(section, fields)| {
        let fields = fields.iter().map(|(key, value)| format!("{key} = {value}"));
        std::iter::once(format!("[{section}]")).chain(fields)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn with(section: &str, key: &str, value: &str) -> String {
    let mut sections = valid();
    sections.entry(section.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
    toml(&sections)
}

/// A key with a value that it cannot have, or one that is not there.
fn wrong() -> impl Strategy<Value = ((&'static str, String), String)> {
    let pair =
        |(section, key, value): (&'static str, &str, &str)| ((section, key.to_owned()), value.to_owned());
    let texts = vec![
        ("host", "id"),
        ("host", "admin"),
        ("host", "state"),
        ("host", "log"),
        ("mongodb", "uri"),
        ("mongodb", "database"),
        ("mongodb", "outbox"),
        ("mongodb", "preset"),
        ("mongodb", "fields.payload"),
        ("mysql", "url"),
        ("mysql", "control_schema"),
        (PROJECTION, "component"),
        (PROJECTION, "start"),
    ];
    let words = vec![("host", "log"), ("host", "admin"), ("mongodb", "preset"), (PROJECTION, "start")];
    let sections = vec!["host", "mongodb", "mysql", PROJECTION];
    let names = "[a-z]{1,6}_x";
    prop_oneof![
        (select(BOUNDS.to_vec()), select(NO_NUMBER.to_vec()))
            .prop_map(move |((section, key, ..), value)| pair((section, key, value))),
        (select(texts), select(NO_TEXT.to_vec()))
            .prop_map(move |((section, key), value)| pair((section, key, value))),
        (select(words), select(vec!["\"other\"", "5", "\"\"", "true"]))
            .prop_map(move |((section, key), value)| pair((section, key, value))),
        (select(sections), names, select(vec!["1", "\"a\"", "{ a = 1 }"]))
            .prop_map(|(section, key, value)| ((section, key), value.to_owned())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn every_wrong_key_is_named_at_once(wrongs in vec(wrong(), 1..8)) {
        let mut sections = valid();
        for ((section, key), value) in &wrongs {
            sections.entry((*section).to_owned()).or_default().insert(key.clone(), value.clone());
        }
        let text = toml(&sections);
        let refused = refusal(&text, &[]);
        for ((section, key), _) in &wrongs {
            prop_assert!(refused.contains(&format!("`{section}.{key}`")), "{section}.{key} is not named in\n{refused}\nfor\n{text}");
        }
        prop_assert!(refused.contains("laterna.toml"));
    }

    #[test]
    fn any_text_is_a_configuration_or_refused(text in any::<String>(), at in any::<prop::sample::Index>(), cut in 0..30_usize) {
        let _ = load(&text, &[]);
        let mut broken: Vec<char> = VALID.chars().collect();
        let at = at.index(broken.len());
        broken.splice(at..(at + cut).min(VALID.chars().count()), text.chars());
        let broken: String = broken.into_iter().collect();
        if let Err(refused) = load(&broken, &[]) {
            prop_assert!(format!("{refused:#}").contains("is not valid"), "{refused:#}");
        }
    }

    #[test]
    fn any_variable_is_an_override_or_refused(
        name in prop_oneof!["[A-Z_\\[\\].0-9]{0,12}", any::<String>(), "(HOST|MYSQL|PROJECTION__ACCOUNTS|MONGODB)(__[A-Z0-9_]{0,6}){0,3}"],
        value in any::<String>(),
    ) {
        let name = format!("LATERNA_{name}");
        if let Err(refused) = load(VALID, &[(&name, &value)]) {
            prop_assert!(format!("{refused:#}").contains("is not valid"), "{refused:#}");
        }
    }
}

#[test]
fn every_number_is_bounded_from_both_sides() {
    for (section, key, min, max) in BOUNDS {
        for good in [min, max] {
            let text = with(section, key, &good.to_string());
            load(&text, &[]).unwrap_or_else(|error| panic!("{section}.{key} = {good}: {error:#}"));
        }
        let too_large = (max + 1).to_string();
        let too_small = i128::from(min) - 1;
        for bad in [too_small.to_string(), too_large, i64::MAX.to_string(), i64::MIN.to_string()] {
            let refused = refusal(&with(section, key, &bad), &[]);
            assert!(refused.contains(&format!("`{section}.{key}`")), "{bad}: {refused}");
        }
        let variable = format!("{section}.{key}").replace('.', "__").to_uppercase();
        let variable = format!("LATERNA_{variable}");
        load(VALID, &[(&variable, &max.to_string())]).unwrap_or_else(|error| panic!("{variable}: {error:#}"));
        for bad in [too_small.to_string(), "many".into(), String::new(), "1.5".into(), "true".into()] {
            let refused = refusal(VALID, &[(&variable, &bad)]);
            assert!(refused.contains(&format!("`{section}.{key}`")), "{variable}={bad:?}: {refused}");
        }
    }
}

#[test]
fn every_bound_stands_in_the_list() {
    let checks = include_str!("check.rs");
    let (checks, _) = checks.split_once("fn range(").expect("the function is there");
    assert_eq!(checks.matches("range(").count(), BOUNDS.len(), "add the new bound to BOUNDS");
}

#[test]
fn what_is_missing_is_named_with_everything_else() {
    let refused = refusal(
        "[projection.a]\nlanes = 0\nbudget.fuel = 1\n[projection.b]\ncomponent = \"b\"\nstrat = 1",
        &[],
    );
    for key in [
        "mongodb",
        "mongodb.database",
        "mongodb.uri",
        "mysql",
        "mysql.url",
        "projection.a.component",
        "projection.a.lanes",
        "projection.a.budget.fuel",
        "projection.b.strat",
    ] {
        assert!(refused.contains(&format!("`{key}`")), "{key} is not named in\n{refused}");
    }
}

#[test]
fn a_variable_says_a_text_as_it_is() {
    for name in ["007", "1e5", "TRUE", "nan"] {
        let config = load(VALID, &[("LATERNA_MONGODB__DATABASE", name)]).expect("it is valid");
        assert_eq!(config.mongodb.database, name);
    }
}
