//! Declares a statement that changes tables.

guests::refused!(
    "bad-ddl",
    "bad_ddl": "CREATE TABLE bad_ddl (id BIGINT NOT NULL PRIMARY KEY, note VARCHAR(20))",
    "DROP TABLE bad_ddl"
);
