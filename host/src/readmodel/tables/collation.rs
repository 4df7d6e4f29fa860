//! How texts are compared: which ids meet in a key by its collation, as the server answers, and how the tables that are
//! there compare what their author left open.

use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::literal::quoted;
use crate::readmodel::mysql::query::text_rows;
use crate::readmodel::mysql::session::Session;
use crate::statement::{Schema, TextOrder};

/// Two ids each, and in what they differ.
const PAIRS: [(&str, &str, &str); 4] = [
    ("a", "A", "case"),
    ("e", "\u{e9}", "accents"),
    ("a", "a ", "blanks at the end"),
    ("\u{e9}", "e\u{301}", "how an accent is written"),
];

/// A sentence for each key column of a schema's tables in which different ids are one.
pub async fn meetings(session: &mut Session, schema: &str) -> Result<Vec<String>, Failure> {
    let failed = |error: sqlx::Error| classify("asking which ids meet in a key", &error);
    let sql = format!(
        "SELECT DISTINCT CAST(c.table_name AS CHAR), CAST(c.column_name AS CHAR), CAST(c.character_set_name AS CHAR), \
         CAST(c.collation_name AS CHAR) FROM information_schema.statistics s \
         JOIN information_schema.columns c ON c.table_schema = s.table_schema AND c.table_name = s.table_name \
         AND c.column_name = s.column_name WHERE s.table_schema = {} AND s.non_unique = 0 \
         AND c.collation_name IS NOT NULL AND c.data_type NOT IN ('enum', 'set') ORDER BY 1, 2",
        quoted(schema)
    );
    let columns = text_rows(&mut session.connection, &sql).await.map_err(failed)?;
    let mut known: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut told = vec![];
    for row in columns {
        let [Some(table), Some(column), Some(charset), Some(collation)] = row.as_slice() else { continue };
        if !known.contains_key(collation) {
            let met = met(session, charset, collation).await.map_err(failed)?;
            known.insert(collation.clone(), met);
        }
        let met = known.get(collation).map(Vec::as_slice).unwrap_or_default();
        if !met.is_empty() {
            told.push(format!(
                "table `{table}`: by its collation {collation}, ids in the key column `{column}` are one row that differ only \
                 in {}; declare the table without CHARSET and COLLATE, and they are two",
                met.join(", in ")
            ));
        }
    }
    Ok(told)
}

/// In what ids differ that a collation takes for equal.
async fn met(
    session: &mut Session,
    charset: &str,
    collation: &str,
) -> Result<Vec<&'static str>, sqlx::Error> {
    let text = |text: &str| {
        format!(
            "CONVERT(CONVERT(X'{}' USING utf8mb4) USING {charset}) COLLATE {collation}",
            hex::encode(text)
        )
    };
    let equal = PAIRS
        .iter()
        .map(|(one, other, _)| format!("CAST(IF({} = {}, 'yes', 'no') AS CHAR)", text(one), text(other)));
    let sql = format!("SELECT {}", equal.collect::<Vec<_>>().join(", "));
    let rows = text_rows(&mut session.connection, &sql).await?;
    let answers = rows.into_iter().next().unwrap_or_default();
    let is_so = |answer: Option<String>| answer.as_deref() == Some("yes");
    Ok(PAIRS
        .iter()
        .zip(answers)
        .filter(|(_, answer)| is_so(answer.clone()))
        .map(|((.., what), _)| *what)
        .collect())
}

/// How the tables of a database compare what the author of `schema` left open: those of older hosts pad.
pub async fn text_order_of(
    session: &mut Session,
    database: &str,
    schema: &Schema,
) -> Result<TextOrder, Failure> {
    let failed = |error: sqlx::Error| classify("asking how the live tables compare texts", &error);
    let padded = TextOrder::Padded.collation("utf8mb4");
    // Where the author wrote it, it says nothing.
    let is_open = |sent: &str| !sent.contains(padded.as_str());
    let open = schema.tables.iter().filter(|table| table.ddl != table.ddl_padded && is_open(&table.ddl));
    let names: Vec<String> = open.map(|table| quoted(&table.name)).collect();
    if names.is_empty() {
        return Ok(session.text_order());
    }
    // MariaDB's JSON is a LONGTEXT that pads, in any table.
    let sql = format!(
        "SELECT CAST(table_name AS CHAR) FROM information_schema.columns WHERE table_schema = {} AND table_name IN ({}) \
         AND collation_name = {} AND data_type <> 'longtext' LIMIT 1",
        quoted(database),
        names.join(", "),
        quoted(&padded)
    );
    let found = text_rows(&mut session.connection, &sql).await.map_err(failed)?;
    Ok(if found.is_empty() { session.text_order() } else { TextOrder::Padded })
}
