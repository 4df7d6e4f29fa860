//! The class, the fault and the remedy of each failure: one table.

use super::{Failure, Fault};

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta<'a> {
    /// The fixed word for metrics, dead letters and `--reason`; several variants may share one.
    pub class: &'static str,
    /// The party that has to act.
    pub fault: Fault,
    /// One short sentence for the operator; `docs/failures.md` has more.
    pub remedy: &'a str,
}

impl Failure {
    /// The class, the fault and the remedy of this failure.
    #[must_use]
    pub fn meta(&self) -> Meta<'_> {
        match self {
            Self::Undecodable { .. } => Meta::UNDECODABLE,
            Self::Rejected { .. } => Meta::REJECTED,
            Self::Trapped { .. } => Meta::TRAPPED,
            Self::OutOfFuel { .. } => Meta::OUT_OF_FUEL,
            Self::OutOfMemory { .. } => Meta::OUT_OF_MEMORY,
            Self::OutputTooLarge { .. } => Meta::OUTPUT_TOO_LARGE,
            Self::UnknownStatement { .. } => Meta::UNKNOWN_STATEMENT,
            Self::ParameterCount { .. } => Meta::PARAMETER_COUNT,
            Self::BadValue { .. } => Meta::BAD_VALUE,
            Self::Upcaster { .. } => Meta::UPCASTER,
            Self::RefusedValue { .. } => Meta::REFUSED_VALUE,
            Self::KeyConflict { .. } => Meta::KEY_CONFLICT,
            Self::TooLarge { .. } => Meta::TOO_LARGE,
            Self::TooSlow { .. } => Meta::TOO_SLOW,
            Self::UnknownRefusal { .. } => Meta::UNKNOWN_REFUSAL,
            Self::Erased => Meta::ERASED,
            Self::SchemaMismatch { .. } => Meta::SCHEMA_MISMATCH,
            // MongoDB's codes are below these.
            Self::AccessDenied { code: 1000.., .. } => Meta::ACCESS_DENIED_BY_MYSQL,
            Self::AccessDenied { .. } => Meta::ACCESS_DENIED,
            Self::ResumeLost { .. } => Meta::RESUME_LOST,
            Self::ReadModelRestored { .. } => Meta::READ_MODEL_RESTORED,
            Self::Misconfigured { remedy, .. } => Meta { remedy, ..Meta::MISCONFIGURED },
            Self::LettersFull { .. } => Meta::LETTERS_FULL,
            Self::BreakerOpen { .. } => Meta::BREAKER_OPEN,
            Self::StreamHeld { .. } => Meta::STREAM_HELD,
            Self::Paused { .. } => Meta::PAUSED,
            Self::Unknown { .. } => Meta::UNKNOWN,
            Self::Bug { .. } => Meta::BUG,
            Self::Deadline { .. } => Meta::DEADLINE,
            Self::HostLimit { .. } => Meta::HOST_LIMIT,
            Self::Interrupted { .. } => Meta::INTERRUPTED,
            Self::LostRace { .. } => Meta::LOST_RACE,
            Self::ConnectionLost { .. } => Meta::CONNECTION_LOST,
            Self::LimitReached { .. } => Meta::LIMIT_REACHED,
            Self::TimedOut { .. } => Meta::TIMED_OUT,
            Self::TransactionLost { .. } => Meta::TRANSACTION_LOST,
            Self::TransactionVanished => Meta::TRANSACTION_VANISHED,
            Self::CannotWrite { .. } => Meta::CANNOT_WRITE,
            Self::SourceUnavailable { .. } => Meta::SOURCE_UNAVAILABLE,
            Self::SourceUnusable { .. } => Meta::SOURCE_UNUSABLE,
            Self::NoPrimary { .. } => Meta::NO_PRIMARY,
            Self::SourceStalled { .. } => Meta::SOURCE_STALLED,
            Self::Oversized { .. } => Meta::OVERSIZED,
            Self::CommitsLost { .. } => Meta::COMMITS_LOST,
            Self::TakenBack { .. } => Meta::TAKEN_BACK,
            Self::Fenced { .. } => Meta::FENCED,
            Self::LeaseExpired { .. } => Meta::LEASE_EXPIRED,
        }
    }

    /// The party that has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.meta().fault
    }

    /// The fixed word for metrics, dead letters and `--reason`.
    #[must_use]
    pub fn class(&self) -> &'static str {
        self.meta().class
    }

    /// One short sentence about what the operator does.
    #[must_use]
    pub fn remedy(&self) -> &str {
        self.meta().remedy
    }
}

const fn event(class: &'static str, remedy: &'static str) -> Meta<'static> {
    Meta { class, fault: Fault::Event, remedy }
}

const fn setup(class: &'static str, remedy: &'static str) -> Meta<'static> {
    Meta { class, fault: Fault::Setup, remedy }
}

const fn environment(class: &'static str, remedy: &'static str) -> Meta<'static> {
    Meta { class, fault: Fault::Environment, remedy }
}

const fn fenced(class: &'static str, remedy: &'static str) -> Meta<'static> {
    Meta { class, fault: Fault::Fenced, remedy }
}

impl Meta<'static> {
    const UNDECODABLE: Self =
        event("undecodable", "mend the writer, write a correct document, and discard this one");
    const REJECTED: Self =
        event("rejected", "deploy a projector that accepts the event and replay it, or discard it");
    const TRAPPED: Self = event("trapped", "mend the projector, deploy it, and replay the event");
    const OUT_OF_FUEL: Self =
        event("out-of-fuel", "mend the projector or raise `budget.fuel`, and replay the event");
    const OUT_OF_MEMORY: Self =
        event("out-of-memory", "mend the projector or raise `budget.memory_bytes`, and replay the event");
    const OUTPUT_TOO_LARGE: Self = event(
        "output-too-large",
        "mend the projector or raise `budget.operations` or `budget.output_bytes`, and replay the event",
    );
    const UNKNOWN_STATEMENT: Self =
        event("unknown-statement", "mend the projector, deploy it, and replay the event");
    const PARAMETER_COUNT: Self =
        event("parameter-count", "mend the projector, deploy it, and replay the event");
    const BAD_VALUE: Self =
        event("bad-value", "mend the projector, or the writer of the value, and replay the event");
    const UPCASTER: Self = event("upcaster", "mend the upcaster, deploy it, and replay the event");
    const REFUSED_VALUE: Self =
        event("refused-value", "mend the writer, or the projector with its table, and replay the event");
    const KEY_CONFLICT: Self =
        event("key-conflict", "remove the row in the way, or wait for the parent row, and replay the event");
    const TOO_LARGE: Self = event(
        "too-large",
        "raise what the error names in MySQL, or let the projector do less for one event, and replay the event",
    );
    const TOO_SLOW: Self = event(
        "too-slow",
        "give the statement an index, or raise `mysql.statement_seconds`, and replay the event",
    );
    const UNKNOWN_REFUSAL: Self =
        event("unknown", "look up the error, mend the projector or the writer, and replay the event");
    const ERASED: Self = event("erased", "discard the letter; what it holds back follows");

    const SCHEMA_MISMATCH: Self = setup(
        "schema-mismatch",
        "bring back the tables as the projector declares them, or run the component that fits them",
    );
    const ACCESS_DENIED: Self =
        setup("access-denied", "grant the account what it needs, or correct its password");
    const ACCESS_DENIED_BY_MYSQL: Self = setup(
        "access-denied",
        "grant the account what it needs, or correct its password: `laterna grants` prints the SQL for an administrator",
    );
    const RESUME_LOST: Self = setup(
        "resume-lost",
        "choose how it goes on (docs/operating.md, `When the place in the stream is lost`); until then nothing is written",
    );
    const READ_MODEL_RESTORED: Self = setup(
        "read-model-restored",
        "restore the tables and the control schema from one backup, or `laterna rebuild`",
    );
    /// The remedy is the failure's own.
    const MISCONFIGURED: Self = setup("misconfigured", "");
    const LETTERS_FULL: Self = setup(
        "letters-full",
        "mend what parks the events, then replay or discard letters, or raise `dead_letters_max`",
    );
    const BREAKER_OPEN: Self = setup(
        "breaker-open",
        "mend the projector and deploy it, or, if the events are at fault, `laterna resume`",
    );
    const STREAM_HELD: Self =
        setup("stream-held", "replay or discard the letter; the stream goes on by itself");
    const PAUSED: Self = setup("paused", "`laterna resume` when what it was paused for is done");
    const UNKNOWN: Self = setup("unknown", "look up the error, mend its cause, and report it");
    const BUG: Self =
        setup("bug", "report it with the host's log; it is tried again, and a restart of the host may help");

    const DEADLINE: Self =
        environment("deadline", "give the machine more processor time, or run fewer lanes");
    const HOST_LIMIT: Self = environment(
        "host-limit",
        "raise the limit on the host's process (`ulimit`, the container's limits), or run fewer lanes",
    );
    const INTERRUPTED: Self = environment(
        "interrupted",
        "nothing; the projection's next run goes on with it, on this host or another one",
    );
    const LOST_RACE: Self = environment("lost-race", "nothing; it is tried again");
    const CONNECTION_LOST: Self =
        environment("connection-lost", "make sure that MySQL runs and is reachable from this host");
    const LIMIT_REACHED: Self =
        environment("limit-reached", "raise the limit that the reason names, or end what else uses it up");
    const TIMED_OUT: Self = environment(
        "timed-out",
        "find out what MySQL is busy with: load, disks, locks, replicas that it waits for",
    );
    const TRANSACTION_LOST: Self =
        environment("transaction-lost", "find out who else writes to or locks these tables");
    const TRANSACTION_VANISHED: Self = environment(
        "transaction-lost",
        "connect to MySQL itself, without a proxy that shares sessions, and look into its error log",
    );
    const CANNOT_WRITE: Self =
        environment("cannot-write", "free space in MySQL, or point `mysql.url` at the primary");
    const SOURCE_UNAVAILABLE: Self = environment(
        "source-unavailable",
        "make sure that MongoDB has a primary and is reachable from this host",
    );
    const SOURCE_UNUSABLE: Self =
        environment("source-unavailable", "look into the state and the log of the replica set's member");
    const NO_PRIMARY: Self = environment(
        "no-primary",
        "let `mongodb.uri` find the primary: without directConnection=true, ending with ?replicaSet=NAME",
    );
    const SOURCE_STALLED: Self =
        environment("source-stalled", "bring back a majority of the replica set's members");
    const OVERSIZED: Self = environment("oversized", "nothing; the event is read in two parts");
    const COMMITS_LOST: Self = environment("commits-lost", "make MySQL's commits durable");
    const TAKEN_BACK: Self =
        environment("taken-back", "mend the component and deploy it again; the previous one goes on");

    const FENCED: Self = fenced("fenced", "nothing; if it happens often, raise `host.lease_seconds`");
    const LEASE_EXPIRED: Self =
        fenced("lease-expired", "make sure that MySQL answers this host well within `host.lease_seconds`");
}
