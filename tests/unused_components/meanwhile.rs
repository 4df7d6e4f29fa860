//! What begins to refer to a component while another host looks for unused ones keeps it, or is refused.

use std::time::Duration;

use laterna::failure::Failure;
use laterna::readmodel::control::deployment::{Origin, Proposal, deploy};
use laterna::readmodel::control::lease::UnderLease;
use laterna::readmodel::control::schema::Control;
use laterna::readmodel::mysql::session::Session;
use sqlx::{Connection, Executor, Row};

use super::{deployed, session, stored};
use crate::support::lane::wanted;
use crate::support::{Options, World, until};

const DAYS: u32 = 30;

/// A world with a control schema that no host works with.
async fn without_hosts(options: Options) -> (World, Control) {
    let world = World::new("picky", options).await;
    let control = Control::new(&world.control());
    control.migrate(&mut session(&world).await).await.expect("it is created");
    (world, control)
}

fn digest(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn proposal(digest: &str) -> Proposal<'_> {
    Proposal {
        projection: "another",
        digest,
        origin: Origin::Command,
        by: "a test",
        canary: Duration::ZERO,
        command: None,
    }
}

/// Deploys in a transaction of its own.
async fn deploys(session: &mut Session, control: &Control, letter: char) -> Result<(), Failure> {
    let mut transaction = session.connection.begin().await.expect("it begins");
    deploy(&mut transaction, control, proposal(&digest(letter))).await?;
    transaction.commit().await.expect("it commits");
    Ok(())
}

/// Looks for unused components, and does something when the look waits in a statement that begins like this.
async fn look_and_meanwhile(world: &World, waits: &str, does: impl AsyncFnOnce()) -> Vec<String> {
    let (control, mut session) = (Control::new(&world.control()), session(world).await);
    let looking = tokio::spawn(async move { control.on(&mut session).remove_unused_components(DAYS).await });
    let is_there = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '{}%'",
        waits.replace("laterna.", &format!("{}.", world.control()))
    );
    until("the look waits, or is over", async || looking.is_finished() || world.number(&is_there).await > 0)
        .await;
    does().await;
    looking.await.expect("it does not panic").expect("MySQL answers")
}

async fn deployed_meanwhile(options: Options) {
    let (world, control) = without_hosts(options).await;
    let pair = format!(
        "INSERT INTO {}.pair (digest, projector, upcaster) VALUES (REPEAT('0', 64), REPEAT('c', 64), REPEAT('b', 64))",
        world.control()
    );
    world.run(&pair).await;
    for (deployed, components) in [('a', vec!['a']), ('0', vec!['b', 'c'])] {
        for letter in &components {
            stored(&world, *letter, 40).await;
        }
        let mut session = session(&world).await;
        let mut transaction = session.connection.begin().await.expect("it begins");
        deploy(&mut transaction, &control, proposal(&digest(deployed))).await.expect("it is stored");
        let removed = look_and_meanwhile(&world, "DELETE FROM laterna.component WHERE", async || {
            transaction.commit().await.expect("it commits");
        })
        .await;
        assert_eq!(removed, Vec::<String>::new(), "{deployed} was being deployed");
        for letter in components {
            let bytes = control.on(&mut session).component_bytes(&digest(letter)).await;
            assert_eq!(bytes, Ok(Some(b"xx".to_vec())), "{letter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_being_deployed_is_not_removed_on_mysql() {
    deployed_meanwhile(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_being_deployed_is_not_removed_on_mariadb() {
    deployed_meanwhile(Options::mariadb()).await;
}

/// As hosts do it that do not count a component as stored anew.
async fn references_that_go_on(options: Options) {
    let (world, _) = without_hosts(options).await;
    let control = world.control();
    for letter in ['a', 'b', 'c'] {
        stored(&world, letter, 40).await;
    }
    for sql in [
        "command (projection, request, requested_by) VALUES \
         ('another', CONCAT('{\"do\":\"deploy\",\"digest\":\"', REPEAT('a', 64), '\"}'), 'a test')",
        "generation (projection, generation, place, purpose, state, digest, table_names, expected, origin, requested_by) \
         VALUES ('another', 2, 'x', 'replace', 'meeting', REPEAT('b', 64), '', 0, 'command', 'a test')",
    ] {
        world.run(&format!("INSERT INTO {control}.{sql}")).await;
    }
    let mut gate = world.mysql().await;
    let lock = format!("LOCK TABLES {control}.checkpoint WRITE");
    gate.execute(lock.as_str()).await.expect("nobody uses it");
    let removed = look_and_meanwhile(&world, "SELECT digest FROM laterna.checkpoint", async || {
        // The command is carried out, and the generation is live.
        deployed(&world, "another", 'a', "deployed", 0).await;
        world.run(&format!("UPDATE {control}.command SET state = 'done'")).await;
        deployed(&world, "another", 'b', "deployed", 0).await;
        world.run(&format!("DELETE FROM {control}.generation")).await;
        gate.execute("UNLOCK TABLES").await.expect("it is unlocked");
    })
    .await;
    assert_eq!(removed, [digest('c')], "the others are in use all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_goes_on_while_components_are_looked_for_is_not_missed_on_mysql() {
    references_that_go_on(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_goes_on_while_components_are_looked_for_is_not_missed_on_mariadb() {
    references_that_go_on(Options::mariadb()).await;
}

async fn gone_are_refused(options: Options) {
    let (world, control) = without_hosts(options).await;
    let name = world.control();
    for letter in ['a', 'b'] {
        stored(&world, letter, 40).await;
    }
    for sql in [
        "pair (digest, projector, upcaster) VALUES (REPEAT('0', 64), REPEAT('a', 64), REPEAT('e', 64))",
        "projection (projection, live_generation, lanes, source) VALUES ('another', 1, 1, '')",
        "lease (projection, epoch, owner, connection_id) VALUES ('another', 1, 'a test', 0)",
    ] {
        world.run(&format!("INSERT INTO {name}.{sql}")).await;
    }
    let refused = |failure: Failure, gone: char| {
        let says = failure.to_string();
        let expected = format!("the component {} is not in the control schema any more", digest(gone));
        assert!(says.contains(&expected), "{says}");
        assert!(says.contains("`laterna deploy FILE --projection another`"), "{says}");
    };
    // A projector, and the upcaster of a pair.
    for (asked, gone) in [('d', 'd'), ('0', 'e')] {
        let failure = deploys(&mut session(&world).await, &control, asked).await;
        refused(failure.expect_err("it is gone"), gone);
        let opened = opens(&world, &control, asked).await;
        refused(opened.expect_err("it is gone"), gone);
    }
    let rows =
        format!("SELECT (SELECT COUNT(*) FROM {name}.deployment) + (SELECT COUNT(*) FROM {name}.generation)");
    assert_eq!(world.number(&rows).await, 0);

    // What is there counts as stored now.
    deploys(&mut session(&world).await, &control, 'a').await.expect("it is stored");
    assert_eq!(opens(&world, &control, 'b').await, Ok(UnderLease::Done(2)));
    let old = format!(
        "SELECT COUNT(*) FROM {name}.component WHERE stored_at < CURRENT_TIMESTAMP(6) - INTERVAL 1 DAY"
    );
    assert_eq!(world.number(&old).await, 0);
}

/// Begins a generation of a component, in a session of its own.
async fn opens(world: &World, control: &Control, letter: char) -> Result<UnderLease<u32>, Failure> {
    let digest = digest(letter);
    let wanted = wanted("another", &digest);
    control.of(&mut session(world).await, "another").under(1).open_generation(wanted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_gone_is_neither_deployed_nor_built_with_on_mysql() {
    gone_are_refused(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_gone_is_neither_deployed_nor_built_with_on_mariadb() {
    gone_are_refused(Options::mariadb()).await;
}

/// How many letters there are, and how many marks.
const MANY: usize = 2000;

async fn large_tables_are_not_read(options: Options) {
    let (world, control) = without_hosts(options).await;
    let name = world.control();
    for letter in ['a', 'b', 'c'] {
        stored(&world, letter, 40).await;
    }
    let letters =
        (0..MANY).map(|n| format!("('another', 1, 'parked', 'x{n:015}', '', '', REPEAT('a', 64), 1)"));
    let marks = (0..MANY).map(|n| {
        let digest = if n % 2 == 0 { "NULL" } else { "REPEAT('b', 64)" };
        format!("('another', 1, 0, 1, 'x', {digest})")
    });
    for (columns, rows) in [
        (
            "dead_letter (projection, generation, state, document_key, document, position, digest, attempts)",
            letters.collect::<Vec<_>>(),
        ),
        ("dedupe (projection, generation, lane, events, event_ids, digest)", marks.collect()),
    ] {
        world.run(&format!("INSERT INTO {name}.{columns} VALUES {}", rows.join(", "))).await;
    }
    let mut session = session(&world).await;
    let before = rows_read(&mut session).await;
    let removed = control.on(&mut session).remove_unused_components(DAYS).await;
    assert_eq!(removed, Ok(vec![digest('c')]));
    let read = rows_read(&mut session).await - before;
    assert!(read < MANY as u64 / 4, "{read} rows were read of 3 components");
}

/// How many rows this session has read so far.
async fn rows_read(session: &mut Session) -> u64 {
    let status = session.connection.fetch_all("SHOW SESSION STATUS LIKE 'Handler_read%'").await;
    let rows = status.expect("MySQL answers");
    rows.iter().map(|row| row.get::<String, _>(1).parse::<u64>().expect("a number")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_and_marks_are_not_read_for_a_few_components_on_mysql() {
    large_tables_are_not_read(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_and_marks_are_not_read_for_a_few_components_on_mariadb() {
    large_tables_are_not_read(Options::mariadb()).await;
}
