//! Attacks by somebody who wants to run more than was declared: all of it is refused, with a reason.

use super::{statement, table};
use crate::sql::SqlRefusal;

/// Harmless texts, into which attacks are put at every gap.
const GOOD: [&str; 4] = [
    "INSERT INTO orders (id, n) VALUES (?, 'a') ON DUPLICATE KEY UPDATE n = n + VALUES(n)",
    "REPLACE INTO orders (id, n) VALUES (?, 7)",
    "UPDATE orders SET n = n + ? WHERE id = ? AND n IS NOT NULL",
    "DELETE FROM orders WHERE id IN (?, ?) OR n < COALESCE(n, 2)",
];
const TABLE: &str =
    "CREATE TABLE t (id INT NOT NULL, s VARCHAR(9) DEFAULT 'a', PRIMARY KEY (id), KEY k (s)) ENGINE = InnoDB";

/// Refused wherever they stand outside of a string.
const ANYWHERE: [&str; 41] = [
    // Comments: MySQL runs some of them, and where one ends is a matter of opinion.
    "/**/",
    "/* x */",
    "/*! OR 1 */",
    "/*!50000 OR 1 */",
    "/*!999999 OR 1 */",
    "/*M! OR 1 */",
    "/*M!100000 OR 1 */",
    "/*+ SET_VAR(sql_mode = '') */",
    "/*!",
    "*/",
    "/*",
    "-- x\n",
    "--\n",
    "--\tx\n",
    "--",
    "# x\n",
    "#",
    // A second statement.
    "; DROP TABLE orders;",
    ";SELECT 1",
    "; COMMIT",
    "\0; COMMIT",
    // Bytes that are space to one and not to the other.
    "\0",
    "\u{b}",
    "\u{c}",
    "\u{a0}",
    "\u{2003}",
    "\u{feff}",
    "\u{200b}",
    "\u{85}",
    "\u{1a}",
    // Quotes that mean another thing under another `sql_mode`.
    "\"",
    "\\",
    "'\\' OR 1 = 1 OR '",
    "`a``b`",
    "`orders\0`",
    // Variables and placeholders of other kinds.
    "@x",
    "@@global.read_only",
    "@`x`",
    ":x",
    "$1",
    "{ts '2026-01-31'}",
];

/// Refused as a condition.
const CONDITIONS: [&str; 44] = [
    "SLEEP(10)",
    "sleep(10) = 0",
    "`sleep`(10)",
    "BENCHMARK(1000000, MD5('a'))",
    "GET_LOCK('a', 10)",
    "IS_FREE_LOCK('a')",
    "RELEASE_ALL_LOCKS()",
    "MASTER_POS_WAIT('a', 1)",
    "WAIT_FOR_EXECUTED_GTID_SET('a')",
    "LOAD_FILE('/etc/passwd') IS NULL",
    "SYS_EXEC('id')",
    "mysql.f(1)",
    "UPDATEXML(1, CONCAT(1, VERSION()), 1)",
    "EXTRACTVALUE(1, CONCAT(1, USER()))",
    "ST_GEOMFROMTEXT('a')",
    "NAME_CONST('a', 1)",
    "EXP(710) AND ROW(1, 2) > (SELECT 1, 2)",
    "(SELECT SLEEP(5))",
    "id = (SELECT password FROM mysql.user)",
    "EXISTS (SELECT * FROM information_schema.tables)",
    "id IN (TABLE order_lines)",
    "id IN (VALUES ROW(1))",
    "id IN (WITH x AS (SELECT 1) SELECT * FROM x)",
    "id = 1 UNION SELECT 1",
    "id = 1 INTO OUTFILE '/tmp/x'",
    "id = 1 INTO DUMPFILE '/tmp/x'",
    "id = 1 INTO @x",
    "id = 1 PROCEDURE ANALYSE()",
    "id = 1 FOR UPDATE",
    "id = 1 LOCK IN SHARE MODE",
    "id = (@x := id)",
    "@x IS NULL",
    "@@version_comment = 'a'",
    "laterna.checkpoint.epoch = 1",
    "mysql.user.host = 'a'",
    "order_lines.id = 1",
    "information_schema.tables.table_name = 'a'",
    "id = 0x414243",
    "id = X'41'",
    "id = b'1'",
    "id = _latin1 'a'",
    "id = N'a'",
    "id = 'a' COLLATE `x y`",
    "id REGEXP '(a+)+$'",
];

/// Refused as they are.
const WHOLE: [&str; 45] = [
    "WITH x AS (SELECT 1) DELETE FROM orders WHERE id = 1",
    "WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT 1 FROM x) UPDATE orders SET n = 1 WHERE id = 1",
    "INSERT INTO orders (id) WITH x AS (SELECT 1) SELECT * FROM x",
    "INSERT INTO orders (id) SELECT password FROM mysql.user",
    "INSERT INTO orders (id) VALUES (SLEEP(1))",
    "INSERT INTO `mysql`.`user` (id) VALUES (1)",
    "INSERT INTO laterna.checkpoint (epoch) VALUES (1)",
    "INSERT INTO `laterna.checkpoint` (epoch) VALUES (1)",
    "INSERT INTO `orders`.`orders` (id) VALUES (1)",
    "INSERT INTO ORDERS (id) VALUES (1)",
    "INSERT INTO `orders ` (id) VALUES (1)",
    "INSERT INTO `orders`` ` (id) VALUES (1)",
    "INSERT INTO örders (id) VALUES (1)",
    "UPDATE orders, mysql.user SET n = 1 WHERE id = 1",
    "UPDATE orders JOIN mysql.user SET n = 1 WHERE id = 1",
    "UPDATE (SELECT * FROM orders) AS o SET n = 1 WHERE id = 1",
    "UPDATE orders SET n = @x := 1 WHERE id = 1",
    "DELETE orders, order_lines FROM orders JOIN order_lines WHERE 1",
    "DELETE FROM orders USING orders JOIN mysql.user WHERE 1",
    "DELETE FROM laterna.lease WHERE epoch = 1",
    "DELETE FROM orders WHERE id = 1 RETURNING id",
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "SELECT * FROM orders",
    "TABLE orders INTO OUTFILE '/tmp/x'",
    "VALUES ROW(1)",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE orders",
    "LOAD XML INFILE '/x' INTO TABLE orders",
    "CALL mysql.rds_kill(1)",
    "DO SLEEP(10)",
    "DO GET_LOCK('a', 1)",
    "SET @x = 1",
    "SET GLOBAL sql_mode = 'ANSI_QUOTES'",
    "SET SESSION sql_log_bin = 0",
    "KILL 1",
    "BEGIN",
    "START TRANSACTION",
    "COMMIT",
    "ROLLBACK TO SAVEPOINT a",
    "XA COMMIT 'x'",
    "LOCK TABLES orders WRITE",
    "FLUSH TABLES",
    "HANDLER orders OPEN",
    "INSTALL PLUGIN a SONAME 'a.so'",
    "CREATE TABLE orders AS SELECT * FROM mysql.user",
    "GRANT ALL ON *.* TO a",
];

/// Refused at the end of a table's declaration, or as the type of a column.
const OPTIONS: [&str; 17] = [
    "SELECT * FROM mysql.user",
    "AS SELECT 1",
    "LIKE orders",
    "ENGINE = MyISAM",
    "ENGINE = FEDERATED CONNECTION = 'mysql://h/d/t'",
    "ENGINE = MEMORY",
    "DATA DIRECTORY = '/tmp'",
    "INDEX DIRECTORY = '/tmp'",
    "UNION = (orders)",
    "PARTITION BY HASH (id)",
    "TABLESPACE a",
    "AUTO_INCREMENT = 7",
    "ENCRYPTION = 'N'",
    "WITH SYSTEM VERSIONING",
    "SECONDARY_ENGINE = a",
    "INSERT_METHOD = FIRST",
    "; DROP TABLE orders",
];

/// Every text with the attack in one of its gaps.
fn at_every_gap(text: &str, attack: &str) -> Vec<String> {
    let gaps = text.match_indices(' ').map(|(at, _)| at);
    let inside = gaps.map(|at| format!("{} {attack}{}", &text[..at], &text[at..]));
    let tight = text.match_indices(' ').map(|(at, _)| format!("{}{attack}{}", &text[..at], &text[at + 1..]));
    inside
        .chain(tight)
        .chain([format!("{attack} {text}"), format!("{text} {attack}"), format!("{text}{attack}")])
        .collect()
}

fn check_refused<T>(text: &str, outcome: Result<T, Vec<SqlRefusal>>) {
    let Err(refusals) = outcome else { panic!("{text:?} was accepted") };
    assert!(!refusals.is_empty(), "{text:?}");
    for refusal in refusals {
        let line = refusal.to_string();
        assert!(line.len() > 20 && !line.contains(char::is_control), "{text:?}: {line:?}");
    }
}

#[test]
fn the_texts_that_are_attacked_are_good() {
    for text in GOOD {
        assert!(statement(text).is_ok(), "{text}: {:?}", statement(text));
    }
    assert!(table(TABLE).is_ok(), "{:?}", table(TABLE));
}

#[test]
fn an_attack_is_refused_wherever_it_stands() {
    for attack in ANYWHERE {
        for text in GOOD.iter().flat_map(|text| at_every_gap(text, attack)) {
            check_refused(&text, statement(&text));
        }
        for text in at_every_gap(TABLE, attack) {
            check_refused(&text, table(&text));
        }
    }
}

#[test]
fn a_condition_cannot_reach_out() {
    for condition in CONDITIONS {
        for text in [
            format!("DELETE FROM orders WHERE {condition}"),
            format!("DELETE FROM orders WHERE id = ? AND {condition}"),
            format!("UPDATE orders SET n = 1 WHERE n = 1 OR ({condition})"),
            format!("UPDATE orders SET n = ({condition}) WHERE id = 1"),
            format!("INSERT INTO orders (id) VALUES ({condition})"),
            format!("INSERT INTO orders (id) VALUES (1) ON DUPLICATE KEY UPDATE n = {condition}"),
        ] {
            check_refused(&text, statement(&text));
        }
        let text = format!("CREATE TABLE t (id INT PRIMARY KEY, CHECK ({condition}))");
        check_refused(&text, table(&text));
    }
}

#[test]
fn a_statement_cannot_be_another_one() {
    for text in WHOLE {
        check_refused(text, statement(text));
        check_refused(text, table(text));
        for spoiled in [format!("({text})"), format!("EXPLAIN {text}"), format!("{text};{text}")] {
            check_refused(&spoiled, statement(&spoiled));
        }
    }
}

#[test]
fn a_table_cannot_be_more_than_a_table() {
    for option in OPTIONS {
        let text = format!("CREATE TABLE t (id INT NOT NULL PRIMARY KEY) {option}");
        check_refused(&text, table(&text));
    }
    for name in ["mysql.t", "laterna.t", "`t`.`t`", "orders.t", "IF NOT EXISTS t", "t2", "`t `"] {
        let text = format!("CREATE TABLE {name} (id INT NOT NULL PRIMARY KEY)");
        check_refused(&text, table(&text));
    }
    for create in ["CREATE TEMPORARY TABLE", "CREATE OR REPLACE TABLE", "CREATE EXTERNAL TABLE"] {
        let text = format!("{create} t (id INT NOT NULL PRIMARY KEY)");
        check_refused(&text, table(&text));
    }
}
