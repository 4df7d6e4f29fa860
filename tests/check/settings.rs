//! Settings that cannot work: both commands refuse them before any server is asked.

use super::row::{Outcome, Row, Server};
use Outcome::Ends;

pub fn rows() -> Vec<Row> {
    [values(), listeners()].concat()
}

/// Addresses that another program has: one that says nothing, and one that says something else.
fn listeners() -> Vec<Row> {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = Box::leak(Box::new(silent)).local_addr().expect("an address");
    let mysql = std::env::var("LATERNA_MYSQL_PORT").expect("from dev/services env");
    let row = |name: &str, line: &'static str, at: &str| {
        let setting = line.trim_end_matches(" =");
        let says =
            format!("cannot listen on `host.{setting}` {at}; choose another port: Address already in use");
        Row::new(name, Server::MySql, Ends(says.leak(), "choose another port"))
            .line(line, format!("{setting} = \"{at}\""))
    };
    vec![
        row("the API's port is somebody's who says nothing", "admin =", &silent.to_string()),
        row("the port for health is MySQL's", "health =", &format!("127.0.0.1:{mysql}")),
    ]
}

fn values() -> Vec<Row> {
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
