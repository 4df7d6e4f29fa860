//! Statements declared once, and used by name with a checked number of parameters.

use crate::sql::Sql;
use crate::{Operation, Value};

/// A statement as [`statements!`](crate::statements!) lists it for the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declaration {
    /// The constant's name.
    pub name: &'static str,
    /// The SQL, with a `?` for each parameter.
    pub sql: Sql,
}

/// A declared statement with `N` parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<const N: usize> {
    index: u32,
}

impl<const N: usize> Statement<N> {
    #[doc(hidden)]
    pub const fn new(index: u32) -> Self {
        Self { index }
    }

    /// This statement with its parameters, in the order of its `?`: a tuple of as many values, each
    /// [`Into<Value>`](Value), or a `[Value; N]`.
    pub fn with(self, parameters: impl Parameters<N>) -> Operation {
        Operation { statement: self.index, parameters: parameters.into_values() }
    }
}

/// Declares all SQL of a projector: a constant [`Statement`] for each line, and `STATEMENTS` for
/// [`Manifest::statements`](crate::Manifest::statements). Use it once in a crate.
///
/// Each is a text, or what the functions of [`sql`](crate::sql) make.
///
/// ```
/// laterna_sdk::statements! {
///     /// Comments are welcome here, and not allowed inside of the SQL.
///     OPEN = "INSERT INTO accounts (id, owner) VALUES (?, ?)";
///     CLOSE = "DELETE FROM accounts WHERE id = ?";
/// }
/// let operation = CLOSE.with(("a-1",));
/// assert_eq!(operation.statement, 1);
/// ```
///
/// The number of parameters is part of the type:
///
/// ```compile_fail
/// laterna_sdk::statements! { CLOSE = "DELETE FROM accounts WHERE id = ?"; }
/// let operation = CLOSE.with(("a-1", 7));
/// ```
#[macro_export]
macro_rules! statements {
    ($($(#[$meta:meta])* $visibility:vis $name:ident = $sql:expr;)+) => {
        $(
            $(#[$meta])*
            #[doc = concat!("\n\n```text\n", stringify!($sql), "\n```")]
            $visibility const $name: $crate::Statement<{ $crate::sql::Declared($sql).sql().parameters() }> =
                $crate::Statement::new(LaternaStatement::$name as u32);
        )+

        /// All statements, in the order of their indexes.
        pub(crate) const STATEMENTS: &[$crate::Declaration] =
            &[$($crate::Declaration { name: stringify!($name), sql: $crate::sql::Declared($sql).sql() }),+];

        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the names are the author's")]
        enum LaternaStatement { $($name),+ }
    };
}

/// How many `?` a statement has outside of its quotes.
pub const fn placeholders(sql: &str) -> usize {
    let sql = sql.as_bytes();
    let mut count = 0;
    let mut quote = None;
    let mut at = 0;
    while at < sql.len() {
        match (quote, sql[at]) {
            (Some(b'\'' | b'"'), b'\\') => at += 1,
            (Some(open), byte) if open == byte => quote = None,
            (None, byte @ (b'\'' | b'"' | b'`')) => quote = Some(byte),
            (None, b'?') => count += 1,
            _ => {}
        }
        at += 1;
    }
    count
}

/// Values for `N` parameters: a tuple of up to 24, or an array.
#[diagnostic::on_unimplemented(
    message = "this statement takes {N} parameters, each `Into<Value>`",
    label = "not {N} values for the `?` of this statement",
    note = "one parameter is a tuple with a comma: `CLOSE.with((id,))`"
)]
pub trait Parameters<const N: usize> {
    /// The values, in order.
    fn into_values(self) -> Vec<Value>;
}

impl<const N: usize> Parameters<N> for [Value; N] {
    fn into_values(self) -> Vec<Value> {
        self.into()
    }
}

impl Parameters<0> for () {
    fn into_values(self) -> Vec<Value> {
        Vec::new()
    }
}

macro_rules! tuples {
    (count) => { 0 };
    (count $first:ident $($rest:ident)*) => { 1 + tuples!(count $($rest)*) };
    ($first:ident $($rest:ident)*) => {
        impl<$first: Into<Value>, $($rest: Into<Value>),*> Parameters<{ tuples!(count $first $($rest)*) }>
            for ($first, $($rest,)*)
        {
            #[expect(non_snake_case, reason = "the type's letter names its value")]
            fn into_values(self) -> Vec<Value> {
                let ($first, $($rest,)*) = self;
                vec![$first.into(), $($rest.into()),*]
            }
        }
        tuples!($($rest)*);
    };
    () => {};
}

tuples!(A B C D E F G H I J K L M N O P Q R S T U V W X);

#[cfg(test)]
mod tests {
    use super::*;

    statements! {
        INSERT = "INSERT INTO notes (id, text, stars) VALUES (?, ?, ?)";
        RENAME_ALL = "UPDATE notes SET text = 'what?'";
    }

    #[test]
    fn a_statement_knows_its_place_and_takes_its_parameters_in_order() {
        let operation = INSERT.with(("n-1", Some("hello"), 5));
        assert_eq!(operation.statement, 0);
        assert_eq!(operation.parameters, ["n-1".into(), Value::Text("hello".into()), Value::Integer(5)]);
        assert_eq!(RENAME_ALL.with(()), Operation { statement: 1, parameters: vec![] });
        assert_eq!(INSERT.with([Value::Null, Value::Null, Value::Null]).parameters.len(), 3);
    }

    #[test]
    fn the_list_for_the_manifest_has_the_same_order() {
        let names: Vec<_> = STATEMENTS.iter().map(|statement| statement.name).collect();
        assert_eq!(names, ["INSERT", "RENAME_ALL"]);
    }

    #[test]
    fn question_marks_inside_of_quotes_are_no_parameters() {
        let check = |sql, expect| assert_eq!(placeholders(sql), expect, "{sql}");
        check("", 0);
        check("UPDATE t SET a = ?, b = '?' WHERE `c?` = ?", 2);
        check(r"UPDATE t SET a = 'it\'s ?', b = ?", 1);
        check("UPDATE t SET a = 'it''s ?', b = ?", 1);
        check(r#"UPDATE t SET a = "?'", b = ?"#, 1);
    }
}
