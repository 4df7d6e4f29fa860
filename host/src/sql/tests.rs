//! The rules of `sql::check`, in tables of texts and what becomes of them.

mod attack;
mod ddl;
mod dml;
mod expressions;
mod random;
mod reads;

use super::coalesce::{PARAMETERS_MAX, render};
use super::{Reason, STATEMENTS_MAX, SqlPlace, TABLES_MAX, TEXT_BYTES_MAX};
use crate::statement::{Manifest, Ordering, Schema, StatementDeclaration, TableDeclaration};

const ORDERS: &str = "CREATE TABLE orders (id VARCHAR(36) PRIMARY KEY, n INT)";
const LINES: &str = "CREATE TABLE order_lines (id BIGINT, PRIMARY KEY (id))";
const DELETE: &str = "DELETE FROM orders WHERE id = ?";

fn manifest(tables: &[(&str, &str)], statements: &[(&str, &str)]) -> Manifest {
    Manifest {
        name: "orders".into(),
        version: "1".into(),
        event_types: Vec::new(),
        ordering: Ordering::Aggregate,
        commutative: false,
        tables: tables
            .iter()
            .map(|(name, ddl)| TableDeclaration { name: (*name).into(), ddl: (*ddl).into() })
            .collect(),
        statements: statements
            .iter()
            .map(|(name, sql)| StatementDeclaration { name: (*name).into(), sql: (*sql).into() })
            .collect(),
    }
}

/// Checks one statement on the tables `orders` and `order_lines`.
fn statement(sql: &str) -> Result<Schema, Vec<super::SqlRefusal>> {
    super::check(&manifest(&[("orders", ORDERS), ("order_lines", LINES)], &[("it", sql)]))
}

/// Checks a table `t` declared after `orders`.
fn table(ddl: &str) -> Result<Schema, Vec<super::SqlRefusal>> {
    super::check(&manifest(&[("orders", ORDERS), ("t", ddl)], &[("it", DELETE)]))
}

/// The outcome is the text that is sent, or for a refusal `no: ` and a part of its reason.
fn check(text: &str, outcome: Result<String, Vec<super::SqlRefusal>>, expect: &str) {
    match (outcome, expect.strip_prefix("no: ")) {
        (Ok(sent), None) => assert_eq!(sent, expect, "for {text}"),
        (Err(refusals), Some(part)) => {
            let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            assert!(
                lines.iter().any(|line| line.contains(part)),
                "{text}\nsays {lines:#?}\nwithout {part:?}"
            );
            assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{lines:?}");
        }
        (Ok(sent), Some(_)) => panic!("{text}\nwas accepted as {sent}"),
        (Err(refusals), None) => panic!("{text}\nwas refused: {refusals:#?}"),
    }
}

/// Checks statements, each of which is sent as one text or refused.
fn check_all(cases: &[(&str, &str)]) {
    for (sql, expect) in cases {
        let sent = statement(sql).map(|schema| schema.statements[0].sql.clone());
        check(sql, sent, expect);
    }
}

/// Checks `WHERE condition`.
fn check_conditions(cases: &[(&str, &str)]) {
    for (condition, expect) in cases {
        let sql = format!("DELETE FROM orders WHERE {condition}");
        let sent = statement(&sql).map(|schema| schema.statements[0].sql.clone());
        let sent =
            sent.map(|sql| sql.strip_prefix("DELETE FROM `orders` WHERE ").unwrap_or_default().to_owned());
        check(&sql, sent, expect);
    }
}

fn reasons(manifest: &Manifest) -> Vec<(SqlPlace, Reason)> {
    let refusals = super::check(manifest).expect_err("the manifest is wrong");
    refusals.into_iter().map(|refusal| (refusal.place, refusal.reason)).collect()
}

#[test]
fn a_good_manifest_becomes_a_schema() {
    let upsert = "INSERT INTO orders (id, n) VALUES (?, 1) ON DUPLICATE KEY UPDATE n = n + 1";
    let schema = super::check(&manifest(&[("orders", ORDERS)], &[("count", upsert), ("drop", DELETE)]));
    let schema = schema.expect("the manifest is right");
    assert_eq!(schema.tables[0].references, Vec::<String>::new());
    let [count, drop] = schema.statements.as_slice() else { panic!("two statements") };
    assert_eq!((count.name.as_str(), count.table.as_str(), count.parameters.len()), ("count", "orders", 1));
    assert_eq!(
        render(count, 2, ""),
        "INSERT INTO `orders` (`id`, `n`) VALUES (?, 1),(?, 1) ON DUPLICATE KEY UPDATE `n` = `n` + 1"
    );
    assert_eq!(render(drop, 2, ""), "DELETE FROM `orders` WHERE `id` IN (?,?)");
    assert_eq!(drop.reads.len(), 0);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let wrong = manifest(
        &[
            ("orders", ORDERS),
            ("Big", "CREATE TABLE Big (id INT PRIMARY KEY)"),
            ("bare", "CREATE TABLE bare (id INT, at DATETIME DEFAULT NOW())"),
        ],
        &[("a", "DELETE FROM orders"), ("b", "UPDATE other SET n = RAND(), id = NOW() WHERE id = @x")],
    );
    let found = reasons(&wrong);
    let bare = SqlPlace::Table { index: 2, name: "bare".into() };
    let a = SqlPlace::Statement { index: 0, name: "a".into() };
    let b = SqlPlace::Statement { index: 1, name: "b".into() };
    assert_eq!(found[0], (SqlPlace::Table { index: 1, name: "Big".into() }, Reason::TableName));
    assert_eq!(found[1], (bare.clone(), Reason::Clock { name: "NOW".into() }));
    assert_eq!(found[2], (bare, Reason::NoPrimaryKey));
    assert_eq!(found[3], (a, Reason::NoWhere));
    assert!(matches!(&found[4], (place, Reason::Token { .. }) if *place == b));
    assert_eq!(found.len(), 5);
    let refusals = super::check(&wrong).expect_err("it is wrong");
    assert_eq!(
        refusals[3].to_string(),
        "statement 0 `a`: it has no WHERE and would touch every row: add one"
    );
}

#[test]
fn one_statement_can_be_wrong_in_several_ways() {
    let refusals = statement("UPDATE other SET n = RAND(), id = NOW() WHERE id = SLEEP(9) LIMIT 1");
    let refusals = refusals.expect_err("it is wrong");
    let found: Vec<&Reason> = refusals.iter().map(|refusal| &refusal.reason).collect();
    assert!(matches!(
        found.as_slice(),
        [
            Reason::NotAllowed { .. },
            Reason::UndeclaredTable { .. },
            Reason::Random { .. },
            Reason::Clock { .. },
            Reason::Function { .. }
        ]
    ));
}

#[test]
fn tables_and_statements_are_limited_in_number() {
    let names: Vec<String> = (0..=STATEMENTS_MAX).map(|number| format!("t{number}")).collect();
    let ddls: Vec<String> =
        names.iter().map(|name| format!("CREATE TABLE {name} (id INT PRIMARY KEY)")).collect();
    let tables: Vec<(&str, &str)> =
        names.iter().zip(&ddls).map(|(name, ddl)| (name.as_str(), ddl.as_str())).collect();
    let statements: Vec<(&str, &str)> =
        names.iter().map(|name| (name.as_str(), "DELETE FROM t0 WHERE id = ?")).collect();
    let most = manifest(&tables[..TABLES_MAX], &statements[..STATEMENTS_MAX]);
    assert!(super::check(&most).is_ok());
    let many = reasons(&manifest(&tables[..=TABLES_MAX], &statements));
    assert_eq!(
        many,
        vec![
            (SqlPlace::Manifest, Reason::TooManyTables { found: TABLES_MAX + 1 }),
            (SqlPlace::Manifest, Reason::TooManyStatements { found: STATEMENTS_MAX + 1 }),
        ]
    );
    let none = reasons(&manifest(&[], &[]));
    assert_eq!(
        none,
        vec![(SqlPlace::Manifest, Reason::NoTables), (SqlPlace::Manifest, Reason::NoStatements)]
    );
}

#[test]
fn names_are_declared_once() {
    let twice =
        manifest(&[("orders", ORDERS), ("orders", ORDERS)], &[("a", DELETE), ("b", DELETE), ("a", DELETE)]);
    assert_eq!(
        reasons(&twice),
        vec![
            (SqlPlace::Table { index: 1, name: "orders".into() }, Reason::Duplicate { first: 0 }),
            (SqlPlace::Statement { index: 2, name: "a".into() }, Reason::Duplicate { first: 0 }),
        ]
    );
}

#[test]
fn names_have_a_form() {
    let long = "a".repeat(48);
    for (name, is_allowed) in [
        (long.as_str(), true),
        ("o2_x", true),
        (&"a".repeat(49), false),
        ("", false),
        ("2a", false),
        ("_a", false),
        ("Orders", false),
        ("a-b", false),
        ("ä", false),
        ("laterna_x", false),
        ("laternax", true),
    ] {
        let ddl = format!("CREATE TABLE `{name}` (id INT PRIMARY KEY)");
        let sql = format!("DELETE FROM `{name}` WHERE id = 1");
        let outcome = super::check(&manifest(&[(name, &ddl)], &[("it", &sql)]));
        assert_eq!(outcome.is_ok(), is_allowed, "{name}: {outcome:?}");
    }
    for (name, is_allowed) in [
        ("übertrag, neu", true),
        (&"é".repeat(64), true),
        (&"é".repeat(65), false),
        ("", false),
        ("a\nb", false),
    ] {
        let outcome = super::check(&manifest(&[("orders", ORDERS)], &[(name, DELETE)]));
        assert_eq!(outcome.is_ok(), is_allowed, "{name}");
    }
}

#[test]
fn a_text_is_limited_in_bytes() {
    let fill = |bytes: usize| format!("{DELETE}{}", " ".repeat(bytes - DELETE.len()));
    assert!(statement(&fill(TEXT_BYTES_MAX)).is_ok());
    let refusals = statement(&fill(TEXT_BYTES_MAX + 1)).expect_err("it is too long");
    assert_eq!(refusals[0].reason, Reason::TooLong { bytes: TEXT_BYTES_MAX + 1 });
    const { assert!(TEXT_BYTES_MAX < 2 * PARAMETERS_MAX, "no text has room for too many placeholders") };
}

/// Trees are walked, compared and dropped by recursion: what the depth limit lets through must fit half of the stack
/// that a thread gets.
#[test]
fn depth_is_limited_before_the_stack_is() {
    let delete = |condition: String| format!("DELETE FROM orders WHERE {condition}");
    let sum = move |terms: usize| delete(format!("n = {}1", "1 + ".repeat(terms)));
    let left = move |levels: usize| {
        delete(format!("{}1{}", "(".repeat(levels), format!("{})", " + 1".repeat(10)).repeat(levels)))
    };
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(move || {
        for text in [sum(295), left(27), delete("(".repeat(20) + "1" + &")".repeat(20))] {
            assert!(statement(&text).is_ok());
        }
        for text in [sum(300), sum(16_000), left(28), left(1400)] {
            let refusals = statement(&text).expect_err("it is too deep");
            assert_eq!(refusals[0].reason, Reason::TooDeep);
        }
        for (open, close) in [
            ("(", ")"),
            ("ABS(", ")"),
            ("(1, ", ")"),
            ("CASE WHEN ", " THEN 1 END"),
            ("CAST(", " AS CHAR)"),
            ("NOT ", ""),
            ("- ", ""),
            ("INTERVAL ", " DAY"),
            ("EXISTS (SELECT ", ")"),
            ("a IN (SELECT a FROM (", "))"),
        ] {
            for depth in [60, 290, 2000] {
                let text = delete(open.repeat(depth) + "1" + &close.repeat(depth));
                assert!(statement(&text).is_err());
            }
        }
    });
    thread.expect("a thread starts").join().expect("the stack holds");
}
