//! What MongoDB really answers to a place that cannot be used, and what it is taken for.

use bson::doc;
use laterna::failure::{Failure, Lost};
use laterna::position::{Position, Token};
use laterna::source::{Decoder, Fields, Outbox, OutboxOptions, OutboxReader};

use crate::support::world::event;
use crate::support::{Options, World, some_time};

fn outbox(world: &World, collection: &str) -> Outbox {
    let uri = world.options.mongodb.clone();
    let (database, collection) = (world.name.clone(), collection.to_owned());
    Outbox::new(OutboxOptions { uri, database, collection }).expect("a URI")
}

fn reader(world: &World, collection: &str) -> OutboxReader {
    OutboxReader::new(outbox(world, collection), Decoder::new(Fields::default(), 1 << 20))
}

/// What comes of reading behind a token, until something does.
async fn lost(mut reader: OutboxReader, data: &str) -> Option<Lost> {
    let token = Token { data: data.into(), type_bits: None };
    let mut read = reader.open(&Position::Stream { token }).await;
    for _ in 0..10 {
        if read.is_err() {
            break;
        }
        read = reader.next().await.map(|_| ());
    }
    let Err(failure) = read else { panic!("{data} was taken") };
    match failure {
        Failure::ResumeLost { cause, .. } => Some(cause),
        other => panic!("{data}: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_token_that_cannot_be_used_is_known_for_what_it_is() {
    let world = World::new("recorder", Options::mysql()).await;
    let start = outbox(&world, "outbox").current_token().await.expect("there is a now");
    world.insert([event("e1", "a", 1, doc! {})]).await;
    let mut first = reader(&world, "outbox");
    first.open(&Position::Stream { token: start }).await.expect("the stream opens");
    let mut token = None;
    while token.is_none() {
        let feed = first.next().await.expect("it is read");
        token = feed.deliveries.first().map(|delivery| delivery.position.clone());
    }
    let Some(Position::Stream { token }) = token else { panic!("it is in the stream") };
    assert_eq!(lost(reader(&world, "outbox"), "no hex at all").await, Some(Lost::BadToken));
    assert_eq!(lost(reader(&world, "outbox"), &token.data[..20]).await, Some(Lost::BadToken));
    // A token of another collection is taken, and found wrong at the next event.
    let other = world.client.database(&world.name).collection("other");
    other.insert_one(event("e2", "a", 2, doc! {})).await.expect("it is taken");
    assert_eq!(lost(reader(&world, "other"), &token.data).await, Some(Lost::UnknownToken));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_outbox_is_the_set_ups_fault() {
    let world = World::new("recorder", Options::mysql()).await;
    let view = doc! { "create": "view", "viewOn": "outbox", "pipeline": [] };
    world.client.database(&world.name).run_command(view).await.expect("the view is made");
    let refused = outbox(&world, "view").identify().await.expect_err("a view has no change stream");
    assert!(refused.to_string().contains("is a view"), "{refused}");
    let refused = outbox(&world, "view").current_token().await.expect_err("a view has no change stream");
    assert!(matches!(&refused, Failure::Misconfigured { reason, .. } if reason.contains("166")), "{refused}");
    let uri = world.options.mongodb.clone();
    let options = OutboxOptions { uri, database: "no name".into(), collection: "outbox".into() };
    let refused = Outbox::new(options).expect("a URI").identify().await.expect_err("there is no such name");
    assert!(matches!(&refused, Failure::Misconfigured { reason, .. } if reason.contains("73")), "{refused}");
    assert_eq!(outbox(&world, "nothing").identify().await.expect("it can be looked for"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_the_source_has_not_come_to_pauses_even_where_a_rebuild_is_wanted() {
    let mut world = World::new("recorder", Options::mysql()).await;
    world.options.extra = "resume_lost = \"rebuild\"";
    world.insert([event("e1", "a", 1, doc! {})]).await;
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    world.until_committed("recorder", 1).await;
    some_time(2500).await;
    assert!(host.stop().await.success());
    let future = "SET position = REGEXP_REPLACE(position, '\"data\":\"82.{8}', '\"data\":\"82F0000000')";
    world.run(&format!("UPDATE {}.checkpoint {future}", world.control())).await;
    let host = world.start();
    host.until_phase("recorder", "paused").await;
    let status = host.status("recorder").await.expect("it answers");
    let reason = status["reason"].as_str().expect("a pause has a reason");
    assert!(reason.contains("restored from a backup") && reason.contains("Choose: "), "{reason}");
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 1, "the tables stay as they are");
}
