//! The tables of a projection on the page: compared, repaired, made anew; generations that wait for a word, are accepted, returned
//! to and given up; and operations that are cancelled.

use super::{address, counted, event, is_clean, look, until_line};
use crate::guests;
use crate::support::world::laterna;
use crate::support::{Options, World, until};

/// Waits until a generation is the live one.
async fn until_live(world: &World, generation: i64) {
    let sql = format!("SELECT live_generation FROM {}.projection", world.control());
    until(&format!("generation {generation} is live"), async || {
        world.number_if_any(&sql).await == Some(generation)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_are_cancelled_accepted_and_returned_to_from_the_page() {
    let world = World::with(&[("first", "first")], Options::mysql()).await;
    let host = world.start();
    world.insert((1..=3).map(|n| event(&format!("e{n}"), "a", n, "ok"))).await;
    world.until_committed("first", 3).await;
    host.until_phase("first", "streaming").await;
    let browser = look(&host, "projections/first").await;
    browser.until_seen("Another slide").await;
    let deploy = async || {
        browser.drop_file(".drop", &guests::path("picky-tables")).await;
        browser.until_seen("are others: they are built beside the live ones").await;
        browser.until_seen("table stamped changes").await;
        assert!(browser.text().contains("more BIGINT NULL"), "{}", browser.text());
        assert_eq!(browser.barriers(), Vec::<String>::new());
        browser.press("Deploy …").await;
        browser.press("Deploy").await;
        browser.until_seen("Waits: ").await;
    };
    deploy().await;
    // It is done, and what it began is being built: that is cancelled.
    browser.open(&address(&host, "operations"));
    browser.click(".operations .quiet").await;
    browser.press("Cancel …").await;
    until_line(&browser, "laterna operations cancel ").await;
    assert_eq!(counted(&world, "generation", "TRUE").await, 1, "nothing is done before it is confirmed");
    browser.press("Cancel it").await;
    browser.until_seen("cancelled").await;
    until("it is gone", async || counted(&world, "generation", "TRUE").await == 0).await;
    assert_eq!(counted(&world, "command", "cancelled_by IS NOT NULL").await, 1);
    browser.open(&address(&host, "projections/first"));
    deploy().await;
    browser.press("Accept").await;
    until_line(&browser, "laterna generations accept first 3").await;
    browser.press("Accept it").await;
    until_live(&world, 3).await;
    browser.until_seen("Generation 3 live").await;
    browser.press("Return to it").await;
    until_line(&browser, "laterna generations return first 1").await;
    browser.click("dialog button[type=submit]").await;
    until_live(&world, 1).await;
    browser.until_seen("Generation 1 live").await;
    is_clean(&browser, &host);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_is_cancelled_where_its_answer_is_awaited() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, "ok")]).await;
    world.until_committed("picky", 1).await;
    host.until_phase("picky", "streaming").await;
    // A comparison waits for a projection that is paused.
    laterna(&world.config(host.port), &["pause", "picky", "--why", "a test"]);
    host.until_phase("picky", "paused").await;
    let browser = look(&host, "projections/picky").await;
    browser.press("Verify").await;
    browser.press("Compare").await;
    until("it is being built", async || counted(&world, "generation", "purpose = 'verify'").await == 1).await;
    let answer = "return document.querySelector('.answer')?.innerText ?? ''";
    until("its answer is awaited", async || {
        browser.run(answer).as_str().is_some_and(|told| told.contains("verify") && told.contains("Cancel …"))
    })
    .await;
    assert_eq!(browser.barriers(), Vec::<String>::new());
    browser.press("Cancel …").await;
    browser.press("Cancel it").await;
    until("the answer is that it was cancelled", async || {
        browser
            .run(answer)
            .as_str()
            .is_some_and(|told| told.contains("cancelled by") && !told.contains("Cancel …"))
    })
    .await;
    until("it is gone", async || counted(&world, "generation", "TRUE").await == 0).await;
    // Too late: the host says so in the question, and nothing happens.
    let late = "import('/page/dialog.js').then(({ cancel }) => { cancel({ id: 1, kind: 'pause', projection: 'picky' }); done(); })";
    browser.run_to_the_end(late);
    browser.press("Cancel it").await;
    browser.until_seen("`laterna resume picky` ends the pause").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_compared_repaired_and_made_anew_from_the_page() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    world.insert((1..=5).map(|n| event(&format!("e{n}"), "a", n, "ok"))).await;
    world.until_committed("picky", 5).await;
    host.until_phase("picky", "streaming").await;
    world.run(&format!("UPDATE {}.picked SET note = 'by hand' WHERE event_id = 'e2'", world.name)).await;
    let browser = look(&host, "projections/picky").await;
    browser.press("Verify").await;
    until_line(&browser, "laterna verify picky").await;
    browser.press("Compare").await;
    browser.until_seen("1 row differs from what history makes of the tables").await;
    browser.until_seen("by hand").await;
    browser.press("Verify and repair").await;
    until_line(&browser, "laterna verify picky --repair").await;
    browser.type_into("dialog input[name=typed]", "picky").await;
    browser.press("Compare and repair").await;
    until("it is repaired", async || {
        world.number("SELECT COUNT(*) FROM picked WHERE note = 'by hand'").await == 0
    })
    .await;
    browser.until_seen("kept").await;
    browser.press("Drop").await;
    let kept = "return document.querySelector('dialog label b').innerText";
    browser.until_seen("Its tables go for good").await;
    let number = browser.run(kept);
    browser.type_into("dialog input[name=typed]", number.as_str().expect("a number")).await;
    browser.press("Drop it").await;
    browser.until_gone("kept").await;
    browser.press("Rebuild").await;
    until_line(&browser, "laterna rebuild picky").await;
    browser.click("dialog button[type=submit]").await;
    browser.until_seen("Generation 3 live").await;
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 5);
    is_clean(&browser, &host);
}
