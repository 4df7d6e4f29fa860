//! The traits between the rules for generations and what they act on. `context` and `shadow_lanes` have the real ones, the simulation
//! made-up ones.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::meeting::BothLanes;
use crate::failure::Failure;
use crate::pipeline::ports::Task;
use crate::pipeline::run::{Ports, RunPlan};
use crate::position::{ClusterTime, Position};
use crate::readmodel::compare::ComparisonReport;
use crate::readmodel::control::command::CommandOutcome;
use crate::readmodel::control::generation::{Generation, GenerationState, Purpose};
use crate::readmodel::cut_over::CutOverOutcome;
use crate::readmodel::lane::checkpoint::LaneRow;
use crate::readmodel::lane::dead_letter::GivenUp;
use crate::status::Status;
use crate::supervisor::settings::Settings;
use crate::supervisor::term::Term;

/// The rows and tables of a projection's generations, under one epoch. A clone has connections of its own.
pub trait GenerationPorts: Clone + Send + 'static {
    type Shadow: ShadowPorts;
    /// The snapshot of both generations that a comparison reads.
    type Picture: Send + 'static;

    fn term(&self) -> &Term;
    fn settings(&self) -> &Settings;
    /// The status of the live lanes.
    fn status(&self) -> &Arc<Status>;
    /// Where generations are built: on threads that go behind those of the live lanes.
    fn background(&self) -> Handle;

    /// The live generation, once it has lanes.
    fn live(&mut self) -> impl Task<Result<Option<u32>, Failure>>;
    /// The generations beside the live one.
    fn list(&mut self) -> impl Task<Result<Vec<Generation>, Failure>>;
    fn rows(&mut self, generation: u32) -> impl Task<Result<Vec<LaneRow>, Failure>>;
    /// How many deliveries a generation's lanes have committed, and how many dead letters it has.
    fn progress(&mut self, generation: u32) -> impl Task<Result<(u64, u64), Failure>>;
    /// A dead letter of a generation whose event the live one applied, in words.
    fn first_new_letter(&mut self, generation: u32, live: u32) -> impl Task<Result<Option<String>, Failure>>;
    /// Letters of a generation whose events were given up in the live one meanwhile.
    fn given_up(&mut self, generation: u32) -> impl Task<Result<Vec<GivenUp>, Failure>>;
    /// Why it is not known what the live tables were made from, where it is not.
    fn untold(&mut self, live: u32) -> impl Task<Result<Option<String>, Failure>>;
    /// What the outbox lacks of the events that the live tables were made from, if it lacks any.
    fn outbox_lacks(&mut self, live: u32, rows: &[LaneRow]) -> impl Task<Result<Option<String>, Failure>>;
    /// The source's own time.
    fn source_now(&mut self) -> impl Task<Result<ClusterTime, Failure>>;
    /// Waits until there may be generations beside the live one.
    fn until_wanted(&mut self) -> impl Task<()>;

    /// Moves a generation on. False where it is in another state by now.
    fn advance(
        &mut self,
        generation: &Generation,
        state: GenerationState,
        purpose: Purpose,
        reason: Option<&str>,
    ) -> impl Task<Result<bool, Failure>>;
    /// Moves a generation back to being built, for what it lacks. False where it is in another state by now.
    fn record_lacks(
        &mut self,
        generation: &Generation,
        purpose: Purpose,
        lacks: &str,
    ) -> impl Task<Result<bool, Failure>>;
    /// Records for how many seconds a generation will not have caught up yet; nothing where that cannot be told.
    fn record_left(&mut self, generation: u32, seconds: Option<u64>) -> impl Task<Result<(), Failure>>;
    /// Records what a generation waits for; nothing any more, where that is over.
    fn explain(&mut self, generation: u32, reason: Option<&str>) -> impl Task<Result<(), Failure>>;
    /// Puts a generation in the live one's place. No lane of the projection may run.
    fn cut_over(&mut self, live: u32, next: &Generation) -> impl Task<Result<CutOverOutcome, Failure>>;
    /// Drops the tables of a generation, and forgets it.
    fn drop_tables(&mut self, gone: &Generation) -> impl Task<Result<(), Failure>>;

    /// Ends the command that waits for a generation.
    fn finish(&mut self, command: u64, outcome: &CommandOutcome) -> impl Task<Result<(), Failure>>;
    /// Records how far a command is, which goes on.
    fn report_progress(&mut self, command: u64, progress: &str) -> impl Task<Result<(), Failure>>;
    /// Records what a command waits for, and says for how many seconds it has waited.
    fn waits(&mut self, command: u64, reason: &str) -> impl Task<Result<u64, Failure>>;

    /// Loads the component of a generation. Nothing runs yet.
    fn open(&mut self, generation: &Generation) -> impl Task<Result<Self::Shadow, Failure>>;
    /// Takes the picture of both generations. No lane of the projection may run.
    fn take_picture(
        &mut self,
        live: u32,
        generation: &Generation,
        lanes: BothLanes<'_>,
    ) -> impl Task<Result<Self::Picture, Failure>>;
    /// Compares both, while the live lanes go on. Fails when the generation is given up meanwhile.
    fn compare(
        &mut self,
        picture: Self::Picture,
        generation: &Generation,
    ) -> impl Task<Result<ComparisonReport, Failure>>;
}

/// The lanes of a generation beside the live one.
pub trait ShadowPorts: Ports + Send + Sync + 'static {
    fn generation(&self) -> &Generation;
    /// From now on the lanes may keep the server busy for so much of the time, in percent.
    fn takes_share(&self, percent: u32);
    /// Makes schema, tables and lanes where there are none yet, and says where the lanes stand, and where they end.
    fn prepare(&self, until: Option<Position>) -> impl Task<Result<RunPlan, Failure>>;
}
