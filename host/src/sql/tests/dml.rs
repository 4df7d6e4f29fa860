//! Tests of statements.

use super::{check, check_all, check_conditions, manifest, statement};
use crate::sql;

#[test]
fn the_four_statements_are_written_anew_with_quoted_names() {
    check_all(&[
        ("INSERT INTO orders (id, n) VALUES (?, ?)", "INSERT INTO `orders` (`id`, `n`) VALUES (?, ?)"),
        ("insert orders (id) values (1), (2)", "INSERT `orders` (`id`) VALUES (1), (2)"),
        ("REPLACE INTO orders (id, n) VALUES (?, 7)", "REPLACE INTO `orders` (`id`, `n`) VALUES (?, 7)"),
        (
            "INSERT INTO orders (id, n) VALUES (?, ?) ON DUPLICATE KEY UPDATE n = n + VALUES(n), id = orders.id",
            "INSERT INTO `orders` (`id`, `n`) VALUES (?, ?) \
             ON DUPLICATE KEY UPDATE `n` = `n` + VALUES(`n`), `id` = `orders`.`id`",
        ),
        (
            "UPDATE orders SET n = n + ?, orders.`order` = 'a' WHERE id = ?",
            "UPDATE `orders` SET `n` = `n` + ?, `orders`.`order` = 'a' WHERE `id` = ?",
        ),
        ("DELETE FROM `orders`\r\n\tWHERE id = ?;", "DELETE FROM `orders` WHERE `id` = ?"),
    ]);
}

#[test]
fn other_statements_are_refused() {
    let kinds = [
        "SELECT 1",
        "CREATE TABLE orders (id INT PRIMARY KEY)",
        "DROP TABLE orders",
        "TRUNCATE TABLE orders",
        "ALTER TABLE orders ADD COLUMN x INT",
        "COMMIT",
        "ROLLBACK",
        "START TRANSACTION",
        "SAVEPOINT a",
        "SET sql_mode = ''",
        "SET GLOBAL read_only = 0",
        "USE mysql",
        "LOCK TABLES orders WRITE",
        "CALL p(1)",
        "GRANT ALL ON orders TO u",
        "SHOW TABLES",
        "EXPLAIN DELETE FROM orders WHERE id = 1",
        "PREPARE s FROM 'x'",
        "EXECUTE s",
    ];
    for sql in kinds {
        let refusals = statement(sql).expect_err(sql);
        let reason = refusals[0].reason.to_string();
        assert!(
            reason.contains("is not one of INSERT") || reason.contains("not valid SQL"),
            "{sql}: {reason}"
        );
    }
    for sql in
        ["LOAD DATA INFILE '/x' INTO TABLE orders", "HANDLER orders OPEN", "DO SLEEP(1)", "XA START 'x'"]
    {
        assert!(statement(sql).is_err(), "{sql}");
    }
    check_all(&[
        ("", "no: the text is empty"),
        (" ; ", "no: the text is empty"),
        ("DELETE FROM orders WHERE id = 1; COMMIT", "no: several statements"),
        ("DELETE FROM orders WHERE id = 1;;DELETE FROM orders WHERE id = 2", "no: several statements"),
        ("DELETE FROM orders WHERE id = 1 COMMIT", "no: not valid SQL"),
        ("DELETE FROM orders WHERE", "no: not valid SQL"),
        ("DELETE FROM orders WHERE id = 'x", "no: not valid SQL"),
        ("WITH x AS (SELECT 1) DELETE FROM orders WHERE id = 1", "no: is not one of INSERT"),
    ]);
}

#[test]
fn clauses_beyond_the_plain_forms_are_refused() {
    check_all(&[
        ("INSERT IGNORE INTO orders (id) VALUES (1)", "no: IGNORE"),
        ("INSERT DELAYED INTO orders (id) VALUES (1)", "no: a priority"),
        ("REPLACE LOW_PRIORITY INTO orders (id) VALUES (1)", "no: a priority"),
        ("INSERT INTO orders VALUES (1, 2)", "no: without a list of columns"),
        ("INSERT INTO orders () VALUES ()", "no: without a list of columns"),
        ("INSERT INTO orders (id) VALUES (1, 2)", "no: more or fewer values"),
        ("INSERT INTO orders (id) VALUES (1), ()", "no: more or fewer values"),
        ("INSERT INTO orders SET id = 1", "no: SET in an INSERT"),
        ("INSERT INTO orders (id) TABLE order_lines", "no: UNION, TABLE or VALUES as a query"),
        ("INSERT INTO orders (id) VALUES ROW(1)", "no: this form of VALUES"),
        ("INSERT INTO orders (id) VALUE (1)", "no: this form of VALUES"),
        ("INSERT INTO orders (id) VALUES (1) ORDER BY 1", "no: this form of VALUES"),
        ("INSERT INTO orders (id) VALUES (1) LIMIT 1", "no: this form of VALUES"),
        ("INSERT INTO orders PARTITION (p) (id) VALUES (1)", "no: "),
        (
            "INSERT INTO orders (id) VALUES (1) AS new (a) ON DUPLICATE KEY UPDATE id = a",
            "no: this alias of the new row",
        ),
        (
            "INSERT INTO orders (id) VALUES (1) AS orders ON DUPLICATE KEY UPDATE id = orders.id",
            "no: this alias of the new row",
        ),
        ("INSERT INTO orders (id) VALUES (1) ON CONFLICT DO NOTHING", "no: this form of INSERT"),
        ("INSERT INTO orders (id) VALUES (1) RETURNING id", "no: RETURNING"),
        ("REPLACE INTO orders (id) VALUES (1) ON DUPLICATE KEY UPDATE id = 1", "no: use INSERT"),
        ("INSERT OVERWRITE orders (id) VALUES (1)", "no: this form of INSERT"),
        ("UPDATE orders SET n = 1", "no: it has no WHERE"),
        ("UPDATE orders SET n = 1 WHERE id = 1 LIMIT 1", "no: LIMIT"),
        ("UPDATE orders SET n = 1 WHERE id = 1 ORDER BY id", "no: ORDER BY"),
        ("UPDATE orders SET (n, id) = (1, 2) WHERE id = 1", "no: a list of columns in SET"),
        ("UPDATE orders, order_lines SET n = 1 WHERE id = 1", "no: "),
        ("UPDATE orders JOIN order_lines ON 1 SET n = 1 WHERE id = 1", "no: SET n is not allowed"),
        ("UPDATE orders AS o SET n = 1 WHERE id = 1", "no: an alias"),
        ("UPDATE LOW_PRIORITY orders SET n = 1 WHERE id = 1", "no: an alias or a modifier"),
        ("UPDATE IGNORE orders SET n = 1 WHERE id = 1", "no: an alias or a modifier"),
        ("UPDATE orders PARTITION (p) SET n = 1 WHERE id = 1", "no: PARTITION"),
        ("UPDATE orders USE INDEX (x) SET n = 1 WHERE id = 1", "no: a hint"),
        ("UPDATE (SELECT 1) AS x SET n = 1 WHERE id = 1", "no: a statement writes one table"),
        ("DELETE FROM orders", "no: it has no WHERE"),
        ("DELETE FROM orders WHERE id = 1 LIMIT 1", "no: LIMIT"),
        ("DELETE FROM orders WHERE id = 1 ORDER BY n", "no: ORDER BY"),
        ("DELETE FROM orders WHERE id = 1 RETURNING id", "no: RETURNING"),
        ("DELETE QUICK FROM orders WHERE id = 1", "no: between DELETE and FROM"),
        ("DELETE orders FROM orders WHERE id = 1", "no: between DELETE and FROM"),
        ("DELETE FROM orders USING orders WHERE id = 1", "no: USING"),
        ("DELETE FROM orders, order_lines WHERE id = 1", "no: this list of tables"),
        ("DELETE FROM orders o WHERE id = 1", "no: an alias"),
    ]);
}

#[test]
fn only_declared_tables_are_named_and_never_with_a_schema() {
    check_all(&[
        ("DELETE FROM order_lines WHERE id = 1", "DELETE FROM `order_lines` WHERE `id` = 1"),
        ("DELETE FROM other WHERE id = 1", "no: table `other` is not declared"),
        ("DELETE FROM Orders WHERE id = 1", "no: names are compared exactly"),
        ("DELETE FROM laterna_lanes WHERE id = 1", "no: is not declared"),
        ("DELETE FROM shop.orders WHERE id = 1", "no: a schema name"),
        ("INSERT INTO mysql.user (id) VALUES (1)", "no: a schema name"),
        ("UPDATE `mysql`.`user` SET n = 1 WHERE id = 1", "no: a schema name"),
        ("DELETE FROM orders WHERE order_lines.id = 1", "no: only the columns of the table it writes"),
        ("DELETE FROM orders WHERE shop.orders.id = 1", "no: only the columns of the table it writes"),
        ("UPDATE orders SET order_lines.n = 1 WHERE id = 1", "no: only the columns of the table it writes"),
        ("INSERT INTO orders (order_lines.n) VALUES (1)", "no: only the columns of the table it writes"),
    ]);
}

fn people(sql: &str) -> Result<String, Vec<crate::sql::SqlRefusal>> {
    let ddl = "CREATE TABLE people (id INT, part INT, email VARCHAR(50) UNIQUE, n INT NOT NULL, PRIMARY KEY (id, part), \
               UNIQUE KEY again (part, n, id))";
    let checked = crate::sql::check(&super::manifest(&[("people", ddl)], &[("it", sql)]));
    checked.map(|schema| schema.statements[0].sql.clone())
}

#[test]
fn an_upsert_proves_that_it_changes_the_row_it_means() {
    let proof = "`id` = IF(`people`.`id` <=> VALUES(`id`), `people`.`id`, NULL), \
                 `part` = IF(`people`.`part` <=> VALUES(`part`), `people`.`part`, NULL), ";
    let head = "INSERT INTO `people` (`id`, `part`, `email`, `n`) VALUES (?, ?, ?, ?)";
    let upsert =
        "INSERT INTO people (id, part, email, n) VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE n = VALUES(n)";
    let sent = format!("{head} ON DUPLICATE KEY UPDATE {proof}`n` = VALUES(`n`)");
    check(upsert, people(upsert), &sent);
    // What was sent once is sent as it is.
    check(&sent, people(&sent), &sent);
    let plain = "INSERT INTO people (id, part, email, n) VALUES (?, ?, ?, ?)";
    check(plain, people(plain), head);
    let moves = "INSERT INTO people (id, part, n) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE id = VALUES(id)";
    check(moves, people(moves), "no: leave the key out of the UPDATE");
    let replace = "REPLACE INTO people (id, part, email, n) VALUES (?, ?, ?, ?)";
    check(replace, people(replace), "no: it deletes whatever row has an equal value there");
    // A key that holds the primary key leads to no other row.
    check_all(&[(
        "INSERT INTO orders (id, n) VALUES (?, ?) ON DUPLICATE KEY UPDATE n = VALUES(n)",
        "INSERT INTO `orders` (`id`, `n`) VALUES (?, ?) ON DUPLICATE KEY UPDATE `n` = VALUES(`n`)",
    )]);
}

#[test]
fn a_row_has_every_value_that_has_to_be_there() {
    let some = "INSERT INTO people (id, part) VALUES (?, ?) ON DUPLICATE KEY UPDATE email = VALUES(email)";
    check(some, people(some), "no: column `n` is NOT NULL and has no default");
    let keyless = "INSERT INTO people (part, n) VALUES (?, ?)";
    check(keyless, people(keyless), "no: column `id` is NOT NULL and has no default");
}

#[test]
fn a_column_of_a_row_that_is_written_wrong_is_told_as_that_and_not_as_one_that_is_missing() {
    let sql = "INSERT INTO people (idd, part, n, other) VALUES (?, ?, ?, ?)";
    let refusals = people(sql).expect_err("there is no such column");
    let told: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    let [one] = &told[..] else { panic!("{told:?}") };
    assert!(one.contains("there is no column `idd` in `people` (is `id` meant?)"), "{one}");
}

#[test]
fn each_parameter_has_the_type_of_what_it_meets() {
    let table = "CREATE TABLE typed (id INT UNSIGNED PRIMARY KEY, v VARCHAR(9), x DECIMAL(10,2), at DATETIME(3), d DATE, \
                 j JSON, e ENUM('a', 'it''s'), r DOUBLE)";
    let cases = [
        (
            "INSERT INTO typed (ID, v, x) VALUES (?, ?, ?)",
            "typed.id INT UNSIGNED|typed.v text(9)|typed.x DECIMAL(10,2)",
        ),
        (
            "INSERT INTO typed (id, x) VALUES (?, ?) ON DUPLICATE KEY UPDATE x = x + ?, v = ?",
            "typed.id INT UNSIGNED|typed.x DECIMAL(10,2)|DECIMAL(65,30)|typed.v text(9)",
        ),
        (
            "UPDATE typed SET at = ?, e = ? WHERE d < ? AND v IN ('a', ?)",
            "typed.at DATETIME(3)|typed.e ENUM of 2|typed.d DATE|typed.v text(9)",
        ),
        (
            "DELETE FROM typed WHERE (id, v) IN ((?, ?), (1, ?))",
            "typed.id INT UNSIGNED|typed.v text(9)|typed.v text(9)",
        ),
        ("DELETE FROM typed WHERE ? = typed.id OR id + ? > ?", "typed.id INT UNSIGNED|BIGINT|BIGINT"),
        (
            "UPDATE typed SET x = ? * 2, r = r - ? WHERE id BETWEEN ? AND ?",
            "DECIMAL(65,30)|DOUBLE|typed.id INT UNSIGNED|typed.id INT UNSIGNED",
        ),
        (
            "UPDATE typed SET v = CONCAT(?, LEFT(v, ?)), x = COALESCE(?, x) WHERE id = ?",
            "text|BIGINT|typed.x DECIMAL(10,2)|typed.id INT UNSIGNED",
        ),
        (
            "UPDATE typed SET j = JSON_SET(JSON_MERGE_PATCH(j, ?), ?, ?), at = DATE_ADD(at, INTERVAL ? DAY) WHERE id = ?",
            "JSON|text|JSON value|BIGINT|typed.id INT UNSIGNED",
        ),
        ("UPDATE typed SET v = HEX(?) WHERE ? IS NULL", "of the value's own kind|of the value's own kind"),
        (
            "DELETE FROM typed WHERE CASE v WHEN ? THEN 1 ELSE ? END = 1 AND LOWER(v) = ?",
            "typed.v text(9)|BIGINT|text",
        ),
        ("DELETE FROM typed WHERE CAST(? AS DATETIME) > at AND r * ? > 1", "DATETIME|DOUBLE"),
    ];
    for (sql, expect) in cases {
        let schema = crate::sql::check(&super::manifest(&[("typed", table)], &[("it", sql)]));
        let schema = schema.unwrap_or_else(|refusals| panic!("{sql}: {refusals:?}"));
        let types: Vec<String> = schema.statements[0].parameters.iter().map(ToString::to_string).collect();
        assert_eq!(types.join("|"), expect, "{sql}");
    }
    check_all(&[(
        "UPDATE orders SET n = JSON_SET(id, '$.a', IF(n, ?, 1)) WHERE id = ?",
        "no: write ? alone as the argument of the JSON function",
    )]);
}

#[test]
fn generated_columns_are_not_written() {
    let ddl = "CREATE TABLE t (id INT PRIMARY KEY, a INT, g INT AS (a + 1) STORED)";
    for (sql, is_taken) in [
        ("INSERT INTO t (id, a, g) VALUES (?, ?, ?)", false),
        ("INSERT INTO t (id, a) VALUES (?, ?) ON DUPLICATE KEY UPDATE g = 1", false),
        ("UPDATE t SET a = 1, G = 2 WHERE id = ?", false),
        ("UPDATE t x JOIN t y ON y.id = x.id SET x.g = 1 WHERE x.id = ?", false),
        ("INSERT INTO t (id, a) VALUES (?, ?) ON DUPLICATE KEY UPDATE a = VALUES(a) + g", true),
        ("DELETE FROM t WHERE g = ?", true),
    ] {
        match (sql::check(&manifest(&[("t", ddl)], &[("it", sql)])), is_taken) {
            (Ok(_), true) => {}
            (Err(refusals), false) => {
                let said = format!("{refusals:?}");
                assert!(said.contains("the generated column"), "{sql}: {said}");
            }
            (other, _) => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn an_upsert_that_adds_to_a_column_that_does_not_take_any_number_is_noted() {
    let ddl = "CREATE TABLE t (id INT PRIMARY KEY, u INT UNSIGNED, d DECIMAL(9,2) UNSIGNED, c INT CHECK (c > -9), \
               m INT, s INT, idle INT CHECK (idle > 0) NOT ENFORCED, CHECK (m < 5))";
    for (sql, adds) in [
        ("INSERT INTO t (id, u) VALUES (?, ?) ON DUPLICATE KEY UPDATE u = u + VALUES(u)", vec!["t.u"]),
        ("INSERT INTO t (id, u) VALUES (?, ?) AS new ON DUPLICATE KEY UPDATE u = t.u + new.u", vec!["t.u"]),
        (
            "INSERT INTO t (id, d, c) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE d = d + VALUES(d), c = VALUES(c) + c",
            vec!["t.d", "t.c"],
        ),
        (
            "INSERT INTO t (id, m) VALUES (?, ?) ON DUPLICATE KEY UPDATE m = COALESCE(m, 0) + VALUES(m)",
            vec!["t.m"],
        ),
        ("INSERT INTO t (id, s) VALUES (?, ?) ON DUPLICATE KEY UPDATE s = s + VALUES(s)", vec![]),
        ("INSERT INTO t (id, idle) VALUES (?, ?) ON DUPLICATE KEY UPDATE idle = idle + VALUES(idle)", vec![]),
        ("INSERT INTO t (id, u) VALUES (?, 1) ON DUPLICATE KEY UPDATE u = u + VALUES(u)", vec![]),
        ("INSERT INTO t (id, u) VALUES (?, ?) ON DUPLICATE KEY UPDATE u = VALUES(u)", vec![]),
        (
            "INSERT INTO t (id, u) SELECT ?, COALESCE((SELECT o.u FROM t o WHERE o.id = ?), 0) + ? AS total \
             ON DUPLICATE KEY UPDATE u = VALUES(u)",
            vec![],
        ),
    ] {
        let schema = sql::check(&manifest(&[("t", ddl)], &[("it", sql)]))
            .unwrap_or_else(|why| panic!("{sql}: {why:?}"));
        assert_eq!(schema.statements[0].adds, adds, "{sql}");
        let notes: Vec<String> = schema.notes().into_iter().filter(|note| note.contains("adds")).collect();
        assert_eq!(notes.len(), usize::from(!adds.is_empty()), "{notes:?}");
        for (note, column) in notes.iter().zip(&adds) {
            assert!(note.contains(&format!("`{column}`")) && note.contains("insert the sum"), "{note}");
        }
    }
}

#[test]
fn the_parser_may_not_change_what_was_said() {
    check_conditions(&[
        ("BINARY id = 'a'", "no: it would be sent as"),
        ("id = 'a' 'b'", "no: it would be sent as"),
        ("id ISNULL", "no: "),
        ("CHARSET(id) = 1", "no: is not allowed: compute"),
    ]);
}

#[test]
fn tokens_on_which_lexers_disagree_are_refused() {
    check_conditions(&[
        ("id = 1 -- x", "no: the text has a comment"),
        ("id = 1 # x", "no: the text has a comment"),
        ("id = 1 /* x */", "no: the text has a comment"),
        ("id = 1 /*! OR 1 */", "no: the text has a comment"),
        ("id = 1 /*!50000 OR 1 */", "no: the text has a comment"),
        ("id = 1 /*!99999 */", "no: the text has a comment"),
        ("id = 1 /*M! OR 1 */", "no: the text has a comment"),
        ("id = 1 /*+ HINT */", "no: the text has a comment"),
        ("id = 1 /* /* x */ */", "no: the text has a comment"),
        ("id = 1 /*! /* x */ OR 1 */", "no: "),
        ("id = 1 --", "no: MySQL may read a comment"),
        ("id = 1 --\u{a0}OR 1", "no: "),
        ("id = n--1", "no: MySQL may read a comment"),
        ("id = --1", "no: MySQL may read a comment"),
        ("id = 'a\\'", "no: "),
        ("id = 'a\\' OR 1 OR id = '", "no: pass the value as a parameter"),
        ("id = 'a\\\\'", "no: pass the value as a parameter"),
        ("id = 'a\nb'", "no: pass the value as a parameter"),
        ("id = 'a\0b'", "no: remove the control character"),
        ("id = 1\0", "no: remove the control character"),
        ("id = \"a\"", "no: its meaning depends on the session"),
        ("\"id\" = 1", "no: its meaning depends on the session"),
        ("id = n || 1", "no: use OR or CONCAT"),
        ("id = 1 && n", "no: write AND"),
        ("!n", "no: write NOT"),
        ("id = 0x1F", "no: pass the value as a parameter"),
        ("id = X'1F'", "no: pass the value as a parameter"),
        ("id = b'1'", "no: write the number"),
        ("id = 0b1", "no: "),
        ("id = N'a'", "no: pass the value as a parameter"),
        ("id = _utf8mb4'a'", "no: leave the character set before the text out"),
        ("id = 1L", "no: "),
        ("id = .5", "no: "),
        ("id = 5.", "no: "),
        ("id = 1e", "no: "),
        ("id = 1_000", "no: "),
        ("id = 1a", "no: "),
        ("id = 'a''b''", "no: not valid SQL"),
        ("id = 'a'n", "no: put a space between"),
        ("id = ?n", "no: put a space between"),
        ("id = ?1", "no: parameters are written ?"),
        ("id = :x", "no: parameters are written ?"),
        ("id = $1", "no: "),
        ("id = $$a$$", "no: "),
        ("id = @x", "no: variables outlive the statement"),
        ("id = @@sql_mode", "no: variables outlive the statement"),
        ("(@x := 1)", "no: "),
        ("id -> '$.a' = 1", "no: use JSON_EXTRACT"),
        ("id ->> '$.a' = 1", "no: use JSON_EXTRACT"),
        ("id = \\N", "no: "),
        ("id = {d '2020-01-01'}", "no: "),
        ("é = 1", "no: names are made of the letters"),
        ("`é` = 1", "no: names are made of the letters"),
        ("`a b` = 1", "no: names are made of the letters"),
        ("`a``b` = 1", "no: names are made of the letters"),
        ("`` = 1", "no: names are made of the letters"),
        ("a$b = 1", "no: names are made of the letters"),
        ("orders . id = 1", "no: write names like table.column"),
        ("id\u{2003}= 1", "no: "),
        ("id\u{b}= 1", "no: remove the control character"),
        ("[id] = 1", "no: "),
    ]);
    let (longest, longer) = ("a".repeat(64), "a".repeat(65));
    check_conditions(&[
        (&format!("{longest} = 1"), &format!("`{longest}` = 1")),
        (&format!("{longer} = 1"), "no: names have at most 64 letters"),
    ]);
}

#[test]
fn rows_are_repeatable_when_all_parameters_stand_in_the_one_row() {
    for (sql, expect) in [
        (
            "INSERT INTO orders (id, n) VALUES (?, 1)",
            Some(("INSERT INTO `orders` (`id`, `n`) VALUES ", "(?, 1)", "")),
        ),
        ("REPLACE orders (id) VALUES (?)", Some(("REPLACE `orders` (`id`) VALUES ", "(?)", ""))),
        ("INSERT INTO orders (id) VALUES (1)", Some(("INSERT INTO `orders` (`id`) VALUES ", "(1)", ""))),
        (
            "INSERT INTO orders (id) VALUES (IF(?, '),(', 1)) ON DUPLICATE KEY UPDATE n = n + 1",
            Some((
                "INSERT INTO `orders` (`id`) VALUES ",
                "(IF(?, '),(', 1))",
                " ON DUPLICATE KEY UPDATE `n` = `n` + 1",
            )),
        ),
        ("INSERT INTO orders (id) VALUES (?) ON DUPLICATE KEY UPDATE n = ?", None),
        ("INSERT INTO orders (id) VALUES (1) ON DUPLICATE KEY UPDATE n = ?", None),
        ("INSERT INTO orders (id) VALUES (?), (?)", None),
    ] {
        let schema = statement(sql).expect(sql);
        let checked = &schema.statements[0];
        let found = checked.multi_row.as_ref().map(|rows| (rows.text(1), rows.text(2)));
        let expect = expect
            .map(|(head, row, tail)| (format!("{head}{row}{tail}"), format!("{head}{row},{row}{tail}")));
        assert_eq!(found, expect, "{sql}");
        assert!(found.is_none_or(|(one, _)| one == checked.sql), "{sql}");
        assert_eq!(checked.parameters.len(), sql.matches('?').count());
    }
}
