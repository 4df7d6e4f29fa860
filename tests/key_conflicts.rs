//! Duplicate and foreign keys between lanes: whether they are a matter of timing is judged when every other lane has
//! passed the event, not by the clock.

use std::collections::BTreeMap;

use bson::{Document, doc};
use laterna::event::{Aggregate, Id};
use rand::Rng;
use sqlx::Executor;

use crate::support::world::event;
use crate::support::{Options, World, random, some_time, until};

fn born(id: &str, aggregate: &str) -> Document {
    event(id, aggregate, 1, doc! {})
}

fn knows(id: &str, aggregate: &str, sequence: i64, other: &str) -> Document {
    event(id, aggregate, sequence, doc! { "knows": other })
}

fn lane_of(aggregate: &str) -> u32 {
    Aggregate { kind: "thing".into(), id: Id::Text(aggregate.into()) }.lane(Options::mysql().lanes)
}

/// An aggregate in another lane than `other`.
fn elsewhere(other: &str) -> String {
    (0..100).map(|n| format!("q{n}")).find(|name| lane_of(name) != lane_of(other)).expect("lanes differ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_another_lane_still_owes_is_waited_for_however_long_it_takes() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("family", options).await;
        let host = world.start();
        host.until_phase("family", "streaming").await;
        let child = elsewhere("parent");
        // Somebody holds the parent's lane up.
        let mut holding = world.mysql().await;
        holding.execute("BEGIN").await.expect("it begins");
        let lock = format!(
            "SELECT 1 FROM {}.checkpoint WHERE projection = 'family' AND generation = 1 AND lane = {} FOR UPDATE",
            world.control(),
            lane_of("parent")
        );
        until("the parent's lane is held up", async || holding.execute(lock.as_str()).await.is_ok()).await;
        world.insert([born("e1", "parent"), knows("e2", &child, 1, "parent"), born("e3", &child)]).await;
        until("the child's lane waits", async || {
            let status = host.status("family").await.expect("the host answers");
            let trouble =
                status["lanes"][lane_of(&child) as usize]["trouble"].as_str().unwrap_or_default().to_owned();
            trouble.contains("key conflict")
        })
        .await;
        some_time(6000).await;
        assert_eq!(world.letters().await, (0, 0), "nothing is judged before its parent had its turn");
        assert_eq!(world.number("SELECT COUNT(*) FROM person").await, 0);
        holding.execute("ROLLBACK").await.expect("it ends");
        world.until_committed("family", 3).await;
        assert_eq!(world.letters().await, (0, 0));
        assert_eq!(world.number("SELECT COUNT(*) FROM knows").await, 1);
        assert_eq!(world.number("SELECT COUNT(*) FROM person").await, 2);
        // However often it was tried, one line says so, and one with the count that it is over.
        let log = host.log();
        let tries = log.lines().filter(|line| line.contains("key conflict") && line.contains("trying again"));
        assert_eq!(tries.count(), 1, "{log}");
        let over = |line: &str| line.contains("the lane goes on after") && line.contains("key conflict");
        assert!(log.lines().any(over), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_nobody_owes_is_parked_and_nothing_else_with_it() {
    let world = World::new("family", Options::mysql()).await;
    let _host = world.start();
    world
        .insert([born("e1", "a"), knows("e2", "a", 2, "nobody"), knows("e3", "a", 3, "a"), born("e4", "b")])
        .await;
    world.until_committed("family", 4).await;
    assert_eq!(world.letters().await, (1, 1));
    assert_eq!(world.reasons().await["e2"].0, "key-conflict");
    assert_eq!(world.number("SELECT COUNT(*) FROM person").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_wait_for_each_other_all_get_on_and_only_what_never_can_be_is_parked() {
    const PERSONS: usize = 300;
    let mut rng = random("lanes wait for each other");
    for batch_max in [3, 500] {
        let world = World::new("family", Options { batch_max, ..Options::mysql() }).await;
        let host = world.start();
        host.until_phase("family", "streaming").await;
        // Everybody comes to know people who are already born, all over the lanes; a few know nobody that exists.
        let mut documents = Vec::new();
        let mut sequences: BTreeMap<usize, i64> = BTreeMap::new();
        let (mut failed, mut expected) = (BTreeMap::new(), 0);
        for person in 0..PERSONS {
            documents.push(born(&format!("b{person}"), &format!("p{person}")));
            sequences.insert(person, 1);
            for _ in 0..3 {
                let (one, other) = (rng.random_range(0..=person), rng.random_range(0..=person));
                let sequence = sequences.get_mut(&one).expect("they are born");
                *sequence += 1;
                let id = format!("k{one}-{sequence}");
                let lost = rng.random_ratio(1, 100);
                let other = if lost { "nobody".to_owned() } else { format!("p{other}") };
                documents.push(knows(&id, &format!("p{one}"), *sequence, &other));
                // What comes behind one that is lost is held.
                if lost {
                    failed.entry(one).or_insert(id);
                }
                expected += i64::from(!failed.contains_key(&one));
            }
        }
        let events = i64::try_from(documents.len()).expect("a few");
        world.insert(documents).await;
        world.until_committed("family", events).await;
        let parked: Vec<String> = world.reasons().await.into_keys().collect();
        let mut ids: Vec<String> = failed.into_values().collect();
        ids.sort();
        assert_eq!(parked, ids, "batches of at most {batch_max}");
        assert_eq!(world.number("SELECT COUNT(*) FROM knows").await, expected);
        assert_eq!(world.number("SELECT COUNT(*) FROM person").await, i64::try_from(PERSONS).expect("a few"));
    }
}
