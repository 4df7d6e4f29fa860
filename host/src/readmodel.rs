//! The read side: the MySQL or MariaDB server with the projections' tables and the host's own control schema.
//!
//! The only user of `sqlx`. Every write of a lane proves its epoch, and effects, checkpoint, dedupe mark and
//! dead letters commit together or not at all.

mod named;
pub mod mysql;
pub mod control;
pub mod lane;
pub mod tables;
pub mod privileges;
pub mod cut_over;
pub mod forget;
pub mod compare;
pub mod rows;
