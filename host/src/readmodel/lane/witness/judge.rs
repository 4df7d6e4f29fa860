//! The judgement whether the witness and the lanes' rows are of one moment, and what is wrong in words: pure.

/// A lane's row, beside the witness's row of the lane.
#[derive(Debug, Clone, Copy)]
pub struct WitnessedLane {
    pub lane: u32,
    /// How many batches are committed.
    pub committed: u64,
    /// The batch and the stamp that the witness has to have; none where no host wrote one.
    pub known: Option<(u64, u64)>,
    pub there: Option<There>,
}

/// A row of the witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct There {
    pub generation: u64,
    pub batch: u64,
    pub stamp: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    Right,
    /// A host that knows no witness made the lanes, or has gone on with them.
    Unwritten,
    Wrong(Disagreement),
}

/// How a lane's row and its witness differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    lane: u32,
    committed: u64,
    /// The witness's row; none where it is gone.
    there: Option<There>,
    /// True where the witness is of the generation that the row is of.
    is_of_generation: bool,
}

/// Judges the lanes' rows of a generation beside their witness.
pub fn judge(generation: u32, lanes: &[WitnessedLane]) -> Judgement {
    let mut is_written = true;
    for seen in lanes {
        let WitnessedLane { lane, committed, known, there } = *seen;
        let is_of_generation = there.is_some_and(|there| there.generation == u64::from(generation));
        let right = match (known, there) {
            (Some((batch, stamp)), Some(there)) => {
                is_of_generation && there.batch == batch && there.stamp == stamp
            }
            (Some(_), None) => false,
            // What an older host left behind is older than what it has gone on to.
            (None, Some(there)) => !is_of_generation || there.batch <= committed,
            (None, None) => true,
        };
        if !right {
            return Judgement::Wrong(Disagreement { lane, committed, there, is_of_generation });
        }
        is_written &= known.is_some_and(|(batch, _)| batch == committed);
    }
    if is_written { Judgement::Right } else { Judgement::Unwritten }
}

impl Disagreement {
    /// Returns true where the tables may hold more than the control schema knows of.
    pub fn is_untold(&self) -> bool {
        self.there.is_some_and(|there| !self.is_of_generation || there.batch >= self.committed)
    }

    /// The disagreement in words.
    pub fn told(&self, generation: u32) -> String {
        let Self { lane, committed, there, is_of_generation } = self;
        let row =
            format!("in the control schema, lane {lane} of generation {generation} is at batch {committed}");
        let Some(There { generation: found, batch, .. }) = there else {
            return format!("{row}, but the witness of that beside the read model's tables is gone");
        };
        if !is_of_generation {
            return format!("{row}, but the read model's tables are those of generation {found}");
        }
        let apart = batch.abs_diff(*committed);
        let how = if batch < committed { "older" } else { "newer" };
        if apart == 0 {
            return format!("{row}, and so are the read model's tables, but of another history");
        }
        format!("{row}, but the read model's tables are at batch {batch}: they are {apart} batch(es) {how}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(committed: u64, known: Option<(u64, u64)>, there: Option<(u64, u64, u64)>) -> WitnessedLane {
        let there = there.map(|(generation, batch, stamp)| There { generation, batch, stamp });
        WitnessedLane { lane: 3, committed, known, there }
    }

    fn of(seen: WitnessedLane) -> Judgement {
        judge(1, &[self::seen(9, Some((9, 5)), Some((1, 9, 5))), seen])
    }

    #[test]
    fn tables_of_another_moment_are_told_with_how_far_they_are_apart() {
        for (there, says, untold) in [
            (Some((1, 4, 7)), "at batch 4: they are 6 batch(es) older", false),
            (Some((1, 12, 7)), "at batch 12: they are 2 batch(es) newer", true),
            (Some((1, 10, 8)), "but of another history", true),
            (Some((2, 10, 7)), "those of generation 2", true),
            (None, "is gone", false),
        ] {
            let Judgement::Wrong(found) = of(seen(10, Some((10, 7)), there)) else { panic!("{says}") };
            let told = found.told(1);
            assert!(told.contains(says) && told.contains("lane 3 of generation 1 is at batch 10"), "{told}");
            assert_eq!(found.is_untold(), untold, "{told}");
        }
    }

    #[test]
    fn what_hosts_did_that_know_no_witness_is_no_restore() {
        for there in [None, Some((1, 8, 7)), Some((2, 99, 7))] {
            assert_eq!(of(seen(10, None, there)), Judgement::Unwritten, "{there:?}");
        }
        assert_eq!(of(seen(10, Some((8, 7)), Some((1, 8, 7)))), Judgement::Unwritten, "they have gone on");
        assert!(matches!(of(seen(10, Some((8, 7)), Some((1, 6, 7)))), Judgement::Wrong(_)));
        assert!(matches!(of(seen(10, None, Some((1, 11, 7)))), Judgement::Wrong(_)), "they never go back");
    }

    #[test]
    fn both_of_one_moment_are_right() {
        assert_eq!(of(seen(10, Some((10, 7)), Some((1, 10, 7)))), Judgement::Right);
        assert_eq!(judge(1, &[]), Judgement::Right);
    }
}
