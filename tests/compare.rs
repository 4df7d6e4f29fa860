//! Two generations of a projection's tables compared on real servers: every kind of difference is found, a healthy one
//! has none, and the answer is the same as that of a plain comparison of all rows.

mod keys;
mod random;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use laterna::readmodel::compare::{Bounds, ComparisonReport, ReadView, Sides, TableReport, compare};
use laterna::readmodel::mysql::session::Connector;
use laterna::statement::{Schema, Table};
use rand::Rng;
use rand::rngs::StdRng;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{Executor, Row};

use crate::support::{Options, World, random};

const SERVERS: [fn() -> Options; 2] = [Options::mysql, Options::mariadb];

/// Two databases of one server with the same tables.
struct Pair {
    world: World,
    connection: MySqlConnection,
    tables: Vec<String>,
}

impl Pair {
    /// Each table is given as its name and what stands behind it in a CREATE TABLE.
    async fn new(options: Options, tables: &[(&str, &str)]) -> Self {
        let world = World::new("recorder", options).await;
        let rebuilt = world.control();
        world.run(&format!("CREATE DATABASE {rebuilt} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")).await;
        world.run(&format!("ALTER DATABASE {} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", world.name)).await;
        let connection = world.mysql().await;
        let names = tables.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut pair = Self { world, connection, tables: names };
        for (name, rest) in tables {
            pair.both(&format!("CREATE TABLE DB.{name} {rest}")).await;
        }
        pair
    }

    /// Runs a statement in which DB is the database with the live rows.
    async fn live(&mut self, sql: &str) {
        let sql = sql.replace("DB.", &format!("{}.", self.world.name));
        self.run(&sql).await;
    }

    /// The same with the rebuilt rows.
    async fn rebuilt(&mut self, sql: &str) {
        let sql = sql.replace("DB.", &format!("{}.", self.world.control()));
        self.run(&sql).await;
    }

    async fn both(&mut self, sql: &str) {
        self.live(sql).await;
        self.rebuilt(sql).await;
    }

    async fn run(&mut self, sql: &str) {
        self.connection.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn rows(&mut self, sql: &str) -> Vec<MySqlRow> {
        self.connection.fetch_all(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    async fn view(&self) -> ReadView {
        let connector = Connector::new("mysql.url", &self.world.host_url().into()).expect("a URL");
        let session = connector.connect().await.expect("MySQL answers");
        ReadView::take(session).await.expect("a snapshot")
    }

    async fn compare(&self, bounds: Bounds) -> ComparisonReport {
        self.compare_in(&mut self.view().await, bounds).await.0
    }

    /// The report, and of how many chunks it is.
    async fn compare_in(&self, view: &mut ReadView, bounds: Bounds) -> (ComparisonReport, u64) {
        let table = |name: &String| Table {
            name: name.clone(),
            ddl: String::new(),
            ddl_mariadb: String::new(),
            ddl_padded: String::new(),
            references: vec![],
            referred: vec![],
            columns: vec![],
            unique_keys: vec![],
            constraints: vec![],
            assumed: vec![],
            has_expression_key: false,
        };
        let schema = Schema::new(self.tables.iter().map(table).collect(), vec![]);
        let sides = Sides { live: &self.world.name, rebuilt: &self.world.control() };
        let (told, calls) = (AtomicU64::new(0), AtomicU64::new(0));
        let progress = |now: laterna::readmodel::compare::CompareProgress<'_>| {
            let before = told.swap(now.rows, Ordering::Relaxed);
            calls.fetch_add(1, Ordering::Relaxed);
            assert!(before <= now.rows, "it goes forwards");
        };
        let report = compare(view, sides, &schema, bounds, progress).await.expect("they can be compared");
        let rows: u64 = report.tables.iter().map(|table| table.live_rows).sum();
        let most = |table: &TableReport| table.live_rows.max(table.rebuilt_rows) / bounds.rows;
        let chunks: u64 = report.tables.iter().map(most).sum();
        let calls = calls.into_inner();
        assert_eq!(told.into_inner(), rows, "all of it was told");
        assert!(calls >= chunks, "chunks were too large: {calls} for {chunks}");
        (report, calls)
    }

    /// The report about the first table.
    async fn first(&self, bounds: Bounds) -> TableReport {
        self.compare(bounds).await.tables.remove(0)
    }
}

fn chunks_of(rows: u64) -> Bounds {
    Bounds { rows, ..Bounds::default() }
}

/// How many rows are missing, extra and different.
fn counts(found: &TableReport) -> (u64, u64, u64) {
    (found.missing.rows, found.extra.rows, found.different.rows)
}

/// The keys of samples, of one column.
fn keys(keys: &[Vec<Option<String>>]) -> Vec<&str> {
    keys.iter().map(|key| key[0].as_deref().expect("a key is never NULL")).collect()
}

const WIDE: &str = "(id BIGINT PRIMARY KEY, note VARCHAR(100), loose VARCHAR(100) COLLATE utf8mb4_general_ci, \
    amount DECIMAL(20,4) NOT NULL, ratio DOUBLE, small FLOAT, at DATETIME(6), day DATE, bits BIT(12), \
    fixed BINARY(4), bytes VARBINARY(50), long_text TEXT, long_bytes BLOB, doc JSON, kind ENUM('a','A b','it''s'), \
    flags SET('x','y','z'), year_of YEAR, truth BOOLEAN, old VARCHAR(50) CHARACTER SET latin1)";

/// `rows` rows in both tables `wide`.
async fn fill(pair: &mut Pair, rows: u64) {
    pair.run("SET SESSION sql_mode = 'STRICT_ALL_TABLES'").await;
    pair.live("CREATE TABLE DB.digits (d INT PRIMARY KEY)").await;
    pair.live("INSERT INTO DB.digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)").await;
    let mut numbers = "SELECT d0.d".to_owned();
    for (place, unit) in [(1, 10_u32), (2, 100), (3, 1000), (4, 10_000)] {
        let _ = write!(numbers, " + {unit} * d{place}.d");
    }
    numbers += " AS n FROM DB.digits d0, DB.digits d1, DB.digits d2, DB.digits d3, DB.digits d4";
    let fill = format!(
        "INSERT INTO DB.wide SELECT n, IF(n % 7 = 0, NULL, CONCAT('Note ', n)), CONCAT('Loose ', n), n / 8, \
         n * 0.1E0, n * 0.3E0, '2026-01-01' + INTERVAL n SECOND, '2026-01-01' + INTERVAL n % 1000 DAY, n % 4096, \
         X'00FF0001', X'0001', CONCAT('long ', n), X'FF00', CONCAT('{{\"n\": ', n, ', \"a\": [1, 1.5]}}'), 1 + n % 3, \
         n % 8, 2000 + n % 50, n % 2, 'caf\u{e9}' FROM ({numbers}) AS numbers WHERE n < {rows}"
    );
    pair.live(&fill).await;
    let copy = format!("INSERT INTO {}.wide SELECT * FROM {}.wide", pair.world.control(), pair.world.name);
    pair.run(&copy).await;
}

/// A column, a value for either side, and how each is told.
type Edit = (&'static str, [&'static str; 2], [&'static str; 2]);

const EDITS: &[Edit] = &[
    ("note", ["'Note'", "'note'"], ["Note", "note"]),
    ("loose", ["'Loose'", "'loose'"], ["Loose", "loose"]),
    ("loose", ["'Loose'", "'Loose '"], ["Loose", "Loose "]),
    ("note", ["'e\u{301}'", "'\u{e9}'"], ["e\u{301}", "\u{e9}"]),
    ("note", ["''", "NULL"], ["", "NULL"]),
    ("note", ["NULL", "'NULL'"], ["NULL", "NULL"]),
    ("note", ["NULL", "'-'"], ["NULL", "-"]),
    ("note", ["'1:a'", "'a'"], ["1:a", "a"]),
    ("amount", ["1.0000", "1.0001"], ["1.0000", "1.0001"]),
    ("ratio", ["0.1E0", "0.1E0 + 1.4E-17"], ["0.1", "0.10000000000000002"]),
    ("small", ["16777216", "16777218"], ["16777216", "16777218"]),
    (
        "at",
        ["'2026-01-01 00:00:00.000001'", "'2026-01-01'"],
        ["2026-01-01 00:00:00.000001", "2026-01-01 00:00:00.000000"],
    ),
    ("day", ["'2026-01-01'", "NULL"], ["2026-01-01", "NULL"]),
    ("bits", ["1", "2"], ["1", "2"]),
    ("bits", ["0", "NULL"], ["0", "NULL"]),
    ("fixed", ["X'00'", "X'20'"], ["0x00000000", "0x20000000"]),
    ("bytes", ["X'00'", "X'0000'"], ["0x00", "0x0000"]),
    ("bytes", ["X''", "NULL"], ["0x", "NULL"]),
    ("long_text", ["'a'", "'A'"], ["a", "A"]),
    ("long_text", ["''", "NULL"], ["", "NULL"]),
    ("long_bytes", ["X'41'", "X'61'"], ["0x41", "0x61"]),
    ("kind", ["'a'", "'A b'"], ["a", "A b"]),
    ("kind", ["'it''s'", "NULL"], ["it's", "NULL"]),
    ("flags", ["'x,y'", "'x,z'"], ["x,y", "x,z"]),
    ("flags", ["''", "NULL"], ["", "NULL"]),
    ("year_of", ["2026", "2027"], ["2026", "2027"]),
    ("truth", ["0", "1"], ["0", "1"]),
    ("old", ["'caf\u{e9}'", "'cafe'"], ["caf\u{e9}", "cafe"]),
    ("doc", [r#"'{"a": 1}'"#, r#"'{"A": 1}'"#], [r#"{"a": 1}"#, r#"{"A": 1}"#]),
    ("doc", [r#"'{"a": 1}'"#, r#"'{"a": 1.0}'"#], [r#"{"a": 1}"#, r#"{"a": 1.0}"#]),
    ("doc", ["'null'", "NULL"], ["null", "NULL"]),
];

/// Every difference on its own row, at the beginning, in the middle and at the end, and rows on one side only.
async fn each_difference_is_found(options: Options) {
    let mut pair = Pair::new(options, &[("wide", WIDE)]).await;
    fill(&mut pair, 100_000).await;
    let found = pair.first(Bounds::default()).await;
    assert_eq!((counts(&found), found.live_rows, found.rebuilt_rows), ((0, 0, 0), 100_000, 100_000));
    assert!(found.is_clean() && found.columns.len() == 19, "{found:?}");

    let ids: Vec<u64> = (0..EDITS.len() as u64).map(|number| 2 + number * 3330).collect();
    for ((column, [live, rebuilt], _), id) in EDITS.iter().zip(&ids) {
        pair.live(&format!("UPDATE DB.wide SET {column} = {live} WHERE id = {id}")).await;
        pair.rebuilt(&format!("UPDATE DB.wide SET {column} = {rebuilt} WHERE id = {id}")).await;
    }
    pair.live("DELETE FROM DB.wide WHERE id IN (0, 54321, 99998)").await;
    pair.rebuilt("DELETE FROM DB.wide WHERE id IN (1, 54322, 99999)").await;
    let found = pair.first(Bounds { samples: 100, ..Bounds::default() }).await;
    assert_eq!((found.live_rows, found.rebuilt_rows), (99_997, 99_997));
    assert_eq!(counts(&found), (3, 3, EDITS.len() as u64), "{found:?}");
    assert_eq!(keys(&found.missing.samples), ["0", "54321", "99998"]);
    assert_eq!(keys(&found.extra.samples), ["1", "54322", "99999"]);
    for (((column, values, shown), id), row) in EDITS.iter().zip(ids).zip(&found.different.samples) {
        let [one] = row.differences.as_slice() else { panic!("one column: {row:?}") };
        let told = |side: usize| (values[side] != "NULL").then_some(shown[side]);
        assert_eq!((row.key[0].as_deref(), row.columns), (Some(id.to_string().as_str()), 1));
        assert_eq!((one.column.as_str(), one.live.as_deref()), (*column, told(0)));
        assert_eq!(one.rebuilt.as_deref(), told(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_difference_among_a_hundred_thousand_rows_is_found_and_nothing_else_on_mysql() {
    each_difference_is_found(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_difference_among_a_hundred_thousand_rows_is_found_and_nothing_else_on_mariadb() {
    each_difference_is_found(Options::mariadb()).await;
}

/// MySQL has a form of its own for JSON, MariaDB keeps the text.
#[tokio::test(flavor = "multi_thread")]
async fn json_is_compared_as_the_server_shows_it() {
    for (options, different) in [(Options::mysql(), 0), (Options::mariadb(), 1)] {
        let mut pair = Pair::new(options, &[("t", "(id INT PRIMARY KEY, doc JSON)")]).await;
        pair.live(r#"INSERT INTO DB.t VALUES (1, '{"b": 1,  "a": 2}')"#).await;
        pair.rebuilt(r#"INSERT INTO DB.t VALUES (1, '{"a": 2, "b": 1}')"#).await;
        assert_eq!(counts(&pair.first(Bounds::default()).await), (0, 0, different));
    }
}

/// MariaDB stores no negative zero.
#[tokio::test(flavor = "multi_thread")]
async fn a_negative_zero_is_another_number_than_zero() {
    for (options, different) in [(Options::mysql(), 2), (Options::mariadb(), 0)] {
        let mut pair = Pair::new(options, &[("t", "(id INT PRIMARY KEY, wide DOUBLE, narrow FLOAT)")]).await;
        for (database, zero) in [(pair.world.name.clone(), -0.0_f64), (pair.world.control(), 0.0)] {
            let sql = format!("INSERT INTO {database}.t VALUES (1, ?, 0), (2, 0, ?)");
            let insert = sqlx::query(&sql).bind(zero).bind(zero);
            pair.connection.execute(insert).await.expect("a zero is taken");
        }
        let found = pair.first(Bounds::default()).await;
        assert_eq!(counts(&found), (0, 0, different), "{found:?}");
        let told: Vec<_> = found.different.samples.iter().flat_map(|row| &row.differences).collect();
        for (one, column) in told.into_iter().zip(["wide", "narrow"]) {
            assert_eq!((one.live.as_deref(), one.rebuilt.as_deref()), (Some("-0"), Some("0")));
            assert_eq!(one.column, column);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_after_the_snapshot_does_not_show() {
    for options in SERVERS {
        let mut pair = Pair::new(options(), &[("t", "(id INT PRIMARY KEY, n INT)")]).await;
        pair.both("INSERT INTO DB.t VALUES (1, 0), (2, 0), (3, 0)").await;
        pair.rebuilt("UPDATE DB.t SET n = 1 WHERE id = 3").await;
        let mut view = pair.view().await;
        pair.live("INSERT INTO DB.t VALUES (0, 0), (4, 0)").await;
        pair.live("UPDATE DB.t SET n = 1").await;
        pair.live("DELETE FROM DB.t WHERE id = 2").await;
        let found = pair.compare_in(&mut view, Bounds::default()).await.0.tables.remove(0);
        assert_eq!((counts(&found), found.live_rows, found.rebuilt_rows), ((0, 0, 1), 3, 3), "{found:?}");
        assert_eq!(found.different.samples[0].key, [Some("3".to_owned())]);
        let now = pair.first(Bounds::default()).await;
        assert_eq!((counts(&now), now.live_rows), ((1, 2, 1), 4), "{now:?}");
        let delete = format!("DELETE FROM {}.t", pair.world.name);
        let refused = view.session().connection.execute(delete.as_str()).await;
        assert!(refused.is_err(), "it can only read");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_rows_differ_they_are_counted_and_a_few_are_told() {
    for options in SERVERS {
        let table = "(id INT PRIMARY KEY, a TEXT, b TEXT, c TEXT)";
        let mut pair = Pair::new(options(), &[("t", table), ("empty", table), ("filled", table)]).await;
        let numbers = "WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 900)";
        let some = |side: &str| {
            format!("SELECT i, REPEAT('\u{e9}', 500), '{side}', CONCAT('{side}', REPEAT('x', 300)) FROM n")
        };
        for table in ["t", "empty"] {
            pair.live(&format!("INSERT INTO DB.{table} {numbers} {}", some("live"))).await;
        }
        for table in ["t", "filled"] {
            pair.rebuilt(&format!("INSERT INTO DB.{table} {numbers} {}", some("new"))).await;
        }
        let bounds = Bounds { samples: 3, columns: 1, characters: 10, ..chunks_of(100) };
        let report = pair.compare(bounds).await;
        let [both, extra, missing] = report.tables.as_slice() else { panic!("three tables") };
        assert_eq!(counts(both), (0, 0, 900));
        assert_eq!(counts(extra), (0, 900, 0));
        assert_eq!(counts(missing), (900, 0, 0));
        assert_eq!(
            (keys(&extra.extra.samples), keys(&missing.missing.samples)),
            (vec!["1", "2", "3"], vec!["1", "2", "3"])
        );
        for row in &both.different.samples {
            assert_eq!((row.columns, row.differences.len()), (2, 1), "{row:?}");
        }
        assert_eq!(both.different.samples.len(), 3);
        let all = pair.compare(Bounds { columns: 20, ..bounds }).await;
        let cut = all.tables[0].different.samples[0].differences[1].clone();
        let live = cut.live.expect("not NULL");
        assert!(
            live.starts_with("livexxxxxx\u{2026} (304 characters, SHA-256 ") && live.len() < 60,
            "{live}"
        );
        assert!(!report.is_clean());
        let short = pair.compare(Bounds { bytes: 1, ..bounds }).await;
        let told = [short.tables[0].different.samples.len(), short.tables[1].extra.samples.len()];
        assert_eq!((told, short.tables[1].extra.rows), ([3, 1], 900), "the first table used all room up");
    }
}

/// Large rows behind small ones: the server gives up a chunk of them, and smaller ones are done.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_takes_too_long_is_made_smaller() {
    for options in SERVERS {
        let mut pair = Pair::new(options(), &[("t", "(id INT PRIMARY KEY, a MEDIUMTEXT)")]).await;
        let numbers = "WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 300)";
        pair.both(&format!("INSERT INTO DB.t {numbers} SELECT i, REPEAT(i, 100000) FROM n")).await;
        pair.live("UPDATE DB.t SET a = CONCAT(a, ' ') WHERE id = 299").await;
        let patient =
            Bounds { limit: Duration::from_mins(1), pace: Duration::from_mins(1), ..Bounds::default() };
        let (report, chunks) = pair.compare_in(&mut pair.view().await, patient).await;
        assert_eq!((counts(&report.tables[0]), chunks), ((0, 0, 1), 1));
        let hasty = Bounds { limit: Duration::from_millis(5), ..patient };
        let (report, chunks) = pair.compare_in(&mut pair.view().await, hasty).await;
        assert_eq!(counts(&report.tables[0]), (0, 0, 1), "{report:?}");
        assert!(chunks > 1, "300 rows of some 300 kB each were hashed within 5 ms");
        let row = &report.tables[0].different.samples[0];
        assert_eq!(row.key, [Some("299".to_owned())]);
        assert_ne!(row.differences[0].live, row.differences[0].rebuilt, "although both are cut");
    }
}

/// How many rows this session has read, in the engine's count.
async fn rows_read(view: &mut ReadView) -> u64 {
    let sql = "SHOW SESSION STATUS LIKE 'Handler_read%'";
    let rows = view.session().connection.fetch_all(sql).await.expect("it tells");
    rows.iter().map(|row| row.get::<String, _>(1).parse::<u64>().expect("a number")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_differ_themselves_are_told_and_what_they_share_is_compared() {
    for options in SERVERS {
        let mut pair = Pair::new(options(), &[]).await;
        pair.live(
            "CREATE TABLE DB.a (id INT PRIMARY KEY, n INT, d DECIMAL(10,2), by_hand INT, \
             name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, e ENUM('a','b') NOT NULL DEFAULT 'b')",
        )
        .await;
        pair.rebuilt(
            "CREATE TABLE DB.a (id INT PRIMARY KEY, n INT NOT NULL, d DECIMAL(10,3), new INT, \
             name VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin, e ENUM('b','a') NOT NULL DEFAULT 'b')",
        )
        .await;
        pair.both("INSERT INTO DB.a (id, n, d, name) VALUES (1, 1, 1.5, '\u{e9}'), (2, 2, 1.5, 'x')").await;
        pair.live("UPDATE DB.a SET name = 'y', d = 3 WHERE id = 2").await;
        pair.live("CREATE TABLE DB.b (id INT, i INT NOT NULL, PRIMARY KEY (id))").await;
        pair.rebuilt("CREATE TABLE DB.b (id INT, i INT, PRIMARY KEY (id, i))").await;
        pair.rebuilt("CREATE TABLE DB.c (id INT PRIMARY KEY)").await;
        pair.live("CREATE TABLE DB.d (id INT PRIMARY KEY)").await;
        pair.tables = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let report = pair.compare(Bounds::default()).await;
        let [a, b, c, d] = report.tables.as_slice() else { panic!("four tables") };
        let told = a.definition.join("\n");
        for part in [
            "column `n` is live int, rebuilt int NOT NULL",
            "column `d` is live decimal(10,2), rebuilt decimal(10,3); it is not compared",
            "column `by_hand` is live only; it is not compared",
            "column `new` is rebuilt only; it is not compared",
            "column `e` is live enum('a','b') COLLATE",
            "column `name` is live varchar(20) COLLATE utf8mb4_bin, rebuilt varchar(20) COLLATE latin1_bin",
        ] {
            assert!(told.contains(part), "{part} is not in:\n{told}");
        }
        assert_eq!((a.definition.len(), counts(a)), (6, (0, 0, 1)), "{a:?}");
        let names: Vec<&str> = a.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "n", "name", "e"]);
        assert_eq!(a.different.samples[0].differences[0].column, "name");
        let why = |table: &TableReport| table.not_compared.clone().expect("it cannot be compared");
        assert_eq!(
            why(b),
            "the primary keys differ: live (`id` int NOT NULL), rebuilt (`id` int NOT NULL, `i` int NOT NULL)"
        );
        assert_eq!([why(c), why(d)], ["there is no such live table", "there is no such rebuilt table"]);
        assert!(!report.is_clean() && !report.tables.iter().any(TableReport::is_clean));
    }
}
