//! `dev/services`: who says the name of a service stops that one, and no other.

use std::path::Path;
use std::process::{Child, Command, Output};

use crate::support::world::said;

const SERVICES: [&str; 3] = ["mongodb", "mysql", "mariadb"];

/// A process in a server's place, remembered as the script remembers a server that it started.
fn stand_in(folder: &Path, service: &str) -> Child {
    let place = folder.join(service);
    let mark = place.join("mark-of-the-server");
    std::fs::create_dir(&place).expect("it can be made");
    std::fs::write(&mark, "").expect("it can be written");
    let child = Command::new("tail").arg("-f").arg(&mark).spawn().expect("tail runs");
    let facts = [
        ("way", "packages".to_owned()),
        ("pid", child.id().to_string()),
        ("mark", mark.display().to_string()),
    ];
    for (key, value) in facts {
        std::fs::write(place.join(key), value + "\n").expect("it can be written");
    }
    child
}

fn down(folder: &Path, services: &[&str]) -> Output {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../dev/services"));
    command.env("LATERNA_SERVICES_DIR", folder).arg("down").args(services);
    command.output().expect("the script runs")
}

#[test]
fn a_service_that_is_named_is_stopped_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut servers = SERVICES.map(|service| stand_in(folder.path(), service));
    let mut stopped = || servers.each_mut().map(|server| server.try_wait().expect("it is a child").is_some());
    let refused = down(folder.path(), &["mysql", "oracle"]);
    assert!(
        !refused.status.success() && said(&refused).contains("no service `oracle`"),
        "{}",
        said(&refused)
    );
    assert_eq!(stopped(), [false, false, false], "a wrong name stops none");
    let one = down(folder.path(), &["mysql"]);
    assert!(one.status.success(), "{}", said(&one));
    assert_eq!(stopped(), [false, true, false]);
    let rest = down(folder.path(), &[]);
    assert!(rest.status.success(), "{}", said(&rest));
    assert_eq!(stopped(), [true, true, true]);
}
