//! The guide, docs/changing-a-projector.md: its commands, in its order, on a projection that runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use bson::doc;

use super::repository;
use crate::guests;
use crate::support::host::BINARY;
use crate::support::world::{event, said};
use crate::support::{Options, World, until};

/// The commands of the guide, block by block.
fn blocks() -> Vec<String> {
    let guide =
        fs::read_to_string(repository().join("docs/changing-a-projector.md")).expect("the guide is there");
    let fenced = guide.split("\n```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix("sh\n")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_of_changing_does_what_it_says() {
    let world = World::with(&[("accounts", "first")], Options::mysql()).await;
    let one = |n: i64| {
        let mut document = event(&format!("e{n}"), &format!("{}", n % 50), n / 50 + 1, doc! {});
        document.insert("aggregateType", "account");
        document.insert("occurredAt", bson::DateTime::from_millis(1_793_491_200_000 + n * 1000));
        document
    };
    world.insert((0..500).map(one)).await;
    let host = world.start();
    world.until_committed("accounts", 500).await;
    let folder = tempfile::tempdir().expect("a folder");
    symlink(BINARY, folder.path().join("laterna")).expect("a link");
    for (file, component) in [("accounts-2.wasm", "second"), ("accounts-3.wasm", "other-tables")] {
        symlink(guests::path(component), folder.path().join(file)).expect("a link");
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").expect("there is a PATH"));
    let mut told = String::new();
    let blocks = blocks();
    assert!(blocks.len() >= 8, "{blocks:?}");
    for block in blocks {
        let mut command = Command::new("bash");
        command.args(["-euxo", "pipefail", "-c", &block]).current_dir(folder.path());
        let config = world.config(host.port);
        command.env("PATH", &path).env("LATERNA_CONFIG", config).env_remove("LATERNA_LOG");
        let output = command.output().expect("bash runs");
        assert!(output.status.success(), "{}", said(&output));
        told += &said(&output);
        // A reader waits until what was asked for is there.
        let busy = format!("SELECT COUNT(*) FROM {}.generation WHERE state <> 'kept'", world.control());
        until("nothing is built any more", async || world.number(&busy).await == 0).await;
    }
    for says in [
        "generation 2 is built",
        "generation 1 catches up",
        "generation 2 is dropped",
        "generation 3 is built",
        "generation 4 is built",
        "generation 5 is built",
        "a rebuild would change nothing in 2 tables",
    ] {
        assert!(told.contains(says), "{says:?} is not in {told}");
    }
    let live = format!("SELECT live_generation FROM {}.projection", world.control());
    assert_eq!(world.number(&live).await, 3);
    assert_eq!(world.number("SELECT COUNT(*) FROM stamped").await, 500);
    let part = format!("SELECT COUNT(*) FROM {}_g4_accounts.stamped", world.control());
    assert_eq!(world.number(&part).await, 10);
    host.kill();
}
