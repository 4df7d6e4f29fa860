//! The guide's backup of MySQL and how it is restored: the commands as they stand there.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::document;
use crate::support::world::{laterna, said};
use crate::support::{Options, World, until};

/// The guide's commands, with the databases that it names.
const BACK_UP: &str =
    "mysqldump --single-transaction --set-gtid-purged=OFF --databases bank laterna > both.sql";
const RESTORE: &str = "mysql < both.sql";

/// Runs a command of the guide for these databases in a folder, which gets the programs that it calls.
fn run(command: &str, databases: &str, folder: &Path) {
    assert!(include_str!("../../docs/operating.md").contains(command), "the guide says {command}");
    for program in ["mysql", "mysqldump"] {
        let services = concat!(env!("CARGO_MANIFEST_DIR"), "/../dev/services");
        let (file, text) = (folder.join(program), format!("#!/bin/sh\nexec {services} {program} \"$@\"\n"));
        std::fs::write(&file, text).expect("it is written");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("it is there");
    }
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("a path"));
    let command = command.replace("bank laterna", databases);
    let ran = Command::new("sh").args(["-ec", &command]).current_dir(folder).env("PATH", path).output();
    let ran = ran.expect("it runs");
    assert!(ran.status.success(), "{command}: {}", said(&ran));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_backup_is_restored_and_gone_on_from() {
    let world = World::new("recorder", Options { lanes: 1, ..Options::mysql() }).await;
    let databases = format!("{} {}", world.name, world.control());
    let host = world.start();
    world.insert((0..50).map(document)).await;
    world.until_committed("recorder", 50).await;
    // A host runs while it is backed up, and goes on.
    run(BACK_UP, &databases, world.folder.path());
    world.insert((50..80).map(document)).await;
    world.until_committed("recorder", 80).await;
    host.kill();
    run(RESTORE, &databases, world.folder.path());
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 50, "as it was then");
    let check = laterna(&world.config(0), &["check"]);
    assert!(check.status.success(), "{}", said(&check));
    let host = world.start();
    until("what came since is applied again", async || {
        world.number("SELECT COUNT(*) FROM recorded").await == 80
    })
    .await;
    host.until_phase("recorder", "streaming").await;
    world.assert_recorded(80, 1).await;
    let verify = laterna(&world.config(host.port), &["verify", "recorder"]);
    assert!(verify.status.success(), "{}", said(&verify));
}
