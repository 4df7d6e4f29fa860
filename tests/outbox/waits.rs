//! Whoever wrote an event waits for it at a real host, in each language, and reads what it has written.

use std::process::Command;

use serde_json::{Value, json};

use super::{Scene, deposit, ids, open};
use crate::support::host::BINARY;
use crate::support::http::Client;
use crate::support::world::free_port;
use crate::support::{Host, Options, World};

const TOKEN: &str = "viewer-0123456789abcdef0123456789abcdef";

/// A host that wants a token.
fn start(world: &World) -> Host {
    let (port, file) = (free_port(), world.folder.path().join("tokens.toml"));
    let text = format!("[[token]]\nname = \"shop\"\nrole = \"viewer\"\ntoken = {TOKEN:?}\n");
    std::fs::write(&file, text).expect("it can be written");
    let mut command = Command::new(BINARY);
    command.env("LATERNA_HOST__TOKENS", file);
    Host::start_as(command, &world.config(port), port)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_event_reads_what_it_wrote_and_is_told_when_nobody_needs_to_wait() {
    let world = World::new("accounts", Options::mysql()).await;
    let mut scene = Scene::in_database(&world.options.mongodb, world.client.database(&world.name)).await;
    let host = start(&world);
    host.until_phase_by(&Client::new(host.port).with_token(TOKEN), "accounts", "streaming").await;
    let url = format!("http://127.0.0.1:{}", host.port);
    let wait = |id: &str, patience: u32| json!({ "do": "wait", "url": url, "token": TOKEN, "projection": "accounts", "id": id, "patience": patience });
    for at in 0..scene.subjects.len() {
        let subject = &mut scene.subjects[at];
        let account = subject.language;
        let opened = subject.does(open(account)).await;
        assert_eq!(subject.does(wait(&ids(&opened)[0], 60_000)).await, "applied");
        for number in 1..=10 {
            let written = subject.does(deposit(account, 5)).await;
            assert_eq!(subject.does(wait(&ids(&written)[0], 60_000)).await, "applied");
            assert_eq!(world.accounts().await[account].balance_cents, 5 * number, "{account}");
        }
        let emit = |kind: &str, aggregate: &str, sequence: i64, payload: Value| {
            let event = json!({
                "type": kind, "aggregateType": "account", "aggregateId": aggregate, "sequence": sequence,
                "payload": payload,
            });
            json!({ "do": "emit", "account": account, "event": event })
        };
        let odd = subject.does(emit("Odd", &format!("{account}-odd"), 1, json!({}))).await;
        assert_eq!(subject.does(wait(&ids(&odd)[0], 60_000)).await, "ignored");

        let poison = format!("{account}-poison");
        let parked = subject.does(emit("AccountOpened", &poison, 1, json!({ "owner": 5 }))).await;
        let held = subject.does(emit("AccountClosed", &poison, 2, json!({}))).await;
        for (written, state) in [(parked, "parked"), (held, "held")] {
            let answer = subject.ask(wait(&ids(&written)[0], 60_000)).await;
            assert_eq!(
                (&answer["error"], &answer["state"]),
                (&json!("DeadLetter"), &json!(state)),
                "{answer}"
            );
            assert!(answer["says"].as_str().expect("a sentence").contains(state), "{account}: {answer}");
            assert_eq!(answer["letter"]["event_id"], ids(&written)[0].as_str(), "{account}: {answer}");
        }

        let never = "00000000-0000-4000-8000-000000000000";
        let said = subject.fails("StillPending", wait(never, 100)).await;
        assert!(said.starts_with(&format!("accounts does not have {never} after")), "{said}");
        let mut stranger = wait(never, 100);
        stranger["token"] = Value::Null;
        let said = subject.fails("NoAnswer", stranger).await;
        assert!(said.starts_with("the host answered 401: "), "{said}");
        let mut nowhere = wait(never, 100);
        nowhere["url"] = format!("http://127.0.0.1:{}", free_port()).into();
        let said = subject.fails("NoAnswer", nowhere).await;
        assert!(said.contains("/api/v1/projections/accounts/events/"), "{said}");
    }
    assert!(host.stop().await.success());
}
