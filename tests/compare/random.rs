//! Random tables, compared by the host and by a plain comparison of all rows.

use super::*;

/// The rows as a plain comparison has them: by a key that is what its collation makes of it, case and trailing spaces
/// being nothing.
type Plain = BTreeMap<(i32, String), (String, Vec<Option<Vec<u8>>>)>;

async fn plainly(pair: &mut Pair, database: &str) -> Plain {
    let cell = |row: &MySqlRow, at: usize| row.try_get_unchecked(at).expect("a text");
    let plain = |row: &MySqlRow| {
        let name: String = row.get(1);
        let key = (row.get(0), name.trim_end_matches(' ').to_lowercase());
        (key, (name, (2..6).map(|at| cell(row, at)).collect()))
    };
    let rows = pair.rows(&format!("SELECT a, b, n, s, f, j FROM {database}.t")).await;
    rows.iter().map(plain).collect()
}

async fn equals_a_plain_comparison(options: Options) {
    let mut rng = random("comparison");
    let table = "(a INT, b VARCHAR(6) COLLATE utf8mb4_general_ci, n DECIMAL(6,2), \
                 s VARCHAR(6) COLLATE utf8mb4_general_ci, f DOUBLE, j TEXT, PRIMARY KEY (a, b))";
    let mut pair = Pair::new(options, &[("t", table)]).await;
    let databases = [pair.world.name.clone(), pair.world.control()];
    let mut seen = [0; 3];
    for _ in 0..60 {
        pair.both("DELETE FROM DB.t").await;
        for _ in 0..rng.random_range(0..60) {
            pair.both(&format!("REPLACE INTO DB.t VALUES ({})", random_row(&mut rng))).await;
        }
        for _ in 0..[0, 1, 2, 30][rng.random_range(0..4)] {
            let side = rng.random_range(0..2);
            let edit = random_edit(&mut rng, &databases[side]);
            pair.run(&edit).await;
        }
        let live = plainly(&mut pair, &databases[0]).await;
        let rebuilt = plainly(&mut pair, &databases[1]).await;
        let different: Vec<&str> = live
            .iter()
            .filter(|(key, row)| rebuilt.get(*key).is_some_and(|other| other != *row))
            .map(|(_, (name, _))| name.as_str())
            .collect();
        let found = pair.first(Bounds { samples: 1000, ..chunks_of(rng.random_range(1..40)) }).await;
        let told: Vec<_> = found.different.samples.iter().map(|row| row.key.clone()).collect();
        assert_eq!((found.live_rows, found.rebuilt_rows), (live.len() as u64, rebuilt.len() as u64));
        assert_eq!(names(&found.missing.samples), sorted(alone(&rebuilt, &live)));
        assert_eq!(names(&found.extra.samples), sorted(alone(&live, &rebuilt)));
        assert_eq!(names(&told), sorted(different));
        let counted = [found.missing.rows, found.extra.rows, found.different.rows];
        let lengths = [found.missing.samples.len(), found.extra.samples.len(), told.len()];
        assert_eq!(counted, lengths.map(|length| length as u64));
        seen.iter_mut().zip(counted).for_each(|(sum, rows)| *sum += rows);
    }
    assert!(seen.iter().all(|rows| *rows > 10), "too little differed: {seen:?}");
}

fn alone<'a>(mine: &'a Plain, theirs: &Plain) -> Vec<&'a str> {
    mine.iter().filter(|(key, _)| !theirs.contains_key(*key)).map(|(_, (name, _))| name.as_str()).collect()
}

/// The second parts of keys.
fn names(keys: &[Vec<Option<String>>]) -> Vec<&str> {
    sorted(keys.iter().map(|key| key[1].as_deref().expect("a key is never NULL")).collect())
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

fn random_edit(rng: &mut StdRng, database: &str) -> String {
    let order: u16 = rng.random();
    match rng.random_range(0..3) {
        0 => format!("REPLACE INTO {database}.t VALUES ({})", random_row(rng)),
        1 => format!("DELETE FROM {database}.t ORDER BY RAND({order}) LIMIT 1"),
        _ => {
            let text = random_text(rng);
            format!("UPDATE {database}.t SET s = {text}, b = UPPER(b) ORDER BY RAND({order}) LIMIT 1")
        }
    }
}

/// The values of a row. There are few keys, so that rows meet.
fn random_row(rng: &mut StdRng) -> String {
    let key = format!("{}, {}", rng.random_range(-2..4), random_text(rng).replace("NULL", "''"));
    let number = ["NULL".to_owned(), rng.random_range(-3..3).to_string(), "0.01".to_owned()];
    let float = ["NULL".to_owned(), "0".to_owned(), format!("{:e}", rng.random::<f64>())];
    let (number, float) = (&number[rng.random_range(0..3)], &float[rng.random_range(0..3)]);
    format!("{key}, {number}, {}, {float}, {}", random_text(rng), random_text(rng))
}

fn random_text(rng: &mut StdRng) -> String {
    if rng.random_range(0..6) == 0 {
        return "NULL".to_owned();
    }
    let letters = ["a", "A", "b", " ", "-", "1", ":", ",", "''"];
    let some = (0..rng.random_range(0..4)).map(|_| letters[rng.random_range(0..letters.len())]);
    format!("'{}'", some.collect::<String>())
}

#[tokio::test(flavor = "multi_thread")]
async fn random_tables_are_compared_as_a_plain_comparison_does_it_on_mysql() {
    equals_a_plain_comparison(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_tables_are_compared_as_a_plain_comparison_does_it_on_mariadb() {
    equals_a_plain_comparison(Options::mariadb()).await;
}
