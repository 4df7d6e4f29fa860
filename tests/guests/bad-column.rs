//! Declares a statement on a column that its table lacks.

guests::refused!(
    "bad-column",
    "bad_column": "CREATE TABLE bad_column (id BIGINT NOT NULL PRIMARY KEY, note VARCHAR(20))",
    "INSERT INTO bad_column (id, colour) VALUES (?, ?)"
);
