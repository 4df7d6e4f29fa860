//! Tests of table definitions.

use super::{DELETE, ORDERS, check, manifest, reasons, table};
use crate::sql::{self, Reason, SqlPlace};
use crate::statement::{TextOrder, UniqueKey};

const OPTIONS: &str = "ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_bin";

/// Checks `CREATE TABLE t (body)`. What is accepted comes back as its body.
fn check_bodies(cases: &[(&str, &str)]) {
    for (body, expect) in cases {
        let ddl = format!("CREATE TABLE t ({body})");
        let sent = table(&ddl).map(|schema| {
            let sent = &schema.tables[1].ddl;
            let body = sent.strip_prefix("CREATE TABLE `t` (").and_then(|rest| rest.strip_suffix(OPTIONS));
            body.and_then(|body| body.strip_suffix(") ")).unwrap_or(sent).to_owned()
        });
        check(&ddl, sent, expect);
    }
}

/// Checks columns of a table whose key is in order.
fn check_columns(cases: &[(&str, &str)]) {
    for (column, expect) in cases {
        let expect = if expect.starts_with("no: ") {
            (*expect).into()
        } else {
            format!("`id` INT PRIMARY KEY, {expect}")
        };
        check_bodies(&[(&format!("id INT PRIMARY KEY, {column}"), &expect)]);
    }
}

/// Checks what follows the columns.
fn check_options(cases: &[(&str, &str)]) {
    for (options, expect) in cases {
        let ddl = format!("CREATE TABLE t (id INT PRIMARY KEY){options}");
        let sent = table(&ddl).map(|schema| {
            let sent = &schema.tables[1].ddl;
            sent.strip_prefix("CREATE TABLE `t` (`id` INT PRIMARY KEY) ").unwrap_or(sent).to_owned()
        });
        check(&ddl, sent, expect);
    }
}

#[test]
fn what_mysql_takes_and_the_host_does_not_is_named_with_what_to_write() {
    check_columns(&[
        ("c CHAR(36) CHARSET ascii", "no: write CHARACTER SET"),
        ("v VARCHAR(9) BINARY", "no: write COLLATE utf8mb4_bin"),
        ("n INT(5) ZEROFILL", "no: write UNSIGNED"),
        ("n NUMERIC(10,2) UNSIGNED", "no: write DECIMAL"),
        ("n INT CHECK (n MOD 4 = 0)", "no: write n % 4"),
        ("trim VARCHAR(9), CHECK (trim > 'a')", "no: put the name in backticks"),
        ("d DATE, CHECK (EXTRACT(YEAR_MONTH FROM d) > 202601)", "no: write YEAR(d) * 100 + MONTH(d)"),
        ("a TEXT, FULLTEXT KEY f (a) WITH PARSER ngram", "no: `WITH PARSER` is valid for MySQL"),
        ("a TEXT, FULLTEXT KEY f (a) COMMENT 'x'", "no: `COMMENT of a FULLTEXT key` is valid for MySQL"),
        ("a INT, KEY k (a) INVISIBLE", "no: `INVISIBLE` is valid for MySQL"),
    ]);
    check_bodies(&[("a INT, PRIMARY KEY USING BTREE (a)", "no: InnoDB has no other")]);
    // Their advice is taken.
    check_columns(&[
        ("c CHAR(36) CHARACTER SET ascii", "`c` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin"),
        ("v VARCHAR(9) COLLATE utf8mb4_bin", "`v` VARCHAR(9) COLLATE utf8mb4_bin"),
        ("n INT(5) UNSIGNED", "`n` INT(5) UNSIGNED"),
        ("n DECIMAL(10,2) UNSIGNED", "`n` DECIMAL(10,2) UNSIGNED"),
        ("n INT CHECK (n % 4 = 0)", "`n` INT CHECK (`n` % 4 = 0)"),
        ("`trim` VARCHAR(9), CHECK (`trim` > 'a')", "`trim` VARCHAR(9), CHECK (`trim` > 'a')"),
        (
            "d DATE, CHECK (YEAR(d) * 100 + MONTH(d) > 202601)",
            "`d` DATE, CHECK (YEAR(`d`) * 100 + MONTH(`d`) > 202601)",
        ),
        ("a TEXT, FULLTEXT KEY f (a)", "`a` TEXT, FULLTEXT KEY `f` (`a`)"),
        ("a INT, UNIQUE KEY u USING BTREE (a)", "`a` INT, UNIQUE KEY `u` USING BTREE (`a`)"),
    ]);
    // A table's own option is no column's.
    check_options(&[(" CHARSET utf8mb4 PARTITION BY HASH (id)", "no: `PARTITION BY` is valid for MySQL")]);
}

#[test]
fn what_stands_in_a_comment_that_mysql_runs_is_told() {
    check_columns(&[
        ("p INT /*!80003 SRID 4326 */", "no: `SRID 4326`"),
        ("n INT /*!80023 INVISIBLE */", "no: with `INVISIBLE` in it: take that out of `/*!` and `*/`"),
        (
            "n INT /* a remark */",
            "no: the text has a comment, and MySQL runs some comments as code: remove it",
        ),
    ]);
    check_options(&[("/*!50100 PARTITION BY HASH (id) */", "no: `PARTITION BY HASH (id)`")]);
}

#[test]
fn a_plain_table_is_written_anew() {
    check_columns(&[
        ("n INT UNSIGNED NOT NULL DEFAULT 0", "`n` INT UNSIGNED NOT NULL DEFAULT 0"),
        ("d DECIMAL(10,2) DEFAULT -1.5 COMMENT 'it''s'", "`d` DECIMAL(10,2) DEFAULT -1.5 COMMENT 'it''s'"),
        (
            "s VARCHAR(36) NULL DEFAULT 'a', b BOOLEAN DEFAULT TRUE",
            "`s` VARCHAR(36) NULL DEFAULT 'a', `b` BOOLEAN DEFAULT true",
        ),
        ("e ENUM('a', 'b'), f SET('c')", "`e` ENUM('a', 'b'), `f` SET('c')"),
        ("j JSON, y YEAR, d DATE, dt DATETIME(6)", "`j` JSON, `y` YEAR, `d` DATE, `dt` DATETIME(6)"),
        ("b VARBINARY(16), c BIT(1), d DOUBLE", "`b` VARBINARY(16), `c` BIT(1), `d` DOUBLE"),
        ("t MEDIUMTEXT, l LONGBLOB, c CHAR(2)", "`t` MEDIUMTEXT, `l` LONGBLOB, `c` CHAR(2)"),
        ("n TINYINT(1) UNIQUE", "`n` TINYINT(1) UNIQUE"),
        ("`key` INT CHECK (`key` > 0)", "`key` INT CHECK (`key` > 0)"),
        (
            "s VARCHAR(9) CHARACTER SET ascii NOT NULL",
            "`s` VARCHAR(9) CHARACTER SET ascii COLLATE ascii_bin NOT NULL",
        ),
        ("s VARCHAR(9) COLLATE utf8mb4_unicode_ci", "`s` VARCHAR(9) COLLATE utf8mb4_unicode_ci"),
        (
            "s VARCHAR(9) CHARACTER SET ascii COLLATE ascii_general_ci",
            "`s` VARCHAR(9) CHARACTER SET ascii COLLATE ascii_general_ci",
        ),
    ]);
}

#[test]
fn columns_whose_values_do_not_come_from_events_are_refused() {
    check_columns(&[
        ("e ENUM('0', '1') DEFAULT TRUE", "no: write the member in quotes"),
        ("e SET('a') DEFAULT 1", "no: write the member in quotes"),
        ("c BIT(1) DEFAULT b'0'", "no: DEFAULT 0"),
        ("n INT AUTO_INCREMENT", "no: a rebuilt table would get other numbers"),
        ("n SERIAL", "no: a rebuilt table would get other numbers"),
        ("d DATE DEFAULT '2026-10-10'", "`d` DATE DEFAULT '2026-10-10'"),
        ("d DATE DEFAULT '0000-00-00'", "no: leave the DEFAULT out"),
        ("d DATETIME(6) DEFAULT '2026-01-00 00:00:00'", "no: leave the DEFAULT out"),
        ("d DATETIME DEFAULT 0", "no: leave the DEFAULT out"),
        ("d DATETIME DEFAULT CURRENT_TIMESTAMP", "no: use the event's occurred-at"),
        ("d DATETIME(6) DEFAULT NOW(6)", "no: use the event's occurred-at"),
        ("d DATETIME ON UPDATE CURRENT_TIMESTAMP", "no: ON UPDATE"),
        ("u CHAR(36) DEFAULT (UUID())", "no: write a literal"),
        ("u CHAR(36) DEFAULT UUID()", "no: derive it from the event's id"),
        ("n INT DEFAULT (1 + 1)", "no: write a literal"),
        ("n INT DEFAULT - -1", "no: write a literal"),
        ("n INT DEFAULT -'1'", "no: write a literal"),
        ("n INT DEFAULT ?", "no: write a literal"),
        ("n INT GENERATED BY DEFAULT AS IDENTITY", "no: write AS (expression) STORED"),
        ("n INT AS (id + 1) NOT NULL", "no: MariaDB does not have it"),
        ("n INT AS (RAND())", "no: derive it from the event's id"),
        ("d DATETIME AS (NOW()) STORED", "no: use the event's occurred-at"),
        ("n INT AS (?)", "no: ? in a table"),
        ("n INT AS ((SELECT 1))", "no: it has a subquery"),
        ("d DATE AS (STR_TO_DATE(id, '%Y%m%d'))", "no: STR_TO_DATE in a table"),
        ("s VARCHAR(9) AS (DAYNAME(id))", "no: lc_time_names"),
        ("s VARCHAR(9) AS (CONCAT(_utf8mb4'a', id))", "no: leave the character set before the text out"),
        ("t TIMESTAMP", "no: use DATETIME(6) in UTC"),
        ("t TIMESTAMP(6) NULL DEFAULT NULL", "no: use DATETIME(6) in UTC"),
        ("t TIME(3)", "no: adding today's"),
        ("p POINT", "no: type POINT of column `p`"),
        ("p GEOMETRY SRID 4326", "no: type"),
        ("u UUID", "no: write CHAR(36) CHARACTER SET ascii"),
        ("a INET6", "no: write VARBINARY(16)"),
        ("l LINESTRING", "no: keep longitude and latitude"),
        ("a INT[]", "no: `[` is not allowed"),
        ("v VARCHAR(MAX)", "no: type"),
        ("n INT INVISIBLE", "no: leave it out"),
        ("n INT REFERENCES orders (id)", "no: some servers ignore it there"),
        ("n INT CHECK (n > RAND())", "no: derive it from the event's id"),
        ("n INT CHECK (n > ?)", "no: ? in a table"),
        ("n INT CHECK (orders.n > 0)", "no: only the columns"),
        ("n INT CONSTRAINT x NOT NULL", "no: a name for this attribute"),
        ("n INT KEY", "no: it would be sent as"),
        ("n VARCHAR(3) BINARY", "no: COLLATE utf8mb4_bin"),
        ("n VARCHAR(3) COLLATE `x`", "no: plain words"),
        ("n INT COMMENT 'a\\'", "no: "),
        ("n INT /*! AUTO_INCREMENT */", "no: the text has a comment"),
    ]);
}

#[test]
fn keys_are_plain() {
    check_columns(&[
        ("a INT, KEY k (a, id DESC)", "`a` INT, KEY `k` (`a`, `id` DESC)"),
        ("a TEXT, INDEX (a(10))", "`a` TEXT, INDEX (`a`(10))"),
        ("a INT, UNIQUE KEY u USING BTREE (a)", "`a` INT, UNIQUE KEY `u` USING BTREE (`a`)"),
        ("a INT, CONSTRAINT u UNIQUE (a)", "`a` INT, CONSTRAINT `u` UNIQUE (`a`)"),
        ("a INT, KEY k USING BTREE (a) COMMENT 'x'", "`a` INT, KEY `k` USING BTREE (`a`) COMMENT 'x'"),
        ("a TEXT, FULLTEXT KEY f (a)", "`a` TEXT, FULLTEXT KEY `f` (`a`)"),
        ("a INT, CHECK (a < id AND a IN (1, 2))", "`a` INT, CHECK (`a` < `id` AND `a` IN (1, 2))"),
        ("a INT, CONSTRAINT c CHECK (ABS(a) > 0)", "`a` INT, CONSTRAINT `c` CHECK (ABS(`a`) > 0)"),
        ("a INT, KEY k ((a + 1), id)", "`a` INT, KEY `k` ((`a` + 1), `id`)"),
        ("a TEXT, UNIQUE KEY k ((LOWER(a)))", "`a` TEXT, UNIQUE KEY `k` ((LOWER(`a`)))"),
        ("a INT, KEY k ((a + RAND()))", "no: derive it from the event's id"),
        ("a INT, KEY k (LOWER(a))", "no: index a generated column"),
        ("a INT, KEY k (a(b))", "no: index a generated column"),
        ("j JSON, KEY k ((CAST(j AS UNSIGNED ARRAY)))", "no: a row for each element"),
        ("a INT, CHECK (a > 1) NOT ENFORCED, CHECK (a > 0) ENFORCED", "`a` INT, CHECK (`a` > 0)"),
        ("a INT, UNIQUE (a) USING HASH", "no: USING"),
        ("a INT, KEY k USING HASH (a)", "no: USING"),
        ("a INT, SPATIAL KEY s (a)", "no: a SPATIAL key"),
        ("a INT, CHECK (a > NOW())", "no: use the event's occurred-at"),
        ("a INT, CHECK (a > (SELECT 1))", "no: it has a subquery"),
        ("a INT, CHECK (VALUES(a) > 1)", "no: VALUES() here"),
    ]);
    check_bodies(&[
        ("a INT, b INT, PRIMARY KEY (a, b)", "`a` INT, `b` INT, PRIMARY KEY (`a`, `b`)"),
        ("a INT, CONSTRAINT PRIMARY KEY (a)", "no: it would be sent as"),
        ("a INT", "no: it has no primary key"),
        ("a INT UNIQUE NOT NULL, KEY k (a)", "no: it has no primary key"),
    ]);
}

#[test]
fn foreign_keys_point_at_tables_declared_before() {
    check_columns(&[
        (
            "a INT, CONSTRAINT f FOREIGN KEY (a) REFERENCES orders (id) ON DELETE CASCADE ON UPDATE NO ACTION",
            "`a` INT, CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `orders`(`id`) ON DELETE CASCADE ON UPDATE NO ACTION",
        ),
        ("a INT, FOREIGN KEY (a) REFERENCES t (id)", "`a` INT, FOREIGN KEY (`a`) REFERENCES `t`(`id`)"),
        ("a INT, FOREIGN KEY (a) REFERENCES other (id)", "no: table `other` is not declared"),
        ("a INT, FOREIGN KEY (a) REFERENCES shop.orders (id)", "no: without a schema name"),
        ("a INT, FOREIGN KEY (a) REFERENCES orders", "no: without referenced columns"),
        ("a INT, FOREIGN KEY (a) REFERENCES orders (id) ON DELETE SET DEFAULT", "no: SET DEFAULT"),
        ("a INT, FOREIGN KEY (a) REFERENCES orders (id) MATCH FULL", "no: MATCH"),
        (
            "a INT, FOREIGN KEY (a) REFERENCES orders (id) ON UPDATE CASCADE ON DELETE CASCADE",
            "no: it would be sent as",
        ),
    ]);
    let child = "CREATE TABLE child (id INT PRIMARY KEY, o VARCHAR(36), p VARCHAR(36), \
                 FOREIGN KEY (o) REFERENCES orders (id), FOREIGN KEY (p) REFERENCES orders (id))";
    let schema = sql::check(&manifest(&[("orders", ORDERS), ("child", child)], &[("it", DELETE)]));
    assert_eq!(schema.expect("the order is right").tables[1].references, vec!["orders".to_owned()]);
    let wrong = manifest(&[("child", child), ("orders", ORDERS)], &[("it", DELETE)]);
    assert_eq!(
        reasons(&wrong),
        vec![(
            SqlPlace::Table { index: 0, name: "child".into() },
            Reason::ReferenceOrder { table: "orders".into() }
        )]
    );
}

#[test]
fn options_are_made_explicit() {
    check_options(&[
        ("", OPTIONS),
        (" ENGINE=innodb;", OPTIONS),
        (
            " ENGINE InnoDB, COMMENT 'it''s'",
            "ENGINE = InnoDB COMMENT 'it''s' DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_bin",
        ),
        (
            " CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci ROW_FORMAT=DYNAMIC",
            "ENGINE = InnoDB CHARACTER SET = utf8mb4 COLLATE = utf8mb4_unicode_ci ROW_FORMAT = DYNAMIC",
        ),
        (" DEFAULT CHARSET=ascii", "ENGINE = InnoDB DEFAULT CHARSET = ascii COLLATE = ascii_bin"),
        (" CHARSET=binary", "ENGINE = InnoDB CHARSET = binary"),
        (" COLLATE=utf8mb4_general_ci", "ENGINE = InnoDB COLLATE = utf8mb4_general_ci"),
        (
            " STATS_PERSISTENT=1 STATS_AUTO_RECALC=DEFAULT STATS_SAMPLE_PAGES=20 KEY_BLOCK_SIZE=8 COLLATE=utf8mb4_bin",
            "ENGINE = InnoDB STATS_PERSISTENT = 1 STATS_AUTO_RECALC = DEFAULT STATS_SAMPLE_PAGES = 20 \
             KEY_BLOCK_SIZE = 8 COLLATE = utf8mb4_bin",
        ),
        (" STATS_PERSISTENT='1'", "no: table option"),
        (" PACK_KEYS=1", "no: InnoDB does not have it"),
        (" ENGINE=MyISAM", "no: table option `ENGINE = MyISAM`"),
        (" ENGINE=InnoDB(x)", "no: table option"),
        (" AUTO_INCREMENT=5", "no: table option"),
        (" DATA DIRECTORY='/tmp'", "no: table option"),
        (" INDEX DIRECTORY='/tmp'", "no: table option"),
        (" CONNECTION='mysql://x'", "no: table option"),
        (" TABLESPACE x", "no: table option"),
        (" UNION=(orders)", "no: table option"),
        (" ENCRYPTION='Y'", "no: table option"),
        (" COLLATE='utf8mb4_bin'", "no: table option"),
        (" WITH SYSTEM VERSIONING", "no: "),
        (" PARTITION BY HASH (id)", "no: leave it out"),
    ]);
}

#[test]
fn texts_that_the_author_leaves_open_are_compared_byte_by_byte_on_each_server() {
    let ddl = "CREATE TABLE t (id VARCHAR(9) PRIMARY KEY, v VARCHAR(9) CHARACTER SET utf8mb4, w VARCHAR(9) \
               CHARACTER SET latin1, x VARCHAR(9) COLLATE utf8mb4_unicode_ci)";
    let schema = table(ddl).expect("it is right");
    for (order, collation) in [
        (TextOrder::MySql, "utf8mb4_0900_bin"),
        (TextOrder::MariaDb, "utf8mb4_nopad_bin"),
        (TextOrder::Padded, "utf8mb4_bin"),
    ] {
        let sent = schema.tables[1].ddl_for(order);
        assert_eq!(sent.matches(collation).count(), 2, "{sent}");
        assert!(sent.ends_with(&format!("DEFAULT CHARSET = utf8mb4 COLLATE = {collation}")), "{sent}");
        assert!(sent.contains("latin1_bin") && sent.contains("utf8mb4_unicode_ci"), "{sent}");
    }
}

#[test]
fn a_collation_that_the_host_chose_is_told() {
    let notes = |ddl: &str| table(ddl).expect("it is right").notes();
    for ddl in [
        "CREATE TABLE t (id INT PRIMARY KEY) CHARSET=utf8mb4",
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET utf8mb4)",
    ] {
        let [note] = &notes(ddl)[..] else { panic!("{ddl} has one note") };
        assert!(
            note.contains("table `t`: CHARSET without COLLATE is taken for COLLATE utf8mb4_0900_bin (utf8mb4_nopad_bin on MariaDB)"),
            "{note}"
        );
    }
    for ddl in [
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "CREATE TABLE t (id INT PRIMARY KEY) CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci",
        "CREATE TABLE t (id INT PRIMARY KEY) CHARSET=binary",
    ] {
        assert_eq!(notes(ddl), Vec::<String>::new(), "{ddl}");
    }
}

#[test]
fn generated_columns_are_taken_and_what_nothing_enforces_is_left_out() {
    check_columns(&[
        ("n INT AS (id + 1)", "`n` INT AS (`id` + 1)"),
        ("n INT GENERATED ALWAYS AS (id) STORED", "`n` INT GENERATED ALWAYS AS (`id`) STORED"),
        (
            "e VARCHAR(9), l VARCHAR(9) COLLATE utf8mb4_bin GENERATED ALWAYS AS (lower(`e`)) VIRTUAL UNIQUE",
            "`e` VARCHAR(9), `l` VARCHAR(9) COLLATE utf8mb4_bin GENERATED ALWAYS AS (lower(`e`)) VIRTUAL UNIQUE",
        ),
        (
            "j JSON, q VARCHAR(9) AS (JSON_UNQUOTE(JSON_EXTRACT(j, '$.q'))) STORED, KEY k (q)",
            "`j` JSON, `q` VARCHAR(9) AS (JSON_UNQUOTE(JSON_EXTRACT(`j`, '$.q'))) STORED, KEY `k` (`q`)",
        ),
        ("n INT CHECK (n > 0) NOT ENFORCED", "`n` INT"),
        ("n INT CHECK (n > 0) ENFORCED", "`n` INT CHECK (`n` > 0)"),
    ]);
    check_bodies(&[
        ("a INT, b INT AS (a) STORED, PRIMARY KEY (a, b)", "no: take the key from the event"),
        ("a INT, b INT AS (a) STORED PRIMARY KEY", "no: take the key from the event"),
    ]);
    let schema =
        table("CREATE TABLE t (id INT PRIMARY KEY, e TEXT, UNIQUE KEY k ((LOWER(e))))").expect("right");
    assert!(schema.tables[1].has_other_unique_key(), "an expression is a key beside the primary one");
    let [note] = &schema.notes()[..] else { panic!("it has one note") };
    assert!(note.contains("table `t` has a key on an expression, which MariaDB does not have"), "{note}");
}

fn key(columns: &[&str], cut: &[&str]) -> UniqueKey {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    UniqueKey { columns: owned(columns), cut: owned(cut) }
}

#[test]
fn a_key_of_which_the_beginning_is_compared_makes_one_row_of_several() {
    for (keys, is_one) in [
        ("PRIMARY KEY (id)", false),
        ("PRIMARY KEY (id(3))", true),
        ("PRIMARY KEY (id), UNIQUE KEY u (day, id)", false),
        ("PRIMARY KEY (id), UNIQUE KEY u (id(3), day)", true),
    ] {
        let ddl = format!("CREATE TABLE t (id VARCHAR(20) NOT NULL, day INT NOT NULL, {keys})");
        let schema = table(&ddl).expect("it is right");
        assert_eq!(schema.tables[1].has_other_unique_key(), is_one, "{keys}");
    }
}

#[test]
fn what_the_server_alone_can_judge_is_marked() {
    for (column, is_checked) in [
        ("n DOUBLE", false),
        ("n FLOAT(20)", false),
        ("n DOUBLE UNSIGNED", true),
        ("n FLOAT UNSIGNED", true),
        ("n DOUBLE(5,2)", true),
        ("n FLOAT(5,2)", true),
        ("n INT, CHECK (n > 1)", true),
        ("n INT, CHECK (t.n > 1)", true),
        ("n INT, CHECK (t.id > 1)", false),
    ] {
        let schema = table(&format!("CREATE TABLE t (id INT PRIMARY KEY, {column})")).expect("it is right");
        assert_eq!(schema.tables[1].column("n").expect("it is there").checked, is_checked, "{column}");
    }
}

#[test]
fn columns_and_keys_are_known() {
    let ddl = "CREATE TABLE t (id BIGINT, a VARCHAR(9) NOT NULL DEFAULT 'x' UNIQUE, b TEXT, n INT NOT NULL, \
               PRIMARY KEY (id), UNIQUE KEY u (b(10), id))";
    let schema = table(ddl).expect("it is right");
    let t = &schema.tables[1];
    let shown: Vec<String> = t
        .columns
        .iter()
        .map(|column| format!("{} {} {} {}", column.name, column.kind, column.nullable, column.has_default))
        .collect();
    assert_eq!(
        shown,
        ["id BIGINT false false", "a text(9) false true", "b text true true", "n INT false false"]
    );
    assert_eq!(t.unique_keys, [key(&["id"], &[]), key(&["a"], &[]), key(&["b", "id"], &["b"])]);
    assert!(t.has_other_unique_key());
}

#[test]
fn other_ways_to_make_a_table_are_refused() {
    for (ddl, expect) in [
        ("CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY)", "no: IF NOT EXISTS"),
        ("CREATE OR REPLACE TABLE t (id INT PRIMARY KEY)", "no: OR REPLACE"),
        ("CREATE TEMPORARY TABLE t (id INT PRIMARY KEY)", "no: TEMPORARY"),
        ("CREATE TABLE t (id INT PRIMARY KEY) SELECT 1 AS id", "no: a SELECT"),
        ("CREATE TABLE t (id INT PRIMARY KEY) AS SELECT 1 AS id", "no: a SELECT"),
        ("CREATE TABLE t AS SELECT 1", "no: a SELECT"),
        ("CREATE TABLE t LIKE orders", "no: LIKE"),
        ("CREATE TABLE t (LIKE orders)", "no: LIKE"),
        ("CREATE TABLE t CLONE orders", "no: "),
        ("CREATE EXTERNAL TABLE t (id INT PRIMARY KEY)", "no: "),
        ("CREATE TABLE t (id INT PRIMARY KEY) ON COMMIT DROP", "no: this form of CREATE TABLE"),
        ("CREATE TABLE u (id INT PRIMARY KEY)", "no: let both names be the same"),
        ("CREATE TABLE T (id INT PRIMARY KEY)", "no: let both names be the same"),
        ("CREATE TABLE shop.t (id INT PRIMARY KEY)", "no: let both names be the same"),
        ("CREATE VIEW t AS SELECT 1", "no: is not one of CREATE TABLE"),
        ("CREATE INDEX t ON orders (id)", "no: is not one of CREATE TABLE"),
        ("DROP TABLE orders", "no: is not one of CREATE TABLE"),
        ("CREATE TABLE t (id INT PRIMARY KEY); DROP TABLE orders", "no: several statements"),
        ("", "no: the text is empty"),
    ] {
        check(ddl, table(ddl).map(|schema| schema.tables[1].ddl.clone()), expect);
    }
}
