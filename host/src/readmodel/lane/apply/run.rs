//! Running a projector's operations: joined into few statements, each small enough for the server.

use std::borrow::Cow;
use std::sync::PoisonError;

use super::{LaneModel, refused};
use crate::failure::Failure;
use crate::readmodel::mysql::bind::bind;
use crate::readmodel::mysql::query::RunQuery;
use crate::readmodel::mysql::session::Session;
use crate::sql::coalesce::{self, RowRun};
use crate::statement::{FittedOperation, Schema, Sent, Statement};

/// How much parameter data one statement of several rows may carry.
const STATEMENT_BYTES_MAX: usize = 4 << 20;

/// Bytes of the server's `max_allowed_packet` that are left to a statement's text and framing.
const PACKET_RESERVE_BYTES: usize = 64 << 10;

impl LaneModel {
    pub(super) async fn run<'o>(
        &self,
        session: &mut Session,
        schema: &Schema,
        operations: impl Iterator<Item = &'o FittedOperation>,
    ) -> Result<(), Failure> {
        let runs = if self.is_apart {
            coalesce::apart(schema, operations)
        } else {
            coalesce::coalesce(schema, operations)
        };
        self.run_all(session, schema, runs).await
    }

    pub(super) async fn run_all(
        &self,
        session: &mut Session,
        schema: &Schema,
        runs: Vec<RowRun<'_>>,
    ) -> Result<(), Failure> {
        let is_mariadb = session.is_mariadb();
        for run in runs {
            let statement = &schema.statements[run.statement];
            let rows_max = rows_max(&run.rows, statement, session.packet_bytes_max)?;
            for piece in coalesce::pieces(statement, &run.rows, rows_max) {
                let sql = coalesce::render(statement, piece.len(), &run.kinds);
                let query = coalesce::in_order(statement, piece).into_iter().fold(sqlx::query(&sql), bind);
                self.reaches(Some(statement));
                let executed = query.run_unbounded(&mut session.connection).await;
                executed.map_err(|error| refused::by(statement, is_mariadb, &error))?;
            }
        }
        Ok(())
    }

    /// Notes how far the transaction has come, for the case that it takes too long.
    pub(super) fn reaches(&self, statement: Option<&Statement>) {
        let name = statement.map(|statement| statement.name.clone());
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }
}

/// How many of these rows fit one statement, by its largest row. A row that fits none is its event's fault: MySQL
/// would close the connection over it, every time.
fn rows_max(rows: &[Cow<'_, [Sent]>], statement: &Statement, packet: usize) -> Result<usize, Failure> {
    let bytes = |row: &Cow<'_, [Sent]>| row.iter().map(Sent::bytes).sum::<usize>();
    let largest = rows.iter().map(bytes).max().unwrap_or_default();
    let room = packet.saturating_sub(PACKET_RESERVE_BYTES);
    if largest > room {
        let name = &statement.name;
        let message = format!(
            "running `{name}`: {largest} bytes are more than `max_allowed_packet` has room for ({room})"
        );
        return Err(Failure::RefusedValue { code: 1153, message });
    }
    let Some(multi_row) = &statement.multi_row else { return Ok(1) };
    // Of several rows, keys are sent more than once.
    let bytes = |row: &Cow<'_, [Sent]>| multi_row.parameters().map(|at| row[at].bytes()).sum::<usize>();
    let largest = rows.iter().map(bytes).max().unwrap_or_default();
    Ok((STATEMENT_BYTES_MAX.min(room) / largest.max(1)).max(1))
}
