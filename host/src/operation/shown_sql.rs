//! What a projector's operations are as SQL with its values, for people: it shows what is sent with parameters.

use crate::readmodel::mysql::literal::literal;
use crate::sql;
use crate::sql::fit::fitted;
use crate::statement::{Operation, Schema, Sent, Statement};

/// The declared statement of an operation.
pub fn declared<'s, V>(schema: &'s Schema, operation: &Operation<V>) -> Option<&'s Statement> {
    usize::try_from(operation.statement).ok().and_then(|at| schema.statements.get(at))
}

/// An operation as SQL with its values; empty where it names no statement.
pub fn statement(schema: &Schema, operation: &Operation) -> String {
    let shown = |statement: &Statement| {
        let sent = fitted(0, statement, operation.parameters.clone()).unwrap_or_default();
        filled(statement, &sent)
    };
    declared(schema, operation).map(shown).unwrap_or_default()
}

/// A statement with these values.
pub fn filled(statement: &Statement, sent: &[Sent]) -> String {
    let literals: Vec<String> = sent.iter().map(literal).collect();
    sql::fill(&statement.sql, &literals)
}
