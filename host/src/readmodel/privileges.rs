//! What the two accounts may do, as the server itself answers.
//!
//! A statement is prepared and never run: the server asks for every privilege then, those of roles and patterns as well, and
//! before it looks whether the table is there.

use super::control::schema::Control;
use super::lane::witness;
use super::mysql::error::classify;
use super::mysql::grant::{ROWS, TABLES, grant};
use super::mysql::literal::{identifier, quoted};
use super::mysql::query::send;
use super::mysql::session::Session;
use crate::failure::Failure;
use crate::statement::Schema;

/// A table, there or not, one of its columns, and what an account has to be allowed on it.
struct WantedPrivilege<'a> {
    schema: &'a str,
    table: String,
    column: String,
    verbs: Vec<&'static str>,
}

/// What an account lacks in a schema, and the first table where it showed.
struct Lack<'a> {
    schema: &'a str,
    table: String,
    verbs: Vec<&'static str>,
}

/// The two sessions, each with the setting that names its account.
pub struct Accounts<'a> {
    pub applier: &'a mut Session,
    pub ddl: &'a mut Session,
    /// The database of the read model.
    pub live: &'a str,
}

/// What is wanted of the accounts of a projection.
#[derive(Clone, Copy)]
pub struct Demand<'a> {
    pub control: &'a Control,
    pub projection: &'a str,
    pub schema: &'a Schema,
    /// Whether tables are still to be made.
    pub begins: bool,
}

impl Accounts<'_> {
    /// Refuses accounts that may not do what the projection's first minute takes, with the grants that they lack.
    pub async fn meet(&mut self, demand: Demand<'_>) -> Result<(), Failure> {
        let own = wanted_of_control(demand.control);
        let live = wanted_of_tables(demand, self.live);
        let wanted: Vec<&WantedPrivilege<'_>> = own.iter().chain(&live).collect();
        let applier = told("mysql.url", self.applier, &wanted).await?;
        let made = WantedPrivilege {
            schema: self.live,
            table: witness::table(demand.control, demand.projection),
            column: "lane".to_owned(),
            verbs: if demand.begins { vec!["SELECT", "CREATE"] } else { vec!["SELECT"] },
        };
        let wanted: Vec<&WantedPrivilege<'_>> = own.iter().chain([&made]).collect();
        let ddl = told("mysql.ddl_url", self.ddl, &wanted).await?;
        if applier.is_none() && ddl.is_none() {
            return Ok(());
        }
        let all: Vec<String> = applier.into_iter().chain(ddl).collect();
        Err(Failure::AccessDenied { code: 1142, message: all.join("; ") })
    }
}

/// What a statement takes on the table that it writes, beside reading it.
fn verbs(sql: &str) -> Vec<&'static str> {
    let word = sql.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match word.as_str() {
        "REPLACE" => vec!["INSERT", "DELETE"],
        "INSERT" if sql.contains("ON DUPLICATE KEY UPDATE") => vec!["INSERT", "UPDATE"],
        _ => ROWS.into_iter().filter(|verb| *verb == word).collect(),
    }
}

fn wanted_of_control(control: &Control) -> Vec<WantedPrivilege<'_>> {
    let wanted = |(table, column): (&str, &str)| WantedPrivilege {
        schema: control.schema(),
        table: table.to_owned(),
        column: column.to_owned(),
        // What only migrations write.
        verbs: if matches!(table, "version" | "installation") { vec!["SELECT"] } else { ROWS.to_vec() },
    };
    Control::tables().map(wanted).collect()
}

fn wanted_of_tables<'a>(demand: Demand<'_>, live: &'a str) -> Vec<WantedPrivilege<'a>> {
    let Demand { control, projection, schema, .. } = demand;
    let declared = schema.tables.iter().map(|table| {
        let writes = schema.statements.iter().filter(|statement| statement.table == table.name);
        let mut verbs: Vec<&'static str> = writes.flat_map(|statement| verbs(&statement.sql)).collect();
        verbs.push("SELECT");
        WantedPrivilege {
            schema: live,
            table: table.name.clone(),
            column: table.columns.first().map(|column| column.name.clone()).unwrap_or_default(),
            verbs: ROWS.into_iter().filter(|verb| verbs.contains(verb)).collect(),
        }
    });
    let witness = WantedPrivilege {
        schema: live,
        table: witness::table(control, projection),
        column: "lane".to_owned(),
        verbs: ROWS.to_vec(),
    };
    declared.chain([witness]).collect()
}

/// What an account lacks, in words; nothing where it lacks nothing.
async fn told(
    setting: &str,
    session: &mut Session,
    wanted: &[&WantedPrivilege<'_>],
) -> Result<Option<String>, Failure> {
    let lacks = lacking(session, wanted).await?;
    if lacks.is_empty() {
        return Ok(None);
    }
    let what: Vec<String> = lacks
        .iter()
        .map(|Lack { schema, table, verbs }| format!("{} in `{schema}` (e.g. `{table}`)", verbs.join(", ")))
        .collect();
    let grants: Vec<String> =
        lacks.iter().map(|lack| grant(&all_of(setting), lack.schema, &session.account)).collect();
    Ok(Some(format!(
        "the account `{}` of `{setting}` may not {}; as an administrator: {}",
        session.account,
        what.join(", nor "),
        grants.join(" ")
    )))
}

/// All that the account of a setting needs, by the guide: what it lacks is seldom one privilege alone.
fn all_of(setting: &str) -> String {
    if setting == "mysql.url" { ROWS.join(", ") } else { format!("{}, TRIGGER", TABLES.join(", ")) }
}

async fn lacking<'a>(
    session: &mut Session,
    wanted: &[&WantedPrivilege<'a>],
) -> Result<Vec<Lack<'a>>, Failure> {
    let failed = |error: sqlx::Error| classify("asking what the account may do", &error);
    let each = || wanted.iter().flat_map(|wanted| wanted.verbs.iter().map(|verb| probe(wanted, verb)));
    // Where all is well, that is one round trip.
    let all = each().collect::<Vec<_>>().join("; ");
    if send(&mut session.connection, &all).await.is_ok() {
        return Ok(vec![]);
    }
    let mut lacks: Vec<Lack<'a>> = vec![];
    for wanted in wanted {
        for verb in &wanted.verbs {
            match send(&mut session.connection, &probe(wanted, verb)).await.map_err(failed) {
                Err(Failure::AccessDenied { .. }) => {
                    let same = lacks.iter_mut().find(|lack| lack.schema == wanted.schema);
                    match same {
                        Some(lack) if lack.verbs.contains(verb) => {}
                        Some(lack) => lack.verbs.push(verb),
                        None => {
                            let (schema, table) = (wanted.schema, wanted.table.clone());
                            lacks.push(Lack { schema, table, verbs: vec![verb] });
                        }
                    }
                }
                Err(failure) if failure.class() == "connection-lost" || failure.class() == "timed-out" => {
                    return Err(failure);
                }
                // That a table is not there, or is another one, is somebody else's business.
                _ => {}
            }
        }
    }
    Ok(lacks)
}

/// Prepares a statement that takes one privilege on a table.
fn probe(wanted: &WantedPrivilege<'_>, verb: &str) -> String {
    let table = format!("{}.{}", identifier(wanted.schema), identifier(&wanted.table));
    let column = identifier(&wanted.column);
    let sql = match verb {
        "INSERT" => format!("INSERT INTO {table} ({column}) VALUES (NULL)"),
        "UPDATE" => format!("UPDATE {table} SET {column} = NULL"),
        "DELETE" => format!("DELETE FROM {table}"),
        "CREATE" => format!("CREATE TABLE {table} ({column} INT PRIMARY KEY)"),
        _ => format!("SELECT {column} FROM {table}"),
    };
    format!("PREPARE laterna_may FROM {}", quoted(&sql))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_statement_takes_is_what_it_begins_with() {
        assert_eq!(verbs("INSERT INTO `t` VALUES (?) ON DUPLICATE KEY UPDATE n = 1"), ["INSERT", "UPDATE"]);
        assert_eq!(verbs("REPLACE INTO `t` VALUES (?)"), ["INSERT", "DELETE"]);
        assert_eq!(verbs("UPDATE `t` SET n = ?"), ["UPDATE"]);
        assert_eq!(verbs("DELETE FROM `t`"), ["DELETE"]);
    }

    #[test]
    fn every_table_of_the_control_schema_is_asked_for() {
        let control = Control::new("laterna");
        let wanted = wanted_of_control(&control);
        for table in ["projection", "lease", "checkpoint", "dead_letter", "component_part", "installation"] {
            assert!(wanted.iter().any(|wanted| wanted.table == table), "{table}");
        }
        assert_eq!(probe(&wanted[0], "DELETE").matches("PREPARE").count(), 1);
    }
}
