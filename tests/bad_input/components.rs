//! Every bad component of the catalogue (D.2), and where it is shown what becomes of it; and whose tables are whose.

use std::path::Path;

use bson::doc;
use laterna::failure::Failure;
use laterna::operation::load;
use laterna::projector::{Budget, Engine};
use laterna::readmodel::control::lease::Acquired;
use laterna::readmodel::control::registration::Registration;
use laterna::readmodel::control::schema::Control;
use laterna::readmodel::mysql::session::{Connector, Session};

use super::proof::{Proof, assert_complete};
use super::{assert_refused, config, config_at};
use crate::guests;
use crate::support::lane::Bench;
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Options, World, until};

/// A file that is no component, and what is said about it.
struct File {
    content: Content,
    says: &'static str,
}

enum Content {
    Text(&'static str),
    /// So many bytes of nothing, which take no room on the disk.
    Size(u64),
    /// It is there already.
    Path(&'static str),
}

fn text(text: &'static str, says: &'static str) -> Proof<File> {
    Proof::Here(File { content: Content::Text(text), says })
}

/// From the file to what it exports.
fn files() -> Vec<(&'static str, Proof<File>)> {
    vec![
        (
            "not wasm; empty; truncated; a core module; nothing exported",
            Proof::Elsewhere("a_component_that_is_none_is_refused_with_its_file_and_the_way_out"),
        ),
        ("cut at any byte", Proof::Elsewhere("a_truncated_component_is_refused")),
        (
            "a file of 200 MB",
            Proof::Here(File {
                content: Content::Size(200 << 20),
                says: "has 209715200 bytes; a component has at most 67108864",
            }),
        ),
        (
            "a device without an end",
            Proof::Here(File { content: Content::Path("/dev/zero"), says: "is not a file" }),
        ),
        ("a folder", Proof::Here(File { content: Content::Path("/tmp"), says: "is not a file" })),
        ("precompiled code", Proof::Elsewhere("compiled_code_is_refused")),
        (
            "for another version of the world",
            text(
                r#"(component (instance $i) (export "laterna:projection/projector@0.9.0" (instance $i)))"#,
                "built for `laterna:projection/projector@0.9.0`",
            ),
        ),
        ("for another world", Proof::Elsewhere("what_is_no_projector_is_refused")),
        (
            "an export without its functions",
            text(
                r#"(component (instance $i) (export "laterna:projection/projector@0.1.0" (instance $i)))"#,
                "does not fit `laterna:projection/projection@0.1.0` of this host",
            ),
        ),
        ("functions with other types", Proof::Elsewhere("other_types_than_the_contracts_are_refused")),
        (
            "unknown imports: files, HTTP, others",
            Proof::Elsewhere("every_refused_import_is_named_and_each_hint_is_given_once"),
        ),
        (
            "wasi:filesystem itself, which answers that there is none",
            Proof::Elsewhere(
                "whatever_a_guest_tries_it_gets_only_its_event_and_the_author_is_told_what_to_do",
            ),
        ),
        ("strings in UTF-16 or Latin-1", Proof::Elsewhere("strings_in_utf_16_are_refused")),
        ("streams, futures, resources", Proof::Elsewhere("what_cannot_cross_into_the_host_is_refused")),
        ("asynchronous functions", Proof::Elsewhere("code_that_is_asynchronous_is_refused")),
        ("memory64, threads", Proof::Elsewhere("what_projectors_do_not_need_is_refused")),
        (
            "several memories",
            Proof::Not(
                "they are allowed, because components made of components have several; all share one limit",
            ),
        ),
    ]
}

/// The start, and compiling.
fn starts() -> Vec<(&'static str, Proof<File>)> {
    vec![
        ("the start or `describe` traps or does not end", Proof::Elsewhere("what_does_not_start_is_refused")),
        (
            "4 GiB of memory, a table of a million elements, a start function that traps or does not end",
            Proof::Elsewhere("what_is_too_large_from_the_start_is_refused"),
        ),
        ("10 000 functions", Proof::Elsewhere("ten_thousand_functions_are_compiled_or_refused_in_time")),
        (
            "code that the compiler takes minutes for",
            Proof::Elsewhere("code_that_takes_too_long_to_compile_is_refused_and_the_next_one_is_loaded"),
        ),
        ("a compiler that panics", Proof::Elsewhere("a_compiler_that_panics_is_a_refusal")),
        (
            "a compiler that takes all memory",
            Proof::Not(
                "the file is bounded, one is compiled at a time, and Cranelift's memory grows with the code; more would \
                 take a process of its own",
            ),
        ),
        ("a manifest without a bound", Proof::Elsewhere("every_part_of_a_manifest_has_a_limit")),
        (
            "a manifest with a case that does not exist",
            Proof::Elsewhere("a_manifest_with_a_case_that_does_not_exist_is_refused"),
        ),
    ]
}

/// What it does with an event.
fn runs() -> Vec<(&'static str, Proof<File>)> {
    vec![
        ("unreachable", Proof::Elsewhere("a_trap_is_the_fault_of_one_event")),
        ("a division by zero", Proof::Elsewhere("a_division_by_zero_is_a_trap")),
        ("an endless recursion", Proof::Elsewhere("endless_recursion_is_a_trap")),
        ("an endless loop", Proof::Elsewhere("an_endless_loop_runs_out_of_fuel")),
        ("ten times too slow", Proof::Elsewhere("a_list_does_not_give_an_event_more_fuel")),
        ("a machine that is too slow", Proof::Elsewhere("a_deadline_is_the_environments_fault")),
        ("memory that grows", Proof::Elsewhere("a_memory_bomb_runs_out_of_memory")),
        ("a table that grows", Proof::Elsewhere("a_table_that_grows_beyond_its_limit_is_a_trap")),
        ("too many operations", Proof::Elsewhere("the_number_of_operations_is_limited")),
        (
            "one string of 1 GB; many strings at one place in its memory",
            Proof::Elsewhere("the_bytes_of_an_answer_are_limited"),
        ),
        ("a huge result of a real toolchain", Proof::Elsewhere("a_huge_result_is_too_large")),
        (
            "types that nest without end",
            Proof::Not("the contract has none: a value is flat, and other types do not fit it"),
        ),
        ("text that is not UTF-8", Proof::Elsewhere("text_that_is_not_utf_8_is_a_trap")),
        ("a case that does not exist", Proof::Elsewhere("a_case_that_does_not_exist_is_a_trap")),
        ("an invalid `char`", Proof::Not("the contract has no `char`; texts are strings")),
        ("a pointer out of bounds", Proof::Elsewhere("a_pointer_out_of_bounds_is_a_trap")),
        ("a pointer that is not aligned", Proof::Elsewhere("a_pointer_that_is_not_aligned_is_a_trap")),
        ("more or fewer results than events", Proof::Elsewhere("one_result_for_each_event_or_none_counts")),
        ("a clock", Proof::Elsewhere("reading_the_clock_is_an_error_that_names_the_way_out")),
        ("random bytes", Proof::Elsewhere("asking_for_random_bytes_is_an_error_that_names_the_way_out")),
        (
            "an order that is random, state that is kept",
            Proof::Elsewhere("a_guest_that_keeps_state_is_found_out"),
        ),
        (
            "a rejection: invalid, unsupported, failed",
            Proof::Elsewhere("whatever_a_projector_does_wrong_parks_exactly_that_event_on_mysql"),
        ),
        (
            "a rejection that asks to be tried again, or to be skipped",
            Proof::Not(
                "the contract has neither: an answer depends on the event alone, so trying again tells nothing",
            ),
        ),
        ("a flood of words, of 1 GB", Proof::Elsewhere("a_flood_is_cut_short_but_its_last_words_are_kept")),
    ]
}

/// What it asks of MySQL.
fn statements() -> Vec<(&'static str, Proof<File>)> {
    vec![
        (
            "DDL, COMMIT, BEGIN, SAVEPOINT, SET, LOCK, CALL, LOAD, SELECT INTO, USE",
            Proof::Elsewhere("a_statement_cannot_be_another_one"),
        ),
        ("the same, each with its words", Proof::Elsewhere("other_statements_are_refused")),
        ("several statements, comments, quotes", Proof::Elsewhere("an_attack_is_refused_wherever_it_stands")),
        ("GET_LOCK, SLEEP, subqueries", Proof::Elsewhere("a_condition_cannot_reach_out")),
        (
            "other schemas, the host's own tables",
            Proof::Elsewhere("only_declared_tables_are_named_and_never_with_a_schema"),
        ),
        (
            "such a component in a real set-up",
            Proof::Elsewhere("sql_that_is_not_allowed_is_refused_with_its_statement"),
        ),
        (
            "a column that is not there",
            Proof::Elsewhere("a_column_that_no_table_has_is_told_with_the_one_that_is_meant"),
        ),
        (
            "what only the server refuses",
            Proof::Elsewhere("a_statement_that_the_server_refuses_is_found_before_any_event_is_touched"),
        ),
        (
            "a count of such attacks",
            Proof::Not(
                "no text comes from a running component: it is refused once, by name, before it is deployed",
            ),
        ),
        (
            "fewer or more parameters, a kind of value that cannot be sent, NULL",
            Proof::Elsewhere("whatever_a_projector_does_wrong_parks_exactly_that_event_on_mariadb"),
        ),
        (
            "any value into any column",
            Proof::Elsewhere("every_value_arrives_exactly_or_is_the_events_fault_on_mysql"),
        ),
        (
            "65 536 parameters in one statement",
            Proof::Not(
                "a statement's text has at most 64 KiB, which holds half as many; joined rows are cut to fit",
            ),
        ),
        ("rows that are joined beyond 65 535 parameters", Proof::Elsewhere("pieces_have_a_few_sizes")),
        (
            "a statement larger than a packet",
            Proof::Elsewhere(
                "each_code_that_a_server_sends_to_a_lane_has_its_class_and_leaves_nothing_behind",
            ),
        ),
        (
            "rows of other aggregates",
            Proof::Not(
                "a row does not say whose it is, so it is the author's word: such a projector declares `ordering: stream`, \
                 which gets it one lane; what follows is in the next rows",
            ),
        ),
        (
            "the same, declared",
            Proof::Elsewhere("a_projector_that_needs_the_order_of_the_stream_gets_one_lane_and_no_history"),
        ),
        (
            "the same, not declared, and lanes meet on one row",
            Proof::Elsewhere(
                "lanes_that_wait_for_each_other_all_get_on_and_only_what_never_can_be_is_parked",
            ),
        ),
        ("two projections that claim one table", Proof::Elsewhere("two_projections_never_share_a_table")),
        (
            "the same, at the same moment",
            Proof::Elsewhere("a_table_is_whose_claimed_it_first_until_that_one_is_forgotten"),
        ),
        (
            "its file is replaced while the host runs",
            Proof::Elsewhere("a_components_file_that_is_spoilt_while_the_host_runs_disturbs_nothing"),
        ),
    ]
}

fn rows() -> Vec<(&'static str, Proof<File>)> {
    [files(), starts(), runs(), statements()].into_iter().flatten().collect()
}

#[test]
fn every_bad_component_has_its_test() {
    assert_complete(&rows());
}

#[test]
fn a_file_that_is_no_projector_is_refused_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::new(None).expect("the engine starts");
    for (number, (input, proof)) in rows().iter().enumerate() {
        let Proof::Here(File { content, says }) = proof else { continue };
        let mut path = folder.path().join(format!("{number}.wasm"));
        match content {
            Content::Text(text) => {
                let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{input}: {error}"));
                std::fs::write(&path, bytes).expect("it can be written");
            }
            Content::Size(bytes) => {
                let file = std::fs::File::create(&path).expect("it can be written");
                file.set_len(*bytes).expect("it needs no room");
            }
            Content::Path(there) => path = Path::new(there).to_owned(),
        }
        let refused = load::load(&engine, "p", &path, &Budget::default()).map(|_| ()).expect_err(input);
        let (told, name) = (refused.to_string(), path.display().to_string());
        assert!(told.starts_with(&name) && told.contains(says), "{input}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_components_file_that_is_spoilt_while_the_host_runs_disturbs_nothing() {
    let world = World::new("recorder", Options::mysql()).await;
    let file = world.folder.path().join("mine.wasm");
    std::fs::copy(guests::path("recorder"), &file).expect("it can be copied");
    let component = guests::path("recorder").display().to_string();
    let port = free_port();
    let host = Host::start(&config_at(&world, port, &[(&component, &file.display().to_string())]), port);
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    // In place, as by a copy that is not done, then by another file under its name, then gone.
    std::fs::write(&file, b"\0asm").expect("it can be written");
    world.insert([event("e2", "a", 2, doc! {})]).await;
    world.until_committed("recorder", 2).await;
    let draft = world.folder.path().join("draft");
    std::fs::copy(guests::path("trap"), &draft).expect("it can be copied");
    std::fs::rename(&draft, &file).expect("it can be renamed");
    world.insert([event("e3", "a", 3, doc! {})]).await;
    world.until_committed("recorder", 3).await;
    std::fs::remove_file(&file).expect("it is there");
    world.insert((4..500).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    world.until_committed("recorder", 499).await;
    world.assert_recorded(499, 1).await;
    assert_eq!(world.letters().await, (0, 0));
    host.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_projections_never_share_a_table() {
    let both = World::with(&[("one", "recorder"), ("two", "recorder")], Options::mysql()).await;
    let says = ["`one` and `two`", "a table belongs to one"];
    assert_refused(&config(&both, &[]), &says);

    // In two configurations of one control schema.
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    world.run(&format!("DELETE FROM {0}.recorded; DELETE FROM {0}.last_seen", world.name)).await;
    let port = free_port();
    let other = config_at(&world, port, &[("[projection.recorder]", "[projection.other]")]);
    let check = laterna(&other, &["check"]);
    let says = "belongs to the projection `recorder` of the same control schema";
    assert!(!check.status.success() && said(&check).contains(says), "{}", said(&check));
    let intruder = Host::start(&other, port);
    let reason = async || {
        let log = intruder.log();
        log.lines().find(|line| line.contains("paused:")).map(str::to_owned)
    };
    until("the other one pauses", async || reason().await.is_some()).await;
    let reason = reason().await.unwrap_or_default();
    assert!(reason.contains(says) && reason.contains("misconfigured"), "{reason}");
    intruder.kill();
    let registered = format!("SELECT COUNT(*) FROM {}.projection", world.control());
    assert_eq!(world.number(&registered).await, 1, "nobody waits for the one that was refused");
    world.insert([event("e2", "a", 2, doc! {})]).await;
    world.until_committed("recorder", 2).await;
    host.kill();

    // Its tables are free when it is forgotten, as the operator's guide says.
    world.run(&format!("DELETE FROM {}.checkpoint WHERE projection = 'recorder'", world.control())).await;
    world.run(&format!("DELETE FROM {}.projection WHERE projection = 'recorder'", world.control())).await;
    let check = laterna(&other, &["check"]);
    let says = "the table `recorded` has rows, and belongs to no projection";
    assert!(!check.status.success() && said(&check).contains(says), "{}", said(&check));
    for table in ["recorded", "last_seen"] {
        world.run(&format!("TRUNCATE TABLE {}.{table}", world.name)).await;
    }
    let check = laterna(&other, &["check"]);
    assert!(check.status.success(), "{}", said(&check));
}

async fn register(connector: &Connector, session: &mut Session, control: &Control, projection: &str) -> u64 {
    let registration = Registration {
        projection: projection.to_owned(),
        live_generation: 1,
        lanes: 0,
        source: "{}".to_owned(),
    };
    let mut db = control.of(session, projection);
    db.register(&registration).await.expect("it is registered");
    let ttl = std::time::Duration::from_mins(1);
    match db.acquire_lease(connector, "a test", ttl).await.expect("MySQL answers") {
        Acquired::Mine { epoch } => epoch,
        Acquired::Taken { owner } => panic!("taken by {owner}"),
    }
}

async fn a_table_is_whose_claimed_it_first(options: Options) {
    let bench = Bench::new(options).await;
    let (control, schema) = (&bench.control, &bench.schema);
    let (mut one, mut two) = (bench.direct().await, bench.direct().await);
    let connector = &bench.connector;
    let epoch = register(connector, &mut one, control, "one").await;
    let other = register(connector, &mut two, control, "two").await;
    let (mut one, mut two) = (control.of(&mut one, "one"), control.of(&mut two, "two"));
    two.tables_are_not_anothers(schema).await.expect("they are nobody's");
    for _ in 0..2 {
        one.under(epoch).claim_tables(schema).await.expect("they are nobody's");
        let refused = two.under(other).claim_tables(schema).await;
        let Err(refused @ Failure::Misconfigured { .. }) = refused else { panic!("{refused:?}") };
        let reason = refused.to_string();
        assert!(
            reason.contains("`totals`") && reason.contains("`one`") && reason.contains("`two`"),
            "{reason}"
        );
        assert!(two.tables_are_not_anothers(schema).await.is_err());
    }
    let stale = one.under(epoch - 1).claim_tables(schema).await;
    assert!(matches!(stale, Err(Failure::Fenced { .. })), "{stale:?}");
    one.withdraw().await.expect("it is forgotten");
    two.under(other).claim_tables(schema).await.expect("they are free");
    // A table of the same name in another database is another table.
    let elsewhere = format!("USE {}", bench.world.control());
    let mut three = bench.direct().await;
    sqlx::Executor::execute(&mut three.connection, elsewhere.as_str()).await.expect("it is there");
    control.of(&mut three, "three").tables_are_not_anothers(schema).await.expect("it is another one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_whose_claimed_it_first_until_that_one_is_forgotten() {
    a_table_is_whose_claimed_it_first(Options::mysql()).await;
    a_table_is_whose_claimed_it_first(Options::mariadb()).await;
}
