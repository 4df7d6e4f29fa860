//! What holds while the replica set fails: by fail points at each step, and by step-downs of its primary.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use bson::{Document, doc};
use futures_util::future::join_all;
use serde_json::json;

use super::{Scene, as_command, deposit, id, ids, number, open};
use crate::support::cluster::{Cluster, FAIL_POINTS};
use crate::support::until;

/// A command of the transaction that fails, how often, and how often the function runs until it is done.
struct Fault {
    name: &'static str,
    command: &'static str,
    times: i32,
    how: Document,
    attempts: i32,
}

fn faults() -> Vec<Fault> {
    let fault = |name, command, times, attempts, how| Fault { name, command, times, how, attempts };
    let labelled = |code: i32, label: &str| doc! { "errorCode": code, "errorLabels": [label] };
    let (transient, unknown) = ("TransientTransactionError", "UnknownTransactionCommitResult");
    let cut = doc! { "closeConnection": true };
    // The server carries it out, and then says that it does not know whether that lasts.
    let unsure = doc! { "writeConcernError": { "code": 64, "errmsg": "it took too long" } };
    vec![
        fault("a conflict of writes", "findAndModify", 2, 3, labelled(112, transient)),
        fault("a conflict at the event", "insert", 1, 2, labelled(112, transient)),
        fault("a connection cut before the first read", "find", 1, 1, cut.clone()),
        fault("a connection cut at the event", "insert", 1, 2, cut.clone()),
        fault(
            "a transaction that is gone at its commit",
            "commitTransaction",
            1,
            2,
            labelled(251, transient),
        ),
        fault("a commit of which nobody knows", "commitTransaction", 2, 1, labelled(89, unknown)),
        fault("a connection cut before the commit", "commitTransaction", 1, 1, cut),
        fault("a commit that is done and not confirmed", "commitTransaction", 2, 1, unsure),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_on_the_way_is_repeated_by_the_driver_and_done_once() {
    let cluster = Cluster::start(1, &FAIL_POINTS).await;
    let mut scene = Scene::at(&cluster.uri()).await;
    for at in 0..scene.subjects.len() {
        let account = scene.subjects[at].language;
        scene.subjects[at].does(open(account)).await;
        for (amount, fault) in (1..).zip(faults()) {
            let (before, began) = (fail(&cluster, account, &fault).await, Instant::now());
            let request = as_command(deposit(account, amount), &format!("{account}-{amount}"));
            let done = scene.subjects[at].does(request).await;
            let what = format!("{account}, {}: {done}", fault.name);
            assert_eq!(
                (&done["repeated"], &done["attempts"]),
                (&json!(false), &json!(fault.attempts)),
                "{what}"
            );
            println!("{what} in {:?}", began.elapsed());
            assert_eq!(struck(&cluster).await, before + i64::from(fault.times), "{what}");
            let events = scene.events(account).await;
            assert_eq!(vec![id(events.last().expect("an event"))], ids(&done), "{what}");
            scene.assert_sound(account).await;
        }
    }
}

/// A server that is wrong about its own commit: it is done, and the driver is told to do everything again. The ids
/// were made before, so the event is not written under another one; a command is known by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_repeated_although_it_was_done_writes_no_second_event() {
    let cluster = Cluster::start(1, &FAIL_POINTS).await;
    let mut scene = Scene::at(&cluster.uri()).await;
    let how = doc! {
        "writeConcernError": { "code": 100, "errmsg": "too few members" },
        "errorLabels": ["TransientTransactionError"],
    };
    let fault = Fault { name: "done", command: "commitTransaction", times: 1, how, attempts: 1 };
    for at in 0..scene.subjects.len() {
        let account = scene.subjects[at].language;
        scene.subjects[at].does(open(account)).await;
        fail(&cluster, account, &fault).await;
        let done = scene.subjects[at].does(as_command(deposit(account, 5), account)).await;
        assert_eq!((&done["repeated"], &done["attempts"]), (&json!(true), &json!(1)), "{account}: {done}");
        assert_eq!(ids(&done), [id(&scene.events(account).await[1])], "{account}");
        fail(&cluster, account, &fault).await;
        let said = scene.subjects[at].fails("Conflict", deposit(account, 7)).await;
        assert!(said.contains("written already"), "{account}: {said}");
        assert_eq!(scene.events(account).await.len(), 3, "{account}");
        scene.assert_sound(account).await;
    }
}

/// Lets the next commands of one language fail, and says how often anything did before.
async fn fail(cluster: &Cluster, language: &str, fault: &Fault) -> i64 {
    let mut data = doc! { "failCommands": [fault.command], "appName": language };
    data.extend(fault.how.clone());
    configure(cluster, doc! { "mode": { "times": fault.times }, "data": data }).await
}

/// How often anything failed.
async fn struck(cluster: &Cluster) -> i64 {
    configure(cluster, doc! { "mode": "off" }).await
}

async fn configure(cluster: &Cluster, how: Document) -> i64 {
    let mut command = doc! { "configureFailPoint": "failCommand" };
    command.extend(how);
    let was = cluster.admin(0).await.run_command(command).await.expect("it is configured");
    number(&was, "count")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_acts_once_while_the_primary_steps_down_again_and_again() {
    const STEP_DOWNS: usize = 3;
    let cluster = Cluster::start(3, &FAIL_POINTS).await;
    let mut scene = Scene::at(&cluster.uri()).await;
    let accounts: Vec<&str> = scene.subjects.iter().map(|subject| subject.language).chain(["all"]).collect();
    for account in &accounts {
        scene.subjects[0].does(open(account)).await;
    }
    let (over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let writing = join_all(scene.subjects.iter_mut().map(async |subject| {
        let mut told = vec![];
        for number in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let account = if number % 2 == 0 { subject.language } else { "all" };
            let request = as_command(deposit(account, 3), &format!("{}-{number}", subject.language));
            told.extend(ids(&subject.does(request.clone()).await));
            // A user who saw the page hang clicks twice.
            assert_eq!(subject.does(request).await["repeated"], true);
            sent.fetch_add(1, Ordering::Relaxed);
        }
        told
    }));
    let stepping = async {
        for _ in 0..STEP_DOWNS {
            let (primary, before) = (cluster.until_primary().await, sent.load(Ordering::Relaxed));
            until("commands go on", async || sent.load(Ordering::Relaxed) >= before + 6).await;
            let down = doc! { "replSetStepDown": 5, "force": true };
            cluster.admin(primary).await.run_command(down).await.expect("it steps down");
        }
        let before = sent.load(Ordering::Relaxed);
        until("commands go on", async || sent.load(Ordering::Relaxed) >= before + 6).await;
        over.store(true, Ordering::Relaxed);
    };
    let (told, ()) = tokio::join!(writing, stepping);
    let mut told: Vec<String> = told.concat();
    let mut written = vec![];
    for account in &accounts {
        scene.assert_sound(account).await;
        written.extend(scene.events(account).await.iter().skip(1).map(id));
    }
    told.sort();
    written.sort();
    assert_eq!(told, written, "what writers were told, and what is there");
    let commands = scene.documents("outbox_commands", doc! {}).await.len();
    assert_eq!(commands, sent.load(Ordering::Relaxed), "each command is known once");
    assert!(told.len() > STEP_DOWNS * 6);
}
