//! Random texts: nothing panics, and what is accepted is safe to send.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{manifest, statement, table};
use crate::sql::coalesce::render;
use crate::sql::{SqlRefusal, parse};

/// Pieces of SQL, good and bad, from which soup is made.
const PIECES: &[&str] = &[
    "DELETE",
    "FROM",
    "UPDATE",
    "INSERT",
    "INTO",
    "REPLACE",
    "SET",
    "WHERE",
    "VALUES",
    "VALUE",
    "ON",
    "DUPLICATE",
    "KEY",
    "CREATE",
    "TABLE",
    "PRIMARY",
    "orders",
    "t",
    "id",
    "n",
    "`id`",
    "`n`",
    "``",
    "`",
    "INT",
    "VARCHAR",
    "=",
    "<",
    ">",
    "!",
    "<=>",
    "+",
    "-",
    "--",
    "-- ",
    "*",
    "/",
    "/*",
    "*/",
    "/*!",
    "/*!50000",
    "/*+",
    "#",
    "%",
    "(",
    ")",
    ",",
    ".",
    ";",
    "?",
    "?1",
    ":x",
    "@x",
    "@@x",
    "$$",
    "$1",
    "'",
    "''",
    "'a'",
    "'a''b'",
    "'\\'",
    "\\",
    "\"",
    "\"a\"",
    "0",
    "1",
    "1.5",
    ".5",
    "1e5",
    "1e",
    "0x1F",
    "X'1F'",
    "b'1'",
    "N'a'",
    "_utf8mb4",
    "||",
    "&&",
    "&",
    "|",
    "^",
    "~",
    "AND",
    "OR",
    "NOT",
    "XOR",
    "IS",
    "NULL",
    "TRUE",
    "IN",
    "BETWEEN",
    "LIKE",
    "ESCAPE",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "AS",
    "CHAR",
    "CONVERT",
    "USING",
    "INTERVAL",
    "DAY",
    "DATE_ADD",
    "TIMESTAMPDIFF",
    "TRIM",
    "BOTH",
    "SUBSTRING",
    "FOR",
    "EXTRACT",
    "NOW",
    "UTC_TIMESTAMP",
    "RAND",
    "SLEEP",
    "COALESCE",
    "DEFAULT",
    "SELECT",
    "EXISTS",
    "LIMIT",
    "ORDER",
    "BY",
    "RETURNING",
    "IGNORE",
    "COLLATE",
    "BINARY",
    "CHARACTER",
    "ENGINE",
    "InnoDB",
    "COMMENT",
    "CHECK",
    "UNIQUE",
    "FOREIGN",
    "REFERENCES",
    "CASCADE",
    "AUTO_INCREMENT",
    "{",
    "}",
    "[",
    "]",
    "é",
    "\u{2003}",
    "\u{a0}",
    "\0",
    "\n",
    "\t",
];

const GOOD: &[&str] = &[
    "INSERT INTO orders (id, n) VALUES (?, 'a''b') ON DUPLICATE KEY UPDATE n = n + VALUES(n), id = 'x'",
    "UPDATE orders SET n = CASE WHEN n > ? THEN -1.5 ELSE ABS(n) END WHERE id IN (?, ?) AND n IS NOT NULL",
    "INSERT INTO orders (id, n) SELECT ?, l.id FROM order_lines l WHERE l.id = ? ON DUPLICATE KEY UPDATE n = VALUES(n)",
    "UPDATE orders o JOIN order_lines l ON l.id = o.n SET o.n = l.id + ? WHERE o.id IN (SELECT id FROM order_lines)",
    "INSERT INTO orders (id, n) VALUES (?, ?) AS new ON DUPLICATE KEY UPDATE n = orders.n + new.n",
    "DELETE FROM orders WHERE id LIKE ? AND NOT (n BETWEEN 1 AND 2) OR id < DATE_ADD(id, INTERVAL ? DAY)",
    "CREATE TABLE t (id INT, s VARCHAR(9) DEFAULT 'a' CHECK (s <> ''), PRIMARY KEY (id), KEY k (s(3))) ENGINE=InnoDB",
];

fn soup() -> impl Strategy<Value = String> {
    vec((select(PIECES), select(&["", " ", " ", " "][..])), 0..40)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, gap)| [piece, gap]).collect())
}

/// A good text with a few characters or pieces put in, taken out or replaced.
fn broken() -> impl Strategy<Value = String> {
    let edits = vec((any::<prop::sample::Index>(), 0..3_usize, select(PIECES)), 1..4);
    (select(GOOD), edits).prop_map(|(good, edits)| {
        let mut text: Vec<char> = good.chars().collect();
        for (at, removed, piece) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

/// Expressions that are mostly good.
fn expression() -> impl Strategy<Value = String> {
    let leaf = select(
        &["?", "1", "-2.5", "'a''b'", "NULL", "TRUE", "n", "orders.id", "`key`", "'?'", "DEFAULT"][..],
    );
    let operators = select(
        &["+", "-", "*", "/", "DIV", "%", "=", "<>", "<=>", "AND", "OR", "XOR", "LIKE", "&", "||", "<<"][..],
    );
    let functions =
        select(&["COALESCE", "concat", "IF", "JSON_SET", "LEFT", "VALUES", "NOW", "SHA2", "TRIM"][..]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 40, 3, move |inner| {
        prop_oneof![
            4 => (inner.clone(), operators.clone(), inner.clone())
                .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            2 => inner.clone().prop_map(|inner| format!("({inner})")),
            1 => inner.clone().prop_map(|inner| format!("-{inner}")),
            1 => inner.clone().prop_map(|inner| format!("NOT {inner}")),
            1 => inner.clone().prop_map(|inner| format!("{inner} IS NOT NULL")),
            1 => (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left} IN ({right}, 1)")),
            1 => (inner.clone(), inner.clone())
                .prop_map(|(one, when)| format!("(SELECT MAX({one}) FROM order_lines l WHERE {when})")),
            1 => (inner.clone(), inner.clone())
                .prop_map(|(one, other)| format!("{one} IN (SELECT {other} FROM order_lines WHERE order_lines.id = ?)")),
            1 => (inner.clone(), inner.clone())
                .prop_map(|(when, then)| format!("CASE WHEN {when} THEN {then} END")),
            1 => inner.clone().prop_map(|inner| format!("CAST({inner} AS CHAR)")),
            2 => (functions.clone(), vec(inner, 1..3))
                .prop_map(|(function, arguments)| format!("{function}({})", arguments.join(", "))),
        ]
    })
}

/// Checks that nothing is sent on which MySQL and the parser could disagree, that it reads again as itself, and that
/// its rows can be repeated.
fn check_is_safe(text: &str) -> Result<(), TestCaseError> {
    if let Some(schema) = accepted(statement(text))? {
        let checked = &schema.statements[0];
        check_is_plain(&checked.sql)?;
        check_is_its_tree(&checked.sql)?;
        for table in std::iter::once(&checked.table).chain(&checked.reads) {
            prop_assert!(["orders", "order_lines"].contains(&table.as_str()), "{table} in {text}");
        }
        let placeholders = outside_strings(&checked.sql).matches('?').count();
        prop_assert_eq!(checked.parameters.len(), placeholders);
        let again = accepted(statement(&checked.sql))?;
        prop_assert_eq!(again.map(|schema| schema.statements[0].sql.clone()), Some(checked.sql.clone()));
        if let Some(multi_row) = &checked.multi_row {
            // The host's own hint is the one thing that nobody else may write.
            let rows = render(checked, 3, "").replace(" FORCE INDEX (PRIMARY)", "");
            check_is_plain(&rows)?;
            let rows = accepted(statement(&rows))?;
            prop_assert_eq!(
                rows.map(|schema| schema.statements[0].parameters.len()),
                Some(3 * multi_row.placeholders())
            );
        }
    }
    if let Some(schema) = accepted(table(text))? {
        let ddl = &schema.tables[1].ddl;
        check_is_plain(ddl)?;
        check_is_its_tree(ddl)?;
        prop_assert!(
            schema.tables[1].references.iter().all(|table| table == "orders" || table == "t"),
            "{text}"
        );
        let again = accepted(table(ddl))?;
        prop_assert_eq!(again.map(|schema| schema.tables[1].ddl.clone()), Some(ddl.clone()));
    }
    Ok(())
}

/// The text reads as one tree, and this tree is written as the text.
fn check_is_its_tree(sent: &str) -> Result<(), TestCaseError> {
    let read = parse::parse(sent).map_err(|reason| TestCaseError::fail(format!("{sent}: {reason}")))?;
    prop_assert_eq!(read.statement.to_string(), sent);
    prop_assert_eq!(parse::write(&read.statement), Ok(sent.to_owned()));
    Ok(())
}

/// A refusal has at least one reason, and each is one line.
fn accepted<T>(outcome: Result<T, Vec<SqlRefusal>>) -> Result<Option<T>, TestCaseError> {
    match outcome {
        Ok(schema) => Ok(Some(schema)),
        Err(refusals) => {
            prop_assert!(!refusals.is_empty());
            for refusal in refusals {
                let line = refusal.to_string();
                prop_assert!(!line.contains(char::is_control), "{line:?}");
                prop_assert!(line.len() < 1000, "{line}");
            }
            Ok(None)
        }
    }
}

/// A second opinion, by characters instead of tokens.
fn check_is_plain(sent: &str) -> Result<(), TestCaseError> {
    prop_assert!(!sent.contains('\\') && !sent.contains(char::is_control), "{sent}");
    let code = outside_strings(sent);
    for sign in ["--", "#", "/*", "*/", "@", "$", ":", ";", "\"", "!", "||", "&&", "{", "["] {
        prop_assert!(!code.contains(sign), "{sign} in {sent}");
    }
    prop_assert!(code.is_ascii(), "{sent}");
    for word in ["NOW", "UTC_TIMESTAMP", "RAND", "SLEEP", "IGNORE", "FOR", "INTO OUTFILE", "AUTO_INCREMENT"] {
        let is_there =
            code.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != '`');
        prop_assert!(is_there.into_iter().all(|found| !found.eq_ignore_ascii_case(word)), "{word} in {sent}");
    }
    Ok(())
}

/// The text with every string literal as `''`.
fn outside_strings(sent: &str) -> String {
    let parts = sent.split('\'').enumerate();
    parts.filter(|(number, _)| number % 2 == 0).map(|(_, part)| part).collect::<Vec<_>>().join("''")
}

#[test]
fn good_texts_are_good() {
    for text in GOOD {
        assert!(statement(text).is_ok() || table(text).is_ok(), "{text}");
    }
    assert!(super::super::check(&manifest(&[], &[])).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn soup_never_panics_and_never_slips_through(text in soup()) {
        check_is_safe(&text)?;
    }

    #[test]
    fn any_text_is_judged(text in any::<String>()) {
        check_is_safe(&text)?;
        check_is_safe(&format!("DELETE FROM orders WHERE id = '{text}'"))?;
        check_is_safe(&format!("DELETE FROM orders WHERE `{text}` = 1"))?;
    }

    #[test]
    fn broken_texts_never_slip_through(text in broken()) {
        check_is_safe(&text)?;
    }

    #[test]
    fn expressions_are_sent_as_they_were_said(expression in expression(), value in expression()) {
        check_is_safe(&format!("DELETE FROM orders WHERE {expression}"))?;
        check_is_safe(&format!("UPDATE orders SET n = {value} WHERE {expression}"))?;
        check_is_safe(&format!("INSERT INTO orders (id) VALUES ({value}) ON DUPLICATE KEY UPDATE n = {expression}"))?;
        check_is_safe(&format!("CREATE TABLE t (id INT PRIMARY KEY, n INT, CHECK ({expression}))"))?;
    }
}
