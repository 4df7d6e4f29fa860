//! Declares a statement that asks the database for the time.

guests::refused!(
    "bad-function",
    "bad_function": "CREATE TABLE bad_function (id BIGINT NOT NULL PRIMARY KEY, note VARCHAR(20))",
    "INSERT INTO bad_function (id, note) VALUES (?, NOW())"
);
