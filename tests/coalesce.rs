//! The coalescer against plain one-by-one execution, on real servers: the same rows, or a failure on both sides.

mod keyed;

use laterna::sql;
use laterna::sql::coalesce;
use laterna::statement::{
    FittedOperation, Manifest, Operation, Ordering, Schema, Sent, StatementDeclaration, TableDeclaration,
    TextOrder,
};
use rand::Rng;
use rand::rngs::StdRng;
use sqlx::mysql::MySqlConnection;
use sqlx::{Executor, Row};

use crate::support::{Options, World, random};

/// Two tables tied by a foreign key, one on its own, one whose rows meet in a generated column, and one that is filled
/// from the others; statements of every kind on each.
fn schema(is_mysql: bool) -> Schema {
    // MariaDB has no keys on expressions.
    let by_rest = if is_mysql { ", UNIQUE KEY by_rest ((c % 9001))" } else { "" };
    let table = |name: &str, ddl: &str| TableDeclaration { name: name.into(), ddl: ddl.into() };
    let statement = |name: &str, sql: &str| StatementDeclaration { name: name.into(), sql: sql.into() };
    let manifest = Manifest {
        name: "mixed".into(),
        version: "1".into(),
        event_types: vec![],
        ordering: Ordering::Aggregate,
        commutative: false,
        tables: vec![
            table("parents", "CREATE TABLE parents (id BIGINT PRIMARY KEY, a BIGINT NOT NULL)"),
            table(
                "children",
                "CREATE TABLE children (id BIGINT PRIMARY KEY, parent BIGINT NOT NULL, b BIGINT NOT NULL, \
                 CONSTRAINT has_parent FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE)",
            ),
            table(
                "loners",
                "CREATE TABLE loners (id BIGINT PRIMARY KEY, c BIGINT NOT NULL, UNIQUE KEY by_c (c))",
            ),
            table(
                "halves",
                &format!(
                    "CREATE TABLE halves (id BIGINT PRIMARY KEY, c BIGINT NOT NULL, half BIGINT AS (FLOOR(c / 2)) STORED, \
                     twice BIGINT AS (c * 2) VIRTUAL, UNIQUE KEY by_half (half){by_rest})"
                ),
            ),
            table("mirrors", "CREATE TABLE mirrors (id BIGINT PRIMARY KEY, v BIGINT NOT NULL)"),
        ],
        statements: vec![
            statement(
                "p_put",
                "INSERT INTO parents (id, a) VALUES (?, ?) ON DUPLICATE KEY UPDATE a = VALUES(a)",
            ),
            statement("p_add", "UPDATE parents SET a = a + ? WHERE id = ?"),
            statement("p_del", "DELETE FROM parents WHERE id = ?"),
            statement("c_put", "REPLACE INTO children (id, parent, b) VALUES (?, ?, 0)"),
            statement("c_add", "UPDATE children SET b = b + ? WHERE parent = ?"),
            statement("l_new", "INSERT INTO loners (id, c) VALUES (?, ?)"),
            statement(
                "l_put",
                "INSERT INTO loners (id, c) VALUES (?, ?) ON DUPLICATE KEY UPDATE c = c + 1000",
            ),
            statement("h_new", "INSERT INTO halves (id, c) VALUES (?, ?)"),
            statement(
                "h_put",
                "INSERT INTO halves (id, c) VALUES (?, ?) ON DUPLICATE KEY UPDATE c = VALUES(c) + halves.twice",
            ),
            statement("h_add", "UPDATE halves SET c = c + ? WHERE half = ?"),
            statement(
                "m_put",
                "INSERT INTO mirrors (id, v) VALUES (?, ?) AS new ON DUPLICATE KEY UPDATE v = mirrors.v + new.v",
            ),
            statement(
                "m_sum",
                "INSERT INTO mirrors (id, v) SELECT ?, COALESCE(SUM(c.b), 0) + COUNT(*) FROM children c WHERE c.parent = ? \
                 ON DUPLICATE KEY UPDATE v = VALUES(v)",
            ),
            statement(
                "m_count",
                "INSERT INTO mirrors (id, v) VALUES (?, (SELECT COUNT(*) FROM loners WHERE c < ? * 1000)) \
                 ON DUPLICATE KEY UPDATE v = VALUES(v)",
            ),
            statement(
                "m_copy",
                "UPDATE mirrors m JOIN parents p ON p.id = m.id SET m.v = p.a + ? WHERE m.id = ?",
            ),
            statement("m_del", "DELETE m FROM mirrors m JOIN loners l ON l.id = m.id WHERE l.c > ? * 1000"),
            statement(
                "p_from",
                "UPDATE parents SET a = COALESCE((SELECT MAX(v) FROM mirrors WHERE id < ?), a) WHERE id = ?",
            ),
        ],
    };
    sql::check(&manifest).unwrap_or_else(|refusals| panic!("{refusals:?}"))
}

/// A batch that mostly succeeds: the parents are there at first, and rows of `l_new` are mostly new.
fn operations(schema: &Schema, rng: &mut StdRng) -> Vec<FittedOperation> {
    let integers = |values: Vec<i64>| values.into_iter().map(|value| Sent::Integer(Some(value))).collect();
    let mut operations: Vec<FittedOperation> =
        (0..8).map(|id| Operation { statement: 0, parameters: integers(vec![id, 0]) }).collect();
    for _ in 0..rng.random_range(1..40) {
        let statement = rng.random_range(0..schema.statements.len());
        let most = if schema.statements[statement].name.starts_with(['l', 'h']) { 10_000 } else { 8 };
        let parameters =
            (0..schema.statements[statement].parameters.len()).map(|_| rng.random_range(0..most)).collect();
        let statement = u32::try_from(statement).expect("few");
        operations.push(Operation { statement, parameters: integers(parameters) });
    }
    operations
}

async fn run(connection: &mut MySqlConnection, sql: &str, values: &[&Sent]) -> bool {
    let mut query = sqlx::query(sql);
    for value in values {
        let Sent::Integer(Some(number)) = value else { panic!("only integers are made") };
        query = query.bind(*number);
    }
    connection.execute(query).await.is_ok()
}

async fn rows(connection: &mut MySqlConnection) -> Vec<Vec<i64>> {
    let sql = "SELECT 1, id, a, 0 FROM parents UNION ALL SELECT 2, id, parent, b FROM children \
               UNION ALL SELECT 3, id, c, 0 FROM loners UNION ALL SELECT 4, id, v, 0 FROM mirrors \
               UNION ALL SELECT 5, id, c, half FROM halves ORDER BY 1, 2";
    let rows = connection.fetch_all(sql).await.expect("the tables are there");
    rows.iter().map(|row| (0..4).map(|column| row.get(column)).collect()).collect()
}

async fn coalesced_equals_one_by_one(options: Options, is_mysql: bool) {
    let mut rng = random("coalescer");
    let schema = schema(is_mysql);
    let world = World::new("recorder", options).await;
    let mut connection = world.mysql().await;
    for table in &schema.tables {
        let order = if is_mysql { TextOrder::MySql } else { TextOrder::MariaDb };
        connection.execute(table.ddl_for(order)).await.expect("the table is created");
    }
    let (mut joined, mut succeeded) = (0, 0);
    for _ in 0..150 {
        let batch = operations(&schema, &mut rng);
        connection.execute("BEGIN").await.expect("it begins");
        let mut plain = true;
        for operation in &batch {
            let sql = &schema.statements[operation.statement as usize].sql;
            let values: Vec<&Sent> = operation.parameters.iter().collect();
            plain = plain && run(&mut connection, sql, &values).await;
        }
        let expected = rows(&mut connection).await;
        connection.execute("ROLLBACK").await.expect("it ends");

        connection.execute("BEGIN").await.expect("it begins");
        let mut together = true;
        for one in coalesce::coalesce(&schema, &batch) {
            let statement = &schema.statements[one.statement];
            for piece in coalesce::pieces(statement, &one.rows, 512) {
                let sql = coalesce::render(statement, piece.len(), &one.kinds);
                let values: Vec<&Sent> = coalesce::in_order(statement, piece);
                joined += usize::from(piece.len() > 1);
                together = together && run(&mut connection, &sql, &values).await;
            }
        }
        assert_eq!(together, plain, "one way failed and the other did not: {batch:?}");
        if plain {
            assert_eq!(rows(&mut connection).await, expected, "{batch:?}");
            succeeded += 1;
        }
        // What succeeds stays, so that the next batch finds rows.
        connection.execute(if plain { "COMMIT" } else { "ROLLBACK" }).await.expect("it ends");
    }
    assert!(
        joined > 50 && succeeded > 20,
        "{joined} statements of several rows, {succeeded} batches succeeded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coalesced_batch_does_what_its_operations_do_one_by_one_on_mysql() {
    coalesced_equals_one_by_one(Options::mysql(), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coalesced_batch_does_what_its_operations_do_one_by_one_on_mariadb() {
    coalesced_equals_one_by_one(Options::mariadb(), false).await;
}
