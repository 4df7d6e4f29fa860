//! What is told of commands that wait.

use super::{Phase, Status};
use crate::failure::Failure;
use crate::readmodel::control::command::WaitingCommand;

impl Status {
    /// A command waits. Whether that is new, or for something else than before.
    pub fn command_waits(&self, waiting: &WaitingCommand) -> bool {
        self.change(|state| state.commands.insert(waiting.id, waiting.clone()).as_ref() != Some(waiting))
    }

    /// A command goes on, or is over. Whether it waited.
    pub fn command_goes_on(&self, command: u64) -> bool {
        self.change(|state| state.commands.remove(&command).is_some())
    }

    /// What keeps this host from running lanes that it would run.
    pub fn keeps_lanes(&self) -> Option<Failure> {
        self.change(|state| state.obstacle().filter(|_| !matches!(state.phase, Phase::Standby { .. })))
    }
}
