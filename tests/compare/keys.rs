//! Tables with keys of any type, compared along their index.

use super::*;

/// Keys of every type that a table may have, and how the value for a number is written.
const KEYS: &[(&str, &str)] = &[
    ("(k BIGINT UNSIGNED, i INT, n INT, PRIMARY KEY (k))", "18446744073709551615 - n"),
    ("(k INT, i INT, n INT, PRIMARY KEY (k, i))", "n DIV 20 - 10"),
    ("(k INT, i INT, n INT, PRIMARY KEY (k DESC, i))", "n DIV 20"),
    ("(k INT, i INT, n INT, PRIMARY KEY (i, k DESC))", "n"),
    ("(k DECIMAL(40,10), i INT, n INT, PRIMARY KEY (k, i))", "n / 7 - 30 + 12345678901234567890"),
    ("(k DECIMAL(30,0), i INT, n INT, PRIMARY KEY (k, i))", "n + 123456789012345678901234567890"),
    ("(k DOUBLE, i INT, n INT, PRIMARY KEY (k, i))", "(n - 200) / 3E0"),
    ("(k FLOAT, i INT, n INT, PRIMARY KEY (k, i))", "(n - 200) / 3E0"),
    ("(k DATE, i INT, n INT, PRIMARY KEY (k, i))", "'2026-01-01' + INTERVAL n DIV 3 DAY"),
    ("(k DATETIME(6), i INT, n INT, PRIMARY KEY (k, i))", "'2026-01-01' + INTERVAL n * 1000 MICROSECOND"),
    ("(k DATETIME, i INT, n INT, PRIMARY KEY (k, i))", "'2026-01-01' + INTERVAL n DIV 2 SECOND"),
    ("(k YEAR, i INT, n INT, PRIMARY KEY (k, i))", "1950 + n MOD 100"),
    ("(k BIT(20), i INT, n INT, PRIMARY KEY (k, i))", "n * 1000"),
    ("(k BOOLEAN, i INT, n INT, PRIMARY KEY (k, i))", "n MOD 2"),
    ("(k CHAR(20) COLLATE utf8mb4_bin, i INT, n INT, PRIMARY KEY (k, i))", "CONCAT('K', n)"),
    (
        "(k VARCHAR(20) COLLATE utf8mb4_general_ci, i INT, n INT, PRIMARY KEY (k, i))",
        "CONCAT(ELT(1 + n % 3, 'a', 'A ', 'a  '), n DIV 9, ' ')",
    ),
    (
        "(k VARCHAR(20) COLLATE utf8mb4_unicode_520_ci, i INT, n INT, PRIMARY KEY (k, i))",
        "CONCAT(ELT(1 + n % 4, 'e', '\u{c9}', '\u{df}', 'ss'), n DIV 9)",
    ),
    (
        "(k VARCHAR(20) CHARACTER SET latin1, i INT, n INT, PRIMARY KEY (k, i))",
        "CONCAT(ELT(1 + n % 3, '\u{e9}', 'e', ''''), n DIV 9)",
    ),
    ("(k VARCHAR(20) CHARACTER SET utf16, i INT, n INT, PRIMARY KEY (k, i))", "CONCAT('\u{20ac}', n)"),
    ("(k VARBINARY(20), i INT, n INT, PRIMARY KEY (k, i))", "CONCAT(UNHEX('00FF27'), n)"),
    ("(k BINARY(8), i INT, n INT, PRIMARY KEY (k, i))", "CONCAT(n, UNHEX('0020'))"),
    ("(k ENUM('z','y''','x\\\\','w','v,'), i INT, n INT, PRIMARY KEY (k, i))", "1 + n MOD 5"),
    ("(k ENUM('z','y','x'), i INT, n INT, PRIMARY KEY (i, k))", "1 + n MOD 3"),
    ("(k TEXT, i INT, n INT, PRIMARY KEY (k(6)))", "CONCAT('k', 1000 + n, ' and more')"),
    ("(k VARCHAR(50), i INT, n INT, PRIMARY KEY (i, k(3)))", "CONCAT('k', 1000 + n)"),
    ("(k INT, i INT, `a ``b` INT DEFAULT 5, n INT, PRIMARY KEY (`a ``b`, k))", "n"),
];

/// A key in whose order neither server finds rows by itself.
const SET_KEY: (&str, &str) = ("(k SET('z','y','x','w'), i INT, n INT, PRIMARY KEY (k, i))", "n MOD 16");

/// Whatever the key, chunks of it hold every row once, and to read them takes few steps more than there are rows.
async fn keys_of_any_type(options: Options) {
    const ROWS: u64 = 400;
    let mut pair = Pair::new(options, &[]).await;
    for (number, (table, key)) in KEYS.iter().chain([&SET_KEY]).enumerate() {
        let name = format!("t{number}");
        let numbers = "WITH RECURSIVE s AS (SELECT 0 n UNION ALL SELECT n + 1 FROM s WHERE n < 399)";
        pair.both(&format!("CREATE TABLE DB.{name} {table}")).await;
        pair.both(&format!("INSERT INTO DB.{name} (k, i, n) {numbers} SELECT {key}, n, n FROM s")).await;
        pair.both(&format!("ANALYZE TABLE DB.{name}")).await;
        pair.tables = vec![name.clone()];
        let mut view = pair.view().await;
        let before = rows_read(&mut view).await;
        let found = pair.compare_in(&mut view, chunks_of(7)).await.0.tables.remove(0);
        let read = rows_read(&mut view).await - before;
        assert_eq!((counts(&found), found.live_rows, found.rebuilt_rows), ((0, 0, 0), ROWS, ROWS), "{table}");
        // Both sides, each for the places of its chunks and for their sums, and the first rows of ranges.
        assert!(*table == SET_KEY.0 || read < 8 * ROWS, "{table}: {read} rows were read");

        pair.live(&format!("DELETE FROM DB.{name} WHERE n IN (0, 200)")).await;
        pair.rebuilt(&format!("DELETE FROM DB.{name} WHERE n IN (1, 2, 399)")).await;
        pair.rebuilt(&format!("UPDATE DB.{name} SET n = -1 WHERE n = 7")).await;
        let found = pair.first(chunks_of(7)).await;
        let rows = (found.live_rows, found.rebuilt_rows);
        assert_eq!((counts(&found), rows), ((2, 3, 1), (ROWS - 2, ROWS - 3)), "{table}");
        assert_eq!(found.different.samples[0].differences[0].column, "n", "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_with_keys_of_any_type_are_compared_along_their_index_on_mysql() {
    keys_of_any_type(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_with_keys_of_any_type_are_compared_along_their_index_on_mariadb() {
    keys_of_any_type(Options::mariadb()).await;
}
