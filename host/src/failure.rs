//! Everything that can go wrong with an event or a batch, as one closed list, each with the sentence that people read.
//!
//! A failure names who is at fault, and so who has to act. What the lane does about it is decided in
//! `pipeline::decide`; which server code is which failure is decided next to the driver that reports it.

mod classes;

use crate::event::Undecodable;
use crate::statement::UpcasterManifest;
use crate::text::without_quotations;

pub use classes::{Meta, remedy_of_letters};

/// The remedy where rows of the control schema are missing or damaged.
pub const RESTORE_TOGETHER: &str =
    "restore the control schema together with the read model's tables, from one backup";

/// The remedy where a row of the control schema holds what this version does not know.
pub const RUN_NEWER: &str = "run the newer version of the host that wrote it";

/// The party that is at fault, and so has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// This event with this projector. It is parked; the others go on.
    Event,
    /// The configuration, the schema or the privileges. The projection pauses until an operator acts.
    Setup,
    /// A server, the network or another writer. Trying again helps, for as long as it takes.
    Environment,
    /// Another host writes for this projection. This one stops.
    Fenced,
}

/// The cause for which the place in the change stream cannot be used; `source::resume` has what can be done about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lost {
    /// The oplog does not reach back to the checkpoint.
    History,
    /// The token is not in this stream.
    UnknownToken,
    /// The token is malformed.
    BadToken,
    /// The outbox has another name.
    Renamed,
    /// The outbox or its database was dropped, or the stream ended as if it were.
    Ended,
    /// There is no outbox under the configured name.
    NoCollection,
    /// The checkpoint was made from another collection of the same name, from another one or on another replica set.
    OtherOutbox,
    /// The checkpoint is later than the source's newest write.
    FromTheFuture,
    /// The source has gone on from an older copy of itself: an event that was taken from it is not in its history.
    PutBack,
}

/// Anything that can go wrong with an event or a batch. `Display` is the sentence that a person reads; what the host does
/// follows from [`Failure::fault`], and what the operator does is [`Failure::remedy`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    // ---- the event's fault: the host parks it, holds what is behind it in its aggregate, and commits the others;
    // ---- the operator fixes the writer or the projector, then replays or discards the letter.
    /// The document is not an event: a field is missing, has a wrong type or is beyond a limit. The writer's fault.
    #[error("the document is not an event: {reason}")]
    Undecodable { reason: String, field: Option<String> },
    /// The projector answered that it does not take the event: its own rule, or a version it does not know.
    #[error("the projector rejected the event as {kind}: {reason}")]
    Rejected { kind: &'static str, reason: String },
    /// The component trapped: a panic, an exception, an invalid access. The projector's fault.
    #[error("the projector trapped: {message}")]
    Trapped { message: String },
    /// The component did not answer within its fuel. Deterministic: the machine's speed plays no part.
    #[error(
        "the projector used up its budget of {fuel} fuel for one event: it loops endlessly, or it needs a larger `budget.fuel`"
    )]
    OutOfFuel { fuel: u64 },
    /// The component wanted more memory than its budget.
    #[error(
        "the projector needs more than its {limit_bytes} bytes of memory: raise `budget.memory_bytes` if that is right"
    )]
    OutOfMemory { limit_bytes: usize },
    /// The component answered with more operations or bytes than its budget.
    #[error("the projector's answer is too large: {what}")]
    OutputTooLarge { what: String },
    /// An operation names a statement that the manifest does not have.
    #[error(
        "operation {operation} uses statement {index}{}, but the manifest declares {declared}",
        not_found(*index)
    )]
    UnknownStatement { operation: usize, index: u32, declared: usize },
    /// An operation has more or fewer parameters than its statement.
    #[error(
        "operation {operation} gives {given} parameters to the statement `{statement}`, which takes {expected}"
    )]
    ParameterCount { operation: usize, statement: String, expected: usize, given: usize },
    /// A parameter's value cannot be sent: not a number, not JSON, not a time.
    #[error("operation {operation}, parameter {parameter} of `{statement}`: {reason}")]
    BadValue { operation: usize, statement: String, parameter: usize, reason: String },
    /// The upcaster failed on the event, or made something of it that it must not.
    #[error("the upcaster {upcaster} fails on the event: {reason}")]
    Upcaster { upcaster: String, reason: String },
    /// MySQL refused a value: too long, out of range, not null, a check.
    #[error("MySQL refused the event's values (error {code}): {message}")]
    RefusedValue { code: u16, message: String },
    /// A duplicate or foreign key. With several lanes it may be a matter of timing, so the host waits until the other
    /// lanes have passed the event before it parks it.
    #[error("MySQL found a key conflict (error {code}): {message}")]
    KeyConflict { code: u16, message: String },
    /// The event writes more than one transaction may hold.
    #[error("the event writes more than one transaction of MySQL may hold (error {code}): {message}")]
    TooLarge { code: u16, message: String },
    /// The event takes longer than a transaction may, while MySQL answers others.
    #[error(
        "the event takes longer than MySQL is given for a transaction (`mysql.statement_seconds`): {message}"
    )]
    TooSlow { message: String },
    /// The server refuses this event's statement with a code that [`crate::readmodel::mysql::error`] does not list, and takes
    /// those of other events.
    #[error(
        "MySQL refused the event's statement with an error that Laterna does not know (error {code}): {message}"
    )]
    UnknownRefusal { code: u16, message: String },
    /// The letter's document was erased, so nothing is left to try.
    #[error(
        "the letter was erased: nothing is left to replay; discard it, and the events that it holds back follow"
    )]
    Erased,

    // ---- the set-up's fault: the host pauses the projection, parks nothing, and looks again from time to time;
    // ---- the operator fixes what the reason names, and it goes on by itself.
    /// A table or column is missing, or a statement does not fit it. Whoever changed the tables is at fault.
    #[error("the read model's tables do not fit the projector (error {code}): {message}")]
    SchemaMismatch { code: u16, message: String },
    /// The account may not do what it has to, in MongoDB or MySQL.
    #[error("access denied (error {code}): {message}")]
    AccessDenied { code: u32, message: String },
    /// The place in the change stream is gone, or it is another stream. Going on from now would lose events, so the
    /// host never does.
    #[error("the change stream cannot be resumed: {reason}")]
    ResumeLost { cause: Lost, reason: String },
    /// The read model's tables and the control schema are of different moments: one was restored without the other. Going on
    /// would lose rows or write them twice.
    #[error(
        "{found}; one of the two was restored without the other. Nothing is written until you choose: restore both from one \
         backup; or run `laterna rebuild {projection}`, which makes new tables from the outbox, beside these"
    )]
    ReadModelRestored { projection: String, found: String },
    /// Anything else that an operator has to settle; the remedy is one sentence without a full stop.
    #[error("{reason}; {remedy}")]
    Misconfigured { reason: String, remedy: String },
    /// There is no room for another dead letter.
    #[error(
        "{letters} dead letters of {bytes} bytes leave no room for another one (`dead_letters_max` is {letters_max}, \
         `dead_letter_bytes_max` is {bytes_max}): fix what parks them, then replay or discard letters, or raise the \
         limit; the projection goes on by itself when there is room"
    )]
    LettersFull { letters: u64, bytes: u64, letters_max: u64, bytes_max: u64 },
    /// So many different aggregates were parked in a short time that the projector looks broken.
    #[error("{reason}")]
    BreakerOpen {
        reason: String,
        /// The component whose events opened it; none where it was open before.
        digest: Option<String>,
    },
    /// The order of the whole stream is kept, and a dead letter stands in it.
    #[error(
        "{letters} dead letter(s) hold back the stream, because its order counts: replay or discard them (`laterna dlq`), \
         then it goes on by itself; `hold = \"aggregate\"` would hold back only their aggregates"
    )]
    StreamHeld { letters: u64 },
    /// An operator paused the projection.
    #[error("paused by {by} since {since}: {why}; `laterna resume {projection}` ends the pause")]
    Paused { projection: String, by: String, since: String, why: String },
    /// A server code that [`crate::readmodel::mysql::error`] does not list: of the host's own statement, three times in a row,
    /// or of the statements of all events that were tried.
    #[error("MySQL answered with an error that Laterna does not know (error {code}): {message}")]
    Unknown { code: u32, message: String },
    /// A state of the host that its code rules out, or a task that panicked.
    #[error("a bug in Laterna: {what}")]
    Bug { what: String },

    // ---- the environment's fault: the host tries the same again for as long as it takes, and reports it; the operator
    // ---- fixes the server or the network, and nothing in the host.
    /// The guest ran against the clock's backstop, not its fuel: the machine is overloaded.
    #[error(
        "the projector did not answer within {limit_ms} ms although it had fuel left: the machine is overloaded"
    )]
    Deadline { limit_ms: u64 },
    /// The operating system gives the host no further thread.
    #[error("this host is at a limit of its machine: {what}")]
    HostLimit { what: String },
    /// The projection's run ended, as when the host stops, before this was done; nothing of it is lost.
    #[error("interrupted, because the projection's run on this host ended: {what}")]
    Interrupted { what: String },
    /// Another session changed first what this one was about to change.
    #[error("another session was faster: {what}")]
    LostRace { what: String },
    /// The connection broke, timed out or could not be made. A commit may or may not have happened.
    #[error("MySQL is not reachable: {message}")]
    ConnectionLost { message: String },
    /// The server answers, and gives this account no connection, or nothing more.
    #[error("MySQL is at a limit (error {code}): {message}")]
    LimitReached { code: u16, message: String },
    /// MySQL did not answer in time, and is not known to be gone. A commit may or may not have happened.
    #[error("MySQL takes too long: {message}")]
    TimedOut { message: String },
    /// The server ended or refused the transaction, and a new one may succeed.
    #[error("MySQL ended the transaction (error {code}): {message}")]
    TransactionLost { code: u16, message: String },
    /// The server had ended the transaction without an error: the marker that each batch sets was gone.
    #[error("MySQL ended the transaction without an error, before the batch was committed")]
    TransactionVanished,
    /// The server cannot write now: read-only, full, overloaded.
    #[error("MySQL cannot write now (error {code}): {message}")]
    CannotWrite { code: u16, message: String },
    /// The source does not answer.
    #[error("MongoDB is not reachable: {message}")]
    SourceUnavailable { message: String },
    /// The source answers, and not with what the host needs to go on.
    #[error("MongoDB answers, but the host cannot go on with it: {message}")]
    SourceUnusable { message: String },
    /// This host reaches a secondary of the source alone, and asked what only a primary knows. Another host may reach it.
    #[error("this host reaches no primary of MongoDB: {message}")]
    NoPrimary { message: String },
    /// The source answers, and nothing is committed there.
    #[error(
        "stalled: MongoDB answers, but its change stream has not moved for {seconds} s, as when a majority of the \
         replica set is away; nothing new is committed there until it is back"
    )]
    SourceStalled { seconds: u64 },
    /// The next event is larger than a document may be, so the change stream cannot show it as it is.
    #[error("an event is beyond MongoDB's document limit: {message}")]
    Oversized { message: String },
    /// The checkpoint is behind what this host committed: the server lost commits, or was restored.
    #[error(
        "the checkpoint is at batch {found}, but this host committed batch {committed}: the server lost commits"
    )]
    CommitsLost { committed: u64, found: u64 },

    /// A deployed component failed what the one before takes, so the change was taken back.
    #[error("the deployment was taken back: {reason}")]
    TakenBack { reason: String },

    // ---- another writer: the host ends its lanes, commits nothing more under its epoch, and asks for the lease
    // ---- again; the operator does nothing, unless it happens often.
    /// The epoch was raised by another host.
    #[error("{}", fenced(*mine, *found))]
    Fenced { mine: u64, found: u64 },
    /// The lease ran out before it could be renewed: another host may write, whether or not this one can see it.
    #[error("the lease could not be renewed for {seconds} s, so another host may have it: {message}")]
    LeaseExpired { seconds: u64, message: String },
}

/// What an index says that came from a search for a name that is not in the list.
fn not_found(index: u32) -> &'static str {
    if index == u32::MAX { " (which is -1: its name was not found)" } else { "" }
}

fn fenced(mine: u64, found: u64) -> String {
    if found < mine {
        return format!("the server lost commits: the epoch is {found} again, this host's was {mine}");
    }
    format!("another host took over: the epoch is {found}, this host's was {mine}")
}

impl Failure {
    /// A failure that an operator has to settle: what is wrong, and what to do about it.
    pub fn misconfigured(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Misconfigured { reason: reason.into(), remedy: remedy.into() }
    }

    /// A failure of an upcaster, under its name and version.
    pub fn upcaster(manifest: &UpcasterManifest, reason: String) -> Self {
        Self::Upcaster { upcaster: format!("`{}` {}", manifest.name, manifest.version), reason }
    }

    /// The classes of dead letters: those of events' faults.
    pub const LETTER_CLASSES: [&'static str; 16] = [
        "undecodable",
        "rejected",
        "trapped",
        "out-of-fuel",
        "out-of-memory",
        "output-too-large",
        "unknown-statement",
        "parameter-count",
        "bad-value",
        "upcaster",
        "refused-value",
        "key-conflict",
        "too-large",
        "too-slow",
        "unknown",
        "erased",
    ];

    /// Returns true where the event is only suspected: it is at fault if other events pass.
    pub fn is_suspect(&self) -> bool {
        matches!(self, Self::UnknownRefusal { .. } | Self::TooSlow { .. })
    }

    /// The set-up's failure that a suspect one turns out to be when the events of `aggregates` aggregates meet it and none
    /// passes.
    #[must_use]
    pub fn of_all_events(&self, aggregates: usize) -> Self {
        let all = format!("the events of {aggregates} aggregates in a row, and no other event passes");
        match self {
            Self::UnknownRefusal { code, message } => {
                Self::Unknown { code: (*code).into(), message: format!("it met {all}: {message}") }
            }
            Self::TooSlow { message } => Self::Misconfigured {
                reason: format!("MySQL is too slow for {all}: {message}"),
                remedy: "look for a missing index, for locks and for other load on the server, or raise \
                         `mysql.statement_seconds`; the projection goes on by itself"
                    .to_owned(),
            },
            other => other.clone(),
        }
    }

    /// The set-up's failure in place of one that blames an event, where only the host's own statements were refused.
    #[must_use]
    pub fn of_the_host(self) -> Self {
        match self {
            Self::TooLarge { code, message } => Self::Misconfigured {
                reason: format!("MySQL refuses what the host itself writes (error {code}): {message}"),
                remedy: "raise what the error names on the server, `max_binlog_cache_size` as a rule"
                    .to_owned(),
            },
            other => other,
        }
    }

    /// The failure of a document that is not an event.
    pub fn undecodable(Undecodable { reason, field, .. }: &Undecodable) -> Self {
        Self::Undecodable { reason: reason.clone(), field: field.clone() }
    }

    /// Returns true where the lanes take no events, while dead letters can still be replayed and discarded.
    pub fn holds_events_only(&self) -> bool {
        matches!(
            self,
            Self::LettersFull { .. }
                | Self::BreakerOpen { .. }
                | Self::StreamHeld { .. }
                | Self::Paused { .. }
        )
    }

    /// The sentence without values of the event, the projector or the row, for everything but the dead letter: they may be
    /// personal data, and only letters are erased.
    pub fn without_values(&self) -> String {
        match self {
            Self::RefusedValue { code, .. } => format!("MySQL refused the event's values (error {code})"),
            Self::KeyConflict { code, .. } => format!("MySQL found a key conflict (error {code})"),
            Self::UnknownRefusal { code, .. } => {
                format!("MySQL refused the event's statement (error {code}, which Laterna does not know)")
            }
            Self::Rejected { kind, .. } => format!("the projector rejected the event as {kind}"),
            Self::Undecodable { field: None, .. } => "the document is not an event".to_owned(),
            Self::Undecodable { field: Some(field), .. } => {
                format!("the document is not an event: its field `{field}` is missing or wrong")
            }
            Self::Trapped { .. } => "the projector trapped".to_owned(),
            Self::Upcaster { upcaster, .. } => format!("the upcaster {upcaster} fails on the event"),
            Self::BadValue { operation, statement, parameter, .. } => {
                format!("operation {operation}, parameter {parameter} of `{statement}` cannot be sent")
            }
            Self::Unknown { code, message } => {
                let message = without_quotations(message);
                format!("MySQL answered with an error that Laterna does not know (error {code}): {message}")
            }
            Self::Bug { what } => format!("a bug in Laterna: {}", without_quotations(what)),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
