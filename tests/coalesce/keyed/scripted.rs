//! Batches that a random one is seldom: each is one that must not be joined or folded, and would show if it were.

use laterna::sql;
use laterna::sql::fit::judge;
use laterna::statement::{
    FittedOperation, Manifest, Operation, Ordering, Schema, StatementDeclaration, TableDeclaration,
    TextOrder, Value,
};
use sqlx::mysql::MySqlConnection;

use super::{Seen, Table, send};

/// A table `t`, its statements, and the operations, each an entry: a statement and its parameters. The first are the rows
/// that are there before.
struct Script {
    key: &'static str,
    columns: &'static str,
    statements: &'static [&'static str],
    operations: Vec<(u32, Vec<Option<i64>>)>,
}

const INSERT: &str = "INSERT INTO t (k, n) VALUES (?, ?)";
const SET: &str = "UPDATE t SET n = ? WHERE k = ?";
const ADD: &str = "UPDATE t SET n = n + ? WHERE k = ?";
const PUT: &str = "INSERT INTO t (k, n) VALUES (?, ?) ON DUPLICATE KEY UPDATE n = VALUES(n)";
const DELETE: &str = "DELETE FROM t WHERE k = ?";

fn scripts() -> Vec<Script> {
    let row = |key, number| (0, vec![Some(key), Some(number)]);
    let two = |statement: u32, first: Vec<i64>, second: Vec<i64>| {
        let of = |values: Vec<i64>| (statement, values.into_iter().map(Some).collect());
        vec![of(first), of(second)]
    };
    let script = |columns, statements, rows: Vec<_>, operations: Vec<_>| Script {
        key: "k BIGINT PRIMARY KEY",
        columns,
        statements,
        operations: rows.into_iter().chain(operations).collect(),
    };
    let large = (1 << 55) + 1;
    vec![
        // A value of a unique key is free once the other row has another one, which has the larger key.
        script(
            "n INT, UNIQUE KEY u (n)",
            &[INSERT, SET],
            vec![row(1, 5), row(2, 6)],
            two(1, vec![7, 2], vec![6, 1]),
        ),
        script(
            "n INT, g INT AS (n * 2) STORED, UNIQUE KEY u (g)",
            &[INSERT, SET],
            vec![row(1, 5), row(2, 6)],
            two(1, vec![7, 2], vec![6, 1]),
        ),
        // The one below is gone first.
        script(
            "n BIGINT NULL, FOREIGN KEY (n) REFERENCES t (k)",
            &[INSERT, DELETE],
            vec![row(1, 1), (0, vec![Some(2), Some(1)]), row(3, 2)],
            vec![(1, vec![Some(3)]), (1, vec![Some(2)])],
        ),
        // Refused in the middle, and not in the end.
        script("n TINYINT", &[INSERT, ADD], vec![row(1, 100)], two(1, vec![100, 1], vec![-100, 1])),
        script("n INT, CHECK (n <> 7)", &[INSERT, PUT], vec![row(1, 5)], two(1, vec![1, 7], vec![1, 8])),
        script("n INT, CHECK (n <> 7)", &[INSERT, SET], vec![row(1, 5)], two(1, vec![7, 1], vec![8, 1])),
        script(
            "n TINYINT",
            &[INSERT, ADD, DELETE],
            vec![row(1, 100)],
            vec![(1, vec![Some(100), Some(1)]), (2, vec![Some(1)])],
        ),
        // Beside NULL, a number has more digits than a double keeps.
        script(
            "n BIGINT NULL",
            &[INSERT, ADD],
            vec![row(1, 1 << 60), row(2, 1 << 60)],
            vec![(1, vec![None, Some(2)]), (1, vec![Some(large), Some(1)])],
        ),
        // Refused by the server, which the host does not foresee.
        script("n INT, CHECK (t.n <> 7)", &[INSERT, PUT], vec![row(1, 5)], two(1, vec![1, 7], vec![1, 8])),
        script("n DOUBLE UNSIGNED", &[INSERT, PUT], vec![row(1, 5)], two(1, vec![1, -1], vec![1, 2])),
        script("n FLOAT UNSIGNED", &[INSERT, SET], vec![row(1, 5)], two(1, vec![-1, 1], vec![2, 1])),
        script(
            "n DOUBLE(5, 2)",
            &[INSERT, PUT, DELETE],
            vec![row(1, 5)],
            vec![(1, vec![Some(1), Some(1000)]), (2, vec![Some(1)])],
        ),
        // Only the beginning of the key is compared: these are all one row.
        Script {
            key: "k VARCHAR(9)",
            ..script(
                "n INT, PRIMARY KEY (k(3))",
                &[INSERT, PUT],
                vec![],
                [(1001, 1), (1002, 2), (1001, 3)].map(|(k, n)| (1, vec![Some(k), Some(n)])).to_vec(),
            )
        },
    ]
}

fn schema(script: &Script) -> Schema {
    let manifest = Manifest {
        name: "scripted".into(),
        version: "1".into(),
        event_types: vec![],
        ordering: Ordering::Aggregate,
        commutative: false,
        tables: vec![TableDeclaration {
            name: "t".into(),
            ddl: format!("CREATE TABLE t ({}, {})", script.key, script.columns),
        }],
        statements: script
            .statements
            .iter()
            .enumerate()
            .map(|(at, sql)| StatementDeclaration { name: format!("s{at}"), sql: (*sql).into() })
            .collect(),
    };
    sql::check(&manifest).unwrap_or_else(|refusals| panic!("{refusals:?}"))
}

pub async fn each_does_the_same(connection: &mut MySqlConnection, order: TextOrder) {
    let mut seen = Seen::default();
    for script in scripts() {
        let schema = schema(&script);
        send(connection, schema.tables[0].ddl_for(order)).await;
        let look = "SELECT CAST(CONCAT_WS(' ', k, IFNULL(n, 'NULL')) AS BINARY) FROM t ORDER BY k".to_owned();
        let table = Table { schema: &schema, look };
        let value = |value: &Option<i64>| value.map_or(Value::Null, Value::Integer);
        let operation = |(statement, values): &(u32, Vec<Option<i64>>)| Operation {
            statement: *statement,
            parameters: values.iter().map(value).collect(),
        };
        let operations: Vec<Operation> = script.operations.iter().map(operation).collect();
        let fitted = judge(&schema, operations).unwrap_or_else(|failure| panic!("{failure}"));
        let (rows, after): (Vec<FittedOperation>, Vec<FittedOperation>) =
            fitted.into_iter().partition(|operation| operation.statement == 0);
        for batch in [rows, after] {
            let batch: Vec<Vec<FittedOperation>> = batch.into_iter().map(|one| vec![one]).collect();
            table.compare(connection, &batch, &mut seen, || format!("{} {batch:?}", script.columns)).await;
        }
        send(connection, "DROP TABLE t").await;
    }
}
