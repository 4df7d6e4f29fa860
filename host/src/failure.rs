//! Everything that can go wrong with an event or a batch, as one closed list.
//!
//! A failure says who is at fault, and so who has to act. What the loop does about it is decided in
//! `pipeline::decide`; which server code is which failure is decided next to the driver that reports it.

use crate::statement::UpcasterManifest;
use crate::text::without_quotations;

/// Who is at fault.
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

/// Why the place in the change stream cannot be used. What can be done about each stands in `source::resume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lost {
    /// The oplog does not reach back to the checkpoint.
    History,
    /// The token is not in this stream.
    UnknownToken,
    /// The token is none.
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

/// Each variant says what happened. What the host does follows from [`Failure::fault`], what the operator does is
/// [`Failure::remedy`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    // ---- the event's fault: the host parks it, holds what is behind it in its aggregate, and commits the others;
    // ---- the operator mends the writer or the projector, then replays or discards the letter.
    /// The document is not an event: a field is missing, has a wrong type or is beyond a limit. The writer's fault.
    #[error("the document is not an event: {reason}")]
    Undecodable { reason: String },
    /// The projector answered that it does not take the event: its own rule, or a version it does not know.
    #[error("the projector rejected the event as {kind}: {reason}")]
    Rejected { kind: &'static str, reason: String },
    /// The component trapped: a panic, an exception, an invalid access. The projector's fault.
    #[error("the projector trapped: {message}")]
    Trapped { message: String },
    /// The component did not answer within its fuel. Deterministic: the machine's speed plays no part.
    #[error(
        "the projector used up its budget of {fuel} fuel for one event: an endless loop, or raise `budget.fuel`"
    )]
    OutOfFuel { fuel: u64 },
    /// The component wanted more memory than its budget.
    #[error(
        "the projector wanted more than its {limit_bytes} bytes of memory: raise `budget.memory_bytes` if it needs them"
    )]
    OutOfMemory { limit_bytes: usize },
    /// The component answered with more operations or bytes than its budget.
    #[error("the projector's answer is too large: {what}")]
    OutputTooLarge { what: String },
    /// An operation names a statement that the manifest does not have.
    #[error("operation {operation} uses statement {index}, but the manifest declares {declared}")]
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
    /// What the event's operations write is more than one transaction may hold.
    #[error(
        "the event's operations are more than one transaction of MySQL may hold (error {code}): {message}"
    )]
    TooLarge { code: u16, message: String },
    /// What the event's operations do takes longer than a transaction may, while MySQL answers others.
    #[error(
        "the event takes longer than MySQL is given for a transaction (`mysql.statement_seconds`): {message}"
    )]
    TooSlow { message: String },
    /// The server refuses this event's statement with a code that no table knows, and takes those of other events.
    #[error(
        "MySQL refused the event's statement with an error that no table knows (error {code}): {message}"
    )]
    UnknownRefusal { code: u16, message: String },
    /// The letter's document was erased, so nothing is left to try.
    #[error(
        "the letter was erased: nothing is left that could be replayed; discard it, and what it holds back follows"
    )]
    Erased,

    // ---- the set-up's fault: the host pauses the projection, parks nothing, and looks again from time to time;
    // ---- the operator mends what the reason names, and it goes on by itself.
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
        "{found}; one of both was restored without the other. Nothing is written until you choose: restore both from one \
         backup; or `laterna rebuild {projection}` makes the tables anew from the outbox, beside these"
    )]
    ReadModelRestored { projection: String, found: String },
    /// Whatever else an operator has to settle.
    #[error("{reason}")]
    Misconfigured { reason: String },
    /// There is no room for another dead letter.
    #[error(
        "{letters} dead letters of {bytes} bytes leave no room for another one (`dead_letters_max` is {letters_max}, \
         `dead_letter_bytes_max` is {bytes_max}): mend what parks them, then replay or discard letters, or raise the \
         limit; it goes on by itself when there is room"
    )]
    LettersFull { letters: u64, bytes: u64, letters_max: u64, bytes_max: u64 },
    /// So many different aggregates were parked in a short time that the projector looks broken.
    #[error("{reason}")]
    BreakerOpen { reason: String },
    /// The order of the whole stream is kept, and a dead letter stands in it.
    #[error(
        "{letters} dead letter(s) stand in the way of the stream's order: laterna dlq replay or discard, then it goes on \
         by itself (`hold = \"aggregate\"` would hold back only the letter's aggregate)"
    )]
    StreamHeld { letters: u64 },
    /// An operator paused the projection.
    #[error("paused by {by} since {since}: {why}; laterna resume {projection}")]
    Paused { projection: String, by: String, since: String, why: String },
    /// A server code that no table knows: of the host's own statement, three times in a row, or of the statements of
    /// all events that were tried. Or a task that ended abnormally.
    #[error("unknown error {code}: {message}")]
    Unknown { code: u32, message: String },

    // ---- the environment's fault: the host tries the same again for as long as it takes, and says so; the operator
    // ---- mends the server or the network, and nothing in the host.
    /// The guest ran against the clock's backstop, not its fuel: the machine is overloaded.
    #[error("the projector did not answer within {limit_ms} ms although it had fuel left")]
    Deadline { limit_ms: u64 },
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
    /// The server cannot write now: read-only, full, overloaded.
    #[error("MySQL cannot write now (error {code}): {message}")]
    CannotWrite { code: u16, message: String },
    /// The source does not answer.
    #[error("MongoDB is not reachable: {message}")]
    SourceUnavailable { message: String },
    /// This host reaches a secondary of the source alone, and asked what only a primary can tell. Another host may reach it.
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
        "the checkpoint is at batch {found}, this host committed batch {committed}: the server lost commits"
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

fn fenced(mine: u64, found: u64) -> String {
    if found < mine {
        return format!("the server lost commits: the epoch is {found} again, this host's was {mine}");
    }
    format!("another host took over: the epoch is {found}, this host's was {mine}")
}

impl Failure {
    /// What an upcaster is at fault for, under its name.
    pub fn upcaster(manifest: &UpcasterManifest, reason: String) -> Self {
        Self::Upcaster { upcaster: format!("`{}` {}", manifest.name, manifest.version), reason }
    }

    pub fn fault(&self) -> Fault {
        match self {
            Self::Undecodable { .. }
            | Self::Rejected { .. }
            | Self::Trapped { .. }
            | Self::OutOfFuel { .. }
            | Self::OutOfMemory { .. }
            | Self::OutputTooLarge { .. }
            | Self::UnknownStatement { .. }
            | Self::ParameterCount { .. }
            | Self::BadValue { .. }
            | Self::Upcaster { .. }
            | Self::RefusedValue { .. }
            | Self::KeyConflict { .. }
            | Self::TooLarge { .. }
            | Self::TooSlow { .. }
            | Self::UnknownRefusal { .. }
            | Self::Erased => Fault::Event,
            Self::SchemaMismatch { .. }
            | Self::AccessDenied { .. }
            | Self::ResumeLost { .. }
            | Self::ReadModelRestored { .. }
            | Self::Misconfigured { .. }
            | Self::LettersFull { .. }
            | Self::BreakerOpen { .. }
            | Self::StreamHeld { .. }
            | Self::Paused { .. }
            | Self::Unknown { .. } => Fault::Setup,
            Self::Deadline { .. }
            | Self::ConnectionLost { .. }
            | Self::LimitReached { .. }
            | Self::TimedOut { .. }
            | Self::TransactionLost { .. }
            | Self::CannotWrite { .. }
            | Self::SourceUnavailable { .. }
            | Self::NoPrimary { .. }
            | Self::SourceStalled { .. }
            | Self::Oversized { .. }
            | Self::CommitsLost { .. }
            | Self::TakenBack { .. } => Fault::Environment,
            Self::Fenced { .. } | Self::LeaseExpired { .. } => Fault::Fenced,
        }
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

    /// Whether its cause is not known to be the event: only that other events pass tells.
    pub fn is_suspect(&self) -> bool {
        matches!(self, Self::UnknownRefusal { .. } | Self::TooSlow { .. })
    }

    /// What a suspect failure is where so many different aggregates' events meet it, and no event passes.
    #[must_use]
    pub fn of_all_events(&self, aggregates: usize) -> Self {
        let all = format!("the events of {aggregates} aggregates in a row, and no other event passes");
        match self {
            Self::UnknownRefusal { code, message } => {
                Self::Unknown { code: (*code).into(), message: format!("MySQL refuses {all}: {message}") }
            }
            Self::TooSlow { message } => Self::Misconfigured {
                reason: format!(
                    "MySQL is too slow for {all}: {message}; look for a missing index, for locks and for what else the \
                     server is busy with, or raise `mysql.statement_seconds`; it goes on by itself"
                ),
            },
            other => other.clone(),
        }
    }

    /// The same where no event has to do with it: what the host itself writes is too much for the server.
    #[must_use]
    pub fn of_the_host(self) -> Self {
        match self {
            Self::TooLarge { code, message } => Self::Misconfigured {
                reason: format!("what the host writes is refused (error {code}): {message}"),
            },
            other => other,
        }
    }

    /// Whether it keeps the lanes from taking events, while dead letters can still be replayed and discarded.
    pub fn holds_events_only(&self) -> bool {
        matches!(
            self,
            Self::LettersFull { .. }
                | Self::BreakerOpen { .. }
                | Self::StreamHeld { .. }
                | Self::Paused { .. }
        )
    }

    /// The class of this failure: a fixed word for metrics, dead letters and `--reason`.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Undecodable { .. } => "undecodable",
            Self::Rejected { .. } => "rejected",
            Self::Trapped { .. } => "trapped",
            Self::OutOfFuel { .. } => "out-of-fuel",
            Self::OutOfMemory { .. } => "out-of-memory",
            Self::OutputTooLarge { .. } => "output-too-large",
            Self::UnknownStatement { .. } => "unknown-statement",
            Self::ParameterCount { .. } => "parameter-count",
            Self::BadValue { .. } => "bad-value",
            Self::Upcaster { .. } => "upcaster",
            Self::RefusedValue { .. } => "refused-value",
            Self::KeyConflict { .. } => "key-conflict",
            Self::TooLarge { .. } => "too-large",
            Self::TooSlow { .. } => "too-slow",
            Self::Erased => "erased",
            Self::SchemaMismatch { .. } => "schema-mismatch",
            Self::AccessDenied { .. } => "access-denied",
            Self::ResumeLost { .. } => "resume-lost",
            Self::ReadModelRestored { .. } => "read-model-restored",
            Self::Misconfigured { .. } => "misconfigured",
            Self::LettersFull { .. } => "letters-full",
            Self::BreakerOpen { .. } => "breaker-open",
            Self::StreamHeld { .. } => "stream-held",
            Self::Paused { .. } => "paused",
            Self::Unknown { .. } | Self::UnknownRefusal { .. } => "unknown",
            Self::Deadline { .. } => "deadline",
            Self::ConnectionLost { .. } => "connection-lost",
            Self::LimitReached { .. } => "limit-reached",
            Self::TimedOut { .. } => "timed-out",
            Self::TransactionLost { .. } => "transaction-lost",
            Self::CannotWrite { .. } => "cannot-write",
            Self::SourceUnavailable { .. } => "source-unavailable",
            Self::NoPrimary { .. } => "no-primary",
            Self::SourceStalled { .. } => "source-stalled",
            Self::Oversized { .. } => "oversized",
            Self::CommitsLost { .. } => "commits-lost",
            Self::TakenBack { .. } => "taken-back",
            Self::Fenced { .. } => "fenced",
            Self::LeaseExpired { .. } => "lease-expired",
        }
    }

    /// What the operator does about it: one short sentence. `docs/failures.md` says more.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Undecodable { .. } => "mend the writer, write a right document, and discard this one",
            Self::Rejected { .. } => "deploy a projector that takes it and replay it, or discard it",
            Self::Trapped { .. } | Self::UnknownStatement { .. } | Self::ParameterCount { .. } => {
                "mend the projector and replay it"
            }
            Self::BadValue { .. } => "mend the projector, or the writer of the value, and replay it",
            Self::Upcaster { .. } => "mend the upcaster, deploy it, and replay the letter",
            Self::OutOfFuel { .. } => "mend the projector or raise `budget.fuel`, and replay it",
            Self::OutOfMemory { .. } => "mend the projector or raise `budget.memory_bytes`, and replay it",
            Self::OutputTooLarge { .. } => {
                "mend the projector or raise `budget.operations` or `budget.output_bytes`, and replay it"
            }
            Self::RefusedValue { .. } => "mend the writer, or the projector with its table, and replay it",
            Self::KeyConflict { .. } => {
                "remove the row in the way, or wait for the parent row, and replay it"
            }
            Self::TooLarge { .. } => {
                "raise what the error names in MySQL, or let the projector do less for one event, and replay it"
            }
            Self::TooSlow { .. } => {
                "give the statement an index, or raise `mysql.statement_seconds`, and replay it"
            }
            Self::UnknownRefusal { .. } => {
                "look the code up, mend the projector or the writer, and replay it"
            }
            Self::SchemaMismatch { .. } => {
                "bring back the tables as the projector declares them, or run the component that fits them"
            }
            Self::AccessDenied { .. } => "grant the account what it needs, or correct its password",
            Self::ResumeLost { .. } => "choose one of the ways that the reason names",
            Self::ReadModelRestored { .. } => {
                "restore the tables and the control schema from one backup, or `laterna rebuild`"
            }
            Self::Misconfigured { .. } => "do what the reason says",
            Self::Erased => "discard it; what it holds back follows",
            Self::LettersFull { .. } => {
                "mend what parks them, then replay or discard letters, or raise `dead_letters_max`"
            }
            Self::BreakerOpen { .. } => {
                "mend the projector and deploy it, or, if the events are at fault, `laterna resume`"
            }
            Self::StreamHeld { .. } => "replay or discard the letter; it goes on by itself",
            Self::Paused { .. } => "`laterna resume` when what it was paused for is done",
            Self::Unknown { .. } => "look the code up, mend its cause, and report it",
            Self::Deadline { .. } => "give the machine more processor time, or run fewer lanes",
            Self::ConnectionLost { .. } => "make sure that MySQL runs and is reachable from this host",
            Self::LimitReached { .. } => "raise the limit that the reason names, or end what else uses it up",
            Self::TimedOut { .. } => {
                "find out what MySQL is busy with: load, disks, locks, replicas that it waits for"
            }
            Self::TransactionLost { .. } => "find out who else writes to or locks these tables",
            Self::CannotWrite { .. } => "free space in MySQL, or point `mysql.url` at the primary",
            Self::SourceUnavailable { .. } => {
                "make sure that MongoDB has a primary and is reachable from this host"
            }
            Self::NoPrimary { .. } => {
                "let `mongodb.uri` find the primary: without directConnection=true, ending with ?replicaSet=NAME"
            }
            Self::SourceStalled { .. } => "bring back a majority of the replica set's members",
            Self::Oversized { .. } => "nothing; the event is read in two parts",
            Self::CommitsLost { .. } => "make MySQL's commits durable",
            Self::TakenBack { .. } => "mend the component and deploy it again; the one before goes on",
            Self::Fenced { .. } => "nothing; if it happens often, raise `host.lease_seconds`",
            Self::LeaseExpired { .. } => {
                "make sure that MySQL answers this host well within `host.lease_seconds`"
            }
        }
    }

    /// The failure without what the event, the projector or the row said, for everything but the dead letter, where the whole
    /// text stands: those may be personal data, and letters are what is erased.
    pub fn without_values(&self) -> String {
        match self {
            Self::RefusedValue { code, .. } => format!("MySQL refused the event's values (error {code})"),
            Self::KeyConflict { code, .. } => format!("MySQL found a key conflict (error {code})"),
            Self::UnknownRefusal { code, .. } => {
                format!("MySQL refused the event's statement (error {code}, which no table knows)")
            }
            Self::Rejected { kind, .. } => format!("the projector rejected the event as {kind}"),
            Self::Undecodable { .. } => "the document is not an event".to_owned(),
            Self::Trapped { .. } => "the projector trapped".to_owned(),
            Self::Upcaster { upcaster, .. } => format!("the upcaster {upcaster} fails on the event"),
            Self::BadValue { operation, statement, parameter, .. } => {
                format!("operation {operation}, parameter {parameter} of `{statement}` cannot be sent")
            }
            Self::Unknown { code, message } => {
                format!("unknown error {code}: {}", without_quotations(message))
            }
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    const SOURCE: &str = include_str!("failure.rs");
    const DOCUMENT: &str = include_str!("../../docs/failures.md");

    /// What a function's `match` gives for each variant.
    fn arms(function: &str) -> Vec<(&'static str, &'static str)> {
        let (_, body) = SOURCE.split_once(&format!("pub fn {function}(&self)")).expect("there is one");
        let (body, _) = body.split_once("\n    }\n").expect("it ends");
        let name = |arm: &'static str| arm.split([' ', ',']).next().unwrap_or_default();
        let mut arms = vec![];
        let mut open = vec![];
        for line in body.lines().map(str::trim) {
            let (pattern, value) = line.split_once(" => ").map_or((line, None), |(p, v)| (p, Some(v)));
            open.extend(pattern.split("Self::").skip(1).map(name));
            if let Some(value) = value {
                arms.extend(
                    open.drain(..).map(|variant| (variant, value.trim_matches([',', '"', '{', ' ']))),
                );
            }
        }
        arms
    }

    /// The classes that have a row in a section.
    fn rows(section: &str) -> Vec<&'static str> {
        let (_, text) = DOCUMENT.split_once(&format!("\n## {section}\n")).expect("there is such a section");
        let (text, _) = text.split_once("\n## ").unwrap_or((text, ""));
        text.lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(class, _)| class)
            .collect()
    }

    #[test]
    fn every_class_has_its_row_in_the_document_under_whose_fault_it_is() {
        let faults = arms("fault");
        let fault = |variant: &str| faults.iter().find(|(name, _)| *name == variant).map(|(_, fault)| *fault);
        let sections = [
            ("Fault::Event", "The event's fault"),
            ("Fault::Setup", "The set-up's fault"),
            ("Fault::Environment", "The environment's fault"),
            ("Fault::Fenced", "Another writer"),
        ];
        let mut told = 0;
        for (whose, section) in sections {
            let classes: BTreeSet<&str> = arms("class")
                .into_iter()
                .filter(|(variant, _)| fault(variant) == Some(whose))
                .map(|(_, class)| class)
                .collect();
            let rows = rows(section);
            told += rows.len();
            assert_eq!(rows.iter().copied().collect::<BTreeSet<_>>(), classes, "{section}");
            assert_eq!(rows.len(), classes.len(), "{section}: a class stands twice");
        }
        assert_eq!(told, arms("class").len());
        assert!(told >= 31, "the source is not read as it was: {told}");
    }
}
