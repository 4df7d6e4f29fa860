//! What a projector's operations are as SQL with its values, for people: it shows what is sent with parameters.

use crate::readmodel::mysql::bind::fitted;
use crate::readmodel::mysql::literal::literal;
use crate::sql;
use crate::statement::{Operation, Schema, Statement};

/// The declared statement of an operation.
pub fn declared<'s>(schema: &'s Schema, operation: &Operation) -> Option<&'s Statement> {
    usize::try_from(operation.statement).ok().and_then(|at| schema.statements.get(at))
}

/// An operation as SQL with its values; empty where it names no statement.
pub fn statement(schema: &Schema, operation: &Operation) -> String {
    let filled = |statement: &Statement| {
        let sent = fitted(statement, &operation.parameters).unwrap_or_default();
        let literals: Vec<String> = sent.iter().map(literal).collect();
        sql::fill(&statement.sql, &literals)
    };
    declared(schema, operation).map(filled).unwrap_or_default()
}
