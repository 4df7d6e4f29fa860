//! The audit has every reload: by whom, what was taken over, and why one was refused.

use serde_json::{Value, json};

use super::{Files, TOKENS, refused, reload, write};
use crate::support::http::Client;
use crate::support::world::{free_port, laterna, said};
use crate::support::{Host, Options, World, until};

/// A token that may only look.
const VIEWER: &str = "viewer-token-0123456789abcdef";

/// The reloads as the page lists them, the newest first.
async fn reloads(client: &Client) -> Vec<Value> {
    let page = client.get("/api/v1/operations?kind=reload").await.json();
    page["operations"].as_array().expect("a list").clone()
}

async fn are_audited(options: Options) {
    let world = World::new("picky", options).await;
    let port = free_port();
    let files = Files::new(&world, port);
    let viewer = format!("[[token]]\nname = \"wall\"\nrole = \"viewer\"\ntoken = \"{VIEWER}\"\n");
    write(&files.tokens, &(super::tokens(TOKENS[0]) + &viewer));
    let host = Host::start(&files.config, port);
    let [operator, viewer] = [TOKENS[0], VIEWER].map(|token| Client::new(port).with_token(token));
    host.until_phase_by(&operator, "picky", "streaming").await;

    // Over the API: what is taken over, and what needs a restart. A dry run is none.
    let other = files.text.replacen("[host]\n", "[host]\nlog = \"json\"\nlog_filter = \"warn\"\n", 1);
    write(&files.config, &other);
    assert_eq!(operator.post("/api/v1/reload?dry_run=true", &Value::Null).await.code, 200);
    assert_eq!(reload(&operator).await.code, 200);
    let [one] = &reloads(&operator).await[..] else { panic!("one reload") };
    for (field, expected) in [
        ("projection", json!("")),
        ("request", json!("reload")),
        ("parameters", json!({ "applied": ["host.log_filter"], "needs_restart": ["host.log"] })),
        ("state", json!("done")),
        ("result", json!("host.log_filter: taken over; host.log: needs a restart")),
        ("requested_by", json!("on-call")),
        ("carried_out_by", json!(format!("host-{port}"))),
        ("finished_at", one["requested_at"].clone()),
    ] {
        assert_eq!(one[field], expected, "{field}: {one}");
    }

    // By a signal, and by the command line, which asks the host.
    write(&files.config, &files.text);
    host.signal("HUP");
    until("it is recorded", async || reloads(&operator).await.len() == 2).await;
    assert!(said(&laterna(&files.config, &["reload"])).contains("Nothing differs"));
    let told = reloads(&operator).await;
    let of = |field: &str| told.iter().map(|one| one[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("requested_by"), ["on-call", "signal", "on-call"]);
    let [nothing, differs] = ["nothing differs", "host.log_filter: taken over"];
    assert_eq!(of("result")[..2], [nothing, differs]);

    // Refused, with the reason, which a viewer does not see.
    write(&files.config, &files.text.replacen("[host]\n", "[host]\nlease_secondz = 3\n", 1));
    refused(&reload(&operator).await, "lease_secondz");
    write(&files.config, &files.text);
    let last = reloads(&operator).await[0].clone();
    assert_eq!(last["state"], "failed", "{last}");
    assert!(last["result"].as_str().is_some_and(|why| why.contains("lease_secondz")), "{last}");
    assert_eq!(last["parameters"], json!({ "applied": [], "needs_restart": [] }), "{last}");
    let seen = reloads(&viewer).await;
    assert_eq!((&seen[0]["result"], &seen[1]["result"]), (&json!("(masked)"), &json!(nothing)), "{seen:?}");

    // They are listed, narrowed and exported as others; no projection has them, and nobody carries them out.
    let audit = |arguments: &[&str]| {
        let told = laterna(&files.config, &[&["audit"], arguments].concat());
        assert!(told.status.success(), "{}", said(&told));
        said(&told)
    };
    let told = audit(&["--kind", "reload"]);
    assert_eq!(told.matches("(host)").count(), 4, "{told}");
    assert_eq!(audit(&["--by", "signal", "--json"]).lines().count(), 1);
    assert_eq!(audit(&["--state", "failed", "--json"]).lines().count(), 1);
    assert!(!audit(&["picky"]).contains("reload"));
    let late = operator.ask("DELETE", &format!("/api/v1/operations/{}", last["id"]), b"").await;
    assert_eq!(late.map(|answer| answer.code), Some(409));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_has_every_reload_on_mysql() {
    are_audited(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_has_every_reload_on_mariadb() {
    are_audited(Options::mariadb()).await;
}
