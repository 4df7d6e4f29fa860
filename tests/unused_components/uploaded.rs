//! A component that was uploaded is there when the upload is answered, also again; and whoever goes back to one that is gone hears so.

use serde_json::{Value, json};

use crate::api::Guarded;
use crate::guests;
use crate::support::http::{Answer, Client};
use crate::support::{Options, World, until};

const HERE: &str = "/api/v1/projections/picky";

async fn upload(operator: &Client, component: &str) -> Answer {
    let path = format!("{HERE}/components");
    let answer = operator.ask("POST", &path, &guests::bytes(component)).await.expect("an answer");
    assert_eq!(answer.code, 201, "{answer:?}");
    answer
}

async fn uploaded_again(options: Options) {
    let world = World::new("picky", options).await;
    let Guarded { host, operator, .. } = Guarded::start(&world);
    host.until_phase_by(&operator, "picky", "streaming").await;
    let keyed = operator.with("Idempotency-Key", "up");
    let first = upload(&keyed, "picky-worse").await;
    let digest = first.json()["digest"].as_str().expect("a digest").to_owned();
    let of = format!("FROM {}.component WHERE digest = '{digest}'", world.control());

    // Asked for again after a while, it stays for as long as if it had come now.
    let past = format!("stored_at = CURRENT_TIMESTAMP(6) - INTERVAL 5 DAY WHERE digest = '{digest}'");
    world.run(&format!("UPDATE {}.component SET {past}", world.control())).await;
    assert_eq!(upload(&keyed, "picky-worse").await.text, first.text);
    let old = format!("SELECT COUNT(*) {of} AND stored_at < CURRENT_TIMESTAMP(6) - INTERVAL 1 DAY");
    assert_eq!(world.number(&old).await, 0, "it counts as stored now");

    // It is gone: the answer would name what is not there.
    world.run(&format!("DELETE {of}")).await;
    world.run(&format!("DELETE {}", of.replace(".component ", ".component_part "))).await;
    assert_eq!(upload(&keyed, "picky-worse").await.text, first.text);
    let stored = operator.download(&format!("/api/v1/components/{digest}/wasm")).await;
    assert!(stored == guests::bytes("picky-worse"), "it is stored again");
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_comes_again_keeps_its_component_on_mysql() {
    uploaded_again(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_comes_again_keeps_its_component_on_mariadb() {
    uploaded_again(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_to_a_component_that_is_gone_says_which_and_what_to_do() {
    let world = World::new("picky", Options::mysql()).await;
    let Guarded { host, operator, .. } = Guarded::start(&world);
    host.until_phase_by(&operator, "picky", "streaming").await;
    let in_force = async || operator.get(HERE).await.json()["deployment"]["digest"].clone();
    until("the first is known", async || in_force().await.is_string()).await;
    let first = in_force().await.as_str().expect("a digest").to_owned();
    let second = upload(&operator, "picky-worse").await.json()["digest"].clone();
    let body = json!({ "digest": second, "canary_seconds": 0 });
    assert_eq!(operator.post(&format!("{HERE}/deployments"), &body).await.code, 202);
    until("it is in force", async || in_force().await == second).await;

    // The host still has it in its memory.
    world.run(&format!("DELETE FROM {}.component WHERE digest = '{first}'", world.control())).await;
    assert_eq!(operator.post(&format!("{HERE}/rollback"), &Value::Null).await.code, 202);
    let says = format!(
        "the component {first} is not in the control schema any more; deploy it again from its file: `laterna deploy"
    );
    let failed = format!(
        "SELECT COUNT(*) FROM {}.command WHERE state = 'failed' AND result LIKE '%{says}%'",
        world.control()
    );
    until("the rollback fails", async || world.number(&failed).await == 1).await;
    assert_eq!(in_force().await, second);
    assert!(host.stop().await.success());
}
