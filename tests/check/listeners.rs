//! A check beside a host that runs.

use crate::support::world::{laterna, said};
use crate::support::{Options, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_runs_already_is_noted_by_the_check_and_is_no_obstacle() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    let check = laterna(&world.config(host.port), &["check"]);
    let told = said(&check);
    let says = format!("note  listeners: a Laterna answers at 127.0.0.1:{} (`host.admin`)", host.port);
    assert!(check.status.success() && told.contains(&says), "{told}");
    assert!(told.contains("Everything is ready"), "{told}");
}
