//! Which rows a checked statement is about, as a condition that can be looked up afterwards: by the primary key that it names,
//! or by its WHERE.
//!
//! Pure. Where the rows cannot be told from the statement, it says why; it never guesses.

use sqlparser::ast::{
    self, AssignmentTarget, BinaryOperator, Expr, FromTable, Insert, SetExpr, TableWithJoins,
};
use sqlparser::dialect::MySqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::parse;
use crate::statement::{Statement, Table};

/// A condition on the rows of a statement's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRows {
    /// With `?` where the statement's parameters stand.
    pub condition: String,
    /// Which of the statement's parameters these are, in order.
    pub parameters: Vec<usize>,
}

/// A part of a statement's text, and the number of the first parameter in it.
struct Part {
    text: String,
    from: usize,
}

impl Part {
    fn parameters(&self) -> impl Iterator<Item = usize> + use<> {
        let from = self.from;
        (0..placeholders(&self.text)).map(move |at| from + at)
    }
}

/// Finds the rows that a statement is about, or why they cannot be told.
pub fn named_rows(statement: &Statement, table: &Table) -> Result<NamedRows, &'static str> {
    let unread = "its text is not understood here";
    match parse::parse(&statement.sql).map_err(|_| unread)?.statement {
        ast::Statement::Insert(insert) => inserted(&insert, table),
        ast::Statement::Update(update) => {
            only_table(&update.table)?;
            let selection = update.selection.ok_or(unread)?;
            let changes = |column: &str| {
                update.assignments.iter().any(|one| match &one.target {
                    AssignmentTarget::ColumnName(name) => is_column(&last(name), column),
                    AssignmentTarget::Tuple(_) => true,
                })
            };
            restricted(&selection, statement, table, changes)
        }
        ast::Statement::Delete(delete) => {
            let FromTable::WithFromKeyword(from) = &delete.from else { return Err(unread) };
            let [from] = from.as_slice() else { return Err(unread) };
            only_table(from)?;
            restricted(&delete.selection.ok_or(unread)?, statement, table, |_| false)
        }
        _ => Err(unread),
    }
}

fn only_table(from: &TableWithJoins) -> Result<(), &'static str> {
    if from.joins.is_empty() { Ok(()) } else { Err("it joins other tables") }
}

fn inserted(insert: &Insert, table: &Table) -> Result<NamedRows, &'static str> {
    let source = insert.source.as_deref().map(|query| query.body.as_ref());
    let Some(SetExpr::Values(values)) = source else { return Err("it takes rows from a SELECT") };
    let [row] = values.rows.as_slice() else { return Err("it writes several rows") };
    let values = insert.columns.iter().map(last).zip(row.content.iter());
    let mut from = 0;
    let parts = values.map(|(column, value)| {
        let part = Part { text: value.to_string(), from };
        from += placeholders(&part.text);
        (column, part)
    });
    let parts: Vec<(String, Part)> = parts.collect();
    let key = table.key().iter().map(|key| {
        let found = parts.iter().find(|(column, _)| is_column(column, key));
        let (_, part) = found.ok_or("it leaves a column of the key to its default")?;
        if is_alone(&part.text) { Ok((key, part)) } else { Err("a value of its key is calculated from rows") }
    });
    let key: Vec<(&String, &Part)> = key.collect::<Result<_, _>>()?;
    let conditions: Vec<String> =
        key.iter().map(|(name, part)| format!("`{name}` = {}", enclosed(&part.text))).collect();
    Ok(NamedRows {
        condition: conditions.join(" AND "),
        parameters: key.iter().flat_map(|(_, part)| part.parameters()).collect(),
    })
}

/// The rows of a WHERE: by the primary key where it names all of it, since the rest may have held before the statement only.
fn restricted(
    selection: &Expr,
    statement: &Statement,
    table: &Table,
    changes: impl Fn(&str) -> bool,
) -> Result<NamedRows, &'static str> {
    let text = selection.to_string();
    // It stands last.
    let whole = Part { from: statement.parameters.len().saturating_sub(placeholders(&text)), text };
    let mut conjuncts = Vec::new();
    flatten(selection, &mut conjuncts);
    let mut from = whole.from;
    let parts = conjuncts.into_iter().map(|one| {
        let part = Part { text: one.to_string(), from };
        from += placeholders(&part.text);
        (pinned(one), part)
    });
    let parts: Vec<(Option<String>, Part)> = parts.collect();
    let key = table
        .key()
        .iter()
        .map(|key| parts.iter().find(|(pins, _)| pins.as_ref().is_some_and(|pins| is_column(pins, key))));
    if let Some(key) = key.collect::<Option<Vec<_>>>().filter(|key| !key.is_empty()) {
        let mut parts: Vec<&Part> = key.into_iter().map(|(_, part)| part).collect();
        parts.sort_by_key(|part| part.from);
        let conditions: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        return Ok(NamedRows {
            condition: conditions.join(" AND "),
            parameters: parts.iter().flat_map(|part| part.parameters()).collect(),
        });
    }
    if has_word(&whole.text, "SELECT") {
        return Err("its WHERE reads other rows");
    }
    let asks = |column: &str| columns(&whole.text).any(|named| is_column(&named, column));
    if table.columns.iter().any(|column| asks(&column.name) && changes(&column.name)) {
        return Err("it changes a column that its WHERE asks for");
    }
    Ok(NamedRows { parameters: whole.parameters().collect(), condition: whole.text })
}

fn flatten<'e>(expression: &'e Expr, conjuncts: &mut Vec<&'e Expr>) {
    match expression {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            flatten(left, conjuncts);
            flatten(right, conjuncts);
        }
        Expr::Nested(inner) => flatten(inner, conjuncts),
        other => conjuncts.push(other),
    }
}

/// The column that a condition gives one value, which no row has a part in.
fn pinned(condition: &Expr) -> Option<String> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return None };
    let sides = [(left, right), (right, left)];
    sides.into_iter().find(|(_, value)| is_alone(&value.to_string())).and_then(
        |(column, _)| match &**column {
            Expr::Identifier(name) => Some(name.value.clone()),
            Expr::CompoundIdentifier(parts) => parts.last().map(|name| name.value.clone()),
            _ => None,
        },
    )
}

fn last(name: &ast::ObjectName) -> String {
    let ident = name.0.last().and_then(|part| part.as_ident());
    ident.map(|ident| ident.value.clone()).unwrap_or_default()
}

fn is_column(name: &str, column: &str) -> bool {
    name.eq_ignore_ascii_case(column)
}

fn enclosed(text: &str) -> String {
    if text == "?" { text.to_owned() } else { format!("({text})") }
}

/// Returns true where a value comes from parameters and constants only.
fn is_alone(text: &str) -> bool {
    columns(text).next().is_none() && !has_word(text, "SELECT")
}

fn tokens(text: &str) -> Vec<Token> {
    let tokens = Tokenizer::new(&MySqlDialect {}, text).with_unescape(false).tokenize();
    tokens.expect("a part of a statement that passed the check")
}

fn placeholders(text: &str) -> usize {
    tokens(text).iter().filter(|token| matches!(token, Token::Placeholder(_))).count()
}

/// Every identifier of a checked statement stands in backticks.
fn columns(text: &str) -> impl Iterator<Item = String> + use<> {
    tokens(text).into_iter().filter_map(|token| match token {
        Token::Word(word) if word.quote_style == Some('`') => Some(word.value),
        _ => None,
    })
}

fn has_word(text: &str, wanted: &str) -> bool {
    let is_it = |token: &Token| matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted));
    tokens(text).iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::{Manifest, Ordering, StatementDeclaration, TableDeclaration};

    /// What is told of a statement of the table `t`, whose key is `a` and `b`.
    fn told(sql: &str) -> Result<(String, Vec<usize>), &'static str> {
        let ddl = "CREATE TABLE t (a VARCHAR(20) NOT NULL, b BIGINT NOT NULL, c BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (a, b))";
        let other = "CREATE TABLE o (a VARCHAR(20) NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (a))";
        let table = |name: &str, ddl: &str| TableDeclaration { name: name.into(), ddl: ddl.into() };
        let manifest = Manifest {
            name: "test".into(),
            version: "1".into(),
            event_types: vec![],
            ordering: Ordering::Stream,
            commutative: false,
            tables: vec![table("t", ddl), table("o", other)],
            statements: vec![StatementDeclaration { name: "one".into(), sql: sql.into() }],
        };
        let schema = crate::sql::check(&manifest).unwrap_or_else(|refused| panic!("{sql}: {refused:?}"));
        named_rows(&schema.statements[0], &schema.tables[0]).map(|rows| (rows.condition, rows.parameters))
    }

    #[test]
    fn the_rows_of_a_statement_are_those_of_the_key_that_it_names() {
        let check = |sql: &str, condition: &str, parameters: &[usize]| {
            assert_eq!(told(sql), Ok((condition.to_owned(), parameters.to_vec())), "{sql}");
        };
        let key = "`a` = ? AND `b` = ?";
        check("INSERT INTO t (c, b, a) VALUES (?, ?, ?)", key, &[2, 1]);
        check("INSERT INTO t (a, b, c) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE c = ?", key, &[0, 1]);
        check("REPLACE INTO t (c, a, b) VALUES (?, ?, ?)", key, &[1, 2]);
        check("INSERT INTO t (a, b) VALUES (CONCAT(?, ?), 7)", "`a` = (CONCAT(?, ?)) AND `b` = (7)", &[0, 1]);
        check("UPDATE t SET c = ? WHERE c < ? AND b = ? AND a = ?", "`b` = ? AND `a` = ?", &[2, 3]);
        check("UPDATE t SET c = c + ? WHERE (t.a = ? AND (? = b))", "`t`.`a` = ? AND ? = `b`", &[1, 2]);
        check("DELETE FROM t WHERE a = ? AND b = ? AND c > 0", key, &[0, 1]);
    }

    #[test]
    fn without_the_whole_key_they_are_those_that_the_condition_finds_now() {
        assert_eq!(told("UPDATE t SET c = ? WHERE a = ?"), Ok(("`a` = ?".into(), vec![1])));
        assert_eq!(
            told("DELETE FROM t WHERE a = ? AND c < ?"),
            Ok(("`a` = ? AND `c` < ?".into(), vec![0, 1]))
        );
    }

    #[test]
    fn what_cannot_be_told_is_not_guessed() {
        for (sql, why) in [
            ("UPDATE t SET c = ? WHERE a = ? AND c = ?", "it changes a column that its WHERE asks for"),
            ("INSERT INTO t (a, b) SELECT o.a, o.n FROM o WHERE o.a = ?", "it takes rows from a SELECT"),
            ("UPDATE t SET c = ? WHERE a = (SELECT o.a FROM o WHERE o.a = ?)", "its WHERE reads other rows"),
            ("UPDATE t JOIN o ON o.a = t.a SET t.c = ? WHERE o.a = ? AND t.b = ?", "it joins other tables"),
        ] {
            assert_eq!(told(sql), Err(why), "{sql}");
        }
    }
}
