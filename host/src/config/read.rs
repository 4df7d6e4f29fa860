//! From the text and the environment to settings: every key that is wrong is named, all at once.
//!
//! It knows no setting. A key that cannot be read is reported and taken out, one that is missing is reported and put
//! in, and the rest is read again.

use std::collections::{BTreeMap, HashMap};

use config::{ConfigError, Environment, File, FileFormat, Map, Value, ValueKind};
use serde::de::DeserializeOwned;

/// More wrong keys than this are not looked for.
const PROBLEMS_MAX: usize = 100;

/// The configuration, unless something is missing; and every problem, each in one line that names its key.
pub struct Read<T> {
    pub settings: Option<T>,
    pub problems: Vec<String>,
    /// The values that were given, each by a hash: a secret may be among them.
    pub given: Given,
}

/// The paths of the settings that were given, each with a hash of its value.
pub type Given = BTreeMap<String, u64>;

/// Reads a TOML text, overridden by variables of the environment.
pub fn read<T: DeserializeOwned>(text: &str, overrides: HashMap<String, String>) -> Read<T> {
    let environment = Environment::with_prefix("LATERNA")
        .prefix_separator("_")
        .separator("__")
        .source(Some(overrides.into_iter().collect()));
    // An editor's byte order mark is no part of the text.
    let text = text.trim_start_matches('\u{feff}');
    let table = config::Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(environment)
        .build()
        .and_then(config::Config::try_deserialize::<Map<String, Value>>);
    match table {
        Ok(table) => read_table(Value::new(None, ValueKind::Table(table))),
        Err(error) => {
            Read { settings: None, problems: vec![without_source(&error.to_string())], given: Given::new() }
        }
    }
}

fn read_table<T: DeserializeOwned>(mut tree: Value) -> Read<T> {
    let mut problems: Vec<String> = Vec::new();
    let given = given(&mut tree);
    while problems.len() < PROBLEMS_MAX {
        let error = match T::deserialize(tree.clone()) {
            Ok(settings) => {
                let paths = leaves(&tree, &[]);
                let found: Vec<String> =
                    paths.iter().filter_map(|path| not_a_number::<T>(&mut tree, path)).collect();
                if found.is_empty() {
                    return Read { settings: Some(settings), problems, given };
                }
                problems.extend(found);
                continue;
            }
            Err(error) => error,
        };
        let path = path(&error);
        // What was taken out because it is wrong may be missing now.
        let known = format!("`{}`", path.join("."));
        if !problems.iter().any(|problem| problem.starts_with(&known)) {
            problems.push(format!("{known}: {}", reason(&error)));
        }
        let mended = match error {
            ConfigError::NotFound(_) => put_in(&mut tree, &path),
            _ => take_out(&mut tree, &path),
        };
        if mended.is_none() {
            break;
        }
    }
    Read { settings: None, problems, given }
}

fn given(tree: &mut Value) -> Given {
    let paths = leaves(tree, &[]);
    let hashed = |path: Vec<String>| {
        let value = format!("{:?}", at(tree, &path)?.kind);
        Some((path.join("."), xxhash_rust::xxh3::xxh3_64(value.as_bytes())))
    };
    paths.into_iter().filter_map(hashed).collect()
}

/// The config crate takes `true` and `"on"` for 1 and `2.5` for 3. Where a number is expected, only one is taken: the
/// rest of the tree can be read, so the error about a text that is no number names what is expected here.
fn not_a_number<T: DeserializeOwned>(tree: &mut Value, path: &[String]) -> Option<String> {
    let found = at(tree, path)?.clone();
    let shown = match &found.kind {
        ValueKind::Boolean(truth) => truth.to_string(),
        ValueKind::Float(number) => number.to_string(),
        ValueKind::String(text)
            if ["true", "false", "on", "off", "yes", "no"].contains(&&*text.to_lowercase()) =>
        {
            text.clone()
        }
        _ => return None,
    };
    at(tree, path)?.kind = ValueKind::String("no number".to_owned());
    let asked = T::deserialize(tree.clone());
    let number = matches!(&asked, Err(ConfigError::Type { expected: "an integer", key: Some(key), .. })
        if *key == path.join("."));
    if number {
        take_out(tree, path);
        return Some(format!("`{}`: it is {shown}; a whole number is expected", path.join(".")));
    }
    *at(tree, path)? = found;
    None
}

/// The paths of all values that are no tables.
fn leaves(tree: &Value, path: &[String]) -> Vec<Vec<String>> {
    match &tree.kind {
        ValueKind::Table(table) => table
            .iter()
            .flat_map(|(key, value)| leaves(value, &[path, std::slice::from_ref(key)].concat()))
            .collect(),
        _ => vec![path.to_vec()],
    }
}

fn at<'a>(tree: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(tree, |value, key| match &mut value.kind {
        ValueKind::Table(table) => table.get_mut(key),
        _ => None,
    })
}

fn take_out(tree: &mut Value, path: &[String]) -> Option<Value> {
    let (key, parent) = path.split_last()?;
    match &mut at(tree, parent)?.kind {
        ValueKind::Table(table) => table.remove(key),
        _ => None,
    }
}

/// Puts something in the place of what is missing: a section on the first level, a text below it.
fn put_in(tree: &mut Value, path: &[String]) -> Option<Value> {
    let (key, parent) = path.split_last()?;
    let stand_in =
        if parent.is_empty() { ValueKind::Table(Map::new()) } else { ValueKind::String(String::new()) };
    let value = Value::new(None, stand_in);
    match &mut at(tree, parent)?.kind {
        ValueKind::Table(table) => table.insert(key.clone(), value.clone()).is_none().then_some(value),
        _ => None,
    }
}

/// The key that an error is about.
fn path(error: &ConfigError) -> Vec<String> {
    let split = |key: &str| key.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    match error {
        ConfigError::Type { key: Some(key), .. } | ConfigError::NotFound(key) => split(key),
        ConfigError::At { error, key, .. } => {
            let mut path: Vec<String> = split(key.as_deref().unwrap_or_default());
            path.extend(unknown_field(error));
            path
        }
        error => unknown_field(error).into_iter().collect(),
    }
}

/// The name in serde's message about a field that a structure does not have.
fn unknown_field(error: &ConfigError) -> Option<String> {
    let ConfigError::Message(message) = error else { return None };
    let (name, _) = message.strip_prefix("unknown field `")?.split_once("`, ")?;
    Some(name.to_owned())
}

fn reason(error: &ConfigError) -> String {
    match error {
        ConfigError::NotFound(_) => "it is missing".to_owned(),
        ConfigError::Type { unexpected, expected, .. } => format!("it is {unexpected}; expected {expected}"),
        ConfigError::At { error, .. } => reason(error),
        error => {
            let said = error.to_string();
            // The reader names the type of the host's own, and not the values there are.
            match said.split_once(" does not have variant constructor ") {
                Some((_, found)) => {
                    format!("{found:?} is none of its values; expected one of those in examples/laterna.toml")
                }
                None => said,
            }
        }
    }
}

/// A parser's message without the lines of the file that it repeats: a secret may stand in them.
fn without_source(message: &str) -> String {
    let is_source = |line: &str| {
        line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|')
    };
    let lines: Vec<&str> = message.lines().filter(|line| !is_source(line)).map(str::trim).collect();
    lines.join(": ")
}
