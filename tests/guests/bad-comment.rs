//! Declares a statement with a comment that MySQL would run.

guests::refused!(
    "bad-comment",
    "bad_comment": "CREATE TABLE bad_comment (id BIGINT NOT NULL PRIMARY KEY, note VARCHAR(20))",
    "DELETE FROM bad_comment WHERE id = ? /*!50000 OR 1 = 1 */"
);
