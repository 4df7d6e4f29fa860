//! One writer: two hosts never both write, and a standby takes over.

use std::time::Duration;

use bson::doc;
use laterna::readmodel::control::lease::Acquired;
use laterna::readmodel::mysql::session::{Connector, Session};

use crate::support::lane::Bench;
use crate::support::world::{event, laterna, said};
use crate::support::{Options, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_from_a_host_that_is_killed() {
    let world = World::new("recorder", Options::mysql()).await;
    let first = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    let second = world.start();
    first.until_phase("recorder", "streaming").await;
    second.until_phase("recorder", "standby").await;
    for (host, phase) in [(&first, "streaming"), (&second, "standby")] {
        let told = said(&laterna(&world.config(host.port), &["hosts"]));
        let line = told.lines().find(|line| line.trim_start().starts_with("recorder")).unwrap_or_default();
        assert!(line.contains("until 2") && line.trim_end().ends_with(phase), "{told}");
    }
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

/// Makes an account that may do what a host does in this world, and sees its own sessions only.
async fn account(world: &World, name: &str) -> String {
    let account = format!("{}_{name}", world.name);
    world.run(&format!("DROP USER IF EXISTS {account}")).await;
    world.run(&format!("CREATE USER {account}")).await;
    let databases = world.name.replace('_', "\\_");
    world.run(&format!("GRANT ALL ON `{databases}%`.* TO {account}")).await;
    account
}

/// Lets hosts that start from now on have this account.
fn use_account(world: &mut World, account: &str) {
    world.options.host_mysql = Some(world.options.mysql.replacen("root", account, 1));
}

async fn hosts_with_accounts_of_their_own(options: Options) {
    let mut world = World::new("recorder", options).await;
    let (old, new) = (account(&world, "old").await, account(&world, "new").await);
    use_account(&mut world, &old);
    let first = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    use_account(&mut world, &new);
    let second = world.start();
    second.until_phase("recorder", "standby").await;
    let lease = format!("{}.lease", world.control());
    // Twenty seconds of renewals, of which each leaves the lease good for four.
    let since = world.number("SELECT UNIX_TIMESTAMP()").await;
    until("the lease was renewed for long", async || {
        world.number(&format!("SELECT UNIX_TIMESTAMP(expires_at) FROM {lease}")).await >= since + 24
    })
    .await;
    let epoch = format!("SELECT epoch FROM {lease}");
    assert_eq!(world.number(&epoch).await, 1, "nobody took the lease from a host that renews it");
    first.until_phase("recorder", "streaming").await;
    second.until_phase("recorder", "standby").await;
    let check = laterna(&world.config(0), &["check"]);
    let told = format!("`host-{}` holds it with the account `{old}@", first.port);
    assert!(check.status.success() && said(&check).contains(&told), "{}", said(&check));
    world.insert([event("e2", "a", 2, doc! {})]).await;
    world.until_committed("recorder", 2).await;
    first.kill();
    second.until_phase("recorder", "streaming").await;
    world.insert([event("e3", "a", 3, doc! {})]).await;
    world.until_committed("recorder", 3).await;
    world.assert_recorded(3, 1).await;
    assert_eq!(world.number(&epoch).await, 2);
    let check = laterna(&world.config(0), &["check"]);
    assert!(!said(&check).contains("holds it with the account"), "{}", said(&check));
    second.kill();
    world.run(&format!("DROP USER {old}, {new}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_with_accounts_of_their_own_leave_the_lease_to_whoever_renews_it_on_mysql() {
    hosts_with_accounts_of_their_own(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_with_accounts_of_their_own_leave_the_lease_to_whoever_renews_it_on_mariadb() {
    hosts_with_accounts_of_their_own(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_an_account_does_not_see_is_not_taken_for_gone() {
    for options in [Options::mysql(), Options::mariadb()] {
        let bench = Bench::new(options).await;
        let (control, lease) = (&bench.control, format!("{}.lease", bench.world.control()));
        let (one, other) = (account(&bench.world, "one").await, account(&bench.world, "other").await);
        let connector = |account: &str| {
            let url = bench.world.url().replacen("root", account, 1);
            Connector::new("mysql.url", &url.into()).expect("a URL")
        };
        let (ours, others) = (connector(&one), connector(&other));
        let acquire = async |session: &mut Session, ddl: &Connector, owner: &str| {
            control.of(session, "p").acquire_lease(ddl, owner, Duration::from_mins(1)).await
        };
        let taken = |owner: &str| Ok(Acquired::Taken { owner: owner.to_owned() });
        let connect = async |connector: &Connector| connector.connect().await.expect("MySQL answers");
        bench.world.run(&format!("UPDATE {lease} SET connection_id = 0")).await;
        let mut holder = connect(&others).await;
        assert_eq!(acquire(&mut holder, &others, "other").await, Ok(Acquired::Mine { epoch: 2 }));
        let mut session = connect(&ours).await;
        assert_eq!(acquire(&mut session, &ours, "one").await, taken("other"));
        let id = holder.id;
        drop(holder);
        let is_there = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id}");
        until("the holder's session is gone", async || bench.world.number(&is_there).await == 0).await;
        assert_eq!(acquire(&mut session, &ours, "one").await, taken("other"), "nobody can tell it is gone");
        let mut holder = connect(&others).await;
        assert_eq!(acquire(&mut holder, &others, "other").await, Ok(Acquired::Mine { epoch: 3 }));
        // An older host renews, and does not say with which account: what stands there was another session's.
        bench.world.run(&format!("UPDATE {lease} SET connection_id = 4000000000")).await;
        assert_eq!(acquire(&mut holder, &others, "other").await, taken("other"));

        let mut renaming = connect(&others).await;
        control.of(&mut renaming, "p").mark_renaming().await.expect("nobody else renames");
        let expire = format!(
            "UPDATE {lease} SET ddl_connection_id = {}, expires_at = CURRENT_TIMESTAMP(6) - INTERVAL 1 SECOND",
            renaming.id
        );
        bench.world.run(&expire).await;
        let waited = acquire(&mut session, &ours, "one").await.expect_err("it could still rename");
        assert!(
            waited.to_string().contains("of an old host renames tables of `p`, and has not ended"),
            "{waited}"
        );
        drop(renaming);
        let mut session = connect(&ours).await;
        assert_eq!(acquire(&mut session, &ours, "one").await, Ok(Acquired::Mine { epoch: 4 }));
        drop((session, holder));
        bench.world.run(&format!("DROP USER {one}, {other}")).await;
    }
}
