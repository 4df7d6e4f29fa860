//! Compares the live generation with one that was made anew, as both were at one position, while the live one goes on.

use super::Ground;
use crate::failure::Failure;
use crate::position::Position;
use crate::readmodel::Session;
use crate::readmodel::generation::Generation;

pub struct Comparison {}

impl Comparison {
    pub async fn open(
        _: &Ground,
        _: &mut Session,
        _: u32,
        _: Generation,
        _: &Position,
    ) -> Result<Self, Failure> {
        Ok(Self {})
    }
    pub async fn run(self, _: Ground) -> Result<(), Failure> {
        Ok(())
    }
}
