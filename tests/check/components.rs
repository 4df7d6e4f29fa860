//! Components that cannot be run, or not in this set-up.

use super::row::{BOTH, Outcome, Row, Server};
use Outcome::{Ends, Notes, Runs, Stops};

pub fn rows() -> Vec<Row> {
    let mut rows = refused();
    for server in BOTH {
        rows.push(
            Row::new("a column of two tables", server, Stops("is ambiguous", "fix the projector"))
                .guest("bad-ambiguous"),
        );
        rows.extend(orders(server));
    }
    rows
}

fn refused() -> Vec<Row> {
    let ends =
        |guest: &'static str, says, remedy| Row::new(guest, Server::MySql, Ends(says, remedy)).guest(guest);
    vec![
        ends("bad-ddl", "statement 0", "one of INSERT, REPLACE, UPDATE and DELETE"),
        ends("bad-table", "primary key", "primary key"),
        ends("bad-column", "no column `colour` in `bad_column`", "correct the name, or declare the column"),
        ends("bad-function", "NOW", "occurred-at"),
        ends("bad-foreign-table", "table", "declare"),
        ends("http-import", "wasi:http", "wasi:http"),
        Row::new("no such file", Server::MySql, Ends("cannot be read", "/nowhere/to/be.wasm"))
            .line("component", "component = \"/nowhere/to/be.wasm\""),
        Row::new("a file that is no component", Server::MySql, Ends("WebAssembly", "Cargo.toml"))
            .line("component", format!("component = \"{}/Cargo.toml\"", env!("CARGO_MANIFEST_DIR"))),
    ]
}

fn orders(server: Server) -> Vec<Row> {
    let stream = |name: &str, outcome| Row::new(name, server, outcome).guest("stream-order");
    vec![
        stream(
            "the order of the stream, from history",
            Stops("the projector needs commit order over all aggregates", "begin with `start = \"now\"`"),
        ),
        stream("the order of the stream, from now on", Runs).line("batch_max", "LINE\nstart = \"now\""),
        stream("the order of the stream, without events", Notes("as soon as the outbox holds an event")).without_events(),
        Row::new("a paused projection", server, Stops("paused by ", "laterna resume recorder")).begun().sql(
            "INSERT INTO CTL.pause (projection, class, reason, paused_by) VALUES ('recorder', 'paused', 'a test', 'me')",
        ),
    ]
}
