//! Letters on the page: drawn as sequences, tried, replayed, discarded and erased as they were shown; and text that would be
//! code where a page runs it.

use bson::doc;

use super::{counted, event, is_clean, look};
use crate::support::{Options, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_tried_discarded_and_erased_as_they_were_shown_and_later_ones_stay() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    world.insert((1..=3).map(|n| event(&format!("bad{n}"), &format!("w{n}"), 1, "reject"))).await;
    world.insert((2..=4).map(|n| event(&format!("held{n}"), "w1", n, "ok"))).await;
    world.until_committed("picky", 6).await;
    until("they are letters", async || counted(&world, "dead_letter", "state = 'held'").await == 3).await;
    let browser = look(&host, "projections/picky/letters").await;
    browser.until_seen("3 events could not be applied, and 3 later ones wait behind them").await;
    // Head and what is held behind it, in one sequence.
    until("the sequence is drawn", async || {
        browser.run("return [...document.querySelectorAll('.sequence')].map(one => one.querySelectorAll('.letter.held').length).sort().join()")
            == "0,0,3"
    })
    .await;
    browser.click(".letter.parked").await;
    browser.until_seen("\"do\": \"reject\"").await;
    browser.until_seen("laterna dlq show picky").await;
    browser.press("What would happen now?").await;
    browser.until_seen("With the component in force:").await;
    browser.until_seen("told to reject").await;
    assert_eq!(counted(&world, "dead_letter", "TRUE").await, 6, "a dry run changes nothing");
    browser.press("Discard all …").await;
    browser.until_seen("Discard 3 letters?").await;
    browser.until_seen("laterna dlq discard picky --all").await;
    // One more comes while the question stands.
    world.insert([event("bad4", "w4", 1, "reject")]).await;
    until("it is a letter", async || counted(&world, "dead_letter", "event_id = 'bad4'").await == 1).await;
    let button = "return document.querySelector('dialog button.danger').disabled";
    browser.type_into("dialog input[name=why]", "made by a test").await;
    browser.type_into("dialog input[name=typed]", "4").await;
    assert_eq!(browser.run(button), true, "what cannot be undone has to be typed");
    browser.type_into("dialog input[name=typed]", "\u{e003}3").await;
    browser.press("Discard 3").await;
    browser.until_seen("discard picky").await;
    until("three are discarded", async || counted(&world, "dead_letter", "TRUE").await == 1).await;
    assert_eq!(counted(&world, "dead_letter", "event_id = 'bad4'").await, 1, "it came later");
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 3, "what was held is applied");
    browser.until_seen("1 event could not be applied").await;
    until("the list is new", async || {
        browser.run("return document.querySelectorAll('.sequence').length") == 1
    })
    .await;
    browser.click(".letter.parked").await;
    browser.press("Erase …").await;
    let id = world.number(&format!("SELECT id FROM {}.dead_letter", world.control())).await;
    browser.type_into("dialog input[name=why]", "it holds a name").await;
    browser.type_into("dialog input[name=typed]", &id.to_string()).await;
    browser.press("Erase 1").await;
    until("it is erased", async || counted(&world, "dead_letter", "erased_at IS NOT NULL").await == 1).await;
    is_clean(&browser, &host);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_replayed_when_the_component_takes_them() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    let note = async |characters: u32| {
        let sql = format!("ALTER TABLE {}.picked MODIFY note VARCHAR({characters}) NOT NULL", world.name);
        world.run(&sql).await;
    };
    note(1).await;
    world.insert([event("long", "w", 1, "ok"), event("later", "w", 2, "ok")]).await;
    world.until_committed("picky", 2).await;
    let browser = look(&host, "projections/picky/letters").await;
    browser.until_seen("1 event could not be applied, and 1 later one waits behind it").await;
    note(20).await;
    browser.click(".letter.parked").await;
    browser.press("Replay …").await;
    browser.until_seen("laterna dlq replay picky --id").await;
    browser.press("Replay 1").await;
    browser.until_seen("Every event was applied").await;
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 2);
    browser.until_seen("No letters").await;
    is_clean(&browser, &host);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_would_be_a_script_is_shown_and_never_run() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    let script = "<script>window.hit = 1</script><img src=x onerror='window.hit = 2'>";
    let payload = doc! { "do": format!("panic {script}"), "note": script };
    let mut document = crate::support::world::event(&format!("e{script}"), &format!("a{script}"), 1, payload);
    document.insert("type", "<b onclick='window.hit = 3'>Type</b>");
    world.insert([document]).await;
    world.until_committed("picky", 1).await;
    host.until_phase("picky", "streaming").await;
    let client = crate::support::http::Client::new(host.port);
    let why = serde_json::json!({ "why": script });
    assert_eq!(client.post("/api/v1/projections/picky/pause", &why).await.code, 202);
    host.until_phase("picky", "paused").await;
    let browser = look(&host, "").await;
    browser.until_seen(script).await;
    for view in ["projections/picky", "projections/picky/letters", "operations"] {
        browser.open(&super::address(&host, view));
        browser
            .until_seen(if view == "projections/picky/letters" {
                "<b onclick="
            } else {
                "<script>window.hit"
            })
            .await;
    }
    browser.open(&super::address(&host, "projections/picky/letters"));
    browser.click(".letter.parked").await;
    browser.until_seen("\"note\": \"<script>window.hit = 1</script>").await;
    for view in [
        "projections/%3Cscript%3Ewindow.hit=1%3C%2Fscript%3E",
        "projections/%ZZ",
        "%3Cimg%20src=x%20onerror=window.hit=1%3E",
    ] {
        browser.open(&super::address(&host, view));
        browser.until_seen("Laterna").await;
    }
    assert_eq!(browser.run("return window.hit ?? null"), serde_json::Value::Null);
    assert_eq!(
        browser.run("return document.querySelectorAll('main img, main script, main b[onclick]').length"),
        0
    );
    is_clean(&browser, &host);
}
