//! Small cases that went wrong once, each with the rows that are right.

use laterna::sql::fit::judge;
use laterna::statement::{FittedOperation, Operation, Value};
use rand::Rng;
use sqlx::Row;

use crate::support::Options;
use crate::support::lane::Bench;

const BOTH: [fn() -> Options; 2] = [Options::mysql, Options::mariadb];

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn json(text: &str) -> Value {
    Value::Json(text.to_owned())
}

fn moment(text: &str) -> Value {
    Value::Timestamp(text.to_owned())
}

fn decimal(digits: &str) -> Value {
    Value::Decimal(digits.to_owned())
}

/// Operations on one table, each its own batch or all of them one; then the rows of a query, as text.
async fn rows_after(
    options: Options,
    ddl: &str,
    statements: &[&str],
    operations: &[(usize, Vec<Value>)],
    query: &str,
    together: bool,
) -> Vec<String> {
    let bench = Bench::with(options, &[(ddl, statements)]).await;
    let mut lane = bench.lane(1).await;
    let operation = |(statement, parameters): &(usize, Vec<Value>)| Operation {
        statement: u32::try_from(statement + 2).expect("few"),
        parameters: parameters.clone(),
    };
    let operations: Vec<Operation> = operations.iter().map(operation).collect();
    let operations = judge(&bench.schema, operations).unwrap_or_else(|failure| panic!("{failure}"));
    let batches: Vec<Vec<FittedOperation>> =
        if together { vec![operations] } else { operations.into_iter().map(|one| vec![one]).collect() };
    for (number, operations) in (0..).zip(batches) {
        lane.commit(&bench.batch(number, operations)).await.unwrap_or_else(|failure| panic!("{failure}"));
    }
    let rows = bench.world.rows(query).await;
    let cell = |row: &sqlx::mysql::MySqlRow| {
        let bytes: Option<Vec<u8>> = row.get_unchecked(0);
        bytes.map_or("NULL".to_owned(), |bytes| String::from_utf8(bytes).expect("it is text"))
    };
    rows.iter().map(cell).collect()
}

/// The same rows on both servers, one by one and joined.
async fn check(
    ddl: &str,
    statements: &[&str],
    operations: &[(usize, Vec<Value>)],
    query: &str,
    expect: &[&str],
) {
    for options in BOTH {
        for together in [false, true] {
            let rows = rows_after(options(), ddl, statements, operations, query, together).await;
            assert_eq!(rows, expect, "{operations:?}, together: {together}");
        }
    }
}

/// Which value is refused, and what is said of it.
async fn check_refused(ddl: &str, statement: &str, cases: &[(Vec<Value>, &str)]) {
    let bench = Bench::with(Options::mysql(), &[(ddl, &[statement])]).await;
    for (parameters, says) in cases {
        let operation = Operation { statement: 2, parameters: parameters.clone() };
        let failure = judge(&bench.schema, vec![operation]).expect_err("it does not fit");
        assert_eq!(failure.class(), "bad-value");
        assert!(failure.to_string().contains(says), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integer_before_a_text_does_not_make_it_a_number() {
    check(
        "CREATE TABLE t (id VARCHAR(20) PRIMARY KEY, v VARCHAR(50))",
        &["INSERT INTO t (id, v) VALUES (?, ?)"],
        &[
            (0, vec![text("z"), Value::Integer(5)]),
            (0, vec![text("a"), text("007")]),
            (0, vec![text("b"), Value::Null]),
            (0, vec![text("c"), Value::Number(0.5)]),
            (0, vec![text("d"), text("0.50")]),
        ],
        "SELECT CONCAT(id, '=', COALESCE(v, 'NULL')) FROM t ORDER BY id",
        &["a=007", "b=NULL", "c=0.5", "d=0.50", "z=5"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_bound_before_changes_nothing_in_any_shape() {
    let ddl = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50), x DECIMAL(40,20), j JSON)";
    let statements = [
        "INSERT INTO t (id, v, x, j) VALUES (?, '', 0, '{}')",
        "UPDATE t SET v = ? WHERE id = ?",
        "INSERT INTO t (id, v, x, j) VALUES (?, ?, 0, '{}') ON DUPLICATE KEY UPDATE v = VALUES(v)",
        "UPDATE t SET v = CONCAT(?, '') WHERE id = ?",
        "UPDATE t SET v = COALESCE(?, v) WHERE id = ?",
        "UPDATE t SET j = JSON_SET(j, '$.v', ?) WHERE id = ?",
        "UPDATE t SET x = x + ? WHERE id = ?",
        "UPDATE t SET j = ? WHERE id = ?",
    ];
    let id = |id: i64| Value::Integer(id);
    let mut operations: Vec<(usize, Vec<Value>)> = (1..=14).map(|row| (0, vec![id(row)])).collect();
    operations.extend([
        (1, vec![Value::Integer(1), id(1)]),
        (1, vec![text("007"), id(2)]),
        (2, vec![id(3), Value::Integer(1)]),
        (2, vec![id(4), text("01067")]),
        (3, vec![Value::Integer(1), id(5)]),
        (3, vec![text("01067"), id(6)]),
        (4, vec![Value::Integer(1), id(7)]),
        (4, vec![text("01067"), id(8)]),
        (5, vec![Value::Integer(1), id(9)]),
        (5, vec![text("01067"), id(10)]),
        (5, vec![text("Dresden"), id(11)]),
        (6, vec![Value::Number(0.5), id(12)]),
        (6, vec![decimal("12345678901234567890.12345678901234567891"), id(13)]),
        (7, vec![Value::Integer(7), id(14)]),
        (7, vec![json(r#"{"a":"7"}"#), id(14)]),
    ]);
    check(
        ddl,
        &statements,
        &operations,
        "SELECT CONCAT(id, '=', v, '/', CAST(x AS CHAR), '/', REPLACE(CAST(j AS CHAR), ' ', '')) FROM t ORDER BY id",
        &[
            "1=1/0.00000000000000000000/{}",
            "2=007/0.00000000000000000000/{}",
            "3=1/0.00000000000000000000/{}",
            "4=01067/0.00000000000000000000/{}",
            "5=1/0.00000000000000000000/{}",
            "6=01067/0.00000000000000000000/{}",
            "7=1/0.00000000000000000000/{}",
            "8=01067/0.00000000000000000000/{}",
            r#"9=/0.00000000000000000000/{"v":1}"#,
            r#"10=/0.00000000000000000000/{"v":"01067"}"#,
            r#"11=/0.00000000000000000000/{"v":"Dresden"}"#,
            "12=/0.50000000000000000000/{}",
            "13=/12345678901234567890.12345678901234567891/{}",
            r#"14=/0.00000000000000000000/{"a":"7"}"#,
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_stays_json_inside_of_json_functions() {
    check(
        "CREATE TABLE t (id INT PRIMARY KEY, items JSON, doc JSON)",
        &[
            "INSERT INTO t (id, items, doc) VALUES (?, '[]', '{}')",
            "UPDATE t SET items = JSON_ARRAY_APPEND(items, '$', ?), doc = JSON_SET(doc, '$.on', ?) WHERE id = ?",
        ],
        &[
            (0, vec![Value::Integer(1)]),
            (1, vec![json(r#"{"sku":"a"}"#), Value::Boolean(true), Value::Integer(1)]),
            (1, vec![text("b"), json(r#"{"x":[1]}"#), Value::Integer(1)]),
            (1, vec![Value::Null, Value::Null, Value::Integer(1)]),
            (1, vec![Value::Boolean(false), Value::Boolean(false), Value::Integer(1)]),
        ],
        "SELECT REPLACE(CONCAT(CAST(items AS CHAR), CAST(doc AS CHAR)), ' ', '') FROM t",
        &[r#"[{"sku":"a"},"b",null,false]{"on":false}"#],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_enums_are_meant_by_name() {
    let ddl = "CREATE TABLE t (id INT PRIMARY KEY, a ENUM('0','1'), b SET('a','b'))";
    check(
        ddl,
        &["INSERT INTO t (id, a, b) VALUES (?, ?, ?)"],
        &[
            (0, vec![Value::Integer(1), Value::Integer(1), text("a,b")]),
            (0, vec![Value::Integer(2), text("0"), text("")]),
        ],
        "SELECT CONCAT(id, a, '-', b) FROM t ORDER BY id",
        &["11-a,b", "20-"],
    )
    .await;
    let id = Value::Integer(1);
    check_refused(
        ddl,
        "INSERT INTO t (id, a, b) VALUES (?, ?, ?)",
        &[
            (
                vec![id.clone(), Value::Boolean(true), Value::Null],
                "`t.a` is ENUM of 2, and the boolean given has no name",
            ),
            (
                vec![id.clone(), Value::Integer(2), Value::Null],
                "`t.a` is ENUM of 2, and the integer given is none",
            ),
            (vec![id, Value::Null, Value::Integer(3)], "`t.b` is SET of 2, and the integer given"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_column_is_compared_with_text() {
    check(
        "CREATE TABLE t (ref VARCHAR(20) PRIMARY KEY, n INT NOT NULL DEFAULT 0)",
        &[
            "INSERT INTO t (ref) VALUES (?)",
            "UPDATE t SET n = n + 1 WHERE ref = ?",
            "DELETE FROM t WHERE ref = ?",
        ],
        &[
            (0, vec![text("5")]),
            (0, vec![text("05")]),
            (0, vec![text("5.0")]),
            (0, vec![text("7")]),
            (0, vec![text("07")]),
            (1, vec![Value::Integer(5)]),
            (1, vec![text("5")]),
            (1, vec![Value::Number(5.0)]),
            (2, vec![Value::Integer(7)]),
        ],
        "SELECT CONCAT(ref, '=', n) FROM t ORDER BY ref",
        &["05=0", "07=0", "5=3", "5.0=0"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fractions_of_seconds_are_cut_and_no_update_is_lost() {
    let late = "2026-12-31T23:59:59.700Z";
    check(
        "CREATE TABLE t (id INT PRIMARY KEY, day DATE, at DATETIME, fine DATETIME(3))",
        &["INSERT INTO t (id, day, at, fine) VALUES (?, ?, ?, ?)"],
        &[(0, vec![Value::Integer(1), moment(late), moment(late), moment("2026-12-31T23:59:59.9999Z")])],
        "SELECT CONCAT(CAST(day AS CHAR), ' ', CAST(at AS CHAR), ' ', CAST(fine AS CHAR)) FROM t",
        &["2026-12-31 2026-12-31 23:59:59 2026-12-31 23:59:59.999"],
    )
    .await;
    let at = |fraction: &str| moment(&format!("2026-12-31T12:00:00.{fraction}Z"));
    check(
        "CREATE TABLE t (id INT PRIMARY KEY, at DATETIME, n INT NOT NULL DEFAULT 0)",
        &[
            "INSERT INTO t (id, at) VALUES (?, ?)",
            "UPDATE t SET at = ?, n = n + 1 WHERE id = ? AND at < ?",
            "UPDATE t SET n = n + 10 WHERE at = ?",
        ],
        &[
            (0, vec![Value::Integer(1), at("600")]),
            (1, vec![at("900"), Value::Integer(1), at("900")]),
            (2, vec![at("123")]),
        ],
        "SELECT CONCAT(CAST(at AS CHAR), ' ', n) FROM t",
        &["2026-12-31 12:00:00 11"],
    )
    .await;
}

/// What a server calculates is cut as well, not only what the host sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_moment_of_another_column_is_cut_on_both_servers() {
    check(
        "CREATE TABLE t (id INT PRIMARY KEY, at DATETIME, fine DATETIME(6))",
        &[
            "INSERT INTO t (id, fine) VALUES (?, ?)",
            "UPDATE t SET at = fine + INTERVAL 1 SECOND WHERE id = ?",
        ],
        &[(0, vec![Value::Integer(1), moment("2026-12-31T23:59:58.987654Z")]), (1, vec![Value::Integer(1)])],
        "SELECT CAST(at AS CHAR) FROM t",
        &["2026-12-31 23:59:59"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_not_there_leaves_the_document() {
    check(
        "CREATE TABLE t (id INT PRIMARY KEY, j JSON)",
        &[
            "INSERT INTO t (id, j) VALUES (?, ?)",
            "UPDATE t SET j = JSON_ARRAY_APPEND(j, '$.nope', ?) WHERE id = ?",
            "UPDATE t SET j = JSON_ARRAY_APPEND(j, '$.list', ?) WHERE id = ?",
        ],
        &[
            (0, vec![Value::Integer(1), json(r#"{"list":[1]}"#)]),
            (1, vec![Value::Integer(5), Value::Integer(1)]),
            (2, vec![json("{}"), Value::Integer(1)]),
        ],
        "SELECT REPLACE(CAST(j AS CHAR), ' ', '') FROM t",
        &[r#"{"list":[1,{}]}"#],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decimals_may_have_an_exponent() {
    check(
        "CREATE TABLE t (id INT PRIMARY KEY, x DECIMAL(20,8), v VARCHAR(30))",
        &["INSERT INTO t (id, x, v) VALUES (?, ?, ?)"],
        &[
            (0, vec![Value::Integer(1), decimal("1E-8"), decimal("1E-8")]),
            (0, vec![Value::Integer(2), decimal("0E-8"), decimal("0E-8")]),
            (0, vec![Value::Integer(3), decimal("1E+3"), decimal("1E+3")]),
        ],
        "SELECT CONCAT(CAST(x AS CHAR), ' ', v) FROM t ORDER BY id",
        &["0.00000001 0.00000001", "0.00000000 0.00000000", "1000.00000000 1000"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_that_another_unique_key_redirects_is_a_conflict() {
    let ddl = "CREATE TABLE t (id INT PRIMARY KEY, email VARCHAR(20) UNIQUE, n INT NOT NULL)";
    let upsert = "INSERT INTO t (id, email, n) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE email = VALUES(email), n = VALUES(n)";
    let row = |id: i64, email: &str, n: i64| Operation {
        statement: 2,
        parameters: vec![Value::Integer(id), text(email), Value::Integer(n)],
    };
    for options in BOTH {
        let bench = Bench::with(options(), &[(ddl, &[upsert])]).await;
        let mut lane = bench.lane(1).await;
        let fit = |operations| judge(&bench.schema, operations).expect("they fit");
        // The row's own upserts, and a second row, are joined.
        let operations = vec![row(1, "x", 1), row(1, "x", 2), row(1, "y", 3), row(1, "x", 4), row(2, "z", 5)];
        lane.commit(&bench.batch(1, fit(operations))).await.expect("each of them changes its own row");
        for operations in [vec![row(44, "x", 6)], vec![row(3, "q", 6), row(44, "x", 7)]] {
            let failure =
                lane.commit(&bench.batch(2, fit(operations))).await.expect_err("it would change row 1");
            assert_eq!(failure.class(), "key-conflict", "{failure}");
            assert!(failure.to_string().contains("another row of `t`"), "{failure}");
        }
        let rows = bench.world.rows("SELECT CAST(CONCAT(id, email, n) AS CHAR) FROM t ORDER BY id").await;
        let rows: Vec<Vec<u8>> = rows.iter().map(|row| row.get_unchecked(0)).collect();
        assert_eq!(rows, [b"1x4".to_vec(), b"2z5".to_vec()]);
    }
}

/// Functions of everyday use, each with a parameter, give the same on both servers.
#[tokio::test(flavor = "multi_thread")]
async fn functions_give_the_same_on_both_servers() {
    let day = "2026-01-31";
    let cases = [
        ("LCASE(?)", text("ÄbC"), "äbc"),
        ("UCASE(?)", text("äbC"), "ÄBC"),
        ("MID(?, 2, 3)", text("abcdef"), "bcd"),
        ("OCTET_LENGTH(?)", text("é"), "2"),
        ("ASCII(?)", text("a"), "97"),
        ("ORD(?)", text("é"), "50089"),
        ("ELT(?, 'a', 'b')", Value::Integer(2), "b"),
        ("STRCMP(?, 'b')", text("a"), "-1"),
        ("QUOTE(?)", text("it's"), "'it\\'s'"),
        ("MAKEDATE(2026, ?)", Value::Integer(31), day),
        ("ADDDATE(?, INTERVAL 1 DAY)", moment("2026-01-30T00:00:00Z"), "2026-01-31 00:00:00"),
        ("SUBDATE(?, INTERVAL 1 DAY)", moment("2026-02-01T00:00:00Z"), "2026-01-31 00:00:00"),
        ("CONV(?, 16, 10)", text("ff"), "255"),
        ("BIT_COUNT(?)", Value::Integer(29), "4"),
        ("INET_ATON(?)", text("10.0.5.9"), "167773449"),
        ("INET_NTOA(?)", decimal("167773449"), "10.0.5.9"),
        ("INET6_NTOA(INET6_ATON(?))", text("fdfe::9089"), "fdfe::9089"),
        ("JSON_OVERLAPS(?, '[2, 3]')", json("[1, 2]"), "1"),
        ("INSERT(?, 3, 4, 'What')", text("Quadratic"), "QuWhattic"),
        ("STR_TO_DATE(?, '%d.%m.%Y')", text("31.1.2026"), day),
        ("STR_TO_DATE(?, '%Y-%m-%d %H:%i:%s')", text("2026-01-31 12:30:15"), "2026-01-31 12:30:15"),
        ("STR_TO_DATE(?, '%Y%m%d %T')", text("20260131 1:02:03"), "2026-01-31 01:02:03"),
        (
            "DATE_FORMAT(?, '%d.%m.%Y %H:%i:%s.%f')",
            moment("2026-01-31T12:30:15.25Z"),
            "31.01.2026 12:30:15.250000",
        ),
        (
            "DATE_FORMAT(?, '%x-%v %j %e/%c/%y %p %%')",
            moment("2026-12-31T00:00:00Z"),
            "2026-53 365 31/12/26 AM %",
        ),
        ("YEARWEEK(?, 3)", moment("2027-01-01T00:00:00Z"), "202653"),
        ("WEEK(?, 3)", moment("2027-01-01T00:00:00Z"), "53"),
        ("TIMESTAMP(?)", moment("2026-01-31T12:00:00Z"), "2026-01-31 12:00:00"),
        ("TO_SECONDS(?)", moment("2026-01-31T00:00:00Z"), "63937036800"),
        ("BIN(?)", Value::Integer(5), "101"),
        ("OCT(?)", Value::Integer(8), "10"),
        ("BIT_LENGTH(?)", text("é"), "16"),
        ("ROUND(SQRT(?), 6)", Value::Integer(2), "1.414214"),
        ("IS_IPV4(?)", text("10.0.5.9"), "1"),
        ("JSON_DEPTH(?)", json("[1, [2]]"), "3"),
        ("REPLACE(JSON_ARRAY_INSERT(?, '$[1]', 5), ' ', '')", json("[1,2]"), "[1,5,2]"),
        ("STRCMP(? COLLATE utf8mb4_bin, 'a')", text("a "), "0"),
        ("? COLLATE utf8mb4_general_ci = 'A'", text("a"), "1"),
    ];
    let statements: Vec<String> = cases
        .iter()
        .map(|(call, ..)| format!("INSERT INTO t (id, v) VALUES (?, CAST({call} AS CHAR))"))
        .collect();
    let texts: Vec<&str> = statements.iter().map(String::as_str).collect();
    let operations: Vec<(usize, Vec<Value>)> = (0..)
        .zip(&cases)
        .map(|(id, (_, value, _))| {
            (usize::try_from(id).expect("few"), vec![Value::Integer(id), value.clone()])
        })
        .collect();
    for options in BOTH {
        let ddl = "CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(50))";
        let rows = rows_after(options(), ddl, &texts, &operations, "SELECT v FROM t ORDER BY id", true).await;
        for ((call, _, expect), found) in cases.iter().zip(&rows) {
            // A moment has the fraction that its server shows.
            assert!(found == expect || found.strip_suffix(".000000") == Some(expect), "{call} is {found}");
        }
    }
}

/// What is calculated in floating point is the same to the last bit, and in its decimal digits.
#[tokio::test(flavor = "multi_thread")]
async fn roots_powers_and_logarithms_give_the_same_bits_on_both_servers() {
    let ddl = "CREATE TABLE t (id BIGINT PRIMARY KEY, x DOUBLE, y DOUBLE, z DECIMAL(30,10))";
    let calls = ["SQRT(x)", "POW(x, y)", "EXP(y)", "LN(x)", "LOG(x)", "LOG10(x)", "RADIANS(x)", "DEGREES(y)"];
    let updates: Vec<String> =
        calls.iter().map(|call| format!("UPDATE t SET y = {call}, z = LN(x) WHERE id = ?")).collect();
    let mut texts = vec!["INSERT INTO t (id, x, y) VALUES (?, ?, ?)"];
    texts.extend(updates.iter().map(String::as_str));
    let mut rng = crate::support::random("powers");
    let mut operations = Vec::new();
    for id in 0..400 {
        let (x, y) = (rng.random_range(0.0001..1000.0), rng.random_range(-4.0..4.0));
        operations.push((0, vec![Value::Integer(id), Value::Number(x), Value::Number(y)]));
        operations.push((1 + rng.random_range(0..calls.len()), vec![Value::Integer(id)]));
    }
    let mut found = Vec::new();
    for options in BOTH {
        let query = "SELECT CONCAT(y * 1E0, ' ', z) FROM t ORDER BY id";
        found.push(rows_after(options(), ddl, &texts, &operations, query, true).await);
    }
    // Servers write one number differently.
    let read = |row: &String| -> Vec<u64> {
        row.split(' ').map(|number| number.parse::<f64>().expect("a number").to_bits()).collect()
    };
    assert_eq!(found[0].len(), 400);
    for (mysql, mariadb) in found[0].iter().zip(&found[1]) {
        assert_eq!(read(mysql), read(mariadb), "{mysql} and {mariadb}");
    }
}

/// Generated columns follow their row, are compared by their own type, and lead no upsert to another row.
#[tokio::test(flavor = "multi_thread")]
async fn generated_columns_follow_their_row() {
    let ddl = "CREATE TABLE t (id INT PRIMARY KEY, email VARCHAR(40), doc JSON, \
               lower_email VARCHAR(40) AS (LOWER(email)) STORED, \
               city VARCHAR(20) AS (JSON_UNQUOTE(JSON_EXTRACT(doc, '$.city'))) VIRTUAL, \
               n INT NOT NULL DEFAULT 0, UNIQUE KEY by_email (lower_email), KEY by_city (city)) STATS_PERSISTENT=1";
    let upsert = "INSERT INTO t (id, email, doc) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE email = VALUES(email), doc = VALUES(doc)";
    let statements =
        [upsert, "UPDATE t SET n = n + 1 WHERE lower_email = ?", "UPDATE t SET n = n + 10 WHERE city = ?"];
    let row = |id: i64, email: &str, doc: &str| (0, vec![Value::Integer(id), text(email), json(doc)]);
    check(
        ddl,
        &statements,
        &[
            row(1, "A@x", r#"{"city":"Rom"}"#),
            row(2, "B@x", "{}"),
            row(1, "C@x", r#"{"city":7}"#),
            row(3, "a@x", "{}"),
            (1, vec![text("c@x")]),
            (2, vec![Value::Integer(7)]),
        ],
        "SELECT CONCAT(id, lower_email, COALESCE(city, '-'), n) FROM t ORDER BY id",
        &["1c@x711", "2b@x-0", "3a@x-0"],
    )
    .await;
    for options in BOTH {
        let bench = Bench::with(options(), &[(ddl, &[upsert])]).await;
        let mut lane = bench.lane(1).await;
        let fitted = |id: i64, email: &str| {
            let parameters = vec![Value::Integer(id), text(email), Value::Null];
            judge(&bench.schema, vec![Operation { statement: 2, parameters }]).expect("it fits")
        };
        lane.commit(&bench.batch(1, fitted(1, "A@x"))).await.expect("it is the first");
        let failure =
            lane.commit(&bench.batch(2, fitted(2, "a@X"))).await.expect_err("it would change row 1");
        assert_eq!(failure.class(), "key-conflict", "{failure}");
    }
}

/// What adds to a column that takes no negative number: the sum, where it is inserted itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_sum_that_is_inserted_itself_takes_negative_parts() {
    let sum = "INSERT INTO t (id, n) SELECT ?, COALESCE((SELECT o.n FROM t o WHERE o.id = ?), 0) + ? AS total \
               ON DUPLICATE KEY UPDATE n = VALUES(n)";
    let add = "INSERT INTO t (id, n) VALUES (?, ?) ON DUPLICATE KEY UPDATE n = n + VALUES(n)";
    for (ddl, class) in [
        ("CREATE TABLE t (id INT PRIMARY KEY, n INT UNSIGNED NOT NULL)", "bad-value"),
        ("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL CHECK (n >= 0))", "refused-value"),
    ] {
        let part = |part: i64| (0, vec![Value::Integer(1), Value::Integer(1), Value::Integer(part)]);
        check(ddl, &[sum], &[part(100), part(-5), part(2)], "SELECT CAST(n AS CHAR) FROM t", &["97"]).await;
        for options in BOTH {
            let bench = Bench::with(options(), &[(ddl, &[add, sum])]).await;
            let mut lane = bench.lane(1).await;
            let one = |part: i64| {
                let parameters = vec![Value::Integer(1), Value::Integer(part)];
                judge(&bench.schema, vec![Operation { statement: 2, parameters }])
            };
            lane.commit(&bench.batch(1, one(100).expect("it fits"))).await.expect("it is positive");
            let failure = match one(-5) {
                Ok(operations) => {
                    lane.commit(&bench.batch(2, operations)).await.expect_err("the server refuses it")
                }
                Err(failure) => failure,
            };
            assert_eq!(failure.class(), class);
            let said = failure.to_string();
            assert!(said.contains("It adds to `t.n`") && said.contains("insert the sum"), "{failure}");
        }
    }
}

/// A sum of a subquery is none of the query around it, which has no rows of its own here.
#[tokio::test(flavor = "multi_thread")]
async fn a_sum_of_a_subquery_stands_beside_values_and_columns() {
    check(
        "CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL, KEY (n))",
        &[
            "INSERT INTO t (id, n) VALUES (?, ?)",
            "INSERT INTO t (id, n) SELECT ?, (SELECT SUM(o.n) FROM t o WHERE o.id < ? AND o.n > 0)",
            "INSERT INTO t (id, n) SELECT o.id + 100, (SELECT COUNT(*) FROM t i WHERE i.n < o.n) FROM t o WHERE o.id = ?",
        ],
        &[
            (0, vec![Value::Integer(1), Value::Integer(5)]),
            (0, vec![Value::Integer(2), Value::Integer(7)]),
            (1, vec![Value::Integer(3), Value::Integer(3)]),
            (2, vec![Value::Integer(2)]),
        ],
        "SELECT CONCAT(id, '=', n) FROM t ORDER BY id",
        &["1=5", "2=7", "3=12", "102=1"],
    )
    .await;
}
