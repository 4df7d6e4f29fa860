//! Which expressions and functions may stand in a statement: those that come to the same on every server, at any time.

use super::{check_all, check_conditions};

#[test]
fn plain_expressions_pass() {
    check_conditions(&[
        ("id=? and NOT (n<>1 or n!=2 xor n<=>?)", "`id` = ? AND NOT (`n` <> 1 OR `n` <> 2 XOR `n` <=> ?)"),
        (
            "n+1-2*3/4%5 DIV 6 >= -1.5e-3 AND n <= +2",
            "`n` + 1 - 2 * 3 / 4 % 5 DIV 6 >= -1.5e-3 AND `n` <= +2",
        ),
        ("n & 1 | 2 ^ 3 << 4 >> ~5", "`n` & 1 | 2 ^ 3 << 4 >> ~5"),
        ("n - -1 > 0", "`n` - -1 > 0"),
        ("-(-n) > 0", "-(-`n`) > 0"),
        ("n BETWEEN ? AND 2 OR n NOT IN (1, ?)", "`n` BETWEEN ? AND 2 OR `n` NOT IN (1, ?)"),
        ("(id, n) IN ((?, ?), (1, 2))", "(`id`, `n`) IN ((?, ?), (1, 2))"),
        ("id IS NOT NULL AND n IS TRUE", "`id` IS NOT NULL AND `n` IS TRUE"),
        ("id LIKE 'a!_%' ESCAPE '!'", "`id` LIKE 'a!_%' ESCAPE '!'"),
        ("CASE n WHEN 1 THEN ? ELSE NULL END = ?", "CASE `n` WHEN 1 THEN ? ELSE NULL END = ?"),
        ("id = 'it''s' OR id = '' OR id = ''''", "`id` = 'it''s' OR `id` = '' OR `id` = ''''"),
        ("id = '-- # /* ; ? \" ` é 😀'", "`id` = '-- # /* ; ? \" ` é 😀'"),
        ("`key` = 1 AND `utc_date` = 2", "`key` = 1 AND `utc_date` = 2"),
        ("orders.current_date = 1", "`orders`.`current_date` = 1"),
    ]);
}

#[test]
fn deterministic_functions_pass() {
    check_conditions(&[
        ("coalesce(n, ?) = IF(n, 1, 2)", "coalesce(`n`, ?) = IF(`n`, 1, 2)"),
        ("LEFT(id, 1) = RIGHT(id, 1)", "LEFT(`id`, 1) = RIGHT(`id`, 1)"),
        ("REPLACE(id, 'a', 'b') = MOD(n, 2)", "REPLACE(`id`, 'a', 'b') = MOD(`n`, 2)"),
        ("TRIM(id) = TRIM(BOTH 'x' FROM id)", "TRIM(`id`) = TRIM(BOTH 'x' FROM `id`)"),
        ("SUBSTRING(id, 1, 2) = SUBSTR(id, 1)", "SUBSTRING(`id`, 1, 2) = SUBSTR(`id`, 1)"),
        ("SUBSTRING(id FROM 1 FOR 2) = ''", "SUBSTRING(`id` FROM 1 FOR 2) = ''"),
        ("CEIL(n) = FLOOR(n) AND CEILING(n) = 1", "CEIL(`n`) = FLOOR(`n`) AND CEILING(`n`) = 1"),
        ("id = DATE '2020-01-01'", "`id` = DATE '2020-01-01'"),
        ("id < TIMESTAMP '2020-01-01 00:00:00'", "`id` < TIMESTAMP '2020-01-01 00:00:00'"),
        ("POSITION('a' IN id) = 1", "POSITION('a' IN `id`) = 1"),
        ("EXTRACT(YEAR FROM id) = YEAR(id)", "EXTRACT(YEAR FROM `id`) = YEAR(`id`)"),
        ("DATE_ADD(id, INTERVAL ? DAY) > id", "DATE_ADD(`id`, INTERVAL ? DAY) > `id`"),
        ("id > id + INTERVAL 1 MONTH", "`id` > `id` + INTERVAL 1 MONTH"),
        ("TIMESTAMPDIFF(DAY, id, ?) > 1", "TIMESTAMPDIFF(DAY, `id`, ?) > 1"),
        (
            "JSON_EXTRACT(id, '$.\"a b\"') = JSON_OBJECT('a', ?)",
            "JSON_EXTRACT(`id`, '$.\"a b\"') = JSON_OBJECT('a', JSON_EXTRACT(?, '$'))",
        ),
        ("CAST(n AS SIGNED) = CAST(? AS DECIMAL(10,2))", "CAST(`n` AS SIGNED) = CAST(? AS DECIMAL(10,2))"),
        (
            "CONVERT(id, CHAR) = CONVERT(id USING utf8mb4)",
            "CONVERT(`id`, CHAR) = CONVERT(`id` USING utf8mb4)",
        ),
        ("SHA2(id, 256) = HEX(UNHEX(MD5(id)))", "SHA2(`id`, 256) = HEX(UNHEX(MD5(`id`)))"),
    ]);
}

#[test]
fn what_makes_a_text_longer_is_bounded() {
    check_conditions(&[
        ("id = REPEAT('a', 65535)", "`id` = REPEAT('a', 65535)"),
        ("id = REPEAT('a', 65536)", "no: a length or count that is not bounded"),
        ("id = REPEAT(?, ?)", "no: a length or count that is not bounded"),
        ("id = REPEAT('a', n)", "no: a length or count that is not bounded"),
        ("id = LPAD(n, 10, '0')", "`id` = LPAD(`n`, 10, '0')"),
        ("id = RPAD(n, ?, '0')", "no: a length or count that is not bounded"),
        ("id = REPEAT(REPEAT('a', 255), 257)", "`id` = REPEAT(REPEAT('a', 255), 257)"),
        ("id = REPEAT(CONCAT(REPEAT('a', 256)), 257)", "no: a length or count that is not bounded"),
        (
            "id = CONCAT(REPEAT('a', 60000), REPEAT('b', 60000))",
            "`id` = CONCAT(REPEAT('a', 60000), REPEAT('b', 60000))",
        ),
        ("id = CAST(n AS BINARY(16))", "`id` = CAST(`n` AS BINARY(16))"),
        ("id = CAST(n AS BINARY(70000))", "no: a length or count that is not bounded"),
        ("id = CONVERT(n, BINARY(70000))", "no: a length or count that is not bounded"),
    ]);
}

/// Checks one statement on a table with a second unique key.
#[test]
fn an_append_to_a_path_that_is_not_there_leaves_the_document() {
    check_conditions(&[
        ("JSON_ARRAY_APPEND(id, '$.a', 1) = 1", "COALESCE(JSON_ARRAY_APPEND(`id`, '$.a', 1), `id`) = 1"),
        (
            "COALESCE(JSON_ARRAY_APPEND(id, '$.a', ?), id) = 1",
            "COALESCE(JSON_ARRAY_APPEND(`id`, '$.a', JSON_EXTRACT(?, '$')), `id`) = 1",
        ),
        ("JSON_ARRAY_APPEND(?, '$', 1) = 1", "JSON_ARRAY_APPEND(?, '$', 1) = 1"),
        ("JSON_ARRAY_APPEND(?, '$.a', 1) = 1", "no: MariaDB loses the document"),
        ("JSON_ARRAY_APPEND(id, '$.a', 1, '$.b', 2) = 1", "no: MariaDB loses the document"),
    ]);
}

#[test]
fn clocks_randomness_and_the_session_are_refused() {
    for name in
        ["NOW", "now", "CURDATE", "CURTIME", "SYSDATE", "UNIX_TIMESTAMP", "UTC_TIMESTAMP", "LOCALTIME"]
    {
        check_conditions(&[(&format!("id = {name}()"), "no: use the event's occurred-at")]);
    }
    for name in [
        "CURRENT_TIMESTAMP",
        "current_date",
        "CURRENT_TIME",
        "LOCALTIME",
        "LOCALTIMESTAMP",
        "UTC_DATE",
        "UTC_TIME",
    ] {
        check_conditions(&[(&format!("id = {name}"), "no: use the event's occurred-at")]);
    }
    for name in ["RAND", "UUID", "UUID_SHORT", "RANDOM_BYTES", "SYS_GUID"] {
        check_conditions(&[(&format!("id = {name}()"), "no: derive it from the event's id")]);
    }
    for name in [
        "SLEEP",
        "BENCHMARK",
        "GET_LOCK",
        "LAST_INSERT_ID",
        "CONNECTION_ID",
        "USER",
        "DATABASE",
        "VERSION",
        "LOAD_FILE",
        "FOUND_ROWS",
        "ROW_COUNT",
        "NEXTVAL",
        "DEFAULT",
        "CURRENT_USER",
        "EXTRACTVALUE",
        "MASTER_POS_WAIT",
        "my_function",
    ] {
        check_conditions(&[(&format!("id = {name}(n)"), "no: is not allowed: compute")]);
    }
    check_conditions(&[
        ("id = CURRENT_USER", "no: is not allowed: compute"),
        ("id = mysql.MD5(id)", "no: is not allowed: compute"),
        ("id = `MD5`(id)", "no: is not allowed: compute"),
        ("id = ROW(1, 2)", "no: is not allowed: compute"),
        ("id = DEFAULT", "no: DEFAULT is not allowed"),
        ("id = seq.nextval", "no: only the columns"),
        ("id = NEXT VALUE FOR seq", "no: not valid SQL"),
        ("id = VALUES(id)", "no: VALUES() here"),
    ]);
    check_all(&[
        ("INSERT INTO orders (id) VALUES (DEFAULT)", "no: leave the column out"),
        ("INSERT INTO orders (id, n) VALUES (1, id)", "no: a new row has no columns to read yet"),
        ("INSERT INTO orders (id, n) VALUES (1, orders.id)", "no: a new row has no columns to read yet"),
        ("INSERT INTO orders (id, n) VALUES (1, VALUES(id))", "no: VALUES() here"),
        ("INSERT INTO orders (id) VALUES (1) ON DUPLICATE KEY UPDATE id = VALUES(1)", "no: VALUES() here"),
        (
            "INSERT INTO orders (id) VALUES (1) ON DUPLICATE KEY UPDATE id = VALUES(NOW())",
            "no: VALUES() here",
        ),
    ]);
}

#[test]
fn functions_that_are_not_called_say_why_and_what_to_write() {
    check_conditions(&[
        ("id = REGEXP_REPLACE(id, 'a', 'b')", "no: MySQL and MariaDB read patterns differently"),
        ("REGEXP_LIKE(id, 'a')", "no: write LIKE"),
        ("id = CONVERT_TZ(id, '+00:00', '+02:00')", "no: write at + INTERVAL 2 HOUR"),
        ("id = FROM_UNIXTIME(n)", "no: write TIMESTAMP '1970-01-01 00:00:00' + INTERVAL n SECOND"),
        ("n = UNIX_TIMESTAMP(id)", "no: write TIMESTAMPDIFF(SECOND"),
        ("id = DAYNAME(id)", "no: lc_time_names"),
        ("id = JSON_VALUE(id, '$.a')", "no: write JSON_UNQUOTE(JSON_EXTRACT(doc"),
        ("n = LOG2(n)", "no: write LN(x) / LN(2)"),
        ("id = TIME(id)", "no: write HOUR, MINUTE and SECOND"),
        ("n = WEEK(id)", "no: write the mode, e.g. WEEK(d, 3)"),
        ("n = YEARWEEK(id, ?)", "no: write the mode"),
        ("n = YEARWEEK(id, 9)", "no: write the mode"),
        ("id = TIMESTAMP(id, id)", "no: TIMESTAMP of two values"),
        ("id = DATE_FORMAT(id, '%M')", "no: the names of days and months depend on lc_time_names"),
        ("id = DATE_FORMAT(id, ?)", "no: write the format out"),
        ("id = STR_TO_DATE(id, '%H:%i')", "no: the servers fill in differently what lacks"),
        ("id = JSON_ARRAY_INSERT(id, '$.a', 1)", "no: MariaDB loses the document"),
        ("id = JSON_ARRAY_INSERT(id, '$[0]', 1, '$', 1)", "no: MariaDB loses the document"),
        ("id = JSON_ARRAY_INSERT(id, ?, 1)", "no: MariaDB loses the document"),
        ("id = FORMAT(n, 2)", "no: its answer depends on a locale"),
        ("id = UUID_NEW(n)", "no: if it comes from a column, use functions that are allowed"),
    ]);
    // Their advice is taken.
    check_conditions(&[
        (
            "id = TIMESTAMP '1970-01-01 00:00:00' + INTERVAL n SECOND",
            "`id` = TIMESTAMP '1970-01-01 00:00:00' + INTERVAL `n` SECOND",
        ),
        (
            "n = TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', id)",
            "`n` = TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', `id`)",
        ),
        (
            "id = JSON_UNQUOTE(JSON_EXTRACT(id, '$.path'))",
            "`id` = JSON_UNQUOTE(JSON_EXTRACT(`id`, '$.path'))",
        ),
        ("n = LN(n) / LN(2)", "`n` = LN(`n`) / LN(2)"),
        ("n = WEEK(id, 3) + YEARWEEK(id, 3)", "`n` = WEEK(`id`, 3) + YEARWEEK(`id`, 3)"),
        ("id = TIMESTAMP(id)", "`id` = TIMESTAMP(`id`)"),
        ("id = DATE_FORMAT(id, '%Y-%m')", "`id` = DATE_FORMAT(`id`, '%Y-%m')"),
        (
            "id = STR_TO_DATE(id, '%Y-%m-%d')",
            "`id` = DATE_ADD(STR_TO_DATE(`id`, '%Y-%m-%d'), INTERVAL 0 DAY)",
        ),
        (
            "id = DATE_ADD(STR_TO_DATE(id, '%Y-%m-%d'), INTERVAL 0 DAY)",
            "`id` = DATE_ADD(STR_TO_DATE(`id`, '%Y-%m-%d'), INTERVAL 0 DAY)",
        ),
        ("id = JSON_ARRAY_INSERT(id, '$.a[0]', 1)", "`id` = JSON_ARRAY_INSERT(`id`, '$.a[0]', 1)"),
        ("id = INSERT(id, 1, 2, ?)", "`id` = INSERT(`id`, 1, 2, ?)"),
        ("JSON_CONTAINS(id, ?)", "JSON_CONTAINS(`id`, ?)"),
        ("id COLLATE utf8mb4_general_ci = ?", "`id` COLLATE utf8mb4_general_ci = ?"),
        ("n = SQRT(POW(n, 2))", "`n` = SQRT(POW(`n`, 2))"),
    ]);
}

#[test]
fn other_expressions_are_refused() {
    check_conditions(&[
        ("id = ANY (SELECT 1)", "no: it has a subquery"),
        ("id > ALL (SELECT 1)", "no: it has a subquery"),
        ("id REGEXP 'a'", "no: one event's text can keep one busy for ever"),
        ("id COLLATE `x` = 'a'", "no: write the collation as a plain word"),
        ("MATCH (id) AGAINST ('a')", "no: is not allowed"),
        ("n MEMBER OF ('[1]')", "no: write JSON_CONTAINS(document, ?)"),
        ("id = DATE'2020-01-01'", "no: put a space between"),
        ("id = DATE '2020-1-1'", "no: write DATE 'YYYY-MM-DD'"),
        ("id = TIMESTAMP '2020-01-01 00:00:00+02:00'", "no: write DATE 'YYYY-MM-DD'"),
        ("id = TIME '00:00:00'", "no: write DATE 'YYYY-MM-DD'"),
        ("id = _utf8mb4 'a'", "no: is not allowed"),
        ("id SOUNDS LIKE 'a'", "no: "),
        ("id = *", "no: "),
        ("COUNT(*) > 1", "no: is not allowed: compute"),
        ("SUM(n) > 1", "no: is not allowed: compute"),
        ("MD5(DISTINCT id) = 1", "no: call it with plain arguments"),
        ("MD5(id) OVER () = 1", "no: call it with plain arguments"),
        ("MD5(*) = 1", "no: write plain arguments"),
        ("MD5(x => 1) = 1", "no: "),
        ("CAST(id AS TIME) = 1", "no: a cast to TIME"),
        ("CAST(id AS CHAR CHARACTER SET utf8mb4) = 1", "no: "),
        ("CONVERT(id USING `utf8mb4`) = 1", "no: this CONVERT"),
        ("TRY_CAST(id AS CHAR) = 1", "no: is not allowed"),
        ("id + INTERVAL 1 DAY_HOUR = 1", "no: unit"),
        ("id + INTERVAL '1' DAYS = 1", "no: unit"),
        ("TIMESTAMPDIFF(n, id, id) = 1", "no: this unit of time"),
        ("EXTRACT(EPOCH FROM id) = 1", "no: unit"),
        ("n - - 1 = 1 AND - -n = 1", "no: a double minus"),
    ]);
}
