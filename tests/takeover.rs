//! One writer: two hosts never both write, and a standby takes over.

use bson::doc;

use crate::support::world::event;
use crate::support::{Options, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_from_a_host_that_is_killed() {
    let world = World::new("recorder", Options::mysql()).await;
    let first = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    let second = world.start();
    second.until_phase("recorder", "standby").await;
    assert_eq!(second.get("/readyz").await.expect("it answers").0, 200, "standing by is no fault");
    first.kill();
    second.until_phase("recorder", "streaming").await;
    world.insert([event("e2", "a", 2, doc! {})]).await;
    world.until_committed("recorder", 2).await;
    world.assert_recorded(2, 1).await;
    let epoch = format!("SELECT epoch FROM {}.lease", world.control());
    assert_eq!(world.number(&epoch).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_frozen_beyond_its_lease_writes_nothing_when_it_goes_on() {
    let world = World::new("recorder", Options::mysql()).await;
    let first = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    first.signal("STOP");
    let second = world.start();
    second.until_phase("recorder", "streaming").await;
    world.insert((2..=50).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    world.until_committed("recorder", 50).await;
    first.signal("CONT");
    until("the first host says that it was fenced", async || {
        let log = first.log();
        log.contains("another host took over")
            || first.status("recorder").await.is_some_and(|status| status["phase"] == "standby")
    })
    .await;
    world.insert((51..=60).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    world.until_committed("recorder", 60).await;
    world.assert_recorded(60, 1).await;
    let epochs = format!("SELECT COUNT(*) FROM {}.checkpoint WHERE epoch <> 2", world.control());
    assert_eq!(world.number(&epochs).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_start_together_agree_on_one_writer() {
    let world = World::new("recorder", Options::mysql()).await;
    let hosts = [(); 5].map(|()| world.start());
    world.insert((1..=200).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    world.until_committed("recorder", 200).await;
    world.assert_recorded(200, 1).await;
    until("one writes and the others stand by", async || {
        let mut phases = vec![];
        for host in &hosts {
            phases.extend(
                host.status("recorder").await.and_then(|status| status["phase"].as_str().map(String::from)),
            );
        }
        phases.sort();
        phases == ["standby", "standby", "standby", "standby", "streaming"]
    })
    .await;
}
