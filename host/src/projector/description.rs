//! A component's description of itself, and its limits. `sql` has what the SQL in it may do.

use super::bindings::{exported, upcast};
use super::refusal::ComponentRefusal;
use crate::statement::{Manifest, UpcasterManifest};

const NAME_BYTES_MAX: usize = 200;
const EVENT_TYPES_MAX: usize = 1_000;
const TABLES_MAX: usize = 64;
const STATEMENTS_MAX: usize = 1_000;
const SQL_BYTES_MAX: usize = 64 << 10;

/// The manifest in the host's words, if it is within the limits.
pub(super) fn manifest(described: exported::Manifest) -> Result<Manifest, ComponentRefusal> {
    let manifest = Manifest::from(described);
    names(&manifest.name, &manifest.version, &manifest.event_types)?;
    count("tables", manifest.tables.len(), TABLES_MAX)?;
    for table in &manifest.tables {
        name("a table's name", &table.name)?;
        length(&format!("the DDL of `{}`", table.name), &table.ddl, SQL_BYTES_MAX)?;
    }
    count("statements", manifest.statements.len(), STATEMENTS_MAX)?;
    for statement in &manifest.statements {
        name("a statement's name", &statement.name)?;
        length(&format!("the SQL of `{}`", statement.name), &statement.sql, SQL_BYTES_MAX)?;
    }
    Ok(manifest)
}

/// Reads the description of an upcaster.
pub(super) fn upcaster(described: upcast::exported::Manifest) -> Result<UpcasterManifest, ComponentRefusal> {
    let manifest = UpcasterManifest::from(described);
    names(&manifest.name, &manifest.version, &manifest.event_types)?;
    Ok(manifest)
}

/// Checks the names that both kinds of component have.
fn names(own: &str, version: &str, event_types: &[String]) -> Result<(), ComponentRefusal> {
    name("its name", own)?;
    name("its version", version)?;
    count("event types", event_types.len(), EVENT_TYPES_MAX)?;
    event_types.iter().try_for_each(|event_type| name("an event type", event_type))
}

fn name(what: &str, text: &str) -> Result<(), ComponentRefusal> {
    if text.is_empty() {
        return Err(ComponentRefusal::Manifest { what: format!("{what} is empty") });
    }
    length(what, text, NAME_BYTES_MAX)?;
    if text.chars().any(char::is_control) {
        return Err(ComponentRefusal::Manifest { what: format!("{what} has control characters: {text:?}") });
    }
    Ok(())
}

fn length(what: &str, text: &str, limit: usize) -> Result<(), ComponentRefusal> {
    if text.len() > limit {
        let what = format!("{what} has {} bytes, at most {limit} are taken", text.len());
        return Err(ComponentRefusal::Manifest { what });
    }
    Ok(())
}

fn count(what: &str, count: usize, limit: usize) -> Result<(), ComponentRefusal> {
    if count > limit {
        return Err(ComponentRefusal::Manifest {
            what: format!("it has {count} {what}, at most {limit} are taken"),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> exported::Manifest {
        exported::Manifest {
            name: "accounts".into(),
            version: "1.0.0".into(),
            event_types: vec!["AccountOpened".into()],
            ordering: exported::Ordering::Stream,
            commutative: true,
            tables: vec![exported::Table { name: "accounts".into(), ddl: "CREATE TABLE accounts".into() }],
            statements: vec![exported::Statement { name: "open".into(), sql: "INSERT".into() }],
        }
    }

    fn check(break_it: impl FnOnce(&mut exported::Manifest), expect: &str) {
        let mut described = healthy();
        break_it(&mut described);
        let refusal = manifest(described).expect_err("it is beyond a limit").to_string();
        assert!(refusal.contains(expect), "{refusal}");
    }

    #[test]
    fn a_manifest_keeps_what_was_described() {
        let manifest = manifest(healthy()).expect("it is within all limits");
        assert_eq!(manifest.statements[0].sql, "INSERT");
        assert_eq!(manifest.ordering, crate::statement::Ordering::Stream);
        assert!(manifest.commutative && manifest.handles("AccountOpened"));
    }

    #[test]
    fn an_upcasters_manifest_has_the_same_limits() {
        let described = |name: &str, types: usize| upcast::exported::Manifest {
            name: name.into(),
            version: "1.0.0".into(),
            event_types: vec!["AccountOpened".into(); types],
        };
        let manifest = upcaster(described("upcasts", EVENT_TYPES_MAX)).expect("it is within all limits");
        assert!(manifest.takes("AccountOpened") && !manifest.takes("AccountClosed"));
        assert!(upcaster(described("upcasts", 0)).expect("it is within all limits").takes("AccountClosed"));
        let refused = |described| upcaster(described).expect_err("it is beyond a limit").to_string();
        assert!(refused(described("", 1)).contains("its name is empty"));
        assert!(refused(described("upcasts", EVENT_TYPES_MAX + 1)).contains("1001 event types"));
    }

    #[test]
    fn every_part_of_a_manifest_has_a_limit() {
        check(|m| m.name.clear(), "its name is empty");
        check(|m| m.name = "a\nb".into(), "control characters");
        check(|m| m.version = "1".repeat(201), "its version has 201 bytes");
        check(|m| m.event_types = vec!["e".into(); 1_001], "1001 event types");
        check(|m| m.event_types = vec![String::new()], "an event type is empty");
        check(|m| m.tables = vec![m.tables[0].clone(); 65], "65 tables");
        check(|m| m.tables[0].ddl = "x".repeat(65_537), "the DDL of `accounts` has 65537 bytes");
        check(|m| m.statements = vec![m.statements[0].clone(); 1_001], "1001 statements");
        check(|m| m.statements[0].sql = "x".repeat(65_537), "the SQL of `open` has 65537 bytes");
    }
}
