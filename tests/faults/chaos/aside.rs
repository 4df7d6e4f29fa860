//! Judges what is left of generations when all is quiet: each kept one has its place, and nothing stands for one that is
//! gone. Gives what came of them, for the report.

use serde_json::Value;
use sqlx::Row;

use super::checker::Violations;
use super::ground::{Ground, PROJECTIONS};
use super::history::Change;

/// What came of what operators wanted of components and generations.
#[derive(Debug, Default)]
pub struct Came {
    /// Generations that were begun beside the first ones.
    pub begun: i64,
    /// Those that became live, also for the second time.
    pub live: usize,
    pub kept: usize,
    /// Comparisons to their end, and those that found a difference.
    pub compared: usize,
    pub differ: usize,
    pub deployed: i64,
}

/// The kinds of tables that have rows of a generation.
const KEYED: [&str; 4] = ["checkpoint", "dead_letter", "dedupe", "deployment_lane"];

/// What comparisons find rightly: rows that were put in the way of the recorder's events, and that documents are gone.
#[derive(Debug, Clone, Copy)]
pub struct Excuses {
    pub blocked: bool,
    pub purged: bool,
}

pub async fn check(
    ground: &Ground,
    changes: &[Change],
    excuses: Excuses,
    violations: &mut Violations,
) -> Came {
    let (world, control) = (&ground.world, ground.world.control());
    let text = |sql: String| async move {
        let rows = world.rows(&sql).await;
        rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>()
    };
    let kept = text(format!("SELECT place FROM {control}.generation ORDER BY place")).await;
    let marked = text(
        "SELECT CONVERT(table_schema USING utf8mb4) AS place FROM information_schema.tables \
         WHERE table_name = 'laterna aside' ORDER BY place"
            .to_owned(),
    );
    let marked = marked.await;
    violations.unless(marked == kept, || format!("markers stand in {marked:?}, and not in {kept:?}"));
    // The place of a live generation is there, too, and empty.
    let left = text(format!(
        "SELECT CONVERT(schema_name USING utf8mb4) FROM information_schema.schemata s \
         WHERE schema_name LIKE '{}\\_g%' AND schema_name NOT IN (SELECT place FROM {control}.generation) AND \
         (EXISTS (SELECT 1 FROM information_schema.tables t WHERE t.table_schema = s.schema_name) OR schema_name NOT IN \
         (SELECT CONCAT('{control}_g', live_generation, '_', projection) FROM {control}.projection))",
        control.replace('_', "\\_")
    ));
    let left = left.await;
    violations.unless(left.is_empty(), || format!("schemas of generations that are gone: {left:?}"));
    for table in KEYED {
        let of = |rows| {
            format!(
                "EXISTS (SELECT 1 FROM {control}.{rows} o WHERE o.projection = t.projection AND \
                 o.{} = t.generation)",
                if rows == "projection" { "live_generation" } else { "generation" }
            )
        };
        let (live, aside) = (of("projection"), of("generation"));
        let left = world
            .number(&format!("SELECT COUNT(*) FROM {control}.{table} t WHERE NOT ({live} OR {aside})"))
            .await;
        violations.unless(left == 0, || format!("{left} rows of `{table}` are of generations that are gone"));
    }
    let begun = format!("SELECT SUM(GREATEST(last_generation, 1) - 1) FROM {control}.projection");
    let deployed = format!("SELECT COUNT(*) FROM {control}.deployment WHERE state = 'deployed'");
    let mut came = Came {
        begun: world.number(&begun).await,
        live: changes.len(),
        kept: kept.len(),
        deployed: world.number(&deployed).await - i64::try_from(PROJECTIONS.len()).expect("a few"),
        ..Came::default()
    };
    comparisons(ground, excuses, &mut came, violations).await;
    came
}

/// What comparisons found. Nobody changed a row but by putting it in the way, and rows of purged documents stay.
async fn comparisons(ground: &Ground, excuses: Excuses, came: &mut Came, violations: &mut Violations) {
    let sql = format!(
        "SELECT projection, result FROM {}.command WHERE state = 'done' AND request LIKE '{{\"do\":\"verify\"%'",
        ground.world.control()
    );
    for row in ground.world.rows(&sql).await {
        let (projection, result): (String, String) = (row.get(0), row.get(1));
        let report: Value = serde_json::from_str(&result).expect("it is the host's report");
        came.compared += 1;
        let rows = |table: &Value| {
            ["missing", "extra", "different"].map(|kind| table[kind]["rows"].as_u64().unwrap_or(1))
        };
        let tables = report["tables"].as_array().expect("it has tables");
        let is_clean = !tables.is_empty() && tables.iter().all(|table| rows(table) == [0; 3]);
        let lacks = report["lacks"].as_str();
        violations.unless(lacks.is_none() || excuses.purged, || {
            format!("a comparison of {projection} says that events are missing, and none is: {lacks:?}")
        });
        if is_clean {
            continue;
        }
        came.differ += 1;
        let expected = lacks.is_some() || excuses.blocked && projection == "recorder";
        violations.unless(expected, || {
            format!("a comparison found that {projection} differs from history: {result}")
        });
    }
}
