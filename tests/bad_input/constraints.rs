//! Names of checks and foreign keys that a database has once: two projections with one such name.

use bson::doc;

use crate::guests;
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Options, World, until};

/// The second projection's component, and what is said of its tables.
fn clashes(is_mariadb: bool) -> Vec<(&'static str, &'static str)> {
    let key = (
        "named-key",
        "the FOREIGN KEY `has_parent` of the table `node` has the name of one of the table `child`",
    );
    let check = (
        "named-check",
        "the CHECK `has_events` of the table `node` has the name of one of the table `parent`",
    );
    // MariaDB has checks in their table.
    if is_mariadb { vec![key] } else { vec![key, check] }
}

async fn two_of_one_name(options: Options, is_mariadb: bool) {
    for (component, says) in clashes(is_mariadb) {
        let world = World::with(&[("one", "named"), ("two", component)], options.clone()).await;
        world.insert([event("e1", "a", 1, doc! {})]).await;
        // Before there is any table, and when one of them has its own.
        let remedy = "give it another name in the projector, e.g. CONSTRAINT `node_has_";
        let told_by_check = || {
            let check = laterna(&world.config(0), &["check"]);
            let told = said(&check);
            let lines: Vec<_> = told.lines().filter(|line| line.contains(says)).collect();
            assert!(!check.status.success() && lines.len() == 1 && lines[0].contains(remedy), "{told}");
            lines[0].split_once(": ").map(|(_, sentence)| sentence.to_owned()).expect("it has a subject")
        };
        let before = told_by_check();
        let port = free_port();
        let file = world.config(port);
        let both = std::fs::read_to_string(&file).expect("it was written");
        let (first, _) = both.split_once("[projection.two]").expect("it stands second");
        std::fs::write(&file, first).expect("it can be written");
        let host = Host::start(&file, port);
        world.until_committed("one", 1).await;
        host.kill();
        assert_eq!(told_by_check(), before);
        let host = world.start();
        host.until_phase("two", "paused").await;
        let status = host.status("two").await.expect("it answers");
        assert_eq!(
            (status["class"].as_str(), status["reason"].as_str()),
            (Some("misconfigured"), Some(&*before))
        );
        host.until_phase("one", "streaming").await;
        host.kill();
        // A component that comes later is refused with the same.
        let port = free_port();
        let world = World::with(&[("one", "named"), ("two", "recorder")], options.clone()).await;
        let host = Host::start(&world.config(port), port);
        world.insert([event("e1", "a", 1, doc! {})]).await;
        world.until_committed("one", 1).await;
        world.until_committed("two", 1).await;
        let file = guests::path(component).display().to_string();
        let deployed = laterna(&world.config(port), &["deploy", "--projection", "two", &file]);
        assert!(!deployed.status.success() && said(&deployed).contains(&before), "{}", said(&deployed));
        drop(host);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_projections_with_one_name_of_a_constraint_are_told_before_any_event_on_mysql() {
    two_of_one_name(Options::mysql(), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_projections_with_one_name_of_a_constraint_are_told_before_any_event_on_mariadb() {
    two_of_one_name(Options::mariadb(), true).await;
    let world = World::with(&[("one", "named"), ("two", "named-check")], Options::mariadb()).await;
    let check = laterna(&world.config(0), &["check"]);
    assert!(check.status.success(), "MariaDB has checks in their table: {}", said(&check));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_with_the_names_of_the_live_one_is_built_beside_it_and_takes_its_place() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("named", options).await;
        let port = free_port();
        let _host = Host::start(&world.config(port), port);
        world
            .insert((1..=20).map(|n| event(&format!("e{n}"), &format!("a{}", n % 4), n / 4 + 1, doc! {})))
            .await;
        world.until_committed("named", 20).await;
        let live = format!("SELECT live_generation FROM {}.projection", world.control());
        let tell = |arguments: &[&str]| {
            let told = laterna(&world.config(port), arguments);
            assert!(told.status.success(), "{}", said(&told));
        };
        let wider = guests::path("named-wider").display().to_string();
        for (arguments, generation) in [
            (&["rebuild", "named"][..], 2),
            (&["deploy", "--projection", "named", &wider], 3),
            (&["rollback", "named"], 2),
            (&["rebuild", "named"], 4),
        ] {
            tell(arguments);
            until(&format!("generation {generation} is live"), async || {
                world.number(&live).await == generation
            })
            .await;
            let constraints = "SELECT COUNT(*) FROM information_schema.table_constraints \
                               WHERE constraint_schema = DATABASE() AND constraint_name IN ('has_events', 'has_parent')";
            assert_eq!(world.number(constraints).await, 2);
            assert_eq!(world.number("SELECT CAST(SUM(events) AS SIGNED) FROM parent").await, 20);
            assert_eq!(
                world.number("SELECT COUNT(*) FROM child JOIN parent ON parent.id = child.parent").await,
                20
            );
        }
    }
}
