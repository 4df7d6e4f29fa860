//! Declares a statement in which a column could be either table's: each server refuses it, and the host asks no server.

guests::refused!(
    "bad-ambiguous",
    "bad_ambiguous": "CREATE TABLE bad_ambiguous (id BIGINT NOT NULL PRIMARY KEY, note VARCHAR(20))",
    "INSERT INTO bad_ambiguous (id, note) SELECT ?, note FROM bad_ambiguous a JOIN bad_ambiguous b ON b.id = a.id WHERE a.id = ?"
);
