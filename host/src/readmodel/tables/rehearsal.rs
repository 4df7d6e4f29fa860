//! The rehearsal: the tables are made in a scratch schema, every statement is prepared on them, and the schema is dropped
//! again, so that what is wrong shows before anything is touched.

use sqlx::Row;

use super::{collation, create, existing, prepare};
use crate::failure::Failure;
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::grant::{TABLES, grant};
use crate::readmodel::mysql::query::{RunQuery, send};
use crate::readmodel::mysql::session::Session;
use crate::statement::Schema;

/// What a rehearsal showed besides that all fits.
#[derive(Debug, Default)]
pub struct Rehearsal {
    /// How a table that is there already differs from the one that the projector declares, and what to do.
    pub misfit: Option<Failure>,
    /// Keys in which ids meet that differ, in sentences.
    pub meetings: Vec<String>,
}

/// Rehearses tables and statements. `session` is one of the DDL account, in the database of the read model.
pub async fn rehearse(
    session: &mut Session,
    control: &Control,
    database: &str,
    schema: &Schema,
) -> Result<Rehearsal, Failure> {
    let rehearsing = async |session: &mut Session, scratch: &str| {
        prepare(session, schema).await.map_err(of_the_projector)?;
        Ok(Rehearsal {
            misfit: existing::misfit(session, scratch, database, &schema.table_names()).await?,
            meetings: collation::meetings(session, scratch).await?,
        })
    };
    in_scratch(session, control, database, schema, rehearsing).await
}

/// Whether each table is there, and is in all as it is declared: defaults, checks, foreign keys and plain indexes, too.
pub async fn are_as_declared(
    session: &mut Session,
    control: &Control,
    database: &str,
    schema: &Schema,
) -> Result<bool, Failure> {
    let comparing = async |session: &mut Session, scratch: &str| {
        prepare(session, schema).await.map_err(of_the_projector)?;
        existing::are_exact(session, scratch, database, &schema.table_names()).await
    };
    in_scratch(session, control, database, schema, comparing).await
}

/// Makes the tables in the scratch schema, which is dropped again, and works there.
async fn in_scratch<T>(
    session: &mut Session,
    control: &Control,
    database: &str,
    schema: &Schema,
    work: impl AsyncFnOnce(&mut Session, &str) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let scratch = control.scratch();
    let doing = format!("rehearsing the tables in `{scratch}`");
    let account = session.account.clone();
    let failed = |error: sqlx::Error| match classify(&doing, &error) {
        Failure::AccessDenied { code, message } => {
            let grant = grant(&TABLES.join(", "), &scratch, &account);
            Failure::AccessDenied { code, message: format!("{message}; as an administrator: {grant}") }
        }
        failure => failure,
    };
    let asked = sqlx::query("SELECT COALESCE(GET_LOCK(?, 20), 0)").bind(&scratch);
    let locked: i64 = asked.row(&mut session.connection).await.map_err(failed)?.try_get(0).map_err(failed)?;
    if locked != 1 {
        return Err(Failure::LostRace { what: format!("{doing}: another host has been at it for 20 s") });
    }
    for sql in [
        format!("DROP DATABASE IF EXISTS {scratch}"),
        format!("CREATE DATABASE {scratch} CHARACTER SET utf8mb4"),
        format!("USE {scratch}"),
    ] {
        send(&mut session.connection, &sql).await.map_err(failed)?;
    }
    let worked = async {
        let order = session.text_order();
        for table in &schema.tables {
            create(session, table, order).await?;
        }
        work(session, &scratch).await
    };
    let worked = worked.await;
    for sql in [format!("DROP DATABASE IF EXISTS {scratch}"), format!("USE `{database}`")] {
        send(&mut session.connection, &sql).await.map_err(failed)?;
    }
    sqlx::query("SELECT RELEASE_LOCK(?)")
        .bind(&scratch)
        .row(&mut session.connection)
        .await
        .map_err(failed)?;
    worked
}

/// A statement that does not fit a table as it is declared is nobody else's mistake.
fn of_the_projector(failure: Failure) -> Failure {
    match failure {
        Failure::SchemaMismatch { code, message } => Failure::SchemaMismatch {
            code,
            message: format!(
                "{message}; the tables are as the projector itself declares them: fix the projector"
            ),
        },
        failure => failure,
    }
}
