//! Operations are counted when they are over, each once, by the host that ended it, and as what it ended.

use laterna::readmodel::control::command::{
    Act, Cancellation, Command, CommandEnd, CommandKind, CommandOutcome, EndedCommands, Letters, Request,
};
use laterna::readmodel::control::schema::Control;
use laterna::readmodel::lane::dead_letter::Selection;
use laterna::readmodel::mysql::session::{Connector, Session};
use sqlx::Executor;

use super::sample;
use crate::generations::{PROJECTION, Scene};
use crate::support::http::Client;
use crate::support::world::laterna;
use crate::support::{Host, Options, World, some_time, until};

/// How many commands a host has counted, by their ends.
async fn counted(host: &Host, projection: &str) -> [u64; 3] {
    let text = Client::new(host.port).get("/metrics").await.text;
    CommandEnd::ALL.map(|end| {
        let (total, end) = ("laterna_operations_total", end.name());
        let name = format!("{total}{{projection=\"{projection}\",outcome=\"{end}\"}}");
        let count = sample(&text, &name).unwrap_or_else(|| panic!("{name} is not in\n{text}"));
        count.to_string().parse().expect("a count is whole")
    })
}

/// Asks for a verification of a projection that is paused, and returns when that has begun, and waits.
async fn verify_in_vain(scene: &Scene) {
    laterna(&scene.world.config(scene.host().port), &["verify", PROJECTION, "--no-wait"]);
    let waiting = format!(
        "SELECT COUNT(*) FROM {0}.command c JOIN {0}.generation g ON g.command = c.id \
         WHERE c.state = 'pending' AND c.waits LIKE '%is not streaming%'",
        scene.world.control()
    );
    until("a verification has begun, and waits", async || scene.world.number(&waiting).await == 1).await;
}

/// Waits until no command and no generation is left to be done with.
async fn until_all_is_over(scene: &Scene) {
    let left = format!(
        "SELECT (SELECT COUNT(*) FROM {0}.command WHERE state = 'pending') + (SELECT COUNT(*) FROM {0}.generation)",
        scene.world.control()
    );
    until("everything is over", async || scene.world.number(&left).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_is_counted_when_it_is_over_and_as_what_it_ended() {
    let mut scene = Scene::new(Options::mysql(), 100).await;
    assert_eq!(counted(scene.host(), PROJECTION).await, [0; 3]);
    scene.tell(&["pause", PROJECTION, "--why", "a test"]);
    verify_in_vain(&scene).await;
    assert_eq!(counted(scene.host(), PROJECTION).await, [1, 0, 0], "the pause, and nothing else");
    scene.tell(&["resume", PROJECTION]);
    until_all_is_over(&scene).await;
    assert_eq!(counted(scene.host(), PROJECTION).await, [3, 0, 0], "the verification, once");

    // Cancelled: whoever takes its tables away ends it no second time.
    scene.tell(&["pause", PROJECTION, "--why", "a test"]);
    verify_in_vain(&scene).await;
    let client = Client::new(scene.host().port);
    let verified = client.get("/api/v1/operations?limit=1").await.json()["operations"][0]["id"].clone();
    let path = format!("/api/v1/operations/{verified}");
    for _ in 0..2 {
        assert_eq!(client.ask("DELETE", &path, b"").await.map(|answer| answer.code), Some(200));
    }
    until_all_is_over(&scene).await;
    assert_eq!(counted(scene.host(), PROJECTION).await, [4, 0, 1]);

    // Given up.
    verify_in_vain(&scene).await;
    let long_ago = "waits_since = CURRENT_TIMESTAMP - INTERVAL 3601 SECOND WHERE state = 'pending'";
    scene.world.run(&format!("UPDATE {}.command SET {long_ago}", scene.world.control())).await;
    until_all_is_over(&scene).await;
    assert_eq!(counted(scene.host(), PROJECTION).await, [4, 1, 1]);
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_that_carry_the_same_command_out_count_it_once() {
    let world = World::new("picky", Options::mysql()).await;
    let hosts = [world.start(), world.start()];
    for host in &hosts {
        until("it leads or stands by", async || {
            let status = host.status("picky").await.unwrap_or_default();
            ["streaming", "standby"].iter().any(|phase| status["phase"] == *phase)
        })
        .await;
    }
    // One has the command, and waits for the pause; the other one waits for the command.
    let control = world.control();
    let mut open = world.mysql().await;
    open.execute("BEGIN").await.expect("it begins");
    let row = format!(
        "INSERT INTO {control}.pause (projection, class, reason, paused_by) VALUES ('picky', 'paused', 'x', 'x')"
    );
    open.execute(row.as_str()).await.expect("it is written");
    laterna(&world.config(hosts[0].port), &["pause", "picky", "--why", "a test", "--no-wait"]);
    let waiting = format!(
        "SELECT COUNT(*) FROM performance_schema.data_locks \
         WHERE object_schema = '{control}' AND object_name IN ('command', 'pause') AND lock_status = 'WAITING'"
    );
    until("both hosts carry it out", async || world.number(&waiting).await == 2).await;
    open.execute("ROLLBACK").await.expect("it is undone");
    let done = format!("SELECT COUNT(*) FROM {control}.command WHERE state = 'done'");
    until("it is done", async || world.number(&done).await == 1).await;
    some_time(1500).await;
    let [one, other] = [counted(&hosts[0], "picky").await, counted(&hosts[1], "picky").await];
    let sum: Vec<u64> = one.iter().zip(other).map(|(one, other)| one + other).collect();
    assert_eq!(sum, [1, 0, 0], "{one:?} and {other:?}");
}

/// How many ended, by their ends.
fn ends(ended: &EndedCommands) -> [u64; 3] {
    CommandEnd::ALL.map(|end| ended.count(end))
}

/// The only command of a kind that is not done.
async fn pending(control: &Control, session: &mut Session, kind: CommandKind) -> Command {
    let mut found = control.of(session, "p").pending_commands(kind).await.expect("they are read");
    assert_eq!(found.commands.len(), 1, "{found:?}");
    found.commands.remove(0)
}

async fn whoever_ends_a_command_is_told_so(options: Options) {
    let world = World::new("picky", options).await;
    let control = Control::new(&world.control());
    let connector = Connector::new("mysql.url", &world.url().into()).expect("a URL");
    let mut one = connector.connect().await.expect("MySQL answers");
    let mut other = connector.connect().await.expect("MySQL answers");
    control.migrate(&mut one).await.expect("the control schema is created");
    let failed = CommandOutcome::Failed("a test".to_owned());

    // Two that have read the same command: the second one does nothing, and ends nothing.
    let asked = control.of(&mut one, "p").submit(&Request::Resume, "a test").await.expect("it is written");
    let command = pending(&control, &mut one, CommandKind::Switches).await;
    assert_eq!(command, pending(&control, &mut other, CommandKind::Switches).await);
    let ended = control.of(&mut one, "p").carry_out_switch(&command, "h").await.expect("it is carried out");
    assert_eq!((ended.projection(), ends(&ended)), ("p", [1, 0, 0]));
    let ended = control.of(&mut other, "p").carry_out_switch(&command, "h").await.expect("it is over");
    assert_eq!(ends(&ended), [0, 0, 0]);
    let ended = control.of(&mut other, "p").finish_command(asked, &failed, "h").await.expect("it is over");
    assert_eq!(ends(&ended), [0, 0, 0]);

    // One that deals with letters and was told to end: it is cancelled when it ends, and not before.
    let mut db = control.of(&mut one, "p");
    let replay = Request::Replay { letters: Letters::Fitting { letters: Selection::default() } };
    let asked = db.submit(&replay, "a test").await.expect("it is written");
    db.record_command_progress(asked, "{}", "h").await.expect("it is written");
    let (cancellation, ended) = db.cancel_command(asked, "somebody", false).await.expect("it is asked for");
    assert_eq!((cancellation, ends(&ended)), (Cancellation::Asked, [0, 0, 0]));
    let waits = CommandOutcome::Waits("a test".to_owned());
    assert_eq!(ends(&db.finish_command(asked, &waits, "h").await.expect("nothing is done")), [0, 0, 0]);
    assert_eq!(ends(&db.finish_command(asked, &failed, "h").await.expect("it ends")), [0, 0, 1]);
    assert_eq!(ends(&db.finish_command(asked, &failed, "h").await.expect("it is over")), [0, 0, 0]);

    // One that nobody has begun, a dry run first; and one that fails.
    let asked = db.submit(&replay, "a test").await.expect("it is written");
    for (is_dry, expected) in [(true, [0, 0, 0]), (false, [0, 0, 1]), (false, [0, 0, 0])] {
        let (cancellation, ended) = db.cancel_command(asked, "somebody", is_dry).await.expect("an answer");
        assert_eq!((cancellation, ends(&ended)), (Cancellation::Over, expected));
    }
    let asked = db.submit(&replay, "a test").await.expect("it is written");
    assert_eq!(ends(&db.finish_command(asked, &failed, "h").await.expect("it ends")), [0, 1, 0]);

    // A way back ends the deployment that was asked for before it.
    let deploy = Request::Deploy { digest: "d".repeat(64), canary_seconds: 0 };
    db.submit(&deploy, "a test").await.expect("it is written");
    let back = db.submit(&Request::Rollback, "a test").await.expect("it is written");
    let found = db.pending_commands(CommandKind::Deployments).await.expect("they are read").commands;
    let back = found.iter().find(|command| command.id == back).expect("it is there");
    let tried = db.carry_out(back, "h", None, Act::Deploy(None), |_| String::new()).await;
    assert_eq!(ends(&tried.expect("it is carried out").1), [1, 1, 0]);

    // What no host of this version knows is left to whoever reads it, to end and to count it.
    let unknown = r#"{"do":"dance"}"#;
    let insert = format!("INSERT INTO {}.command (projection, request, requested_by)", world.control());
    world.run(&format!("{insert} VALUES ('p', '{unknown}', 'a test')")).await;
    let found = db.pending_commands(CommandKind::Letters).await.expect("they are read");
    let [(asked, outcome)] = &found.unreadable[..] else { panic!("{found:?}") };
    assert_eq!(ends(&db.finish_command(*asked, outcome, "h").await.expect("it ends")), [0, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_a_command_is_told_so_and_nobody_else_on_mysql() {
    whoever_ends_a_command_is_told_so(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_a_command_is_told_so_and_nobody_else_on_mariadb() {
    whoever_ends_a_command_is_told_so(Options::mariadb()).await;
}
