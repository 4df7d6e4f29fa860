//! Operations on a projection: deploying components, making tables anew, and dealing with dead letters.

pub mod ask;
pub mod choice;
pub mod commands;
pub mod deployments;
pub mod standstill;
pub mod hosts;
pub mod pages;
pub mod whole_letter;
pub mod export;
mod generations;
mod deploy;
pub mod shown_sql;
pub mod shadow;
pub mod sql_changes;
pub mod why;
pub mod watch;
mod letters;
mod unused_components;
mod carry_out;
pub mod load;
mod queue;
pub mod standing;
mod take_up;
mod waiting;
pub mod wish;
pub mod dry_run;
#[cfg(test)]
mod simulation;
