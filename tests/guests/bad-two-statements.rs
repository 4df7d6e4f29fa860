//! Declares two statements in one.

guests::refused!(
    "bad-two-statements",
    "bad_two_statements": "CREATE TABLE bad_two_statements (id BIGINT NOT NULL PRIMARY KEY, note VARCHAR(20))",
    "DELETE FROM bad_two_statements WHERE id = ?; DELETE FROM bad_two_statements WHERE note = ?"
);
