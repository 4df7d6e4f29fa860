//! A parameter has the type of what it meets, on real servers: what is stored depends on the event alone, never on what
//! was bound before, nor on the server.

mod cases;
mod samples;
mod shapes;

use laterna::sql::fit::judge;
use laterna::statement::{Operation, Sent, Value};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use sqlx::Row;

use crate::support::Options;
use crate::support::lane::Bench;
use samples::{COLUMNS, Sample, read, samples};
use shapes::Part::{Given, Id};
use shapes::shapes;

fn ddl() -> String {
    let columns: Vec<String> = COLUMNS.iter().map(|(name, kind)| format!("{name} {kind} NULL")).collect();
    format!("CREATE TABLE typed (id BIGINT PRIMARY KEY, {})", columns.join(", "))
}

struct Run {
    id: i64,
    column: &'static str,
    expect: Option<String>,
    told: String,
}

/// What was stored, as text that does not depend on the server.
async fn stored(bench: &Bench, run: &Run) -> Option<String> {
    let column = run.column;
    let cell = match column {
        "raw" => "HEX(raw)".to_owned(),
        "single" => "CAST(CAST(single AS DOUBLE) AS CHAR)".to_owned(),
        column => format!("CAST({column} AS CHAR)"),
    };
    let rows = bench.world.rows(&format!("SELECT {cell} FROM typed WHERE id = {}", run.id)).await;
    let bytes: Option<Vec<u8>> =
        rows.first().unwrap_or_else(|| panic!("no row: {}", run.told)).get_unchecked(0);
    bytes.map(|bytes| String::from_utf8(bytes).expect("it is read as text"))
}

/// The same number and the same document, however they are written.
fn is_same(column: &str, found: Option<&str>, expect: Option<&str>) -> bool {
    let (Some(found), Some(expect)) = (found, expect) else { return found == expect };
    match column {
        "real_" | "single" => found.parse::<f64>().ok() == expect.parse().ok(),
        "doc" => {
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
            let (found, expect) = (read(found), read(expect));
            found.is_some() && found.map(as_written) == expect.map(as_written)
        }
        _ => found == expect,
    }
}

/// 12.0 is 12: servers write it differently.
fn as_written(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(number) => {
            let text = number.to_string();
            text.strip_suffix(".0").unwrap_or(&text).into()
        }
        serde_json::Value::Array(list) => list.into_iter().map(as_written).collect(),
        serde_json::Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, as_written(value))).collect()
        }
        other => other,
    }
}

/// Batches of random values in random shapes, in one session: each row is what its own value says.
async fn a_row_depends_on_its_event_alone(options: Options, seed: u64) {
    println!("parameters: SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let shapes = shapes();
    let samples = samples();
    let texts: Vec<&str> = shapes.iter().map(|shape| shape.sql.as_str()).collect();
    let seed_row = ["INSERT INTO typed (id) VALUES (?)"];
    let bench = Bench::with(options, &[(&ddl(), &[&seed_row[..], &texts].concat())]).await;
    let mut lane = bench.lane(1).await;
    let (mut number, mut runs, mut refused) = (0, Vec::new(), 0);
    for round in 0..60 {
        let (mut seeds, mut operations) = (Vec::new(), Vec::new());
        // Few shapes at a time, so that neighbours are joined.
        let some: Vec<usize> = (0..3).map(|_| rng.random_range(0..shapes.len())).collect();
        for _ in 0..rng.random_range(1..16) {
            let at = *some.choose(&mut rng).expect("there are some");
            let (shape, sample) = (&shapes[at], samples.choose(&mut rng).expect("there are some"));
            number += 1;
            let parameters = shape.parameters.iter().map(|part| match part {
                Id => Value::Integer(number),
                Given => sample.value.clone(),
            });
            let operation = Operation {
                statement: u32::try_from(at + 3).expect("few"),
                parameters: parameters.collect(),
            };
            let expect = shape.expect(sample);
            let told = format!("{} with {:?}", shape.sql, sample.value);
            let is_taken = expect.is_some() || sample.value == Value::Null;
            let fitted = match judge(&bench.schema, vec![operation]) {
                Err(failure) => {
                    let is_alone = shape.sql.contains("HEX(?)");
                    assert!(!is_taken && !is_alone, "{told}: {failure}");
                    refused += 1;
                    continue;
                }
                // What HEX makes of the other kinds is the server's.
                Ok(fitted) if !is_taken && shape.sql.contains("HEX(?)") => fitted,
                Ok(fitted) => {
                    assert!(is_taken, "{told} is taken");
                    runs.push(Run { id: number, column: shape.column, expect, told });
                    fitted
                }
            };
            if shape.seeded {
                seeds.push(Operation { statement: 2, parameters: vec![Sent::Integer(Some(number))] });
            }
            operations.extend(fitted);
        }
        seeds.append(&mut operations);
        let committed = lane.commit(&bench.batch(round, seeds)).await;
        committed.unwrap_or_else(|failure| panic!("{failure}"));
    }
    assert!(runs.len() > 150 && refused > 50, "{} stored, {refused} refused", runs.len());
    for run in &runs {
        let found = stored(&bench, run).await;
        assert!(
            is_same(run.column, found.as_deref(), run.expect.as_deref()),
            "{} is {found:?}, not {:?}",
            run.told,
            run.expect
        );
    }
}

fn seeds() -> Vec<u64> {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    given.map_or_else(|| vec![8, 21, 1967], |seed| vec![seed])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_depends_on_its_event_alone_on_mysql() {
    for seed in seeds() {
        a_row_depends_on_its_event_alone(Options::mysql(), seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_depends_on_its_event_alone_on_mariadb() {
    for seed in seeds() {
        a_row_depends_on_its_event_alone(Options::mariadb(), seed).await;
    }
}

/// A comparison finds the rows that were stored from an equal value, whatever kinds were compared before.
async fn comparisons_compare_as_the_column(options: Options, seed: u64) {
    println!("comparisons: SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let samples = samples();
    let mut statements = Vec::new();
    for (column, _) in COLUMNS {
        statements.push(format!("INSERT INTO typed (id, {column}) VALUES (?, ?)"));
        statements.push(format!("DELETE FROM typed WHERE {column} = ?"));
        statements.push(format!("UPDATE typed SET whole = 77 WHERE {column} IN (?, ?)"));
    }
    let texts: Vec<&str> = statements.iter().map(String::as_str).collect();
    let bench = Bench::with(options, &[(&ddl(), &texts)]).await;
    let mut lane = bench.lane(1).await;
    for round in 0..40 {
        // Documents are not compared.
        let comparable: Vec<usize> = (0..COLUMNS.len()).filter(|at| COLUMNS[*at].0 != "doc").collect();
        let at = *comparable.choose(&mut rng).expect("there are some");
        let column = COLUMNS[at].0;
        let fitting: Vec<&Sample> = samples
            .iter()
            .filter(|sample| sample.value != Value::Null && read(column, sample).is_some())
            .collect();
        let statement = |further: usize| u32::try_from(2 + at * 3 + further).expect("few");
        let first = round * 1000;
        let insert = |(id, sample): (i64, &&Sample)| Operation {
            statement: statement(0),
            parameters: vec![Value::Integer(id), sample.value.clone()],
        };
        let stored: Vec<Operation> = (first..).zip(&fitting).map(insert).collect();
        let asked: Vec<&Sample> = (0..3).map(|_| *fitting.choose(&mut rng).expect("some fit")).collect();
        let deleted = asked[0];
        let delete = Operation { statement: statement(1), parameters: vec![deleted.value.clone()] };
        let update = Operation {
            statement: statement(2),
            parameters: vec![asked[1].value.clone(), asked[2].value.clone()],
        };
        let operations: Vec<Operation> = stored.into_iter().chain([delete, update]).collect();
        let operations =
            judge(&bench.schema, operations).unwrap_or_else(|failure| panic!("{column}: {failure}"));
        lane.commit(&bench.batch(round, operations))
            .await
            .unwrap_or_else(|failure| panic!("{column}: {failure}"));
        let rows = bench.world.rows(&format!("SELECT id, whole <=> 77 FROM typed WHERE id >= {first}")).await;
        let found: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        for (id, sample) in (first..).zip(&fitting) {
            let same = |other: &Sample| read(column, other) == read(column, sample);
            let told = format!(
                "{column}: {:?}; {:?} deleted, {:?} and {:?} changed",
                sample.value, deleted.value, asked[1].value, asked[2].value
            );
            let row = found.iter().find(|(found, _)| *found == id);
            assert_eq!(row.is_none(), same(deleted), "{told}");
            if let Some((_, changed)) = row {
                assert_eq!(*changed == 1, same(asked[1]) || same(asked[2]), "{told}");
            }
        }
        let mut session = bench.world.mysql().await;
        sqlx::Executor::execute(&mut session, "DELETE FROM typed").await.expect("the rows are deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_compare_as_the_column_on_mysql() {
    for seed in seeds() {
        comparisons_compare_as_the_column(Options::mysql(), seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_compare_as_the_column_on_mariadb() {
    for seed in seeds() {
        comparisons_compare_as_the_column(Options::mariadb(), seed).await;
    }
}
