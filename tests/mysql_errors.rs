//! Which failure each error code of MySQL and MariaDB is: provoked on real servers wherever that can be done, and every
//! one of them sent to a lane by a trigger, as both servers can raise any code.

mod inputs;
mod slow;
mod table;

use std::collections::BTreeSet;
use std::time::Duration;

use bson::doc;
use laterna::failure::{Failure, Fault};
use laterna::readmodel::mysql::error::{classify, classify_statement, codes};
use laterna::readmodel::mysql::session::{Connector, Session};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};
use sqlx::{ConnectOptions, Executor, Row};

use table::Way::{self, Both, Elsewhere, Mariadb, Mysql, Never};
use table::{JSON_ROW, LARGE, ROWS, TWO_ROWS};

use crate::support::lane::{Bench, put};
use crate::support::world::{event, laterna, said};
use crate::support::{Mysqld, Options, World, some_time, until};

#[test]
fn every_code_that_has_a_class_has_a_row_and_no_other_code_has_one() {
    let (rows, classified): (BTreeSet<u16>, BTreeSet<u16>) =
        (ROWS.iter().map(|(code, ..)| *code).collect(), codes().collect());
    assert_eq!(rows, classified);
    for (code, _, way) in ROWS {
        if let Elsewhere(test) | Never(test) = way {
            assert!(!test.is_empty(), "{code}: neither a test nor a reason");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_errors_of_mysql_are_what_the_table_says() {
    provoke(Mysqld::mysql().await, |way| match way {
        Both(script) | Mysql(script) => Some(script),
        _ => None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_errors_of_mariadb_are_what_the_table_says() {
    provoke(Mysqld::mariadb().await, |way| match way {
        Both(script) | Mariadb(script) => Some(script),
        _ => None,
    })
    .await;
}

async fn provoke(server: Mysqld, script: impl Fn(&Way) -> Option<&'static str>) {
    let mut ground = Ground::new(&server).await;
    let mut wrong = vec![];
    for (code, class, way) in ROWS {
        if let Some(script) = script(way) {
            let expected = format!("{code} {class}");
            let playing = tokio::time::timeout(Duration::from_secs(30), ground.play(script)).await;
            let found = playing.unwrap_or_else(|_| panic!("it does not end: {script}"));
            if found.as_ref() != Some(&expected) && found.as_deref() != Some("closed connection-lost") {
                wrong.push(format!("expected {expected}, found {found:?}: {script}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Who takes part in a script.
struct Ground {
    url: String,
    port: u16,
    host: Session,
    administrator: Option<MySqlConnection>,
    user: Option<Session>,
    more: Vec<Session>,
    background: Vec<tokio::task::JoinHandle<()>>,
}

impl Ground {
    async fn new(server: &Mysqld) -> Self {
        let url = server.options().mysql.replacen("/mysql", "/codes", 1);
        let mut administrator = connect(&server.options().mysql).await.expect("the server answers");
        for sql in ["CREATE DATABASE codes", "CREATE USER plain", "GRANT ALL ON codes.* TO plain"] {
            administrator.execute(sql).await.expect("it is the administrator");
        }
        let host = connector(&url).connect().await.expect("the server answers");
        let (user, more, background) = (None, vec![], vec![]);
        let port = server.port;
        let administrator = Some(administrator);
        Self { url, port, host, administrator, user, more, background }
    }

    /// Plays a script in an empty database, and tells the code and the class of what failed.
    async fn play(&mut self, script: &str) -> Option<String> {
        self.user = None;
        self.more.clear();
        for task in self.background.drain(..) {
            task.abort();
        }
        // What they hold ends with the sessions, and would be in the way.
        self.administrator = Some(self.connected("root").await);
        self.host = connector(&self.url).connect().await.expect("the server answers");
        for sql in ["DROP DATABASE codes", "CREATE DATABASE codes", "USE codes"] {
            self.administrator().execute(sql).await.expect("it is the administrator");
        }
        self.host.connection.execute("USE codes").await.expect("it is there again");
        let mut found = None;
        for step in
            script.replace("TWO ROWS; ", TWO_ROWS).replace("JSON ROW; ", JSON_ROW).split(';').map(str::trim)
        {
            if let Some(step) = step.strip_prefix("=> ") {
                found = Some(self.fail(step).await);
            } else {
                self.step(step).await;
            }
        }
        found
    }

    fn administrator(&mut self) -> &mut MySqlConnection {
        self.administrator.as_mut().expect("it is not in the background")
    }

    async fn connected(&self, account: &str) -> MySqlConnection {
        connect(&self.account(account)).await.expect("the server answers")
    }

    fn account(&self, account: &str) -> String {
        match account.strip_suffix(":tcp") {
            Some(account) => format!("mysql://{account}@127.0.0.1:{}/codes?ssl-mode=DISABLED", self.port),
            None => self.url.replacen("root", account, 1),
        }
    }

    async fn step(&mut self, step: &str) {
        let (who, what) = step.split_once(' ').unwrap_or((step, ""));
        let done = match who {
            "WAIT" => return some_time(2500).await,
            "A" if what.is_empty() => {
                self.host = connector(&self.url).connect().await.expect("the server answers");
                return;
            }
            "A" => self.host.connection.execute(what).await,
            "B" => self.administrator().execute(what).await,
            "B&" => {
                let (mut connection, sql) = (self.administrator.take().expect("it is here"), what.to_owned());
                self.administrator = Some(self.connected("root").await);
                self.background.push(tokio::spawn(async move {
                    let _ = connection.execute(sql.as_str()).await;
                }));
                return some_time(300).await;
            }
            "U" => {
                let connected = connector(&self.account(what)).connect().await;
                self.user = Some(connected.unwrap_or_else(|failure| panic!("{step}: {failure}")));
                return;
            }
            _ => panic!("nobody does `{step}`"),
        };
        done.unwrap_or_else(|error| panic!("{step}: {error}"));
    }

    /// Takes the step that is refused.
    async fn fail(&mut self, step: &str) -> String {
        let (who, what) = step.split_once(' ').expect("who and what");
        let what = what.replace("LONG", &"x".repeat(5_000_000));
        let url = self.account(&what);
        let error = match who {
            "A" | "A?" => self.host.connection.execute(what.as_str()).await.err(),
            "B" => self.administrator().execute(what.as_str()).await.err(),
            "A~" | "A!?" => {
                let kill = if who == "A~" { "KILL QUERY" } else { "KILL" };
                let (kill, mut killer) = (format!("{kill} {}", self.host.id), self.connected("root").await);
                let killing = tokio::spawn(async move {
                    loop {
                        some_time(200).await;
                        let _ = killer.execute(kill.as_str()).await;
                    }
                });
                let error = self.host.connection.execute(what.as_str()).await.err();
                killing.abort();
                error
            }
            "U" if self.user.is_some() => {
                self.user.as_mut().expect("it is").connection.execute(what.as_str()).await.err()
            }
            "U" => refused(&url).await,
            "U*" => loop {
                match connector(&url).connect().await {
                    Ok(session) => self.more.push(session),
                    Err(_) => break refused(&url).await,
                }
            },
            _ => panic!("nobody does `{step}`"),
        };
        let Some(error) = error else { return "nothing".to_owned() };
        if who.starts_with('U') && self.user.is_none() {
            // What the host itself makes of it.
            let failure = connector(&url).connect().await.expect_err("it was refused just now");
            assert_eq!(failure.class(), classify("x", &error).class(), "{step}: {failure}");
        }
        self.more.clear();
        let code = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
        let code = match code {
            Some(error) => error.number().to_string(),
            None if who.ends_with('?') => "closed".to_owned(),
            None => error.to_string(),
        };
        // What a projector's statement would be; of one of the host's own, no event is at fault.
        let is_mariadb = self.host.is_mariadb();
        let failure = classify_statement("provoking it", is_mariadb, &error);
        let own = classify("provoking it", &error);
        assert!(own.fault() != Fault::Event || own.class() == LARGE, "{step}: {own}");
        let class = if matches!(failure, Failure::TooSlow { .. }) { own.class() } else { failure.class() };
        format!("{code} {class}")
    }
}

async fn refused(url: &str) -> Option<sqlx::Error> {
    let mut connection = match connect(url).await {
        Ok(connection) => connection,
        Err(error) => return Some(error),
    };
    connection.execute("SELECT 1").await.err()
}

fn connector(url: &str) -> Connector {
    Connector::new("mysql.url", &url.to_owned().into()).expect("a URL")
}

async fn connect(url: &str) -> Result<MySqlConnection, sqlx::Error> {
    url.parse::<MySqlConnectOptions>().expect("a URL").connect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_code_that_a_server_sends_to_a_lane_has_its_class_and_leaves_nothing_behind() {
    for (options, is_mariadb) in [(Options::mysql(), false), (Options::mariadb(), true)] {
        let bench = Bench::new(options).await;
        let mut lane = bench.lane(1).await;
        lane.commit(&bench.batch(1, vec![put(1)])).await.expect("it is this lane's turn");
        // The trigger raises the code that a row asks for by its key.
        let raise = |code| format!("WHEN {code} THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}; ");
        let cases = codes().chain([60_000]).map(raise).collect::<Vec<_>>().concat();
        let database = &bench.world.name;
        let trigger = format!(
            "CREATE TRIGGER {database}.raise BEFORE INSERT ON {database}.totals FOR EACH ROW CASE NEW.id {cases} END CASE"
        );
        bench.world.run(&trigger).await;
        for code in codes().chain([60_000]) {
            let row = ROWS.iter().find(|(row, ..)| *row == code);
            // From 4000 on, the same number is another error on the other server.
            let class = match row {
                Some((4000.., _, Mariadb(_))) if !is_mariadb => "unknown",
                Some((4000.., _, Mysql(_))) if is_mariadb => "unknown",
                Some((_, class, _)) => class,
                None => "unknown",
            };
            // Of a projector's statement, the server's own limit of its time is no lost transaction.
            let expected = if matches!(code, 1969 | 3024) { "too-slow" } else { class };
            let refused = lane
                .commit(&bench.batch(2, vec![put(code.into())]))
                .await
                .expect_err("the trigger raised it");
            assert_eq!(refused.class(), expected, "{code}: {refused}");
            assert!(refused.to_string().contains(&code.to_string()), "{code} is told: {refused}");
        }
        assert_eq!(bench.amounts().await, [0]);
        assert_eq!(bench.batch_number().await, 1);
        bench.world.run(&format!("DROP TRIGGER {database}.raise")).await;
        lane.commit(&bench.batch(2, vec![put(2)])).await.expect("the same lane goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_storage_is_read_only_cannot_write() {
    let mut server = Mysqld::mysql().await;
    let bench = Bench::new(server.options()).await;
    let mut lane = bench.lane(1).await;
    lane.commit(&bench.batch(1, vec![put(1)])).await.expect("it is this lane's turn");
    server.stop().await;
    server.arguments = vec!["--innodb-read-only".into(), "--skip-log-bin".into()];
    server.start();
    server.until_ready().await;
    let refused = loop {
        match lane.commit(&bench.batch(2, vec![put(2)])).await.expect_err("nothing can be written") {
            Failure::ConnectionLost { .. } => {}
            failure => break failure,
        }
    };
    assert!(matches!(refused, Failure::CannotWrite { code: 1015 | 1290, .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_connections_is_named_with_what_the_host_needs() {
    for server in [Mysqld::mysql().await, Mysqld::mariadb().await] {
        let options = Options { ddl_mysql: Some(server.options().mysql), ..server.options() };
        let mut world = World::new("recorder", options).await;
        for sql in ["CREATE USER few", "GRANT ALL ON *.* TO few"] {
            world.run(sql).await;
        }
        world.insert([event("e1", "a", 1, doc! {})]).await;
        world.options.host_mysql = Some(server.options().mysql.replacen("root", "few", 1));
        // 4 lanes, 8 others, one for moments and two for the API.
        let needs = "this host's projections need 15 connections";
        world.run("ALTER USER few WITH MAX_USER_CONNECTIONS 5").await;
        let check = laterna(&world.config(1), &["check"]);
        let says =
            "`max_user_connections` is 5 for this account, and this host's projections need 15 connections";
        assert!(!check.status.success() && said(&check).contains(says), "{}", said(&check));
        let host = world.start();
        let tells = async |says: &str| {
            let status = host.status("recorder").await.unwrap_or_default();
            let trouble = status["trouble"].as_str().unwrap_or_default();
            trouble.contains(says) && trouble.contains(needs) && !trouble.contains("not reachable")
        };
        until("the account's limit is told", async || {
            tells("error 1226").await || host.log().contains(needs)
        })
        .await;
        let log = host.log();
        assert!(
            log.contains("'max_user_connections' resource") && log.contains("at a limit (error 1226)"),
            "{log}"
        );
        assert!(!log.contains("not reachable"), "{log}");
        world.run("ALTER USER few WITH MAX_USER_CONNECTIONS 0").await;
        world.until_committed("recorder", 1).await;
        // As many as it says are enough, and it has no more for long.
        host.until_phase("recorder", "streaming").await;
        let open = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'few'";
        until("what was for moments is closed", async || (1..=14).contains(&world.number(open).await)).await;
        drop(host);
        few_statements_stay_prepared(&world).await;
    }
}

/// Of a server with a low limit, all sessions of a host keep a quarter.
async fn few_statements_stay_prepared(world: &World) {
    world.run("SET GLOBAL max_prepared_stmt_count = 240").await;
    let connector = connector(&world.url()).of_a_host_that_needs(3);
    let mut session = connector.connect().await.expect("it connects");
    for number in 0..100 {
        let sql = format!("SELECT {number}, ?");
        let asked = session.connection.fetch_all(sqlx::query(&sql).bind(number)).await;
        asked.unwrap_or_else(|error| panic!("statement {number}: {error}"));
    }
    // Its 20, and what asks.
    until("few are prepared", async || {
        let rows = world.rows("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'").await;
        let kept: u32 = rows[0].get::<String, _>(1).parse().expect("a number");
        (20..30).contains(&kept)
    })
    .await;
}
