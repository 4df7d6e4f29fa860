//! Declares a statement on a table that is not its own.

guests::refused!(
    "bad-foreign-table",
    "bad_foreign_table": "CREATE TABLE bad_foreign_table (id BIGINT NOT NULL PRIMARY KEY, note VARCHAR(20))",
    "INSERT INTO accounts (account_id) VALUES (?)"
);
