//! What a component declares otherwise than another one: tables and statements, by their names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::statement::Manifest;

/// A table or a statement that two components do not declare alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SqlChange {
    pub kind: SqlKind,
    pub name: String,
    /// As the component in force declares it; none where it does not.
    pub before: Option<String>,
    /// As the other one declares it; none where it does not.
    pub next: Option<String>,
}

/// What is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SqlKind {
    Table,
    Statement,
}

/// What is declared otherwise by `next`: tables first, each kind by name. Without a component before, everything is new.
pub fn between(before: Option<&Manifest>, next: &Manifest) -> Vec<SqlChange> {
    let tables = |of: &Manifest| -> BTreeMap<String, String> {
        of.tables.iter().map(|one| (one.name.clone(), one.ddl.clone())).collect()
    };
    let statements = |of: &Manifest| -> BTreeMap<String, String> {
        of.statements.iter().map(|one| (one.name.clone(), one.sql.clone())).collect()
    };
    let of_kind = |kind, declared: &dyn Fn(&Manifest) -> BTreeMap<String, String>| {
        changes(kind, before.map(declared).unwrap_or_default(), declared(next))
    };
    [of_kind(SqlKind::Table, &tables), of_kind(SqlKind::Statement, &statements)].concat()
}

fn changes(
    kind: SqlKind,
    mut before: BTreeMap<String, String>,
    next: BTreeMap<String, String>,
) -> Vec<SqlChange> {
    let mut all: BTreeMap<String, SqlChange> = BTreeMap::new();
    for (name, next) in next {
        let before = before.remove(&name);
        if before.as_ref() != Some(&next) {
            all.insert(name.clone(), SqlChange { kind, name, before, next: Some(next) });
        }
    }
    for (name, before) in before {
        all.insert(name.clone(), SqlChange { kind, name, before: Some(before), next: None });
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::{Ordering, StatementDeclaration, TableDeclaration};

    fn manifest(tables: &[(&str, &str)], statements: &[(&str, &str)]) -> Manifest {
        let table =
            |(name, ddl): &(&str, &str)| TableDeclaration { name: (*name).into(), ddl: (*ddl).into() };
        let statement =
            |(name, sql): &(&str, &str)| StatementDeclaration { name: (*name).into(), sql: (*sql).into() };
        Manifest {
            name: "one".into(),
            version: "1".into(),
            event_types: vec![],
            ordering: Ordering::Aggregate,
            commutative: false,
            tables: tables.iter().map(table).collect(),
            statements: statements.iter().map(statement).collect(),
        }
    }

    #[test]
    fn what_is_new_changed_or_gone_is_told_and_what_is_alike_is_not() {
        let before = manifest(&[("a", "A1"), ("b", "B")], &[("set", "S"), ("old", "O")]);
        let next = manifest(&[("a", "A2"), ("b", "B")], &[("new", "N"), ("set", "S")]);
        let found = between(Some(&before), &next);
        let told = found.iter().map(|one| (one.name.as_str(), one.before.as_deref(), one.next.as_deref()));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [("a", Some("A1"), Some("A2")), ("new", None, Some("N")), ("old", Some("O"), None)]
        );
        assert!(between(Some(&next), &next).is_empty());
        assert_eq!(between(None, &next).len(), 4, "everything is new");
    }
}
