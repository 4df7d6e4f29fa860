//! The order of history is the index's own: the host never takes a document for one that it has handed out already.
//!
//! Documents of every type that MongoDB stores, in the fields that order history, read through the real index.

use bson::{Bson, Document, doc};
use laterna::position::Position;
use laterna::source::{Census, Decoder, Fields, Outbox, OutboxOptions, OutboxReader, STORED};
use mongodb::IndexModel;
use mongodb::options::{Collation, CreateCollectionOptions, IndexOptions};
use rand::Rng;
use rand::rngs::StdRng;

use crate::support::world::event;
use crate::support::{Options, World, random, until};

const PAGE: usize = 1 << 20;

fn reader(world: &World) -> (Outbox, OutboxReader) {
    let options = OutboxOptions {
        uri: world.options.mongodb.clone(),
        database: world.name.clone(),
        collection: "outbox".into(),
    };
    let outbox = Outbox::new(options).expect("a URI");
    (outbox.clone(), OutboxReader::new(outbox, Decoder::new(Fields::default(), PAGE)))
}

/// What the rest of history holds: each document's bytes and its place.
async fn read(reader: &mut OutboxReader, from: &Position) -> Vec<(Vec<u8>, Position)> {
    reader.open(from).await.expect("history opens");
    let mut seen = Vec::new();
    loop {
        let feed = reader.next().await.expect("a page");
        if matches!(feed.position, Position::Stream { .. }) {
            return seen;
        }
        seen.extend(
            feed.deliveries.into_iter().map(|delivery| (delivery.document.to_vec(), delivery.position)),
        );
    }
}

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().expect("a decimal"))
}

/// Numbers that are equal or close to each other across types.
fn close_numbers(rng: &mut StdRng) -> Vec<Bson> {
    let (int, long, double) = (Bson::Int32, Bson::Int64, Bson::Double);
    match rng.random_range(0..6) {
        0 => vec![int(0), double(0.0), double(-0.0), decimal("-0E+2"), double(5e-324), decimal("1E-6176")],
        1 => vec![int(5), long(5), double(5.0), decimal("5.00"), double(4.5), decimal("5.5")],
        2 => vec![double(0.1), decimal("0.1"), decimal("0.1000000000000000055511151231257827"), double(0.5)],
        3 => vec![
            double(9_007_199_254_740_992.0),
            long(9_007_199_254_740_993),
            long(9_007_199_254_740_992),
            decimal("9007199254740992.5"),
            double(9_007_199_254_740_994.0),
        ],
        4 => vec![
            long(i64::MAX),
            double(9_223_372_036_854_776e3),
            long(i64::MAX - 1),
            long(i64::MIN),
            double(-9_223_372_036_854_776e3),
            decimal("9223372036854775807.5"),
        ],
        _ => vec![
            double(f64::NAN),
            decimal("NaN"),
            double(f64::INFINITY),
            decimal("Infinity"),
            double(f64::NEG_INFINITY),
            decimal("-Infinity"),
            double(f64::MAX),
            decimal("9.999999999999999999999999999999999E+6144"),
            decimal("-1E+6144"),
        ],
    }
}

fn number(rng: &mut StdRng) -> Bson {
    let close = close_numbers(rng);
    close[rng.random_range(0..close.len())].clone()
}

fn text(rng: &mut StdRng) -> String {
    let texts = ["", "a", "A", "a ", "b", "\u{e4}", "e\u{301}", "\u{e9}", "a\u{0}b", "\u{1F600}", "5", "ß"];
    texts[rng.random_range(0..texts.len())].to_owned()
}

/// A value of any type whose order is defined, by itself or inside an object.
fn scalar(rng: &mut StdRng, depth: u32) -> Bson {
    match rng.random_range(0..16) {
        0 => Bson::MinKey,
        1 => Bson::MaxKey,
        2 => Bson::Null,
        3..=5 => number(rng),
        6 | 7 => Bson::String(text(rng)),
        8 => Bson::Symbol(text(rng)),
        9 => {
            let subtype = [0_u8, 2, 4, 5, 128][rng.random_range(0..5)].into();
            let length = if subtype == bson::spec::BinarySubtype::Uuid { 16 } else { rng.random_range(0..4) };
            Bson::Binary(bson::Binary { subtype, bytes: vec![rng.random_range(0..3); length] })
        }
        10 => bson::oid::ObjectId::from_bytes([rng.random_range(0..3); 12]).into(),
        11 => Bson::Boolean(rng.random()),
        12 => bson::DateTime::from_millis(rng.random_range(-2..3)).into(),
        13 => bson::Timestamp { time: rng.random_range(0..3), increment: rng.random_range(0..3) }.into(),
        14 => Bson::JavaScriptCode(text(rng)),
        _ if depth > 0 => {
            let mut document = Document::new();
            for _ in 0..rng.random_range(0..3) {
                document.insert(["a", "b", "ab"][rng.random_range(0..3)], scalar(rng, depth - 1));
            }
            document.into()
        }
        _ => Bson::Int32(7),
    }
}

/// A value that an ordering field may have, where MongoDB takes it; none is a field that is missing.
fn value(rng: &mut StdRng) -> Option<Bson> {
    match rng.random_range(0..12) {
        0 => None,
        1 => Some(Bson::Undefined),
        2 => Some(Bson::RegularExpression(bson::Regex {
            pattern: ["a", "b"][rng.random_range(0..2)].try_into().expect("a pattern"),
            options: ["", "i"][rng.random_range(0..2)].try_into().expect("options"),
        })),
        _ => Some(scalar(rng, 2)),
    }
}

/// A few values for a field, so that documents often share one, or nearly do.
fn pool(rng: &mut StdRng) -> Vec<Option<Bson>> {
    if rng.random_bool(0.5) {
        return close_numbers(rng).into_iter().map(Some).collect();
    }
    (0..6).map(|_| value(rng)).collect()
}

/// Documents that are no events, for want of a payload: it is their order that counts. One field of a document may be an
/// array; MongoDB takes no more of them into an index.
fn documents(rng: &mut StdRng, arrays: bool) -> Vec<Document> {
    let pools = ["aggregateType", "aggregateId", "sequence"].map(|name| (name, pool(rng)));
    let mut documents = Vec::new();
    for n in 0..400 {
        let id = if n % 2 == 0 { scalar(rng, 2) } else { Bson::Int32(rng.random()) };
        let mut document = doc! { "_id": id };
        let array = if arrays { rng.random_range(0..6) } else { pools.len() };
        for (at, (name, pool)) in pools.iter().enumerate() {
            let value = if at == array {
                Some(Bson::Array((0..rng.random_range(0..4)).map(|_| scalar(rng, 1)).collect()))
            } else {
                pool[rng.random_range(0..pool.len())].clone()
            };
            value.map(|value| document.insert(*name, value));
        }
        documents.push(document);
    }
    documents
}

/// The outbox has these documents and no others. Answers how many there are.
async fn fill(world: &World, documents: Vec<Document>) -> u64 {
    world.outbox.delete_many(doc! {}).await.expect("it is emptied");
    // Ids that are equal to MongoDB are refused.
    let _ = world.outbox.insert_many(documents).ordered(false).await;
    world.outbox.count_documents(doc! {}).await.expect("a count")
}

/// Every document comes once, in places that only go forward; behind each place comes exactly the rest.
async fn comes_once_from_everywhere(world: &World, rng: &mut StdRng, count: u64) -> Vec<Position> {
    let (outbox, mut reader) = reader(world);
    let start = outbox.current_token().await.expect("a token");
    let all = read(&mut reader, &Position::Scan { start, key: None, beside: 0 }).await;
    assert_eq!(all.len() as u64, count, "documents of history");
    for pair in all.windows(2) {
        assert!(pair[0].1.compare(&pair[1].1).is_lt(), "{:?} comes before {:?}", pair[0].1, pair[1].1);
    }
    for _ in 0..16 {
        let at = rng.random_range(0..all.len());
        let rest = read(&mut reader, &all[at].1).await;
        let rest: Vec<_> = rest.into_iter().filter(|(_, position)| !all[at].1.covers(position)).collect();
        let missing = all[at + 1..].iter().find(|document| !rest.contains(document));
        assert!(missing.is_none(), "behind {:?}, this is never handed out: {missing:?}", all[at].1);
        assert_eq!(rest.len(), all.len() - at - 1, "behind {:?}, documents come again", all[at].1);
    }
    all.into_iter().map(|(_, position)| position).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_type_stand_in_the_hosts_order_as_they_do_in_the_index() {
    let mut rng = random("order of history");
    let world = World::new("recorder", Options::mysql()).await;
    for _ in 0..10 {
        let count = fill(&world, documents(&mut rng, false)).await;
        for position in comes_once_from_everywhere(&world, &mut rng, count).await {
            assert!(matches!(position, Position::Scan { beside: 0, .. }), "not in order: {position:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_index_without_the_id_orders_history_as_well() {
    let mut rng = random("order of a unique index");
    let world = World::new("recorder", Options::mysql()).await;
    world.outbox.drop_indexes().await.expect("the index is dropped");
    world.writer.prepare().await.expect("the unique index is created");
    let count = fill(&world, documents(&mut rng, false)).await;
    comes_once_from_everywhere(&world, &mut rng, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_whose_order_the_host_does_not_know_come_once_all_the_same() {
    let mut rng = random("unknown order");
    let world = World::new("recorder", Options::mysql()).await;
    let with_scope = |n: i32| {
        Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope {
            code: format!("{}", n % 7),
            scope: doc! { "n": n % 3 },
        })
    };
    let mut all = documents(&mut rng, false);
    all.extend(
        (0..60).map(
            |n| doc! { "_id": format!("scope {n}"), "aggregateType": "t", "aggregateId": with_scope(n) },
        ),
    );
    let count = fill(&world, all).await;
    comes_once_from_everywhere(&world, &mut rng, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_in_the_ordering_fields_lose_nothing() {
    let mut rng = random("arrays in history");
    let world = World::new("recorder", Options::mysql()).await;
    let count = fill(&world, documents(&mut rng, true)).await;
    let (outbox, mut reader) = reader(&world);
    let start = outbox.current_token().await.expect("a token");
    let all = read(&mut reader, &Position::Scan { start, key: None, beside: 0 }).await;
    assert_eq!(all.len() as u64, count, "documents of history");
    for _ in 0..16 {
        let at = rng.random_range(0..all.len());
        let rest = read(&mut reader, &all[at].1).await;
        let rest: Vec<_> = rest
            .into_iter()
            .filter(|(_, position)| !all[at].1.covers(position))
            .map(|(bytes, _)| bytes)
            .collect();
        // An array is in the index once for each of its elements, so some come again.
        let missing = all[at + 1..].iter().find(|(bytes, _)| !rest.contains(bytes));
        assert!(missing.is_none(), "behind {:?}, this is never handed out: {missing:?}", all[at].1);
    }
}

fn of(id: &str, aggregate: impl Into<Bson>, sequence: impl Into<Bson>) -> Document {
    let mut document = event(id, "", 0, doc! {});
    document.insert("aggregateId", aggregate);
    document.insert("sequence", sequence);
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_and_minus_zero_are_one_aggregate_whose_events_are_all_applied() {
    let world = World::new("recorder", Options::mysql()).await;
    world.insert([of("e1", 0, 1), of("e2", -0.0, 2)]).await;
    let _host = world.start();
    world.until_committed("recorder", 2).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn integers_that_a_double_cannot_tell_apart_are_all_applied() {
    let world = World::new("recorder", Options::mysql()).await;
    let id = (1_i64 << 53) + 1;
    world.insert([of("e1", id, 1), of("e2", id + 1, 1), of("e3", 9_007_199_254_740_992.0, 2)]).await;
    let _host = world.start();
    world.until_committed("recorder", 3).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 2);
    assert_eq!(world.letters().await, (1, 0), "a double beyond 2^53 is no id");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_with_a_collation_is_read_in_the_order_of_bytes_and_resumed() {
    let world = World::new("recorder", Options::mysql()).await;
    let database = world.client.database(&world.name);
    world.outbox.drop().await.expect("it is dropped");
    let german = Collation::builder().locale("de".to_owned()).build();
    let options = CreateCollectionOptions::builder().collation(german).build();
    database.create_collection("outbox").with_options(options).await.expect("it is created");
    let keys = doc! { "aggregateType": 1, "aggregateId": 1, "sequence": 1, "_id": 1 };
    world.outbox.create_index(IndexModel::builder().keys(keys.clone()).build()).await.expect("an index");
    let names = ["a", "B", "b", "Z", "\u{e4}", "A"];
    let sequences = (1..=500).flat_map(|sequence| names.map(|name| (name, sequence)));
    world.insert(sequences.map(|(name, n)| event(&format!("{name}{n}"), name, n, doc! {}))).await;
    let host = world.start();
    host.until_phase("recorder", "paused").await;
    let status = host.status("recorder").await.expect("it answers");
    let reason = status["reason"].as_str().unwrap_or_default().to_owned();
    let command = "{ collation: { locale: \"simple\" }, name: \"laterna_history\" })";
    assert!(reason.contains("it has a collation") && reason.contains(command), "{reason}");
    let options = IndexOptions::builder()
        .name("laterna_history".to_owned())
        .collation(Collation::builder().locale("simple".to_owned()).build())
        .build();
    let index = IndexModel::builder().keys(keys).options(options).build();
    world.outbox.create_index(index).await.expect("the index of the command");
    until("history is under way", async || {
        world.number_if_any("SELECT COUNT(*) FROM recorded").await.unwrap_or_default() > 0
    })
    .await;
    host.kill();
    let mut rng = random("collation");
    comes_once_from_everywhere(&world, &mut rng, 3000).await;
    let _host = world.start();
    world.until_committed("recorder", 3000).await;
    world.assert_recorded(3000, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_history_has_a_bounded_number_of_documents_however_small_they_are() {
    const EVENTS: i64 = 30_000;
    const PAGE_MAX: usize = 5000;
    let world = World::new("recorder", Options::mysql()).await;
    world.insert((0..EVENTS).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    let (outbox, mut reader) = reader(&world);
    let start = outbox.current_token().await.expect("a token");
    let from = Position::Scan { start, key: None, beside: 0 };
    reader.open(&from).await.expect("history opens");
    let mut pages = vec![];
    loop {
        let feed = reader.next().await.expect("a page");
        if matches!(feed.position, Position::Stream { .. }) {
            break;
        }
        pages.push(feed.deliveries.len());
    }
    assert_eq!(pages.iter().sum::<usize>(), usize::try_from(EVENTS).expect("a few"));
    assert!(pages.iter().all(|page| *page <= PAGE_MAX), "{pages:?}");
    let (_, mut census) = (reader, Census::open(&outbox, STORED).await.expect("the ids are read"));
    let mut ids = vec![];
    while let Some(page) = census.next().await.expect("a page") {
        ids.push(page.len());
    }
    assert!(ids.len() > 1 && ids.iter().all(|page| *page <= 20_000), "{ids:?}");
}
