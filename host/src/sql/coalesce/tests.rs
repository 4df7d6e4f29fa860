//! The coalescer against running the operations one by one, in a small model of tables.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::{PARAMETERS_MAX, RowRun, coalesce, in_order, render, split};
use crate::sql;
use crate::statement::{
    FittedOperation, Manifest, Operation, Ordering, Schema, Sent, StatementDeclaration, TableDeclaration,
};

const TABLES: &[(&str, &str)] = &[
    ("plain", "CREATE TABLE plain (k INT PRIMARY KEY, v INT)"),
    ("other", "CREATE TABLE other (k INT PRIMARY KEY, v INT)"),
    ("parent", "CREATE TABLE parent (k INT PRIMARY KEY, v INT)"),
    (
        "child",
        "CREATE TABLE child (k INT PRIMARY KEY, v INT, FOREIGN KEY (v) REFERENCES parent (k) ON DELETE CASCADE)",
    ),
    (
        "grandchild",
        "CREATE TABLE grandchild (k INT PRIMARY KEY, v INT, FOREIGN KEY (v) REFERENCES child (k) ON DELETE CASCADE)",
    ),
];

/// For each table, in this order. `#` is the table.
const STATEMENTS: &[&str] = &[
    "INSERT INTO # (k, v) VALUES (?, ?)",
    "INSERT INTO # (k, v) VALUES (?, ?) ON DUPLICATE KEY UPDATE v = VALUES(v)",
    "REPLACE INTO # (k, v) VALUES (?, ?)",
    "INSERT INTO # (k, v) VALUES (?, ?) ON DUPLICATE KEY UPDATE v = v * 3 + VALUES(v)",
    "UPDATE # SET v = v + ? WHERE k = ?",
    "DELETE FROM # WHERE k = ?",
];

fn schema() -> Schema {
    let statements = TABLES.iter().flat_map(|(table, _)| {
        STATEMENTS.iter().enumerate().map(move |(number, sql)| StatementDeclaration {
            name: format!("{table} {number}"),
            sql: sql.replace('#', table),
        })
    });
    let tables =
        TABLES.iter().map(|(name, ddl)| TableDeclaration { name: (*name).into(), ddl: (*ddl).into() });
    let manifest = Manifest {
        name: "model".into(),
        version: "1".into(),
        event_types: Vec::new(),
        ordering: Ordering::Aggregate,
        commutative: false,
        tables: tables.collect(),
        statements: statements.collect(),
    };
    sql::check(&manifest).expect("the model's SQL is right")
}

type KeptRows = BTreeMap<i64, i64>;

/// The tables, in the order of `TABLES`.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    tables: [KeptRows; TABLES.len()],
}

impl Model {
    /// Runs one row of a statement. An error rolls everything back.
    fn run(&mut self, statement: usize, row: &[Sent]) -> Result<(), String> {
        let (table, kind) = (statement / STATEMENTS.len(), statement % STATEMENTS.len());
        let number = |at: usize| match &row[at] {
            Sent::Integer(Some(number)) => *number,
            other => panic!("the model has integers only, not {other:?}"),
        };
        let found = self.tables[table].get(&number(0)).copied();
        match (kind, found) {
            (0, Some(_)) => Err("duplicate key".into()),
            (0 | 1 | 3, None) | (1, Some(_)) => self.put(table, number(0), number(1)),
            (2, _) => {
                self.delete(table, number(0));
                self.put(table, number(0), number(1))
            }
            (3, Some(old)) => self.put(table, number(0), old.wrapping_mul(3).wrapping_add(number(1))),
            (4, _) => match self.tables[table].get(&number(1)).copied() {
                Some(old) => self.put(table, number(1), old.wrapping_add(number(0))),
                None => Ok(()),
            },
            (_, _) => {
                self.delete(table, number(0));
                Ok(())
            }
        }
    }

    fn put(&mut self, table: usize, key: i64, value: i64) -> Result<(), String> {
        if parent(table).is_some_and(|parent| !self.tables[parent].contains_key(&value)) {
            return Err("no such parent".into());
        }
        self.tables[table].insert(key, value);
        Ok(())
    }

    fn delete(&mut self, table: usize, key: i64) {
        if self.tables[table].remove(&key).is_none() {
            return;
        }
        if let Some(child) = (0..TABLES.len()).find(|child| parent(*child) == Some(table)) {
            let orphans: Vec<i64> =
                self.tables[child].iter().filter(|(_, value)| **value == key).map(|(key, _)| *key).collect();
            for orphan in orphans {
                self.delete(child, orphan);
            }
        }
    }
}

fn parent(table: usize) -> Option<usize> {
    match TABLES[table].0 {
        "child" | "grandchild" => Some(table - 1),
        _ => None,
    }
}

fn one_by_one(operations: &[FittedOperation]) -> Result<Model, String> {
    let mut model = Model::default();
    for operation in operations {
        model.run(operation.statement as usize, &operation.parameters)?;
    }
    Ok(model)
}

fn by_runs(runs: &[RowRun]) -> Result<Model, String> {
    let mut model = Model::default();
    for run in runs {
        for piece in split(&run.rows, 2, 8, PARAMETERS_MAX) {
            piece.iter().try_for_each(|row| model.run(run.statement, row))?;
        }
    }
    Ok(model)
}

fn operation(statement: usize, numbers: &[i64]) -> FittedOperation {
    let parameters = numbers.iter().map(|number| Sent::Integer(Some(*number))).collect();
    Operation { statement: u32::try_from(statement).expect("the model is small"), parameters }
}

fn operations(kinds: impl Strategy<Value = usize> + Clone) -> impl Strategy<Value = Vec<FittedOperation>> {
    let one = (0..TABLES.len(), kinds, 0..4_i64, 0..4_i64).prop_map(|(table, kind, left, right)| {
        let numbers: &[i64] = if kind == STATEMENTS.len() - 1 { &[left] } else { &[left, right] };
        operation(table * STATEMENTS.len() + kind, numbers)
    });
    // Rows to begin with, so that parents are often there.
    vec(one, 0..60).prop_map(|operations| {
        let seed = (2..TABLES.len())
            .flat_map(|table| (0..3).map(move |key| operation(table * STATEMENTS.len() + 1, &[key, key])));
        seed.chain(operations).collect()
    })
}

/// Checks the shape: `statement x rows` for each run.
fn check(operations: &[(usize, &[i64])], expect: &[(usize, usize)]) {
    let operations: Vec<FittedOperation> =
        operations.iter().map(|(statement, numbers)| operation(*statement, numbers)).collect();
    let schema = schema();
    let runs = coalesce(&schema, &operations);
    let shape: Vec<(usize, usize)> = runs.iter().map(|run| (run.statement, run.rows.len())).collect();
    assert_eq!(shape, expect);
}

#[test]
fn rows_of_one_statement_share_a_run() {
    check(&[], &[]);
    check(&[(3, &[1, 1]), (3, &[2, 2]), (3, &[1, 3])], &[(3, 3)]);
    check(&[(5, &[1]), (5, &[2])], &[(5, 2)]);
    check(&[(4, &[7, 1]), (4, &[7, 2])], &[(4, 2)]);
    // A parent's rows can hold each other up.
    check(&[(17, &[1]), (17, &[2])], &[(17, 1), (17, 1)]);
    check(&[(16, &[7, 1]), (16, &[7, 2])], &[(16, 2)]);
    check(&[(16, &[7, 1]), (16, &[7, 1])], &[(16, 1), (16, 1)]);
}

#[test]
fn operations_on_one_row_are_folded_where_the_last_one_says_it_all() {
    check(&[(1, &[1, 1]), (1, &[2, 2]), (1, &[1, 3])], &[(1, 2)]);
    check(&[(2, &[1, 1]), (2, &[1, 2])], &[(2, 1)]);
    check(&[(4, &[5, 1]), (4, &[6, 1])], &[(4, 1)]);
    check(&[(4, &[5, 1]), (4, &[-6, 1])], &[(4, 1), (4, 1)]);
    check(&[(1, &[1, 1]), (5, &[1])], &[(5, 1)]);
    // These may be refused, and are not forgotten.
    check(&[(0, &[1, 1]), (5, &[1])], &[(0, 1), (5, 1)]);
    check(&[(4, &[1, 1]), (5, &[1])], &[(4, 1), (5, 1)]);
    let (schema, operations) = (schema(), [operation(4, &[5, 1]), operation(4, &[6, 1])]);
    let runs = coalesce(&schema, &operations);
    assert_eq!(runs[0].rows, [vec![Sent::Integer(Some(11)), Sent::Integer(Some(1))]]);
}

#[test]
fn operations_on_other_rows_pass_each_other_in_a_table_of_its_own() {
    check(&[(0, &[1, 1]), (4, &[1, 2]), (0, &[3, 3]), (4, &[5, 1])], &[(0, 2), (4, 2)]);
    check(&[(0, &[1, 1]), (4, &[1, 1]), (0, &[1, 3])], &[(0, 1), (4, 1), (0, 1)]);
    check(&[(5, &[1]), (0, &[1, 1]), (5, &[2]), (0, &[2, 1])], &[(5, 2), (0, 2)]);
    check(&[(5, &[1]), (0, &[1, 1]), (5, &[1])], &[(5, 1), (0, 1), (5, 1)]);
}

#[test]
fn operations_of_one_table_keep_their_order() {
    check(&[(0, &[1, 1]), (5, &[1]), (0, &[1, 1])], &[(0, 1), (5, 1), (0, 1)]);
    check(&[(1, &[1, 1]), (2, &[1, 1]), (1, &[1, 1])], &[(1, 1), (2, 1), (1, 1)]);
}

#[test]
fn operations_of_unrelated_tables_pass_each_other() {
    check(&[(1, &[1, 1]), (6, &[1, 1]), (1, &[2, 2]), (11, &[1]), (1, &[3, 3])], &[(1, 3), (6, 1), (11, 1)]);
    check(&[(1, &[1, 1]), (13, &[1, 1]), (1, &[2, 2])], &[(1, 2), (13, 1)]);
}

#[test]
fn operations_of_tables_tied_by_foreign_keys_do_not() {
    check(&[(13, &[1, 1]), (19, &[1, 1]), (13, &[2, 2])], &[(13, 1), (19, 1), (13, 1)]);
    check(&[(13, &[1, 1]), (25, &[1, 1]), (13, &[2, 2])], &[(13, 1), (25, 1), (13, 1)]);
}

#[test]
fn a_read_table_is_tied_too() {
    let Schema { tables, mut statements, .. } = schema();
    statements[1].reads = vec!["other".into()];
    let schema = Schema::new(tables, statements);
    let operations = [operation(1, &[1, 1]), operation(7, &[1, 1]), operation(1, &[2, 2])];
    assert_eq!(coalesce(&schema, &operations).len(), 3);
}

#[test]
fn pieces_have_a_few_sizes() {
    let row = [1, 2];
    let cases: [(usize, usize, usize, &[usize]); 8] = [
        (1, 512, PARAMETERS_MAX, &[1]),
        (3, 512, PARAMETERS_MAX, &[2, 1]),
        (1543, 1000, PARAMETERS_MAX, &[512, 512, 512, 4, 2, 1]),
        (9, 7, PARAMETERS_MAX, &[4, 4, 1]),
        (5, 512, 4, &[2, 2, 1]),
        (3, 512, 3, &[1, 1, 1]),
        (2, 0, 0, &[1, 1]),
        (2, 2, 4, &[2]),
    ];
    for (rows, rows_max, parameters_max, expect) in cases {
        let rows = vec![&row[..]; rows];
        let sizes: Vec<usize> =
            split(&rows, 2, rows_max, parameters_max).iter().map(|piece| piece.len()).collect();
        assert_eq!(sizes, expect);
    }
    assert_eq!(split(&[&row[..0]; 3], 0, 512, PARAMETERS_MAX).len(), 2);
}

#[test]
fn a_statement_is_written_for_several_rows() {
    let schema = schema();
    assert_eq!(render(&schema.statements[0], 1, ""), schema.statements[0].sql);
    assert_eq!(render(&schema.statements[0], 2, ""), "INSERT INTO `plain` (`k`, `v`) VALUES (?, ?),(?, ?)");
    assert_eq!(
        render(&schema.statements[1], 3, ""),
        "INSERT INTO `plain` (`k`, `v`) VALUES (?, ?),(?, ?),(?, ?) ON DUPLICATE KEY UPDATE `v` = VALUES(`v`)"
    );
    assert_eq!(render(&schema.statements[5], 1, ""), "DELETE FROM `plain` WHERE `k` = ?");
    assert_eq!(render(&schema.statements[5], 2, ""), "DELETE FROM `plain` WHERE `k` IN (?,?)");
    assert_eq!(
        render(&schema.statements[4], 2, ""),
        "UPDATE `plain` FORCE INDEX (PRIMARY) SET `v` = `v` + CASE `k` WHEN ? THEN ? WHEN ? THEN ? END WHERE `k` IN (?,?)"
    );
    let rows = [[1, 2], [3, 4]];
    assert_eq!(in_order(&schema.statements[4], &rows), [&2, &1, &4, &3, &2, &4]);
    assert_eq!(in_order(&schema.statements[4], &rows[..1]), [&1, &2]);
    assert_eq!(in_order(&schema.statements[1], &rows), [&1, &2, &3, &4]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn runs_give_what_one_by_one_gives(operations in prop_oneof![
        operations(0..STATEMENTS.len()),
        // Without plain inserts errors are rare.
        operations(1..STATEMENTS.len()),
        operations(prop::sample::select(vec![1_usize, 1, 1, 3, 3, 5])),
    ]) {
        let schema = schema();
        let runs = coalesce(&schema, &operations);
        prop_assert!(runs.iter().map(|run| run.rows.len()).sum::<usize>() <= operations.len());
        match (one_by_one(&operations), by_runs(&runs)) {
            (Ok(expected), Ok(found)) => prop_assert_eq!(expected, found),
            (Err(_), Err(_)) => {}
            (expected, found) => prop_assert!(false, "{expected:?} one by one, {found:?} in runs"),
        }
    }
}
