//! Tables that are there before a projection has begun: each has to be what the projector declares, so that no row is
//! refused or lost for a column, a key or an engine that somebody else chose.

use std::collections::{BTreeMap, BTreeSet};

use crate::failure::Failure;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::literal::{identifier, quoted};
use crate::readmodel::mysql::query::text_rows;
use crate::readmodel::mysql::session::Session;

/// A table as the server has it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Shape {
    /// Its engine; none for a view.
    engine: Option<String>,
    /// Each column's type with all that belongs to it, and whether a row can go without it.
    columns: BTreeMap<String, (String, bool)>,
    /// The columns of each key that no two rows share.
    unique: BTreeSet<Vec<String>>,
}

/// What is wrong with the first of these tables that is in `live` already: those in `scratch` are as declared.
pub async fn misfit(
    session: &mut Session,
    scratch: &str,
    live: &str,
    tables: &[String],
) -> Result<Option<Failure>, Failure> {
    let declared = shapes(session, scratch, tables).await?;
    let there = shapes(session, live, tables).await?;
    let differs = |table: &String| {
        let what = difference(there.get(table)?, declared.get(table)?)?;
        Some(Failure::misconfigured(
            format!(
                "the table `{table}` is there already, though nothing was ever applied to it, and is not as the projector \
                 declares it: {what}"
            ),
            format!(
                "drop it (DROP TABLE `{table}`), and the host creates it; or give the projector another table name"
            ),
        ))
    };
    Ok(tables.iter().find_map(differs))
}

/// Returns true where each of these tables is in `live`, and the server shows it as it shows the one in `scratch`.
pub async fn are_exact(
    session: &mut Session,
    scratch: &str,
    live: &str,
    tables: &[String],
) -> Result<bool, Failure> {
    for table in tables {
        let [mut declared, mut there] = [None, None];
        for (schema, shown) in [(scratch, &mut declared), (live, &mut there)] {
            let name = format!("{}.{}", identifier(schema), identifier(table));
            match text_rows(&mut session.connection, &format!("SHOW CREATE TABLE {name}")).await {
                Ok(rows) => *shown = rows.into_iter().next().and_then(|row| row.into_iter().nth(1)).flatten(),
                Err(error) => match classify("looking at tables that are there already", &error) {
                    Failure::SchemaMismatch { .. } => return Ok(false),
                    failure => return Err(failure),
                },
            }
        }
        if declared.is_none() || declared != there {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How a table differs from what is declared, in so far as that matters for rows.
fn difference(there: &Shape, declared: &Shape) -> Option<String> {
    if there.engine != declared.engine {
        return Some(match &there.engine {
            None => "it is a view".to_owned(),
            Some(engine) => {
                format!("its engine is {engine}, not {}", declared.engine.as_deref().unwrap_or_default())
            }
        });
    }
    for (name, (wanted, _)) in &declared.columns {
        match there.columns.get(name) {
            None => return Some(format!("it has no column `{name}`")),
            Some((found, _)) if found != wanted => {
                return Some(format!("its column `{name}` is {found}, not {wanted}"));
            }
            Some(_) => {}
        }
    }
    let required = |(name, (_, can_go_without)): (&String, &(String, bool))| {
        (!can_go_without && !declared.columns.contains_key(name)).then(|| name.clone())
    };
    if let Some(name) = there.columns.iter().find_map(required) {
        return Some(format!(
            "it has a column `{name}` that every row needs and the projector does not know"
        ));
    }
    let list = |key: &Vec<String>| format!("({})", key.join(", "));
    if let Some(key) = declared.unique.difference(&there.unique).next() {
        return Some(format!("it has no unique key on {}", list(key)));
    }
    let other = there.unique.difference(&declared.unique).next();
    other.map(|key| format!("it has a unique key on {} that the projector does not know", list(key)))
}

async fn shapes(
    session: &mut Session,
    schema: &str,
    tables: &[String],
) -> Result<BTreeMap<String, Shape>, Failure> {
    let failed = |error: sqlx::Error| classify("looking at tables that are there already", &error);
    let names: Vec<String> = tables.iter().map(|name| quoted(name)).collect();
    let place = format!("table_schema = {} AND table_name IN ({})", quoted(schema), names.join(", "));
    let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
    if tables.is_empty() {
        return Ok(shapes);
    }
    let sql = format!(
        "SELECT CAST(table_name AS CHAR), CAST(engine AS CHAR) FROM information_schema.tables WHERE {place}"
    );
    for row in text_rows(&mut session.connection, &sql).await.map_err(failed)? {
        let [Some(table), engine] = row.as_slice() else { continue };
        shapes.entry(table.clone()).or_default().engine.clone_from(engine);
    }
    // A default is written in many ways; whether there is one is what matters.
    let sql = format!(
        "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR), CAST(CONCAT(column_type, \
         COALESCE(CONCAT(' COLLATE ', collation_name), ''), IF(is_nullable = 'YES', '', ' NOT NULL'), \
         IF(extra LIKE '%GENERATED%' AND extra NOT LIKE '%DEFAULT_GENERATED%', ' GENERATED', '')) AS CHAR), \
         CAST(IF(is_nullable = 'YES' OR column_default IS NOT NULL OR extra <> '', 'yes', 'no') AS CHAR) \
         FROM information_schema.columns WHERE {place}"
    );
    for row in text_rows(&mut session.connection, &sql).await.map_err(failed)? {
        let [Some(table), Some(column), Some(kind), Some(goes)] = row.as_slice() else { continue };
        let shape = shapes.entry(table.clone()).or_default();
        shape.columns.insert(column.clone(), (kind.clone(), goes == "yes"));
    }
    let sql = format!(
        "SELECT CAST(table_name AS CHAR), CAST(index_name AS CHAR), CAST(COALESCE(column_name, '?') AS CHAR), \
         CAST(sub_part AS CHAR) FROM information_schema.statistics WHERE {place} AND non_unique = 0 \
         ORDER BY table_name, index_name, seq_in_index"
    );
    let mut keys: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for row in text_rows(&mut session.connection, &sql).await.map_err(failed)? {
        let [Some(table), Some(index), Some(column), prefix] = row.as_slice() else { continue };
        let part = prefix.as_ref().map_or_else(|| column.clone(), |length| format!("{column}({length})"));
        keys.entry((table.clone(), index.clone())).or_default().push(part);
    }
    for ((table, _), key) in keys {
        shapes.entry(table).or_default().unique.insert(key);
    }
    Ok(shapes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(engine: Option<&str>, columns: &[(&str, &str, bool)], unique: &[&[&str]]) -> Shape {
        Shape {
            engine: engine.map(str::to_owned),
            columns: columns
                .iter()
                .map(|(name, kind, goes)| ((*name).into(), ((*kind).into(), *goes)))
                .collect(),
            unique: unique.iter().map(|key| key.iter().map(|name| (*name).into()).collect()).collect(),
        }
    }

    #[test]
    fn what_would_refuse_or_lose_a_row_is_a_difference() {
        let columns: &[(&str, &str, bool)] = &[("id", "int NOT NULL", false), ("v", "int", true)];
        let declared = shape(Some("InnoDB"), columns, &[&["id"]]);
        assert_eq!(difference(&declared, &declared), None);
        let more = |added| [columns, &[added]].concat();
        for (there, says) in [
            (shape(Some("MyISAM"), columns, &[&["id"]]), "its engine is MyISAM, not InnoDB"),
            (shape(None, columns, &[]), "it is a view"),
            (shape(Some("InnoDB"), &columns[..1], &[&["id"]]), "it has no column `v`"),
            (
                shape(Some("InnoDB"), &[columns[0], ("v", "bigint", true)], &[&["id"]]),
                "its column `v` is bigint, not int",
            ),
            (
                shape(Some("InnoDB"), &more(("w", "int NOT NULL", false)), &[&["id"]]),
                "a column `w` that every row needs",
            ),
            (shape(Some("InnoDB"), columns, &[]), "it has no unique key on (id)"),
            (shape(Some("InnoDB"), columns, &[&["id"], &["v"]]), "a unique key on (v) that the projector"),
        ] {
            let found = difference(&there, &declared).unwrap_or_else(|| panic!("{says} is not told"));
            assert!(found.contains(says), "{found}");
        }
        assert_eq!(
            difference(&shape(Some("InnoDB"), &more(("w", "int", true)), &[&["id"]]), &declared),
            None
        );
    }
}
