//! Names of checks and foreign keys: a database has each once, so a table is not created whose constraint has the name of
//! another table's.

use super::control_db::ProjectionDb;
use super::control_sql::ControlSql;
use crate::failure::Failure;
use crate::readmodel::mysql::error::{classify, number};
use crate::readmodel::mysql::session::Session;
use crate::statement::{Constraint, ConstraintKind, Schema, Table};

/// The error of MariaDB that stands for many; with [`DUPLICATE`] in its message it is about a name.
const CANNOT_CREATE: u16 = 1005;
const DUPLICATE: &str = "errno: 121";

impl ProjectionDb<'_> {
    /// Refuses constraints whose name a table of the session's database has that is none of the projection's.
    pub async fn constraints_are_free(&mut self, schema: &Schema) -> Result<(), Failure> {
        let mut own = self.tables().await?;
        own.extend(schema.table_names());
        match find(self.session, &schema.tables, &own).await? {
            Some(taken) => Err(taken),
            None => Ok(()),
        }
    }
}

/// A sentence for each constraint whose name another one of these schemas has, as this server counts names.
pub fn shared<'a>(
    session: &Session,
    schemas: impl IntoIterator<Item = (&'a str, &'a Schema)>,
) -> Vec<(&'a str, String)> {
    let version = &session.version;
    let mut all: Vec<(&str, &Table, &Constraint)> = vec![];
    let mut problems = vec![];
    for (projection, schema) in schemas {
        let own = schema.tables.iter().flat_map(|table| {
            let named = table.constraints.iter().filter(|one| is_of_the_database(version, one.kind));
            named.map(move |constraint| (projection, table, constraint))
        });
        let own: Vec<_> = own.collect();
        for (_, table, constraint) in &own {
            let taken = all.iter().find(|(_, _, other)| is_same(constraint, &other.name, other.kind));
            problems.extend(taken.map(|(_, other, _)| {
                (projection, taken_name(constraint, &table.name, &other.name).to_string())
            }));
        }
        all.extend(own);
    }
    problems
}

/// The failure to create a table; where a constraint's name is taken, with whose it is.
pub(in crate::readmodel) async fn refused(
    session: &mut Session,
    table: &Table,
    doing: &str,
    error: &sqlx::Error,
) -> Failure {
    let failure = classify(doing, error);
    let is_taken = match number(error) {
        // 1826, 3822: a foreign key or a check of this name is there already.
        Some(1826 | 3822) => true,
        Some(CANNOT_CREATE) => error.to_string().contains(DUPLICATE),
        _ => false,
    };
    if !is_taken {
        return failure;
    }
    let own = std::slice::from_ref(&table.name);
    let found = find(session, std::slice::from_ref(table), own).await;
    let unnamed = || {
        Failure::misconfigured(
            format!(
                "{doing}: a table of this database has a constraint of the same name already, and MySQL has each name once \
                 in a database ({error})"
            ),
            "give the constraint another name",
        )
    };
    found.map_or_else(|failure| failure, |taken| taken.unwrap_or_else(unnamed))
}

/// The failure for the first constraint of `tables` whose name a table of the session's database has beside `own`.
async fn find(session: &mut Session, tables: &[Table], own: &[String]) -> Result<Option<Failure>, Failure> {
    let sql = "SELECT CONVERT(table_name USING utf8mb4), CONVERT(constraint_name USING utf8mb4), \
               constraint_type = 'CHECK' FROM information_schema.table_constraints \
               WHERE constraint_schema = DATABASE() AND constraint_type IN ('CHECK', 'FOREIGN KEY') ORDER BY 1, 2";
    let sql = ControlSql::of_the_server("looking for names of constraints", sql);
    for row in sql.rows(&mut session.connection).await? {
        let (other, name): (String, String) = (row.get(0)?, row.get(1)?);
        let is_check = row.is(2)?;
        let kind = if is_check { ConstraintKind::Check } else { ConstraintKind::ForeignKey };
        if own.contains(&other) || !is_of_the_database(&session.version, kind) {
            continue;
        }
        let mut all = tables.iter().flat_map(|table| table.constraints.iter().map(move |one| (table, one)));
        if let Some((table, constraint)) = all.find(|(_, one)| is_same(one, &name, kind)) {
            return Ok(Some(taken_name(constraint, &table.name, &other)));
        }
    }
    Ok(None)
}

fn is_same(constraint: &Constraint, name: &str, kind: ConstraintKind) -> bool {
    constraint.kind == kind && constraint.name.to_lowercase() == name.to_lowercase()
}

/// Returns true where a database of this server has such a name once; elsewhere each table has names of its own.
fn is_of_the_database(version: &str, kind: ConstraintKind) -> bool {
    let is_mariadb = version.contains("MariaDB");
    match kind {
        ConstraintKind::Check => !is_mariadb,
        // MariaDB has them in their table since 12.1.
        ConstraintKind::ForeignKey => !is_mariadb || release(version) < (12, 1),
    }
}

fn release(version: &str) -> (u32, u32) {
    let mut numbers = version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn taken_name(constraint: &Constraint, table: &str, other: &str) -> Failure {
    let Constraint { name, kind } = constraint;
    let what = match kind {
        ConstraintKind::Check => "CHECK",
        ConstraintKind::ForeignKey => "FOREIGN KEY",
    };
    Failure::misconfigured(
        format!(
            "the {what} `{name}` of the table `{table}` has the name of one of the table `{other}`, and a database has each \
             name once"
        ),
        format!("give it another name in the projector, e.g. CONSTRAINT `{table}_{name}`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_differ_in_which_names_a_database_has_once() {
        let (check, key) = (ConstraintKind::Check, ConstraintKind::ForeignKey);
        for (version, checks, keys) in [
            ("8.0.36", true, true),
            ("9.7.0", true, true),
            ("10.11.6-MariaDB-0+deb12u1", false, true),
            ("12.0.2-MariaDB", false, true),
            ("12.1.1-MariaDB", false, false),
        ] {
            assert_eq!(is_of_the_database(version, check), checks, "{version}");
            assert_eq!(is_of_the_database(version, key), keys, "{version}");
        }
    }
}
