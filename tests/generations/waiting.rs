//! Who waits for tables that are built: what a terminal shows, what is said elsewhere, and when the waiting ends.

use std::process::{Command, Output, Stdio};

use super::{PROJECTION, Scene};
use crate::guests;
use crate::support::Options;
use crate::support::host::BINARY;
use crate::support::world::{laterna, said};

fn run(scene: &Scene, arguments: &[&str]) -> Output {
    laterna(&scene.world.config(scene.host().port), arguments)
}

/// The same at a terminal, which `script` makes, through the databases or through the host.
fn at_a_terminal(scene: &Scene, through_host: bool, arguments: &[&str]) -> (bool, String) {
    let port = scene.host().port;
    let way = if through_host {
        format!("--config /nowhere/laterna.toml --host http://127.0.0.1:{port}")
    } else {
        format!("--config {}", scene.world.config(port).display())
    };
    let command = format!("{BINARY} {way} {}", arguments.join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).env_remove("LATERNA_LOG").env("TERM", "xterm");
    let output = script.stdin(Stdio::null()).output().expect("script runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_new_tables_sees_how_far_they_are_and_is_told_when_they_are_live() {
    let options = Options { extra: "rebuild_percent = 20", batch_max: 50, ..Options::mysql() };
    let mut scene = Scene::new(options, 1000).await;
    for (through_host, live) in [(false, "generation 2 is live"), (true, "generation 3 is live")] {
        let (success, shown) = at_a_terminal(&scene, through_host, &["rebuild", PROJECTION]);
        assert!(success && shown.contains(live) && shown.contains(" of 1000 events"), "{shown:?}");
        let (success, shown) =
            at_a_terminal(&scene, through_host, &["pause", PROJECTION, "--why", "'a test'"]);
        assert!(success && shown.contains("the lanes finish what they have begun"), "{shown:?}");
        let (success, shown) = at_a_terminal(&scene, through_host, &["resume", PROJECTION]);
        assert!(success, "{shown:?}");
    }
    let (success, shown) = at_a_terminal(&scene, true, &["verify", PROJECTION]);
    assert!(success && shown.contains("of 1000 events"), "{shown:?}");

    // Nothing turns where nobody looks, and there is only what came of it.
    let other = guests::path("other-tables").display().to_string();
    let deployed = run(&scene, &["deploy", "--projection", PROJECTION, &other, "--wait", "60"]);
    let told = said(&deployed);
    assert!(deployed.status.success() && told.contains("generation 5 is live"), "{told}");
    assert!(deployed.stderr.is_empty(), "{told}");
    let begun = run(&scene, &["rebuild", PROJECTION, "--no-wait"]);
    assert!(!begun.status.success() && said(&begun).contains("is written down"), "{}", said(&begun));
    scene.until_live(6).await;
    let back = run(&scene, &["rollback", PROJECTION, "--wait", "60", "--json"]);
    assert!(back.status.success() && said(&back).contains("is live"), "{}", said(&back));
    let only = ["rebuild", PROJECTION, "--only-aggregate", "thing/a1", "--wait", "60"];
    let kept = run(&scene, &only);
    assert!(kept.status.success() && said(&kept).contains("there to be looked at"), "{}", said(&kept));
    scene.kill();
}
