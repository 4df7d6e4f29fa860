//! Ids that differ are two rows on both servers, tables of older hosts stay as they are, and keys in which ids would meet are
//! noted.

use bson::doc;
use laterna::readmodel::control::schema::Control;
use laterna::readmodel::mysql::session::Connector;
use laterna::readmodel::tables::rehearsal;
use laterna::sql;
use laterna::statement::{Manifest, Ordering, StatementDeclaration, TableDeclaration};

use crate::support::world::{event, laterna, said};
use crate::support::{Options, World, until};

/// Each differs from another one in a blank at the end, in case, in an accent, or in how the accent is written.
const IDS: [&str; 6] = ["e", "e ", "e  ", "E", "\u{e9}", "e\u{301}"];

/// How many columns of a table have a collation.
async fn columns_with(world: &World, collation: &str) -> i64 {
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'last_seen' \
         AND collation_name = '{collation}'"
    );
    world.number(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_differ_are_two_rows() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("recorder", options).await;
        let all = IDS.iter().enumerate();
        world.insert(all.map(|(n, id)| event(&format!("x{n}"), id, 1, doc! {}))).await;
        // Ids of events, too.
        world.insert(IDS.iter().map(|id| event(id, id, 2, doc! {}))).await;
        let _host = world.start();
        world.until_committed("recorder", 12).await;
        world.assert_recorded(12, 6).await;
        assert_eq!(world.letters().await, (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_an_older_host_stay_are_compared_and_get_the_other_collation_when_they_are_rebuilt() {
    for (options, collation) in
        [(Options::mysql(), "utf8mb4_0900_bin"), (Options::mariadb(), "utf8mb4_nopad_bin")]
    {
        let world = World::new("recorder", options).await;
        world.insert((1..=20).map(|n| event(&format!("e{n}"), &format!("a{}", n % 4), n, doc! {}))).await;
        let host = world.start();
        world.until_committed("recorder", 20).await;
        assert_eq!(columns_with(&world, collation).await, 1);
        host.stop().await;
        for table in ["recorded", "last_seen"] {
            let convert = "CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
            world.run(&format!("ALTER TABLE {}.{table} {convert}", world.name)).await;
        }
        let check = laterna(&world.config(1), &["check"]);
        assert!(check.status.success(), "{}", said(&check));
        let host = world.start();
        host.until_phase("recorder", "streaming").await;
        let verified = laterna(&world.config(host.port), &["verify", "recorder"]);
        assert!(verified.status.success(), "{}", said(&verified));
        assert!(!said(&verified).contains("utf8mb4"), "{}", said(&verified));
        assert_eq!(columns_with(&world, "utf8mb4_bin").await, 1, "it stays as it is");
        let rebuilt = laterna(&world.config(host.port), &["rebuild", "recorder"]);
        assert!(rebuilt.status.success(), "{}", said(&rebuilt));
        until("the rebuilt tables are live", async || columns_with(&world, collation).await == 1).await;
        assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_which_ids_would_meet_is_noted_with_what_they_differ_in() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("recorder", options).await;
        let control = Control::new(&world.control());
        let connector = Connector::new("mysql.ddl_url", &world.url().into()).expect("a URL");
        let mut session = connector.connect().await.expect("MySQL answers");
        let mut noted = async |column: &str| {
            let ddl = format!("CREATE TABLE t ({column}, n INT, PRIMARY KEY (id))");
            let manifest = Manifest {
                name: "m".into(),
                version: "1".into(),
                event_types: vec![],
                ordering: Ordering::Aggregate,
                commutative: false,
                tables: vec![TableDeclaration { name: "t".into(), ddl }],
                statements: vec![StatementDeclaration {
                    name: "put".into(),
                    sql: "INSERT INTO t (id, n) VALUES (?, ?)".into(),
                }],
            };
            let schema = sql::check(&manifest).expect("it is right");
            let rehearsed = rehearsal::rehearse(&mut session, &control, &world.name, &schema).await;
            rehearsed.expect("it can be made").meetings
        };
        for column in
            ["id VARCHAR(9)", "id INT", "id ENUM('a', 'b') COLLATE utf8mb4_general_ci", "id VARBINARY(9)"]
        {
            assert_eq!(noted(column).await, Vec::<String>::new(), "{column}");
        }
        for (column, differ) in [
            ("id VARCHAR(9) COLLATE utf8mb4_bin", "differ only in blanks at the end;"),
            (
                "id VARCHAR(9) COLLATE utf8mb4_general_ci",
                "differ only in case, in accents, in blanks at the end;",
            ),
            (
                "id VARCHAR(9) COLLATE utf8mb4_unicode_ci",
                "differ only in case, in accents, in blanks at the end, in how an accent is written;",
            ),
            ("id VARCHAR(9) CHARACTER SET ascii", "differ only in blanks at the end;"),
        ] {
            let [note] = &noted(column).await[..] else { panic!("{column} has one note") };
            assert!(note.contains("table `t`") && note.contains("`id`") && note.contains(differ), "{note}");
        }
    }
}
