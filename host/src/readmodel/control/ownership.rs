//! Whose the read models' tables are: each belongs to one projection, and nothing else may be tied to it.
//!
//! A second projection would write over the first one's rows, and empty them when it is built again. A trigger or a
//! foreign key from outside can refuse rows, for which events would be blamed, and ties tables that the coalescer takes
//! for independent.

use sqlx::mysql::MySqlConnection;

use super::control_db::{LeaderDb, ProjectionDb};
use super::control_sql::{ControlRow, ControlSql};
use super::schema::Control;
use crate::failure::Failure;
use crate::readmodel::mysql::session::Session;
use crate::statement::Schema;

impl ProjectionDb<'_> {
    /// Refuses tables of the session's database that another registered projection has.
    pub async fn tables_are_not_anothers(&mut self, schema: &Schema) -> Result<(), Failure> {
        let (control, projection) = (self.control, self.projection);
        find_anothers(self.connection(), control, projection, schema).await
    }
}

impl LeaderDb<'_> {
    /// Enters the tables as this projection's, which is registered, or refuses them. What it does not declare any more, and
    /// what belonged to projections that are not registered any more, is free.
    pub async fn claim_tables(&mut self, schema: &Schema) -> Result<(), Failure> {
        let mut transaction = self.begin("claiming the read model's tables").await?;
        let forget = transaction.statement(
            "claiming the read model's tables",
            "DELETE FROM laterna.projection_table \
             WHERE projection = ? OR projection NOT IN (SELECT projection FROM laterna.projection)",
        );
        forget.bind(transaction.projection).run(&mut transaction).await?;
        let enter = transaction.statement(
            "claiming the read model's tables",
            "INSERT IGNORE INTO laterna.projection_table (table_schema, table_name, projection) VALUES (DATABASE(), ?, ?)",
        );
        for table in &schema.tables {
            enter.bind(&table.name).bind(transaction.projection).run(&mut transaction).await?;
        }
        let (control, projection) = (transaction.control, transaction.projection);
        match find_anothers(&mut transaction, control, projection, schema).await {
            Ok(()) => transaction.commit().await,
            Err(failure) => {
                transaction.rollback().await?;
                Err(failure)
            }
        }
    }
}

/// Enters tables as a projection's, in the place of those it had, in the transaction that brings them there.
pub async fn enter(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
    database: &str,
    tables: &[String],
) -> Result<(), Failure> {
    let forget = control.statement(
        "entering the read model's tables",
        "DELETE FROM laterna.projection_table WHERE projection = ?",
    );
    forget.bind(projection).run(connection).await?;
    let enter = control.statement(
        "entering the read model's tables",
        "INSERT IGNORE INTO laterna.projection_table (table_schema, table_name, projection) VALUES (?, ?, ?)",
    );
    for table in tables {
        let entered = enter.bind(database).bind(table).bind(projection);
        entered.run(connection).await?;
    }
    Ok(())
}

impl ProjectionDb<'_> {
    /// The tables that a projection has in the session's database.
    pub async fn tables(&mut self) -> Result<Vec<String>, Failure> {
        let sql = self.statement(
            "asking for the read model's tables",
            "SELECT CONVERT(table_name USING utf8mb4) FROM laterna.projection_table \
             WHERE table_schema = DATABASE() AND projection = ? ORDER BY table_name",
        );
        let rows = sql.bind(self.projection).rows(self.connection()).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }
}

async fn find_anothers(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
    schema: &Schema,
) -> Result<(), Failure> {
    let sql = control.statement(
        "asking whose the read model's tables are",
        "SELECT CONVERT(taken.table_name USING utf8mb4), taken.projection FROM laterna.projection_table AS taken \
         JOIN laterna.projection AS owner ON owner.projection = taken.projection \
         WHERE taken.table_schema = DATABASE() AND taken.projection <> ? ORDER BY taken.table_name",
    );
    for row in sql.bind(projection).rows(connection).await? {
        let (table, owner): (String, String) = (row.get(0)?, row.get(1)?);
        if schema.tables.iter().any(|declared| declared.name == table) {
            return Err(Failure::misconfigured(
                format!(
                    "the table `{table}` belongs to the projection `{owner}` of the same control schema \
                     (`{}`), and a table belongs to one",
                    control.schema()
                ),
                format!(
                    "give the projector of `{projection}` another table name, or, if `{owner}` is not wanted any more, \
                     run `laterna forget {owner}`"
                ),
            ));
        }
    }
    Ok(())
}

/// Refuses triggers on the tables, and foreign keys into them from outside. What the account may not see is not found.
pub async fn nothing_is_tied(session: &mut Session, schema: &Schema) -> Result<(), Failure> {
    let is_ours = |name: &String| schema.tables.iter().any(|table| table.name == *name);
    let triggers = names(
        session,
        "SELECT CONVERT(event_object_table USING utf8mb4), CONVERT(trigger_name USING utf8mb4), '' \
         FROM information_schema.triggers WHERE event_object_schema = DATABASE() ORDER BY trigger_name",
    );
    if let Some([table, trigger, _]) = triggers.await?.into_iter().find(|[table, ..]| is_ours(table)) {
        return Err(Failure::misconfigured(
            format!("the table `{table}` has the trigger `{trigger}`, which would run inside of every batch"),
            format!(
                "drop it (DROP TRIGGER `{trigger}`), and let what needs the rows read them: a read model's tables are its \
                 projector's alone"
            ),
        ));
    }
    let keys = names(
        session,
        "SELECT CONVERT(referenced_table_name USING utf8mb4), \
         IF(table_schema = DATABASE(), CONVERT(table_name USING utf8mb4), ''), \
         CONCAT('`', CONVERT(table_schema USING utf8mb4), '`.`', CONVERT(table_name USING utf8mb4), '`: ', \
         CONVERT(constraint_name USING utf8mb4)) \
         FROM information_schema.key_column_usage WHERE referenced_table_schema = DATABASE() ORDER BY 3",
    );
    let from_outside = |[table, from, _]: &[String; 3]| is_ours(table) && !is_ours(from);
    if let Some([table, _, key]) = keys.await?.into_iter().find(from_outside) {
        return Err(Failure::misconfigured(
            format!(
                "a table that is none of the projector's has a foreign key to `{table}` ({key}), so that rows could not be \
                 changed or deleted any more"
            ),
            "drop that foreign key: a read model's tables are its projector's alone",
        ));
    }
    Ok(())
}

async fn names(session: &mut Session, sql: &str) -> Result<Vec<[String; 3]>, Failure> {
    let sql = ControlSql::of_the_server("looking for what is tied to the read model's tables", sql);
    let rows = sql.rows(&mut session.connection).await?;
    let name =
        |row: &ControlRow| -> Result<[String; 3], Failure> { Ok([row.get(0)?, row.get(1)?, row.get(2)?]) };
    rows.iter().map(name).collect()
}
