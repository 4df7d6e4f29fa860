//! Tables that are in the way, or are not what they were.

use super::row::{BOTH, Outcome, Row, Server};
use Outcome::{Runs, Stops};

/// The tables of the projector `recorder`, with other columns.
const RECORDED: &str = "CREATE TABLE DB.recorded (aggregate_type VARCHAR(64) NOT NULL, aggregate_id VARCHAR(64) NOT NULL, \
                        sequence BIGINT NOT NULL, event_id VARCHAR(64) NOT NULL, event_type VARCHAR(64) NOT NULL, \
                        ordinal BIGINT NULL";
const KEY: &str = ", PRIMARY KEY (aggregate_id, sequence))";

fn binary(server: Server) -> &'static str {
    match server {
        Server::MySql => " DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_0900_bin",
        Server::MariaDb => " DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_nopad_bin",
    }
}

pub fn rows() -> Vec<Row> {
    BOTH.into_iter().flat_map(|server| [in_the_way(server), tied(server), gone(server)].concat()).collect()
}

fn in_the_way(server: Server) -> Vec<Row> {
    let end = binary(server);
    let misfit = |name: &str, says: &'static str| {
        Row::new(name, server, Stops(says, "drop it (DROP TABLE `recorded`)"))
    };
    let rows = "CREATE TABLE DB.last_seen (id INT PRIMARY KEY)";
    vec![
        Row::new("a good set-up", server, Runs),
        Row::new("a good set-up without events", server, Runs).without_events(),
        Row::new("one that has begun", server, Runs).begun(),
        Row::new(
            "a table with rows",
            server,
            Stops(
                "the table `last_seen` has rows, and belongs to no projection",
                "TRUNCATE TABLE `last_seen`",
            ),
        )
        .sql(rows)
        .sql("INSERT INTO DB.last_seen VALUES (1)"),
        Row::new("the right table, empty", server, Runs).sql(format!("{RECORDED}{KEY}{end}")),
        misfit("an empty table without a column", "it has no column `aggregate_id`")
            .sql("CREATE TABLE DB.recorded (id INT PRIMARY KEY)"),
        misfit("an empty table with a column of another type", "its column `ordinal` is")
            .sql(format!("{}{KEY}{end}", RECORDED.replace("ordinal BIGINT", "ordinal INT"))),
        misfit("an empty table with a shorter column", "its column `event_id` is varchar(9)")
            .sql(format!("{}{KEY}{end}", RECORDED.replace("event_id VARCHAR(64)", "event_id VARCHAR(9)"))),
        misfit("an empty table whose column takes no NULL", "its column `ordinal` is")
            .sql(format!("{}{KEY}{end}", RECORDED.replace("ordinal BIGINT NULL", "ordinal BIGINT NOT NULL"))),
        misfit("an empty table with a column that every row needs", "a column `owner` that every row needs")
            .sql(format!("{RECORDED}, owner INT NOT NULL{KEY}{end}")),
        Row::new("an empty table with a column that no row needs", server, Runs)
            .sql(format!("{RECORDED}, note INT NULL{KEY}{end}")),
        misfit("an empty table without its key", "it has no unique key on (aggregate_id, sequence)")
            .sql(format!("{RECORDED}){end}")),
        misfit("an empty table with a key too many", "it has a unique key on (event_type)")
            .sql(format!("{RECORDED}, UNIQUE KEY (event_type){KEY}{end}")),
        Row::new("an empty table with an index more", server, Runs)
            .sql(format!("{RECORDED}, KEY (event_type){KEY}{end}")),
        misfit("an empty table of another engine", "its engine is MyISAM")
            .sql(format!("{RECORDED}{KEY} ENGINE=MyISAM{end}")),
        misfit(
            "an empty table with another collation",
            "its column `aggregate_id` is varchar(64) COLLATE utf8mb4_general_ci",
        )
        .sql(format!("{RECORDED}{KEY} DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_general_ci")),
        misfit("a view", "it is a view")
            .sql("CREATE VIEW DB.recorded AS SELECT 'a' AS aggregate_type FROM DUAL WHERE FALSE"),
    ]
}

fn tied(server: Server) -> Vec<Row> {
    let hanger_on = match server {
        Server::MySql => "utf8mb4_0900_bin",
        Server::MariaDb => "utf8mb4_nopad_bin",
    };
    let key = format!(
        "CREATE TABLE DB.hanger_on (id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE {hanger_on}, CONSTRAINT hold FOREIGN KEY (id) \
         REFERENCES DB.last_seen (aggregate_id))"
    );
    let trigger = "CREATE TRIGGER DB.nosy AFTER INSERT ON DB.recorded FOR EACH ROW SET @seen = 1";
    let mut rows = vec![
        Row::new(
            "a trigger",
            server,
            Stops("the table `recorded` has the trigger `nosy`", "DROP TRIGGER `nosy`"),
        )
        .begun()
        .sql(trigger),
        Row::new(
            "a trigger on an empty table",
            server,
            Stops("the table `recorded` has the trigger `nosy`", "DROP TRIGGER `nosy`"),
        )
        .sql(format!("{RECORDED}{KEY}{}", binary(server)))
        .sql(trigger),
        Row::new(
            "a foreign key from outside",
            server,
            Stops("has a foreign key to `last_seen`", "drop that foreign key"),
        )
        .begun()
        .sql(key),
    ];
    rows.push(
        Row::new(
            "another projection's table",
            server,
            Stops("the table `recorded` belongs to the projection `other`", "laterna forget other"),
        )
        .begun()
        .sql("INSERT INTO CTL.projection (projection, live_generation, lanes, source) VALUES ('other', 1, 1, 'x')")
        .sql("UPDATE CTL.projection_table SET projection = 'other' WHERE table_name = 'recorded'"),
    );
    rows
}

/// What has begun, and was changed since.
fn gone(server: Server) -> Vec<Row> {
    let mismatch = |name: &str, says: &'static str| {
        Row::new(name, server, Stops(says, "restore the tables as the projector declares them")).begun()
    };
    vec![
        mismatch("a table that is gone", "doesn't exist").sql("DROP TABLE DB.last_seen"),
        mismatch("a column that is gone", "Unknown column")
            .sql("ALTER TABLE DB.recorded DROP COLUMN ordinal"),
        mismatch("a column of another name", "Unknown column")
            .sql("ALTER TABLE DB.last_seen CHANGE disorder order_lost BIGINT NOT NULL"),
        Row::new(
            "checkpoints that are gone",
            server,
            Stops("the checkpoints of `recorder` are gone", "restore the control schema"),
        )
        .begun()
        .sql("DELETE FROM CTL.checkpoint"),
        Row::new("a witness that is gone", server, Stops("is gone (`", "laterna rebuild recorder"))
            .begun()
            .sql("DROP TABLE DB.`laterna_witness_CTL-recorder`"),
        Row::new("a table that is gone before anything was applied", server, Runs)
            .without_events()
            .begun()
            .sql("DROP TABLE DB.last_seen"),
        Row::new(
            "a table of other columns before anything was applied",
            server,
            Stops("it has no column `disorder`", "drop it (DROP TABLE `last_seen`)"),
        )
        .without_events()
        .begun()
        .sql("ALTER TABLE DB.last_seen DROP COLUMN disorder"),
    ]
}
