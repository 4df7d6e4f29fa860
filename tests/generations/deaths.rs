//! Hosts that die while tables are made anew, or change places: whoever comes next goes on, and readers notice nothing.

use std::sync::atomic::Ordering;

use laterna::failure::Failure;
use laterna::readmodel::control::schema::Control;
use laterna::readmodel::cut_over::{CutOver, CutOverOutcome};
use laterna::readmodel::lane::witness;
use laterna::readmodel::mysql::session::Connector;
use sqlx::Row;

use super::{PROJECTION, Scene, document};
use crate::support::{Options, PATIENCE, random, some_time, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_twenty_times_while_it_rebuilds_shows_readers_whole_tables() {
    let mut scene = Scene::new(Options::mysql(), 5000).await;
    scene.read().await;
    scene.write();
    scene.deploy("other-tables");
    let mut random = random("kills while rebuilding");
    let mut live = vec![];
    for kill in 0..20 {
        // Later ones come later, so that some hit the end.
        some_time(rand::Rng::random_range(&mut random, 100..1000 + kill * 200)).await;
        scene.kill();
        live.push(scene.live().await);
        scene.start();
    }
    println!("live at each kill: {live:?}");
    scene.until_live(2).await;
    scene.end().await;
    let other = scene.world.number("SELECT COUNT(*) FROM stamped WHERE component <> 'other_tables'").await;
    assert_eq!(other, 0, "every row was made by the new component");
    scene.tell(&["verify", PROJECTION]);
    scene.kill();
}

/// Kills the host as soon as a query about the control schema gives something.
async fn kill_when(scene: &mut Scene, sql: &str) {
    let mut connection = scene.world.mysql().await;
    let sql = sql.replace("laterna.", &format!("{}.", scene.world.control()));
    let since = std::time::Instant::now();
    while sqlx::Executor::fetch_optional(&mut connection, sql.as_str()).await.expect("it answers").is_none() {
        assert!(since.elapsed() < PATIENCE, "waited in vain for {sql}");
    }
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_in_every_phase_of_a_rebuild_goes_on_with_it() {
    let mut scene = Scene::new(Options::mysql(), 5000).await;
    scene.read().await;
    scene.write();
    let lanes = "FROM laterna.checkpoint c JOIN laterna.generation g USING (projection, generation) WHERE state = 'building'";
    let phases = [
        "SELECT 1 FROM laterna.generation WHERE state = 'building'".to_owned(),
        format!("SELECT 1 {lanes}"),
        format!("SELECT 1 {lanes} AND c.events > 100"),
        format!("SELECT 1 {lanes} AND c.position LIKE '{{\"stream\"%'"),
        "SELECT 1 FROM laterna.generation WHERE state = 'meeting'".to_owned(),
        "SELECT 1 FROM laterna.generation WHERE state = 'cutting-over'".to_owned(),
    ];
    let mut live = 1;
    for phase in phases {
        scene.tell(&["rebuild", PROJECTION]);
        kill_when(&mut scene, &phase).await;
        scene.start();
        scene.host().until_phase(PROJECTION, "streaming").await;
        live += 1;
        scene.until_live(live).await;
        let aside = scene.generations()["aside"].as_array().expect("a list").len();
        if aside > 1 {
            scene.tell(&["generations", "drop", PROJECTION, &(live - 2).to_string()]);
            until("it is dropped", async || {
                scene.generations()["aside"].as_array().is_some_and(|all| all.len() == 1)
            })
            .await;
        }
    }
    // And right behind it.
    scene.tell(&["rebuild", PROJECTION]);
    kill_when(&mut scene, &format!("SELECT 1 FROM laterna.projection WHERE live_generation > {live}")).await;
    scene.start();
    scene.end().await;
    scene.tell(&["verify", PROJECTION]);
    scene.kill();
}

/// Each step of a cut-over after which a host can die, and what the next one makes of it.
#[derive(Debug, Clone, Copy)]
enum Died {
    Caught,
    Intended,
    Renamed,
    /// It was of a version that knows no witness.
    RenamedByAnOlderOne,
}

async fn a_cut_over_goes_on(options: Options, died: Died) {
    let mut scene = Scene::new(options, 500).await;
    // It is held up until the host is dead.
    let mut reader = scene.world.mysql().await;
    sqlx::Executor::execute(&mut reader, "START TRANSACTION").await.expect("it begins");
    sqlx::Executor::fetch_all(&mut reader, "SELECT * FROM stamped, last_seen LIMIT 1")
        .await
        .expect("it reads");
    scene.deploy("other-tables");
    until("it is ready", async || {
        scene.generations()["aside"][0]["reason"].as_str().is_some_and(|reason| reason.contains("reading"))
    })
    .await;
    scene.kill();
    drop(reader);
    let (world, control) = (&scene.world, scene.world.control());
    let state = match died {
        Died::Caught => "meeting",
        Died::Intended | Died::Renamed | Died::RenamedByAnOlderOne => "cutting-over",
    };
    world.run(&format!("UPDATE {control}.generation SET state = '{state}'")).await;
    if let Died::Renamed | Died::RenamedByAnOlderOne = died {
        let witness = witness::table(&Control::new(&control), PROJECTION);
        let (live, old, new) = (&world.name, format!("{control}_g1_first"), format!("{control}_g2_first"));
        let witness = match died {
            Died::Renamed => format!(
                "`{live}`.`{witness}` TO `{old}`.`{witness}`, `{new}`.`{witness}` TO `{live}`.`{witness}`, "
            ),
            _ => String::new(),
        };
        world
            .run(&format!(
                "RENAME TABLE {witness}`{live}`.`stamped` TO `{old}`.`stamped`, `{live}`.`last_seen` TO `{old}`.`last_seen`, \
                 `{new}`.`stamped` TO `{live}`.`stamped`, `{new}`.`last_seen` TO `{live}`.`last_seen`, \
                 `{new}`.`laterna aside` TO `{old}`.`laterna aside`"
            ))
            .await;
    }
    world.insert((500..600).map(document)).await;
    scene.sent.store(600, Ordering::Relaxed);
    scene.start();
    scene.until_live(2).await;
    scene.assert_whole().await;
    let other = scene.world.number("SELECT COUNT(*) FROM stamped WHERE component <> 'other_tables'").await;
    assert_eq!(other, 0, "{died:?}");
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_over_that_was_interrupted_goes_on_where_it_was() {
    for died in [Died::Caught, Died::Intended, Died::Renamed, Died::RenamedByAnOlderOne] {
        a_cut_over_goes_on(Options::mysql(), died).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_over_that_was_interrupted_goes_on_mariadb() {
    for died in [Died::Caught, Died::Intended, Died::Renamed, Died::RenamedByAnOlderOne] {
        a_cut_over_goes_on(Options::mariadb(), died).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_a_dead_host_left_proves_nothing() {
    let mut scene = Scene::new(Options::mysql(), 200).await;
    scene.tell(&["rebuild", PROJECTION]);
    scene.until_live(2).await;
    let place = format!("{}_g2_first", scene.world.control());
    scene.world.run(&format!("CREATE DATABASE IF NOT EXISTS {place}")).await;
    scene.world.run(&format!("CREATE TABLE {place}.`laterna aside` (id INT PRIMARY KEY)")).await;
    scene.deploy("other-tables");
    scene.until_live(3).await;
    scene.assert_whole().await;
    let more = "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND column_name = 'more'";
    assert_eq!(scene.world.number(more).await, 1, "its own tables are live");
    assert_eq!(scene.world.number(&format!("SELECT COUNT(*) FROM {place}.stamped")).await, 200);
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_was_dropped_meanwhile_takes_no_place() {
    let mut scene = Scene::new(Options::mysql(), 200).await;
    let mut reader = scene.world.mysql().await;
    sqlx::Executor::execute(&mut reader, "START TRANSACTION").await.expect("it begins");
    sqlx::Executor::fetch_all(&mut reader, "SELECT * FROM stamped LIMIT 1").await.expect("it reads");
    scene.deploy("other-tables");
    until("it is ready", async || {
        scene.generations()["aside"][0]["reason"].as_str().is_some_and(|reason| reason.contains("reading"))
    })
    .await;
    scene.kill();
    drop(reader);
    let (world, name) = (&scene.world, scene.world.control());
    world.run(&format!("UPDATE {name}.generation SET state = 'meeting'")).await;
    let connector = Connector::new("mysql.url", &world.url().into()).expect("a URL");
    let mut session = connector.connect().await.expect("MySQL answers");
    let control = Control::new(&name);
    let next = control.of(&mut session, PROJECTION).generations().await.expect("they are read").remove(0);
    let epoch =
        u64::try_from(world.number(&format!("SELECT epoch FROM {name}.lease")).await).expect("a number");
    let live_tables = ["stamped".to_owned(), "last_seen".to_owned()];
    let change = CutOver {
        applier: &connector,
        ddl: &connector,
        control: &control,
        projection: PROJECTION,
        epoch,
        live: 1,
        live_tables: &live_tables,
        live_digest: &next.digest,
        next: &next,
    };
    world.run(&format!("UPDATE {name}.generation SET state = 'dropping'")).await;
    let dropped = change.run().await;
    assert!(matches!(&dropped, Ok(CutOverOutcome::NotYet(why)) if why.contains("any more")), "{dropped:?}");
    assert_eq!(world.number("SELECT COUNT(*) FROM stamped WHERE component = 'first'").await, 200);
    // An epoch that is over changes nothing either.
    world.run(&format!("UPDATE {name}.generation SET state = 'meeting'")).await;
    let fenced = CutOver { epoch: epoch - 1, ..change }.run().await;
    assert!(matches!(&fenced, Err(Failure::Fenced { .. })), "{fenced:?}");
    scene.start();
    scene.until_live(2).await;
    scene.kill();
}

/// A host that died while its session waits to rename: nothing but the end of that session keeps it from renaming later.
async fn a_renaming_of_a_dead_host_never_happens(options: Options) {
    let scene = Scene::new(options, 200).await;
    let (world, control) = (&scene.world, scene.world.control());
    let mut reader = world.mysql().await;
    sqlx::Executor::execute(&mut reader, "START TRANSACTION").await.expect("it begins");
    sqlx::Executor::fetch_all(&mut reader, "SELECT * FROM stamped LIMIT 1").await.expect("it reads");
    let mut zombie = world.mysql().await;
    let id: u64 = sqlx::query("SELECT CAST(CONNECTION_ID() AS UNSIGNED)")
        .fetch_one(&mut zombie)
        .await
        .expect("its id")
        .get(0);
    let rename = tokio::spawn(async move {
        sqlx::Executor::execute(&mut zombie, "RENAME TABLE stamped TO moved_by_a_dead_host").await.map(|_| ())
    });
    until("it waits for the reader", async || {
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id} AND state LIKE 'Waiting for%lock'"
        );
        world.number(&sql).await == 1
    })
    .await;
    world
        .run(&format!(
            "UPDATE {control}.lease SET ddl_connection_id = {id}, owner = 'dead', connection_id = 0"
        ))
        .await;
    let mut scene = scene;
    scene.kill();
    scene.start();
    until("the session has ended", async || rename.is_finished()).await;
    assert!(rename.await.expect("it does not panic").is_err(), "it was ended before it renamed");
    drop(reader);
    some_time(500).await;
    scene.assert_whole().await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renaming_of_a_dead_host_never_happens_later() {
    a_renaming_of_a_dead_host_never_happens(Options::mysql()).await;
    a_renaming_of_a_dead_host_never_happens(Options::mariadb()).await;
}
