//! Changes on the page: pausing, deploying, rolling back; and that it shows what happens while one looks.

use serde_json::Value;
use sqlx::Row;

use super::{address, counted, event, is_clean, look, until_line};
use crate::guests;
use crate::support::{Options, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_is_paused_with_a_reason_and_resumed() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    let browser = look(&host, "").await;
    browser.until_seen("Both sides are in step.").await;
    browser.press("picky").await;
    browser.press("Pause").await;
    until_line(&browser, "laterna pause picky --why").await;
    browser.type_into("dialog input[name=why]", "the tables are moved").await;
    until_line(&browser, "laterna pause picky --why 'the tables are moved'").await;
    browser.click("dialog button[type=submit]").await;
    browser.until_seen("Paused: ").await;
    browser.until_seen("the tables are moved").await;
    host.until_phase("picky", "paused").await;
    browser.open(&address(&host, ""));
    browser.until_seen("picky is paused.").await;
    browser.press("picky").await;
    browser.press("Resume").await;
    browser.click("dialog button[type=submit]").await;
    browser.until_seen("In step.").await;
    host.until_phase("picky", "streaming").await;
    browser.open(&address(&host, "operations"));
    browser.until_seen("api@127.0.0.1").await;
    browser.until_seen("the tables are moved").await;
    browser.press("pause").await;
    browser.until_seen("\"why\": \"the tables are moved\"").await;
    browser.open(&address(&host, "hosts"));
    browser.until_seen(&format!("host-{} answers", host.port)).await;
    is_clean(&browser, &host);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_while_one_looks_is_told_with_what_to_do_and_so_is_a_host_that_is_gone() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    let browser = look(&host, "").await;
    browser.until_seen("Both sides are in step.").await;
    assert_eq!(browser.run("return document.querySelectorAll('.crack').length"), 0);
    world.run(&format!("DROP TABLE {}.picked", world.name)).await;
    world.insert([event("e", "a", 1, "ok")]).await;
    browser.until_seen("picky stands still.").await;
    browser.until_seen("What to do:").await;
    assert!(browser.text().contains("picked"), "{}", browser.text());
    let drawn = "return [document.querySelectorAll('.crack').length, document.querySelector('.lantern').getAttribute('aria-label')].join()";
    let drawn = browser.run(drawn);
    assert!(
        drawn.as_str().is_some_and(
            |drawn| drawn.starts_with("1,picky: ") && drawn.contains("The light ends at the tables")
        ),
        "{drawn}"
    );
    host.kill();
    browser.until_seen("the host does not answer").await;
    browser.until_seen("as it was heard last").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_looked_at_before_it_is_deployed_and_taken_back() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    world.insert((1..=3).map(|n| event(&format!("e{n}"), "a", n, "ok"))).await;
    world.insert([event("e4", "b", 1, "fine well")]).await;
    world.until_committed("picky", 4).await;
    host.until_phase("picky", "streaming").await;
    let browser = look(&host, "projections/picky").await;
    browser.until_seen("Another slide").await;
    let none = world.folder.path().join("none.wasm");
    std::fs::write(&none, b"no component").expect("it can be written");
    browser.choose("input[name=component]", &none).await;
    browser.until_seen("correct the request").await;
    // That it was refused, the browser notes as well.
    browser.noted("browser");
    browser.drop_file(".drop", &guests::path("picky-worse")).await;
    browser.until_seen("1 of the last 4 events would be projected otherwise").await;
    // The SQL of the one beside what the other comes to.
    let both = "return [...document.querySelectorAll('.both pre')].map(one => one.innerText).join('|')";
    let both = browser.run(both);
    let both = both.as_str().expect("text");
    assert!(
        both.contains("in force\nINSERT INTO `picked`") && both.contains("'e4', 'b', 1, 'fine'"),
        "{both}"
    );
    assert!(both.contains("|this one\ntrapped: "), "{both}");
    browser.until_seen("are the live ones").await;
    browser.until_seen("declared as by the component in force").await;
    until_line(&browser, "laterna deploy picky-worse.wasm --projection picky --shadow 1000").await;
    assert_eq!(counted(&world, "command", "request NOT LIKE '%upload%'").await, 0, "nothing was asked for");
    browser.press("Deploy …").await;
    until_line(&browser, "laterna deploy picky-worse.wasm --projection picky --canary 60").await;
    browser.press("Deploy").await;
    let deployed = async |count: i64| {
        until("it is deployed and taken up", async || {
            let newest =
                format!("SELECT digest FROM {}.deployment ORDER BY id DESC LIMIT 1", world.control());
            let newest: String = world.rows(&newest).await[0].get(0);
            let is_taken_up = |status: Value| {
                status["deployment"]["digest"] == *newest && status["deployment"]["taken_up"] == true
            };
            counted(&world, "deployment", "TRUE").await == count
                && host.status("picky").await.is_some_and(is_taken_up)
        })
        .await;
    };
    deployed(2).await;
    world.insert((1..=3).map(|n| event(&format!("f{n}"), "c", n, "ok"))).await;
    browser.until_seen("3 events were taken with it").await;
    browser.until_seen("Its canary window lasts").await;
    until("the list shows both", async || {
        browser.run("return document.querySelectorAll('.timeline li').length") == 2
    })
    .await;
    browser.press("Roll back").await;
    until_line(&browser, "laterna rollback picky").await;
    browser.click("dialog button[type=submit]").await;
    deployed(3).await;
    until("the list shows all", async || {
        browser.run("return document.querySelectorAll('.timeline li').length") == 3
    })
    .await;
    is_clean(&browser, &host);
}
