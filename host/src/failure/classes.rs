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

/// The remedy for the letters of a class; none for a class that no letter has.
#[must_use]
pub fn remedy_of_letters(class: &str) -> Option<&'static str> {
    Meta::OF_EVENTS.iter().find(|meta| meta.class == class).map(|meta| meta.remedy)
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
    /// The failures that make letters.
    const OF_EVENTS: [Self; 16] = [
        Self::UNDECODABLE,
        Self::REJECTED,
        Self::TRAPPED,
        Self::OUT_OF_FUEL,
        Self::OUT_OF_MEMORY,
        Self::OUTPUT_TOO_LARGE,
        Self::UNKNOWN_STATEMENT,
        Self::PARAMETER_COUNT,
        Self::BAD_VALUE,
        Self::UPCASTER,
        Self::REFUSED_VALUE,
        Self::KEY_CONFLICT,
        Self::TOO_LARGE,
        Self::TOO_SLOW,
        Self::UNKNOWN_REFUSAL,
        Self::ERASED,
    ];

    const UNDECODABLE: Self = event(
        "undecodable",
        "correct the service that writes the outbox, write a correct event, and discard this one",
    );
    const REJECTED: Self =
        event("rejected", "deploy a projector that accepts the event, then replay it; or discard it");
    const TRAPPED: Self = event("trapped", "fix the projector, deploy it, then replay the event");
    const OUT_OF_FUEL: Self =
        event("out-of-fuel", "fix the projector or raise `budget.fuel`, then replay the event");
    const OUT_OF_MEMORY: Self =
        event("out-of-memory", "fix the projector or raise `budget.memory_bytes`, then replay the event");
    const OUTPUT_TOO_LARGE: Self = event(
        "output-too-large",
        "fix the projector, or raise `budget.operations` or `budget.output_bytes`, then replay the event",
    );
    const UNKNOWN_STATEMENT: Self =
        event("unknown-statement", "fix the projector, deploy it, then replay the event");
    const PARAMETER_COUNT: Self =
        event("parameter-count", "fix the projector, deploy it, then replay the event");
    const BAD_VALUE: Self =
        event("bad-value", "fix the projector, or the service that wrote the value, then replay the event");
    const UPCASTER: Self = event("upcaster", "fix the upcaster, deploy it, then replay the event");
    const REFUSED_VALUE: Self = event(
        "refused-value",
        "fix the projector with its table, then replay the event; or fix the writer and discard it",
    );
    const KEY_CONFLICT: Self = event(
        "key-conflict",
        "remove the conflicting row, or wait for the missing parent row, then replay the event",
    );
    const TOO_LARGE: Self = event(
        "too-large",
        "raise the MySQL variable that the error names, or let the projector write less for one event, then replay it",
    );
    const TOO_SLOW: Self = event(
        "too-slow",
        "add an index for the statement, or raise `mysql.statement_seconds`, then replay the event",
    );
    const UNKNOWN_REFUSAL: Self =
        event("unknown", "look up the error code, fix the projector or the writer, then replay the event");
    const ERASED: Self = event("erased", "discard the letter; the events that it holds back follow at once");

    const SCHEMA_MISMATCH: Self = setup(
        "schema-mismatch",
        "restore the tables as the projector declares them, or deploy a component that fits them",
    );
    const ACCESS_DENIED: Self =
        setup("access-denied", "give the account the missing privileges, or correct its password");
    const ACCESS_DENIED_BY_MYSQL: Self = setup(
        "access-denied",
        "give the account the missing privileges, or correct its password: `laterna grants` prints the SQL for an administrator",
    );
    const RESUME_LOST: Self = setup(
        "resume-lost",
        "choose how to go on (docs/operating.md, `When the place in the stream is lost`); nothing is written until then",
    );
    const READ_MODEL_RESTORED: Self = setup(
        "read-model-restored",
        "restore the tables and the control schema from one backup, or run `laterna rebuild`",
    );
    /// The remedy is the failure's own.
    const MISCONFIGURED: Self = setup("misconfigured", "");
    const LETTERS_FULL: Self = setup(
        "letters-full",
        "fix what parks the events, then replay or discard letters; or raise the limit that the reason names",
    );
    const BREAKER_OPEN: Self = setup(
        "breaker-open",
        "fix the projector and deploy it; or run `laterna resume`, and the events become dead letters",
    );
    const STREAM_HELD: Self =
        setup("stream-held", "replay or discard the letter; the projection then goes on by itself");
    const PAUSED: Self = setup("paused", "run `laterna resume` when the reason for the pause is gone");
    const UNKNOWN: Self = setup("unknown", "look up the error code, fix its cause, and report it");
    const BUG: Self =
        setup("bug", "report it with the host's log; the host tries again by itself, and a restart may help");

    const DEADLINE: Self =
        environment("deadline", "give the machine more processor time, or run fewer lanes");
    const HOST_LIMIT: Self = environment(
        "host-limit",
        "raise the limit on the host's process (`ulimit`, the container's limits), or run fewer lanes",
    );
    const INTERRUPTED: Self = environment(
        "interrupted",
        "nothing; the next run of the projection goes on with it, on this host or another one",
    );
    const LOST_RACE: Self = environment("lost-race", "nothing; the host tries again");
    const CONNECTION_LOST: Self =
        environment("connection-lost", "make sure that MySQL runs and is reachable from this host");
    const LIMIT_REACHED: Self =
        environment("limit-reached", "raise the limit that the reason names, or reduce what else uses it");
    const TIMED_OUT: Self = environment(
        "timed-out",
        "find out what MySQL is busy with: load, disks, locks, or replicas that it waits for",
    );
    const TRANSACTION_LOST: Self =
        environment("transaction-lost", "find out who else writes to these tables or locks them");
    const TRANSACTION_VANISHED: Self = environment(
        "transaction-lost",
        "connect to MySQL directly, without a proxy that shares sessions, and look at its error log",
    );
    const CANNOT_WRITE: Self =
        environment("cannot-write", "free disk space for MySQL, or let `mysql.url` name the primary");
    const SOURCE_UNAVAILABLE: Self = environment(
        "source-unavailable",
        "make sure that MongoDB has a primary and is reachable from this host",
    );
    const SOURCE_UNUSABLE: Self =
        environment("source-unavailable", "look at the state and the log of the replica set's members");
    const NO_PRIMARY: Self = environment(
        "no-primary",
        "let `mongodb.uri` find the primary: without directConnection=true, and with ?replicaSet=NAME at its end",
    );
    const SOURCE_STALLED: Self =
        environment("source-stalled", "bring back a majority of the replica set's members");
    const OVERSIZED: Self = environment("oversized", "nothing; the event is read in two parts");
    const COMMITS_LOST: Self = environment(
        "commits-lost",
        "set innodb_flush_log_at_trx_commit = 1 and sync_binlog = 1 in MySQL, so that it keeps its commits",
    );
    const TAKEN_BACK: Self =
        environment("taken-back", "fix the component and deploy it again; the previous one goes on");

    const FENCED: Self = fenced("fenced", "nothing; if it happens often, raise `host.lease_seconds`");
    const LEASE_EXPIRED: Self = fenced(
        "lease-expired",
        "make sure that MySQL answers this host in much less than `host.lease_seconds`",
    );
}
