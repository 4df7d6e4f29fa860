//! Operations on a projection: deploying components, making tables anew, and dealing with dead letters.

pub mod ask;
pub mod choice;
pub mod commands;
mod carry_out;
mod deploy;
pub mod export;
mod generations;
pub mod shadow;
pub mod shown_sql;
pub mod why;
pub mod watch;
mod letters;
pub mod load;
mod queue;
pub mod standing;
#[cfg(test)]
mod simulation;
mod take_up;
mod waiting;
pub mod wish;
