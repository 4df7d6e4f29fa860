//! Settings that cannot work: both commands refuse them before any server is asked.

use super::row::{Outcome, Row, Server};
use Outcome::Ends;

pub fn rows() -> Vec<Row> {
    let row = |name: &str, line, instead: &str, says, remedy| {
        Row::new(name, Server::MySql, Ends(says, remedy)).line(line, instead)
    };
    vec![
        row("an unknown key", "lanes", "lines = 4", "unknown field `lines`", "expected"),
        row("no lane", "lanes", "lanes = 0", "`projection.recorder.lanes` is 0", "it must be 1 to 64"),
        row(
            "a thousand lanes",
            "lanes",
            "lanes = 1000",
            "`projection.recorder.lanes` is 1000",
            "it must be 1 to 64",
        ),
        row("a number that is a text", "lanes", "lanes = \"many\"", "lanes", "expected"),
        row("an unknown start", "batch_max", "LINE\nstart = \"then\"", "then", "expected"),
        row(
            "a MongoDB URI that is none",
            "uri",
            "uri = \"nonsense\"",
            "`mongodb.uri` is not usable",
            "mongodb://",
        ),
        row(
            "a MySQL URL that is none",
            "url =",
            "url = \"nonsense\"",
            "is not a URL",
            "mysql://user:password@host:3306/database",
        ),
        row(
            "a MySQL URL without a database",
            "url =",
            "url = \"mysql://root@localhost\"",
            "names no database",
            "/",
        ),
        row(
            "the host's schema for read models",
            "control_schema",
            "control_schema = \"DB\"",
            "belongs to the host",
            "need a database of their own",
        ),
        row(
            "two databases",
            "url =",
            "LINE\nddl_url = \"mysql://root@localhost/other\"",
            "they must be the same",
            "`mysql.ddl_url` names `other`",
        ),
    ]
}
