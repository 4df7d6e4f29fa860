//! The table of codes: each that has a class, and how it comes about on a server.

/// How a code is provoked.
pub enum Way {
    /// By a script: a line a step, done by `A`, a session as the host makes it, by `B`, an administrator's, or by `U`, a
    /// new session as the account that is named. The line with `=>` fails with the code; those behind it clean up.
    /// `B&` goes on in the background; `A~` is meanwhile interrupted by KILL QUERY, `A!` by KILL; `U*` connects as often as
    /// it can. A step in which the server may also just close the connection has a `?`.
    Both(&'static str),
    Mysql(&'static str),
    Mariadb(&'static str),
    /// By that test.
    Elsewhere(&'static str),
    /// Not at all, and why.
    Never(&'static str),
}
use Way::{Both, Elsewhere, Mariadb, Mysql, Never};

const CONNECTION: &str = "connection-lost";
const LIMIT: &str = "limit-reached";
const TRANSACTION: &str = "transaction-lost";
const WRITE: &str = "cannot-write";
const VALUE: &str = "refused-value";
const KEY: &str = "key-conflict";
pub const LARGE: &str = "too-large";
const SCHEMA: &str = "schema-mismatch";
const ACCESS: &str = "access-denied";
const CONFIGURATION: &str = "misconfigured";

pub const TWO_ROWS: &str =
    "A CREATE TABLE t (id INT PRIMARY KEY, n INT); A INSERT INTO t VALUES (1, 0), (2, 0); ";

pub const JSON_ROW: &str = "A CREATE TABLE t (c TEXT); A INSERT INTO t VALUES ('{}'); ";

/// Every code that has a class, and how it comes about.
pub const ROWS: &[(u16, &str, Way)] = &[
    (1213, TRANSACTION, Elsewhere("a_deadlock_undoes_the_whole_batch_and_the_next_try_does_it_once")),
    (
        1205,
        TRANSACTION,
        Both(
            "A SET innodb_lock_wait_timeout = 1; TWO ROWS; B BEGIN; B UPDATE t SET n = 1; => A UPDATE t SET n = 2",
        ),
    ),
    (1206, TRANSACTION, Never("the locks of one transaction would have to fill the buffer pool")),
    (1614, TRANSACTION, Never("the host uses no XA")),
    (1637, TRANSACTION, Never("it takes more transactions at once than InnoDB has undo slots")),
    (
        1020,
        TRANSACTION,
        Mariadb(
            "TWO ROWS; A SET innodb_snapshot_isolation = ON; A SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
        A BEGIN; A SELECT * FROM t; B UPDATE t SET n = 1; => A UPDATE t SET n = 2",
        ),
    ),
    (1317, TRANSACTION, Both("TWO ROWS; B BEGIN; B UPDATE t SET n = 1; => A~ UPDATE t SET n = 2")),
    (1969, TRANSACTION, Mariadb("A SET max_statement_time = 0.2; => A SELECT SLEEP(3)")),
    (
        3024,
        TRANSACTION,
        Mysql(
            "A SET max_execution_time = 100; \
        => A SELECT COUNT(*) FROM information_schema.columns a, information_schema.columns b, information_schema.columns c",
        ),
    ),
    (
        3058,
        TRANSACTION,
        Mysql(
            "B DO GET_LOCK('x', 1); A DO GET_LOCK('y', 1); B& DO GET_LOCK('y', 5); => A SELECT GET_LOCK('x', 5)",
        ),
    ),
    (
        3572,
        TRANSACTION,
        Mysql("TWO ROWS; B BEGIN; B UPDATE t SET n = 1; => A SELECT * FROM t FOR UPDATE NOWAIT"),
    ),
    (3101, TRANSACTION, Never("it takes Group Replication")),
    (3100, TRANSACTION, Never("it takes a plugin whose hook fails")),
    (1180, TRANSACTION, Never("it takes an engine that fails to commit")),
    (1181, TRANSACTION, Never("it takes an engine that fails to roll back")),
    (
        1412,
        TRANSACTION,
        Both(
            "TWO ROWS; A SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
        A START TRANSACTION WITH CONSISTENT SNAPSHOT; B ALTER TABLE t ADD COLUMN m INT, ALGORITHM = COPY; => A SELECT * FROM t",
        ),
    ),
    (
        1615,
        TRANSACTION,
        Never("the server prepares again by itself, unless the table changes several times meanwhile"),
    ),
    (1040, LIMIT, Both("B SET GLOBAL max_connections = 10; => U* plain; B SET GLOBAL max_connections = 151")),
    (1203, LIMIT, Never("max_user_connections has to be set at the start; 1226 is the same of one account")),
    (
        1226,
        LIMIT,
        Both(
            "B CREATE USER limited WITH MAX_USER_CONNECTIONS 2; B GRANT ALL ON codes.* TO limited; => U* limited; \
        B DROP USER limited",
        ),
    ),
    (1053, CONNECTION, Never("only in the moment of a shutdown; the fault rows 33 and 34 stop servers")),
    (1077, CONNECTION, Never("a message of the server's log")),
    (1078, CONNECTION, Never("a message of the server's log")),
    (1079, CONNECTION, Never("a message of the server's log")),
    (1080, CONNECTION, Never("a message of the server's log")),
    (1129, CONNECTION, Never("the server does not count failures of the loopback")),
    (1152, CONNECTION, Never("a message of the server's log")),
    (
        1153,
        CONNECTION,
        Both(
            "B SET GLOBAL max_allowed_packet = 1048576; A; => A? SELECT LENGTH('LONG'); \
        B SET GLOBAL max_allowed_packet = 16777216",
        ),
    ),
    (1158, CONNECTION, Never("its client has lost the connection by then")),
    (1159, CONNECTION, Never("its client has lost the connection by then")),
    (1160, CONNECTION, Never("its client has lost the connection by then")),
    (1161, CONNECTION, Never("its client has lost the connection by then")),
    (1184, CONNECTION, Never("a message of the server's log")),
    (1243, CONNECTION, Both("=> A EXECUTE nothing")),
    (1927, CONNECTION, Mariadb("=> A!? SELECT SLEEP(20)")),
    (3169, CONNECTION, Mysql("=> A!? SELECT SLEEP(20)")),
    (4031, CONNECTION, Mysql("A SET wait_timeout = 1; WAIT; => A? SELECT 1")),
    (
        1290,
        WRITE,
        Both(
            "A CREATE TABLE t (id INT); B SET GLOBAL read_only = 1; U plain; => U INSERT INTO t VALUES (1); B SET GLOBAL read_only = 0",
        ),
    ),
    (
        1792,
        WRITE,
        Both("A CREATE TABLE t (id INT); A START TRANSACTION READ ONLY; => A INSERT INTO t VALUES (1)"),
    ),
    (1015, WRITE, Elsewhere("a_server_whose_storage_is_read_only_cannot_write")),
    (1036, WRITE, Never("it takes a table whose files are read-only")),
    (1836, WRITE, Never("storage that is read-only refuses rows with 1015 before it comes to this")),
    (1874, WRITE, Never("storage that is read-only refuses rows with 1015 before it comes to this")),
    (3032, WRITE, Mysql("B SET GLOBAL offline_mode = ON; => U plain; B SET GLOBAL offline_mode = OFF")),
    (3168, WRITE, Never("only in the moment in which a server upgrades itself")),
    (
        1223,
        WRITE,
        Both("A CREATE TABLE t (id INT); A FLUSH TABLES WITH READ LOCK; => A INSERT INTO t VALUES (1)"),
    ),
    (1047, WRITE, Never("it takes a cluster of Galera that has lost its majority")),
    (1021, WRITE, Never("the fault row 45 fills a disk; InnoDB says 1114")),
    (
        1114,
        WRITE,
        Both(
            "A SET max_heap_table_size = 16384; A CREATE TABLE t (c CHAR(255)) ENGINE = MEMORY; \
        => A INSERT INTO t SELECT 'a' FROM information_schema.columns LIMIT 400",
        ),
    ),
    (1037, WRITE, Never("the server would have to be out of memory")),
    (1038, WRITE, Never("the server would have to be out of memory")),
    (1041, WRITE, Never("the server would have to be out of memory")),
    (1135, WRITE, Never("the server would have to be out of threads")),
    (1030, WRITE, Never("it takes an engine that fails")),
    (1026, WRITE, Never("it takes a disk that fails")),
    (
        1461,
        WRITE,
        Both(
            "B SET GLOBAL max_prepared_stmt_count = 0; => A PREPARE s FROM 'SELECT 1'; B SET GLOBAL max_prepared_stmt_count = 16382",
        ),
    ),
    (1406, VALUE, Both("A CREATE TABLE t (c VARCHAR(3)); => A INSERT INTO t VALUES ('abcd')")),
    (1264, VALUE, Both("A CREATE TABLE t (c TINYINT); => A INSERT INTO t VALUES (300)")),
    (1265, VALUE, Both("A CREATE TABLE t (c ENUM('a')); => A INSERT INTO t VALUES ('b')")),
    (1366, VALUE, Both("A CREATE TABLE t (c INT); => A INSERT INTO t VALUES ('abc')")),
    (1367, VALUE, Both("=> A SELECT 1e500")),
    (1292, VALUE, Both("A CREATE TABLE t (c DATE); => A INSERT INTO t VALUES ('2026-13-45')")),
    (1411, VALUE, Both("A CREATE TABLE t (c DATE); => A INSERT INTO t VALUES (STR_TO_DATE('x', '%Y'))")),
    (
        1441,
        VALUE,
        Mysql("A CREATE TABLE t (c DATETIME); => A INSERT INTO t VALUES ('9999-12-31' + INTERVAL 1 DAY)"),
    ),
    (1525, VALUE, Both("=> A SELECT TIMESTAMP '2026-99-99'")),
    (1690, VALUE, Both("=> A SELECT 18446744073709551615 + 1")),
    (1365, VALUE, Both("A CREATE TABLE t (c INT); => A INSERT INTO t VALUES (1 / 0)")),
    (1300, VALUE, Both("=> A SELECT _utf8mb4 x'ff'")),
    (
        3854,
        VALUE,
        Mysql(
            "A CREATE TABLE t (c VARCHAR(9) CHARACTER SET latin1); => A SELECT * FROM t WHERE c = CONCAT('é', _utf8mb4 x'f09f9880')",
        ),
    ),
    (
        3988,
        VALUE,
        Mysql(
            "A CREATE TABLE t (c VARCHAR(9) CHARACTER SET latin1); A PREPARE s FROM 'SELECT * FROM t WHERE c = ?'; A SET @v = _utf8mb4 x'f09f9880'; => A EXECUTE s USING @v",
        ),
    ),
    (1048, VALUE, Both("A CREATE TABLE t (c INT NOT NULL); => A INSERT INTO t VALUES (NULL)")),
    (1364, VALUE, Both("A CREATE TABLE t (c INT NOT NULL, d INT); => A INSERT INTO t (d) VALUES (1)")),
    (
        1138,
        VALUE,
        Mysql(
            "A CREATE TABLE t (c INT); A INSERT INTO t VALUES (NULL); => A ALTER TABLE t MODIFY c INT NOT NULL, ALGORITHM = INPLACE",
        ),
    ),
    (3140, VALUE, Mysql("A CREATE TABLE t (c JSON); => A INSERT INTO t VALUES ('x')")),
    (3141, VALUE, Mysql("=> A SELECT JSON_LENGTH('x')")),
    (3143, VALUE, Mysql("=> A SELECT JSON_EXTRACT('{}', 'x')")),
    (3144, VALUE, Mysql("A CREATE TABLE t (c JSON); => A INSERT INTO t VALUES (x'7b7d')")),
    (3147, VALUE, Never("no statement was found that says it")),
    (3150, VALUE, Never("it is about JSON columns' defaults and keys, which are DDL")),
    (3157, VALUE, Mysql("=> A SELECT CAST(CONCAT(REPEAT('[', 101), REPEAT(']', 101)) AS JSON)")),
    (3819, VALUE, Mysql("A CREATE TABLE t (c INT CHECK (c > 0)); => A INSERT INTO t VALUES (0)")),
    (4025, VALUE, Mariadb("A CREATE TABLE t (c INT CHECK (c > 0)); => A INSERT INTO t VALUES (0)")),
    (
        1118,
        VALUE,
        Both(
            "=> A CREATE TABLE t (a VARCHAR(40000) CHARACTER SET latin1, b VARCHAR(40000) CHARACTER SET latin1)",
        ),
    ),
    (1436, VALUE, Never("it takes an expression that is deeper than the check of SQL lets pass")),
    (1301, VALUE, Both("A CREATE TABLE t (c LONGTEXT); => A INSERT INTO t VALUES (REPEAT('a', 100000000))")),
    (
        1526,
        VALUE,
        Both(
            "A CREATE TABLE t (c INT) PARTITION BY LIST (c) (PARTITION p VALUES IN (1)); => A INSERT INTO t VALUES (2)",
        ),
    ),
    (
        1644,
        VALUE,
        Both(
            "A CREATE TABLE t (c INT); A CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SIGNAL SQLSTATE '45000'; \
        => A INSERT INTO t VALUES (1)",
        ),
    ),
    (3145, VALUE, Never("3144 is said instead")),
    (3146, VALUE, Mysql("=> A SELECT JSON_MERGE_PATCH('{}', 1)")),
    (3148, VALUE, Never("paths of another character set are converted")),
    (3149, VALUE, Mysql("=> A SELECT JSON_SET('{}', '$.*', 1)")),
    (3151, VALUE, Never("3150 is said before a key is that long")),
    (3153, VALUE, Mysql("=> A SELECT JSON_REMOVE('{}', '$')")),
    (3154, VALUE, Mysql("=> A SELECT JSON_CONTAINS_PATH('{}', 'x', '$.a')")),
    (
        3155,
        VALUE,
        Mysql("A CREATE TABLE t (c INT); => A INSERT INTO t SELECT JSON_EXTRACT('[1e30]', '$[0]')"),
    ),
    (
        3156,
        VALUE,
        Mysql("A CREATE TABLE t (c INT); => A INSERT INTO t SELECT JSON_EXTRACT('[null]', '$[0]')"),
    ),
    (3158, VALUE, Mysql("=> A SELECT JSON_OBJECT(NULL, 1)")),
    (3165, VALUE, Mysql("=> A SELECT JSON_ARRAY_INSERT('[]', '$.a', 1)")),
    (3966, VALUE, Mysql("=> A SELECT JSON_VALUE('{}', '$.a' ERROR ON EMPTY)")),
    (4036, VALUE, Mariadb("JSON ROW; => A UPDATE t SET c = JSON_SET(CONCAT('{}', CHAR(1)), '$.a', 1)")),
    (4037, VALUE, Mariadb("JSON ROW; => A UPDATE t SET c = JSON_SET('{', '$.a', 1)")),
    (4038, VALUE, Mariadb("JSON ROW; => A UPDATE t SET c = JSON_SET('x', '$.a', 1)")),
    (
        4040,
        VALUE,
        Mariadb(
            "JSON ROW; => A UPDATE t SET c = JSON_SET(CONCAT(REPEAT('[', 40), REPEAT(']', 40)), '$.a', 1)",
        ),
    ),
    (4041, VALUE, Mariadb("JSON ROW; => A UPDATE t SET c = JSON_SET(c, '$.', 1)")),
    (4042, VALUE, Mariadb("JSON ROW; => A UPDATE t SET c = JSON_SET(c, 'a', 1)")),
    (4043, VALUE, Mariadb("JSON ROW; => A UPDATE t SET c = JSON_SET(c, CONCAT('$', REPEAT('.a', 40)), 1)")),
    (4044, VALUE, Mariadb("JSON ROW; => A UPDATE t SET c = JSON_SET(c, '$.*', 1)")),
    (4046, VALUE, Mariadb("JSON ROW; => A UPDATE t SET c = JSON_CONTAINS_PATH(c, 'x', '$.a')")),
    (4048, VALUE, Mariadb("JSON ROW; => A UPDATE t SET c = ST_AsText(ST_GeomFromGeoJSON('{}'))")),
    (4051, VALUE, Mariadb("JSON ROW; => A UPDATE t SET c = JSON_REMOVE(c, '$')")),
    (
        1713,
        VALUE,
        Never("it takes an update whose undo is larger than a page, which checked tables do not reach"),
    ),
    (1267, VALUE, Mysql("=> A SELECT _ascii'a' COLLATE ascii_general_ci = 'b' COLLATE utf8mb4_bin")),
    (
        1267,
        VALUE,
        Mariadb("A CREATE TABLE t (c VARCHAR(9) CHARACTER SET ascii); => A SELECT * FROM t WHERE c = 'é'"),
    ),
    (
        1270,
        VALUE,
        Both(
            "=> A SELECT COALESCE('a' COLLATE utf8mb4_bin, 'b' COLLATE utf8mb4_general_ci, 'c' COLLATE utf8mb4_unicode_ci)",
        ),
    ),
    (
        1271,
        VALUE,
        Both(
            "=> A SELECT GREATEST('a' COLLATE utf8mb4_bin, 'b' COLLATE utf8mb4_general_ci, 'c' COLLATE utf8mb4_unicode_ci, 'd')",
        ),
    ),
    (1210, VALUE, Both("A PREPARE s FROM 'SELECT ?'; => A EXECUTE s")),
    (1139, VALUE, Mariadb("=> A SELECT 'a' REGEXP '('")),
    (3686, VALUE, Mysql("=> A SELECT REGEXP_REPLACE('abc', 'b', 'x', 9)")),
    (3691, VALUE, Mysql("=> A SELECT 'a' REGEXP '('")),
    (3696, VALUE, Mysql("=> A SELECT 'a' REGEXP '[a'")),
    (3699, VALUE, Mysql("=> A SELECT REGEXP_LIKE(REPEAT('a', 30), '(a+)+$b')")),
    (1958, VALUE, Mariadb("JSON ROW; => A UPDATE t SET c = FROM_BASE64('***')")),
    (3020, VALUE, Mysql("A CREATE TABLE t (c DOUBLE); => A INSERT INTO t VALUES (LN(0))")),
    (3685, VALUE, Mysql("=> A SELECT REGEXP_REPLACE('abc', '', 'x')")),
    (3688, VALUE, Mysql("=> A SELECT 'a' REGEXP '*'")),
    (3689, VALUE, Mysql("=> A SELECT 'a' REGEXP CHAR(92 USING utf8mb4)")),
    (3692, VALUE, Mysql("=> A SELECT 'a' REGEXP 'a{'")),
    (3693, VALUE, Mysql("=> A SELECT 'a' REGEXP 'a{2,1}'")),
    (3694, VALUE, Mysql("=> A SELECT 'a' REGEXP CONCAT('(a)', CHAR(92 USING utf8mb4), '2')")),
    (3695, VALUE, Mysql("=> A SELECT 'a' REGEXP '(?<=a*)b'")),
    (3697, VALUE, Mysql("=> A SELECT 'a' REGEXP '[b-a]'")),
    (
        3751,
        VALUE,
        Mysql(
            "A CREATE TABLE t (c VARCHAR(9), KEY k ((CAST(c AS UNSIGNED)))); => A INSERT INTO t VALUES ('x')",
        ),
    ),
    (
        3752,
        VALUE,
        Mysql(
            "A CREATE TABLE t (c JSON, KEY k ((CAST(c AS UNSIGNED ARRAY)))); => A INSERT INTO t VALUES ('[-1]')",
        ),
    ),
    (
        3903,
        VALUE,
        Mysql(
            "A CREATE TABLE t (c JSON, KEY k ((CAST(c AS UNSIGNED ARRAY)))); => A INSERT INTO t VALUES (CONCAT('[', JSON_QUOTE('a'), ']'))",
        ),
    ),
    (
        3904,
        VALUE,
        Mysql(
            "A CREATE TABLE t (c JSON, KEY k ((CAST(c AS UNSIGNED ARRAY)))); => A INSERT INTO t VALUES ('[99999999999999999999]')",
        ),
    ),
    (
        3907,
        VALUE,
        Mysql(
            "A CREATE TABLE t (c JSON, KEY k ((CAST(c AS CHAR(3) ARRAY)))); => A INSERT INTO t VALUES (CONCAT('[', JSON_QUOTE('abcdef'), ']'))",
        ),
    ),
    (3037, VALUE, Mysql("=> A SELECT ST_GeomFromText('x')")),
    (3617, VALUE, Mysql("=> A SELECT ST_GeomFromText('POINT(200 100)', 4326)")),
    (
        3008,
        VALUE,
        Mysql(
            "A CREATE TABLE t (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES t (id) ON DELETE CASCADE); \
        A INSERT INTO t SELECT n, NULLIF(n - 1, 0) FROM JSON_TABLE(CONCAT('[1', REPEAT(',1', 19), ']'), '$[*]' COLUMNS (n FOR ORDINALITY)) j; \
        => A DELETE FROM t WHERE id = 1",
        ),
    ),
    (1242, VALUE, Both("TWO ROWS; => A SELECT (SELECT id FROM t)")),
    (1062, KEY, Both("TWO ROWS; => A INSERT INTO t VALUES (1, 1)")),
    (
        1451,
        KEY,
        Both(
            "TWO ROWS; A CREATE TABLE c (p INT, FOREIGN KEY (p) REFERENCES t (id)); A INSERT INTO c VALUES (1); => A DELETE FROM t",
        ),
    ),
    (
        1452,
        KEY,
        Both(
            "TWO ROWS; A CREATE TABLE c (p INT, FOREIGN KEY (p) REFERENCES t (id)); => A INSERT INTO c VALUES (3)",
        ),
    ),
    (1216, KEY, Never("the servers of today say 1452, also to accounts that may not see the parent")),
    (1217, KEY, Never("the servers of today say 1451, also to accounts that may not see the child")),
    (1557, KEY, Never("the servers of today say 1761 or 1762")),
    (
        1761,
        KEY,
        Both(
            "A CREATE TABLE t (id INT PRIMARY KEY); A INSERT INTO t VALUES (1), (2); \
        A CREATE TABLE c (p INT, q INT, PRIMARY KEY (p), FOREIGN KEY (p) REFERENCES t (id) ON UPDATE CASCADE); \
        A INSERT INTO c VALUES (1, 0), (2, 0); A SET foreign_key_checks = 0; A INSERT INTO c VALUES (3, 0); \
        A SET foreign_key_checks = 1; => A UPDATE t SET id = 3 WHERE id = 1",
        ),
    ),
    (1762, KEY, Never("1761 is said instead to accounts that may see the child")),
    (
        1197,
        LARGE,
        Mysql(
            "A CREATE TABLE t (c LONGTEXT); B SET GLOBAL max_binlog_cache_size = 4096; A; A BEGIN; \
        => A INSERT INTO t VALUES (REPEAT('a', 1000000)); B SET GLOBAL max_binlog_cache_size = 1073741824",
        ),
    ),
    (1064, SCHEMA, Both("=> A SELEKT 1")),
    (1149, SCHEMA, Never("no server of today says it")),
    (1136, SCHEMA, Both("TWO ROWS; => A INSERT INTO t VALUES (1)")),
    (1058, SCHEMA, Never("no server of today says it")),
    (1110, SCHEMA, Both("TWO ROWS; => A INSERT INTO t (id, id) VALUES (1, 1)")),
    (1241, SCHEMA, Both("=> A SELECT (SELECT 1, 2)")),
    (4078, SCHEMA, Mariadb("=> A SELECT (1, 2) = 1")),
    (1305, SCHEMA, Both("=> A SELECT codes.nothing()")),
    (1318, SCHEMA, Both("A CREATE PROCEDURE p() SELECT 1; => A CALL p(1)")),
    (1295, SCHEMA, Both("=> A PREPARE s FROM 'PREPARE q FROM \\'SELECT 1\\''")),
    (1221, SCHEMA, Both("=> A SELECT DISTINCT ALL 1")),
    (1093, SCHEMA, Mysql("TWO ROWS; => A UPDATE t SET n = (SELECT MAX(id) FROM t)")),
    (1052, SCHEMA, Both("TWO ROWS; => A SELECT id FROM t, t AS u")),
    (1146, SCHEMA, Both("=> A SELECT * FROM nothing")),
    (1051, SCHEMA, Both("=> A DROP TABLE nothing")),
    (1054, SCHEMA, Both("=> A SELECT nothing")),
    (1109, SCHEMA, Both("TWO ROWS; => A DELETE nothing FROM t")),
    (1072, SCHEMA, Both("=> A CREATE TABLE t (id INT, KEY (nothing))")),
    (1049, SCHEMA, Both("=> A USE nothing")),
    (1390, SCHEMA, Both("A SET @many = CONCAT('SELECT ?', REPEAT(',?', 65535)); => A PREPARE s FROM @many")),
    (1044, ACCESS, Both("U plain; => U USE mysql")),
    (1045, ACCESS, Both("=> U nobody")),
    (1130, ACCESS, Never("each server of a test lets its own machine in")),
    (1142, ACCESS, Both("U plain; => U SELECT * FROM mysql.user")),
    (
        1143,
        ACCESS,
        Both(
            "TWO ROWS; B CREATE USER few; B GRANT SELECT (id) ON codes.t TO few; U few; => U SELECT n FROM codes.t; B DROP USER few",
        ),
    ),
    (1227, ACCESS, Both("U plain; => U SET GLOBAL read_only = 1")),
    (
        1370,
        ACCESS,
        Both(
            "A CREATE PROCEDURE p() SELECT 1; B CREATE USER few; B GRANT CREATE ON codes.* TO few; U few; => U CALL p(); B DROP USER few",
        ),
    ),
    (3118, ACCESS, Mysql("B CREATE USER shut ACCOUNT LOCK; => U shut; B DROP USER shut")),
    (4151, ACCESS, Mariadb("B CREATE USER shut ACCOUNT LOCK; => U shut; B DROP USER shut")),
    (
        1820,
        ACCESS,
        Mariadb(
            "B CREATE USER late PASSWORD EXPIRE; B GRANT ALL ON codes.* TO late; => U late; B DROP USER late",
        ),
    ),
    (
        1862,
        ACCESS,
        Mysql(
            "B CREATE USER late PASSWORD EXPIRE; B GRANT ALL ON codes.* TO late; => U late; B DROP USER late",
        ),
    ),
    (
        1862,
        ACCESS,
        Mariadb(
            "B SET GLOBAL disconnect_on_expired_password = ON; B CREATE USER late PASSWORD EXPIRE; B GRANT ALL ON codes.* TO late; \
        => U late; B DROP USER late; B SET GLOBAL disconnect_on_expired_password = OFF",
        ),
    ),
    (
        3159,
        ACCESS,
        Mysql(
            "B SET GLOBAL require_secure_transport = ON; => U plain:tcp; B SET GLOBAL require_secure_transport = OFF",
        ),
    ),
    (1698, ACCESS, Mariadb("B CREATE USER other IDENTIFIED VIA unix_socket; => U other; B DROP USER other")),
    (1524, ACCESS, Both("=> B CREATE USER odd IDENTIFIED WITH nothing")),
    (1251, ACCESS, Never("it takes a client older than any that the host could be")),
    (1665, CONFIGURATION, Mysql("TWO ROWS; A SET binlog_format = 'STATEMENT'; => A UPDATE t SET n = 1")),
    (1067, CONFIGURATION, Both("=> A CREATE TABLE t (d DATE DEFAULT '0000-00-00')")),
    (1193, CONFIGURATION, Both("=> A SET nothing = 1")),
    (1231, CONFIGURATION, Both("=> A SET sql_mode = 'NOTHING'")),
    (1238, CONFIGURATION, Both("=> A SET version = '1'")),
    (1298, CONFIGURATION, Both("=> A SET time_zone = 'Nowhere'")),
    (1032, CONFIGURATION, Never("it takes a damaged table")),
    (1034, CONFIGURATION, Never("it takes a damaged table")),
    (1194, CONFIGURATION, Never("it takes a damaged table")),
    (1195, CONFIGURATION, Never("it takes a damaged table")),
    (1712, CONFIGURATION, Never("it takes a damaged index")),
];
