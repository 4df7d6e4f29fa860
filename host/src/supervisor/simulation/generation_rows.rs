//! The rows of generations beside the live one, as the control schema has them, and every change of them that hosts make.

use std::ops::{Deref, DerefMut};

use crate::readmodel::control::generation::{Generation, GenerationState, Purpose};

#[derive(Debug, Default)]
pub struct GenerationRows(Vec<Generation>);

impl Deref for GenerationRows {
    type Target = Vec<Generation>;

    fn deref(&self) -> &Vec<Generation> {
        &self.0
    }
}

impl DerefMut for GenerationRows {
    fn deref_mut(&mut self) -> &mut Vec<Generation> {
        &mut self.0
    }
}

impl GenerationRows {
    pub fn row(&mut self, number: u32) -> Option<&mut Generation> {
        self.0.iter_mut().find(|row| row.generation == number)
    }

    /// As `advance_generation`. False where it is in another state than it was read in.
    pub fn advance(
        &mut self,
        of: &Generation,
        state: GenerationState,
        purpose: Purpose,
        reason: Option<&str>,
    ) -> bool {
        let is_attempt = of.state != GenerationState::Building
            && state == GenerationState::Building
            && purpose == of.purpose;
        let Some(row) = self.row(of.generation).filter(|row| row.state == of.state) else { return false };
        (row.state, row.purpose, row.reason) = (state, purpose, reason.map(str::to_owned));
        row.attempts += u32::from(is_attempt);
        true
    }

    /// As `record_lacks`. None where it is in another state; else whether that is something new.
    pub fn record_lacks(&mut self, of: &Generation, purpose: Purpose, lacks: &str) -> Option<bool> {
        let row = self.row(of.generation).filter(|row| row.state == of.state)?;
        (row.state, row.purpose) = (GenerationState::Building, purpose);
        let is_new = row.lacks.as_deref() != Some(lacks);
        (row.lacks, row.reason) = (Some(lacks.to_owned()), Some(lacks.to_owned()));
        Some(is_new)
    }

    /// As `explain_generation`.
    pub fn explain(&mut self, number: u32, reason: Option<&str>) {
        if let Some(row) = self.row(number) {
            row.reason = reason.map(str::to_owned);
        }
    }

    pub fn forget(&mut self, number: u32) {
        self.0.retain(|row| row.generation != number);
    }

    /// As a cut-over does: one generation becomes the live one, and the one that was is kept.
    pub fn change_places(&mut self, next: u32, live: u32, digest: String) {
        self.forget(next);
        self.0.push(Generation { digest, ..Generation::plain(live, GenerationState::Kept) });
        self.0.sort_by_key(|row| row.generation);
    }
}
