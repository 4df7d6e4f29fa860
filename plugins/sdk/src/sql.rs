//! Building the everyday statements from names, for [`statements!`](crate::statements!).
//!
//! All of it is known when the crate is compiled, the number of parameters too. What these do not say is written as
//! text.
//!
//! ```
//! use laterna_sdk::sql::{delete, insert, update, upsert};
//!
//! laterna_sdk::statements! {
//!     /// Parameters: the key, then the columns.
//!     SAVE = upsert("customers").key(&["customer_id"]).set(&["name", "email"]);
//!     /// An error where the row is there already.
//!     REGISTER = insert("customers").set(&["customer_id", "name"]);
//!     /// Parameters: the columns, then the key.
//!     RENAME = update("customers").set(&["name"]).key(&["customer_id"]);
//!     /// Adds its parameter to what is there.
//!     VISIT = update("customers").add(&["visits"]).set(&["seen_at"]).key(&["customer_id"]);
//!     FORGET = delete("customers").key(&["customer_id"]);
//!     UNNAMED = "UPDATE customers SET name = 'unnamed' WHERE name = ? AND customer_id <> ?";
//! }
//! let sql: Vec<String> = STATEMENTS.iter().map(|statement| statement.sql.text()).collect();
//! assert_eq!(sql[2], "UPDATE `customers` SET `name` = ? WHERE `customer_id` = ?");
//! assert_eq!(VISIT.with((1, "2026-01-31", "c-1")).parameters.len(), 3);
//! ```

/// A statement of SQL that is known when the crate is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sql(Form);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text(&'static str),
    Built { verb: Verb, table: &'static str, columns: Columns },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Insert,
    Upsert,
    Update,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Columns {
    add: &'static [&'static str],
    set: &'static [&'static str],
    key: &'static [&'static str],
}

/// A statement that still lacks its columns; see the functions that make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Builder {
    verb: Verb,
    table: &'static str,
    columns: Columns,
}

/// `INSERT INTO table (...)`: a new row. Its columns are those of `set`.
pub const fn insert(table: &'static str) -> Builder {
    Builder::new(Verb::Insert, table)
}

/// A row that is made, or changed where one of this key is there. Parameters: the key, what is added, what is set.
pub const fn upsert(table: &'static str) -> Builder {
    Builder::new(Verb::Upsert, table)
}

/// `UPDATE table SET ... WHERE key`. Parameters: what is added, what is set, the key.
pub const fn update(table: &'static str) -> Builder {
    Builder::new(Verb::Update, table)
}

/// `DELETE FROM table WHERE key`.
pub const fn delete(table: &'static str) -> Builder {
    Builder::new(Verb::Delete, table)
}

impl Builder {
    const fn new(verb: Verb, table: &'static str) -> Self {
        Self { verb, table, columns: Columns { add: &[], set: &[], key: &[] } }
    }

    /// Columns that get a new value.
    pub const fn set(mut self, columns: &'static [&'static str]) -> Self {
        self.columns.set = columns;
        self
    }

    /// Columns to whose value the parameter is added; in a new row it is the value.
    ///
    /// In an [`upsert`], MySQL and MariaDB judge the parameter as the value of a new row, also where the row is there: a
    /// column that is UNSIGNED or has a CHECK refuses -5 though 100 - 5 is right. Let the column be signed, use an
    /// [`update`], or write `INSERT INTO t (id, n) SELECT ?, COALESCE((SELECT o.n FROM t o WHERE o.id = ?), 0) + ? AS total ON
    /// DUPLICATE KEY UPDATE n = VALUES(n)`.
    pub const fn add(mut self, columns: &'static [&'static str]) -> Self {
        self.columns.add = columns;
        self
    }

    /// The columns that say which row.
    pub const fn key(mut self, columns: &'static [&'static str]) -> Self {
        self.columns.key = columns;
        self
    }

    const fn sql(self) -> Sql {
        let Self { verb, table, columns } = self;
        let (changes, keys) = (columns.add.len() + columns.set.len(), columns.key.len());
        match verb {
            Verb::Insert => assert!(changes > 0 && keys == 0, "an insert has columns to set, and no key"),
            Verb::Upsert => assert!(changes > 0 && keys > 0, "an upsert has a key and columns to set or add"),
            Verb::Update => {
                assert!(changes > 0 && keys > 0, "an update has columns to set or add, and a key");
            }
            Verb::Delete => assert!(changes == 0 && keys > 0, "a delete has a key, and nothing to set"),
        }
        Sql(Form::Built { verb, table, columns })
    }
}

/// What may stand on the right side in [`statements!`](crate::statements!).
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Declared<T>(pub T);

impl Declared<&'static str> {
    #[doc(hidden)]
    pub const fn sql(self) -> Sql {
        Sql(Form::Text(self.0))
    }
}

impl Declared<Builder> {
    #[doc(hidden)]
    pub const fn sql(self) -> Sql {
        self.0.sql()
    }
}

impl Sql {
    /// How many parameters it takes.
    pub const fn parameters(self) -> usize {
        match self.0 {
            Form::Text(text) => crate::placeholders(text),
            Form::Built { columns: Columns { add, set, key }, .. } => add.len() + set.len() + key.len(),
        }
    }

    /// The text that is declared.
    pub fn text(self) -> String {
        match self.0 {
            Form::Text(text) => text.to_owned(),
            Form::Built { verb, table, columns } => built(verb, &name(table), columns),
        }
    }
}

fn built(verb: Verb, table: &str, Columns { add, set, key }: Columns) -> String {
    let added = add.iter().map(|column| (name(column), true));
    let changes: Vec<(String, bool)> = added.chain(set.iter().map(|column| (name(column), false))).collect();
    let condition = || joined(key.iter().map(|column| format!("{} = ?", name(column))), " AND ");
    match verb {
        Verb::Update => {
            let change = |(column, adds): &(String, bool)| {
                if *adds { format!("{column} = {column} + ?") } else { format!("{column} = ?") }
            };
            format!("UPDATE {table} SET {} WHERE {}", joined(changes.iter().map(change), ", "), condition())
        }
        Verb::Delete => format!("DELETE FROM {table} WHERE {}", condition()),
        Verb::Insert | Verb::Upsert => {
            let columns = key.iter().map(|column| name(column));
            let columns: Vec<String> =
                columns.chain(changes.iter().map(|(column, _)| column.clone())).collect();
            let marks = joined(columns.iter().map(|_| "?".to_owned()), ", ");
            let mut sql = format!("INSERT INTO {table} ({}) VALUES ({marks})", columns.join(", "));
            if verb == Verb::Upsert {
                let change = |(column, adds): &(String, bool)| {
                    let before = if *adds { format!("{column} + ") } else { String::new() };
                    format!("{column} = {before}VALUES({column})")
                };
                sql.push_str(" ON DUPLICATE KEY UPDATE ");
                sql.push_str(&joined(changes.iter().map(change), ", "));
            }
            sql
        }
    }
}

fn joined(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}

/// A name, quoted, so that it may be a word of SQL.
fn name(name: &str) -> String {
    format!("`{name}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(builder: Builder, parameters: usize, expect: &str) {
        let sql = builder.sql();
        assert_eq!((sql.text().as_str(), sql.parameters()), (expect, parameters));
        assert_eq!(crate::placeholders(expect), parameters);
    }

    #[test]
    fn each_verb_has_its_text() {
        check(insert("t").set(&["a", "b"]), 2, "INSERT INTO `t` (`a`, `b`) VALUES (?, ?)");
        check(
            upsert("t").key(&["a", "b"]).set(&["c"]),
            3,
            "INSERT INTO `t` (`a`, `b`, `c`) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE `c` = VALUES(`c`)",
        );
        check(
            upsert("t").key(&["a"]).add(&["n"]).set(&["c"]),
            3,
            "INSERT INTO `t` (`a`, `n`, `c`) VALUES (?, ?, ?) \
             ON DUPLICATE KEY UPDATE `n` = `n` + VALUES(`n`), `c` = VALUES(`c`)",
        );
        check(
            update("t").set(&["c"]).key(&["a", "b"]),
            3,
            "UPDATE `t` SET `c` = ? WHERE `a` = ? AND `b` = ?",
        );
        check(update("t").add(&["n"]).key(&["a"]), 2, "UPDATE `t` SET `n` = `n` + ? WHERE `a` = ?");
        check(delete("t").key(&["a"]), 1, "DELETE FROM `t` WHERE `a` = ?");
    }

    #[test]
    #[should_panic = "an update has columns to set or add, and a key"]
    fn a_statement_without_what_it_needs_does_not_compile() {
        let _ = update("t").set(&["a"]).sql();
    }
}
