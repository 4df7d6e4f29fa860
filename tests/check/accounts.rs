//! Accounts that may too little, or are not there.

use super::row::{BOTH, Outcome, Row, Server};
use Outcome::{Runs, Stops};

const ROWS: &str = "SELECT, INSERT, UPDATE, DELETE ON";
const TABLES: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON";

/// What both accounts are granted by the guide.
fn guide() -> [Vec<String>; 2] {
    [
        vec![format!("{ROWS} DB.*"), format!("{ROWS} CTL.*"), format!("{ROWS} `CTL\\_g%`.*")],
        vec![
            format!("{TABLES} DB.*"),
            "TRIGGER ON DB.*".to_owned(),
            format!("{TABLES} CTL.*"),
            format!("{TABLES} CTL_scratch.*"),
            format!("{TABLES} `CTL\\_g%`.*"),
        ],
    ]
}

/// The same with one grant of an account in the place of another.
fn with(account: usize, place: usize, instead: &str) -> [Vec<String>; 2] {
    let mut grants = guide();
    instead.clone_into(&mut grants[account][place]);
    grants
}

pub fn rows() -> Vec<Row> {
    BOTH.into_iter().flat_map(|server| [grants(server), passwords(server)].concat()).collect()
}

fn granted(name: &str, server: Server, outcome: Outcome, grants: [Vec<String>; 2]) -> Row {
    Row { grants: Some(grants), ..Row::new(name, server, outcome) }
}

fn grants(server: Server) -> Vec<Row> {
    let lacks = |says: &'static str| Stops(says, "as an administrator: GRANT ");
    let row = |name: &str, outcome: Outcome, grants: [Vec<String>; 2]| granted(name, server, outcome, grants);
    vec![
        row("the accounts of the guide", Runs, guide()),
        row("the accounts of the guide, later", Runs, guide()).begun(),
        row(
            "no DELETE on the read model",
            lacks("may not DELETE in `"),
            with(0, 0, "SELECT, INSERT, UPDATE ON DB.*"),
        ),
        row(
            "no UPDATE on the read model",
            lacks("may not UPDATE in `"),
            with(0, 0, "SELECT, INSERT, DELETE ON DB.*"),
        ),
        row(
            "no INSERT on the read model",
            lacks("may not INSERT in `"),
            with(0, 0, "SELECT, UPDATE, DELETE ON DB.*"),
        ),
        row(
            "only SELECT on the read model",
            lacks("may not INSERT, UPDATE, DELETE in `"),
            with(0, 0, "SELECT ON DB.*"),
        ),
        row(
            "no DELETE on the read model, later",
            lacks("may not DELETE in `"),
            with(0, 0, "SELECT, INSERT, UPDATE ON DB.*"),
        )
        .begun(),
        row(
            "only SELECT on the control schema",
            lacks("may not INSERT, UPDATE, DELETE in `"),
            with(0, 1, "SELECT ON CTL.*"),
        ),
        row(
            "only SELECT on the control schema, later",
            lacks("may not INSERT, UPDATE, DELETE"),
            with(0, 1, "SELECT ON CTL.*"),
        )
        .begun(),
        row(
            "no ALTER on the control schema",
            lacks("ALTER"),
            with(1, 2, "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, REFERENCES ON CTL.*"),
        ),
        row(
            "no DELETE on the control schema",
            lacks("may not DELETE in `"),
            with(0, 1, "SELECT, INSERT, UPDATE ON CTL.*"),
        ),
        row(
            "nothing on the control schema",
            lacks("may not SELECT, INSERT, UPDATE, DELETE in `"),
            with(0, 1, "SELECT ON DB.*"),
        ),
        row("no CREATE for tables", lacks("may not CREATE in `"), with(1, 0, &format!("{ROWS} DB.*"))),
        row(
            "no tables of its own",
            lacks("of `mysql.ddl_url` may not SELECT, INSERT, UPDATE, DELETE in `"),
            with(1, 2, "SELECT ON DB.*"),
        ),
        row("no scratch schema", lacks("rehearsing the tables"), with(1, 3, "SELECT ON DB.*")),
        row(
            "no place for generations",
            Outcome::Notes("tables cannot be built beside the live ones"),
            with(1, 4, "SELECT ON DB.*"),
        ),
    ]
}

fn passwords(server: Server) -> Vec<Row> {
    let socket = match server {
        Server::MySql => "LATERNA_MYSQL_SOCKET",
        Server::MariaDb => "LATERNA_MARIADB_SOCKET",
    };
    let socket = std::env::var(socket).expect("from dev/services env");
    let url = |account: &str| format!("url = \"mysql://{account}@localhost/DB?socket={socket}\"");
    vec![
        Row::new("a wrong password", server, Stops("Access denied for user", "correct its password"))
            .sql("CREATE USER ACCOUNT_app@localhost IDENTIFIED BY 'x'")
            .line("url =", url("ACCOUNT_app:wrong")),
        Row::new(
            "an account that is not there",
            server,
            Stops("access denied", "give the account the missing privileges"),
        )
        .line("url =", url("nobody_at_all:x")),
    ]
}
