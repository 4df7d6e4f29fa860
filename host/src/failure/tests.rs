//! Each failure as a person meets it: its sentence, its class, whose fault it is, and what to do.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::mem::discriminant;

use super::*;

const SOURCE: &str = include_str!("../failure.rs");
const DOCUMENT: &str = include_str!("../../../docs/failures.md");
const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/snapshots/failures.txt");

/// Set, the snapshot is written anew instead of compared.
const WRITE: &str = "LATERNA_WRITE_SNAPSHOTS";

/// The classes that rows, metrics and scripts may hold. A class never changes and never goes.
const STORED_CLASSES: [&str; 43] = [
    "access-denied",
    "bad-value",
    "breaker-open",
    "bug",
    "cannot-write",
    "commits-lost",
    "connection-lost",
    "deadline",
    "erased",
    "fenced",
    "host-limit",
    "interrupted",
    "key-conflict",
    "lease-expired",
    "letters-full",
    "limit-reached",
    "lost-race",
    "misconfigured",
    "no-primary",
    "out-of-fuel",
    "out-of-memory",
    "output-too-large",
    "oversized",
    "parameter-count",
    "paused",
    "read-model-restored",
    "refused-value",
    "rejected",
    "resume-lost",
    "schema-mismatch",
    "source-stalled",
    "source-unavailable",
    "stream-held",
    "taken-back",
    "timed-out",
    "too-large",
    "too-slow",
    "transaction-lost",
    "trapped",
    "undecodable",
    "unknown",
    "unknown-statement",
    "upcaster",
];

fn text(text: &str) -> String {
    text.to_owned()
}

/// One of each variant, with values as they occur.
fn samples() -> Vec<Failure> {
    [of_events(), of_the_setup(), of_the_environment()].concat()
}

fn too_slow() -> Failure {
    let message = text("running `add_total`: the transaction took longer than 30 s and was ended");
    Failure::TooSlow { message }
}

fn unknown_refusal() -> Failure {
    let message = text("running `add_total`: strange value 'a@b.c'");
    Failure::UnknownRefusal { code: 4242, message }
}

fn of_events() -> Vec<Failure> {
    vec![
        Failure::Undecodable {
            reason: text("the field `aggregateId` is missing"),
            field: Some(text("aggregateId")),
        },
        Failure::Rejected { kind: "invalid", reason: text("the amount 12,50 is no number") },
        Failure::Trapped { message: text("thread main panicked at src/lib.rs:12: index out of bounds") },
        Failure::OutOfFuel { fuel: 1_000_000_000 },
        Failure::OutOfMemory { limit_bytes: 64 << 20 },
        Failure::OutputTooLarge { what: text("10001 operations, and the budget is 10000") },
        Failure::UnknownStatement { operation: 0, index: 7, declared: 3 },
        Failure::ParameterCount { operation: 0, statement: text("add_total"), expected: 3, given: 2 },
        Failure::BadValue {
            operation: 0,
            statement: text("add_total"),
            parameter: 1,
            reason: text("`amount` is an INT, and the text is no whole number"),
        },
        Failure::Upcaster { upcaster: text("`orders` 2.1.0"), reason: text("it changed the aggregate") },
        Failure::RefusedValue {
            code: 1406,
            message: text("running `add_total`: Data too long for column 'name' at row 1"),
        },
        Failure::KeyConflict {
            code: 1062,
            message: text("running `add_total`: Duplicate entry 'a@b.c' for key 'email'"),
        },
        Failure::TooLarge {
            code: 1197,
            message: text(
                "running `add_total`: Multi-statement transaction required more than 'max_binlog_cache_size' bytes",
            ),
        },
        too_slow(),
        unknown_refusal(),
        Failure::Erased,
    ]
}

fn of_the_setup() -> Vec<Failure> {
    vec![
        Failure::SchemaMismatch {
            code: 1146,
            message: text("preparing statement 0 `add_total`: Table 'shop.totals' doesn't exist"),
        },
        Failure::AccessDenied {
            code: 1142,
            message: text(
                "running `add_total`: INSERT command denied to user 'laterna'@'%' for table 'totals'",
            ),
        },
        Failure::ResumeLost {
            cause: Lost::History,
            reason: text("reading the change stream: the oplog begins behind the checkpoint (286)"),
        },
        Failure::ReadModelRestored {
            projection: text("totals"),
            found: text(
                "lane 3 of generation 1 is at batch 10, but the read model's tables are at batch 12: they are 2 batch(es) \
                 newer (`shop`.`laterna_totals`)",
            ),
        },
        Failure::misconfigured(
            "MongoDB is not a replica set, and only replica sets have change streams",
            "start mongod with --replSet and run rs.initiate() once",
        ),
        too_slow().of_all_events(8),
        Failure::LettersFull { letters: 10_000, bytes: 1 << 30, letters_max: 10_000, bytes_max: 1 << 30 },
        Failure::BreakerOpen {
            reason: text(
                "20 different aggregates would be parked within 60 s, 40 of 50 events: the projector looks broken, not the \
                 events; deploy another component, or let them be parked: laterna resume",
            ),
            digest: Some(text("d1")),
        },
        Failure::StreamHeld { letters: 1 },
        Failure::Paused {
            projection: text("totals"),
            by: text("ada@desk"),
            since: text("2026-01-31T12:00:00Z"),
            why: text("an index is added"),
        },
        Failure::Unknown { code: 4242, message: text("recording the checkpoint: strange value 'a@b.c'") },
        unknown_refusal().of_all_events(8),
        Failure::Bug { what: text("a task of the projection ended abnormally: task 7 panicked") },
    ]
}

fn of_the_environment() -> Vec<Failure> {
    let lost = Failure::ConnectionLost { message: text("renewing the lease took too long") };
    vec![
        Failure::Deadline { limit_ms: 10_000 },
        Failure::HostLimit {
            what: text(
                "a projector's thread cannot be started: Resource temporarily unavailable (os error 11)",
            ),
        },
        Failure::Interrupted { what: text("the replay of dead letters") },
        Failure::LostRace { what: text("generation 1 of `totals` is not live any more") },
        Failure::ConnectionLost { message: text("beginning the batch: Connection refused (os error 111)") },
        Failure::LimitReached {
            code: 1040,
            message: text(
                "connecting to 127.0.0.1:3306: Too many connections: `max_connections` of the server is reached",
            ),
        },
        Failure::TimedOut { message: text("the transaction took longer than 30 s") },
        Failure::TransactionLost {
            code: 1213,
            message: text("running `add_total`: Deadlock found when trying to get lock"),
        },
        Failure::TransactionVanished,
        Failure::CannotWrite { code: 1290, message: text("the server is read-only") },
        Failure::SourceUnavailable {
            message: text("asking for the oplog's time: Connection refused (os error 111)"),
        },
        Failure::SourceUnusable { message: text("a reply is malformed: it has no cursor") },
        Failure::NoPrimary { message: text("asking whether history is complete: not primary (10107)") },
        Failure::SourceStalled { seconds: 30 },
        Failure::Oversized { message: text("reading the change stream: BSONObj size: 16793622 (10334)") },
        Failure::CommitsLost { committed: 12, found: 10 },
        Failure::TakenBack {
            reason: text("it fails event 7, which the previous component accepts: trapped"),
        },
        Failure::Fenced { mine: 4, found: 5 },
        Failure::Fenced { mine: 4, found: 3 },
        Failure::LeaseExpired { seconds: 15, message: lost.to_string() },
    ]
}

#[test]
fn every_variant_has_a_sample() {
    let sampled: std::collections::HashSet<_> = samples().iter().map(discriminant).collect();
    // Each variant has its sentence.
    let variants = SOURCE.matches("\n    #[error(").count();
    assert!(variants > 40, "the source is not read as it was: {variants}");
    assert_eq!(sampled.len(), variants, "a variant of `Failure` is not among the samples");
}

#[test]
fn each_failure_reads_as_the_snapshot_has_it() {
    let mut read = String::new();
    for failure in samples() {
        let Meta { class, fault, remedy } = failure.meta();
        write!(
            read,
            "{failure}\n    class: {class}\n    fault: {}\n    what to do: {remedy}\n",
            whose(fault)
        )
        .expect("text takes text");
        let plain = failure.without_values();
        if plain != failure.to_string() {
            writeln!(read, "    without values: {plain}").expect("text takes text");
        }
        read.push('\n');
        assert!(!remedy.is_empty() && !remedy.ends_with('.'), "{class}: {remedy}");
    }
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(SNAPSHOT, &read).expect("the snapshot can be written");
    }
    let snapshot = std::fs::read_to_string(SNAPSHOT).unwrap_or_default();
    let differs = read.lines().zip(snapshot.lines().chain(std::iter::repeat(""))).find(|(a, b)| a != b);
    assert!(
        read == snapshot,
        "{SNAPSHOT} is not what people read now, from {differs:?} on: read it aloud, and write it anew with {WRITE}=1"
    );
}

fn whose(fault: Fault) -> &'static str {
    match fault {
        Fault::Event => "event",
        Fault::Setup => "set-up",
        Fault::Environment => "environment",
        Fault::Fenced => "another writer",
    }
}

#[test]
fn the_classes_are_the_stored_ones() {
    let classes: BTreeSet<_> = samples().iter().map(Failure::class).collect();
    assert_eq!(classes.into_iter().collect::<Vec<_>>(), STORED_CLASSES);
    let letters: BTreeSet<_> =
        samples().iter().filter(|one| one.fault() == Fault::Event).map(Failure::class).collect();
    assert_eq!(letters, Failure::LETTER_CLASSES.into_iter().collect());
}

/// The classes that have a row in a section.
fn rows(section: &str) -> Vec<&'static str> {
    let (_, text) = DOCUMENT.split_once(&format!("\n## {section}\n")).expect("there is such a section");
    let (text, _) = text.split_once("\n## ").unwrap_or((text, ""));
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    cells.map(|(class, _)| class).collect()
}

#[test]
fn every_class_has_its_row_in_the_document_under_whose_fault_it_is() {
    for (fault, section) in [
        (Fault::Event, "The event's fault"),
        (Fault::Setup, "The set-up's fault"),
        (Fault::Environment, "The environment's fault"),
        (Fault::Fenced, "Another writer"),
    ] {
        let classes: BTreeSet<_> =
            samples().iter().filter(|one| one.fault() == fault).map(Failure::class).collect();
        let rows = rows(section);
        assert_eq!(rows.iter().copied().collect::<BTreeSet<_>>(), classes, "{section}");
        assert_eq!(rows.len(), classes.len(), "{section}: a class stands twice");
    }
}
