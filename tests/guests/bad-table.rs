//! Declares a table without a primary key.

guests::refused!(
    "bad-table",
    "bad_table": "CREATE TABLE bad_table (id BIGINT NOT NULL)",
    "INSERT INTO bad_table (id) VALUES (?)"
);
