//! The additions of the host to a checked statement, after which both servers do the same with it.
//!
//! It comes after the check and judges nothing but what it cannot write.

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Assignment, AssignmentTarget, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Ident, Insert, ObjectName, OnInsert, Value, VisitMut, VisitorMut,
};

use crate::sql::function::{self, ArgumentShape};
use crate::sql::parse;
use crate::sql::refusal::{Reason, not_allowed};
use crate::statement::Table;

/// Writes the additions into the tree.
///
/// Answers with the key columns in which an upsert proves that it changes the row it means.
pub(super) fn settle(
    statement: &mut ast::Statement,
    table: Option<&Table>,
) -> Result<Vec<String>, Vec<Reason>> {
    let mut additions = Additions { reasons: Vec::new() };
    if let ast::Statement::Insert(insert) = statement {
        without_alias(insert);
    }
    let _ = statement.visit(&mut additions);
    let proves = match (statement, table) {
        (ast::Statement::Insert(insert), Some(table)) if table.has_other_unique_key() => {
            prove_row(insert, table).unwrap_or_else(|reason| {
                additions.reasons.push(reason);
                Vec::new()
            })
        }
        _ => Vec::new(),
    };
    if additions.reasons.is_empty() { Ok(proves) } else { Err(additions.reasons) }
}

/// `new.column` becomes `VALUES(column)`.
fn without_alias(insert: &mut Insert) {
    let Some(alias) = insert.insert_alias.take() else { return };
    let alias = alias.row_alias.0.into_iter().next();
    let alias = alias.and_then(|part| part.as_ident().map(|name| name.value.clone())).unwrap_or_default();
    if let Some(on) = &mut insert.on {
        let _ = on.visit(&mut NewRow { alias });
    }
}

struct NewRow {
    alias: String,
}

impl VisitorMut for NewRow {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let [owner, column] = parts.as_slice()
            && owner.value == self.alias
        {
            *expr = written(&format!("VALUES(`{}`)", column.value));
        }
        ControlFlow::Continue(())
    }
}

/// A second unique key can redirect an upsert to a row of another primary key. So it sets each column of the primary
/// key to itself, or, in another row, to NULL, which the server refuses: a conflict, as it is for a plain INSERT.
fn prove_row(insert: &mut Insert, table: &Table) -> Result<Vec<String>, Reason> {
    if insert.replace_into {
        return Err(not_allowed(
            "REPLACE into a table with a second unique key",
            "it deletes whatever row has an equal value there: write INSERT ... ON DUPLICATE KEY UPDATE",
        ));
    }
    let Some(OnInsert::DuplicateKeyUpdate(assignments)) = &mut insert.on else { return Ok(Vec::new()) };
    let proofs = table.key().iter().map(|column| {
        // With its table: a SELECT may have a column of this name.
        let own = format!("`{}`.`{column}`", table.name);
        let value = written(&format!("IF({own} <=> VALUES(`{column}`), {own}, NULL)"));
        let target = AssignmentTarget::ColumnName(ObjectName::from(vec![Ident::with_quote('`', column)]));
        Assignment { target, value }
    });
    let proofs: Vec<Assignment> = proofs.collect();
    if !assignments.starts_with(&proofs) {
        let sets = |column: &String| {
            assignments.iter().any(|one| match &one.target {
                AssignmentTarget::ColumnName(name) => name
                    .0
                    .last()
                    .and_then(|part| part.as_ident())
                    .is_some_and(|name| name.value.eq_ignore_ascii_case(column)),
                AssignmentTarget::Tuple(_) => true,
            })
        };
        if table.key().iter().any(sets) {
            return Err(not_allowed(
                "ON DUPLICATE KEY UPDATE of the primary key in a table with a second unique key",
                "it could give another row this key: leave the key out of the UPDATE",
            ));
        }
        assignments.splice(0..0, proofs);
    }
    Ok(table.key().to_vec())
}

struct Additions {
    reasons: Vec<Reason>,
}

impl VisitorMut for Additions {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        members_as_json(call);
        if is_call(call, &["COALESCE"]) {
            // What a text that was sent before has already.
            if let [Expr::Function(inner), column] = arguments(call).as_slice()
                && is_call(inner, &["COALESCE"])
                && let [Expr::Function(append), again] = arguments(inner).as_slice()
                && is_call(append, &["JSON_ARRAY_APPEND"])
                && again == column
            {
                *expr = Expr::Function((*inner).clone());
            }
        } else if is_call(call, &["DATE_ADD"]) {
            // The same.
            if let [Expr::Function(inner), none] = arguments(call).as_slice()
                && is_call(inner, &["DATE_ADD"])
                && let [Expr::Function(read), again] = arguments(inner).as_slice()
                && is_call(read, &["STR_TO_DATE"])
                && again == none
            {
                *expr = Expr::Function((*inner).clone());
            }
        } else if is_call(call, &["STR_TO_DATE"]) {
            // MariaDB reads days that there are not, such as 2026-02-31, and refuses to calculate with them.
            *expr = written(&format!("DATE_ADD({call}, INTERVAL 0 DAY)"));
        } else if is_call(call, &["JSON_ARRAY_APPEND"]) {
            match appended(call) {
                Ok(Some(whole)) => *expr = whole,
                Ok(None) => {}
                Err(reason) => self.reasons.push(reason),
            }
        }
        ControlFlow::Continue(())
    }
}

/// A parameter that becomes a value inside a document is sent as JSON text, which both servers read as JSON here.
fn members_as_json(call: &mut Function) {
    let Some(function) = function::find(&call.name.to_string()) else { return };
    let FunctionArguments::List(list) = &mut call.args else { return };
    for (at, argument) in list.args.iter_mut().enumerate() {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) = argument
            && function.argument(at) == ArgumentShape::Member
            && is_placeholder(value)
        {
            *value = written("JSON_EXTRACT(?, '$')");
        }
    }
}

/// Where there is no such array, MySQL leaves the document as it is, and MariaDB answers with NULL. Nothing is to be
/// written where the path is the document itself.
fn appended(call: &Function) -> Result<Option<Expr>, Reason> {
    let is_whole = |path: &Expr| matches!(path, Expr::Value(path) if path.value == Value::SingleQuotedString("$".to_owned()));
    match arguments(call).as_slice() {
        [_, path, _] if is_whole(path) => Ok(None),
        [document @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_)), _, _] => {
            Ok(Some(written(&format!("COALESCE({call}, {document})"))))
        }
        _ => Err(not_allowed(
            "this form of JSON_ARRAY_APPEND",
            "MariaDB loses the document where the path is not there: append to a column, one value at a time, or at '$'",
        )),
    }
}

fn arguments(call: &Function) -> Vec<&Expr> {
    let list = match &call.args {
        FunctionArguments::List(list) => list.args.as_slice(),
        _ => &[],
    };
    list.iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect()
}

fn is_call(call: &Function, names: &[&str]) -> bool {
    let name = call.name.to_string();
    names.iter().any(|wanted| wanted.eq_ignore_ascii_case(&name))
}

fn is_placeholder(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

/// An expression of the host's own.
fn written(text: &str) -> Expr {
    parse::expression(text).expect("the host's own SQL is right")
}
