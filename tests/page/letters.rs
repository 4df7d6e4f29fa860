//! Letters on the page: drawn as sequences, tried, replayed, discarded and erased as they were shown; and text that would be
//! code where a page runs it.

use bson::doc;

use super::{address, counted, event, is_clean, look, until_line};
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
    until_line(&browser, "laterna dlq show picky").await;
    until_line(&browser, "laterna dlq replay picky --id").await;
    browser.press("What would happen now?").await;
    browser.until_seen("With the component in force:").await;
    browser.until_seen("told to reject").await;
    assert_eq!(counted(&world, "dead_letter", "TRUE").await, 6, "a dry run changes nothing");
    browser.press("Discard all …").await;
    browser.until_seen("Discard 3 letters?").await;
    until_line(&browser, "laterna dlq discard picky --all").await;
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
async fn letters_of_one_class_are_discarded_with_their_count_confirmed_and_others_stay() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    world.insert((1..=2).map(|n| event(&format!("trap{n}"), &format!("t{n}"), 1, "panic"))).await;
    world.insert((1..=3).map(|n| event(&format!("bad{n}"), &format!("w{n}"), 1, "reject"))).await;
    let wrong = doc! { "do": 7, "size": 7, "note": "seven" };
    world.insert([crate::support::world::event("typed", "x", 1, wrong)]).await;
    world.until_committed("picky", 6).await;
    let browser = look(&host, "projections/picky/letters").await;
    browser.until_seen("6 events could not be applied").await;
    browser.type_into("select[name=class]", "trapped").await;
    let drawn = "return document.querySelectorAll('.sequence').length";
    until("two are left", async || browser.run(drawn) == 2).await;
    browser.press("Replay these …").await;
    browser.until_seen("Replay 2 letters?").await;
    until_line(&browser, "laterna dlq replay picky --reason trapped").await;
    browser.press("Leave it").await;
    browser.press("Discard these …").await;
    browser.until_seen("Discard 2 letters?").await;
    browser.until_seen("These are those of the class trapped").await;
    until_line(&browser, "laterna dlq discard picky --reason trapped --why").await;
    browser.type_into("dialog input[name=why]", "made by a test").await;
    browser.type_into("dialog input[name=typed]", "2").await;
    browser.press("Discard 2").await;
    until("two are discarded", async || counted(&world, "dead_letter", "TRUE").await == 4).await;
    assert_eq!(counted(&world, "dead_letter", "class = 'trapped'").await, 0);
    browser.press("Show all").await;
    until("the others are shown", async || browser.run(drawn) == 4).await;
    // Two that are chosen, by their ids.
    for choose in ["w1", "w2"] {
        browser.click(&format!("input[aria-label$='thing/{choose}']")).await;
    }
    browser.press("Discard 2 …").await;
    browser.until_seen("These are those that you have chosen").await;
    until_line(&browser, "laterna dlq discard picky --id ").await;
    browser.press("Leave it").await;
    // What is half typed stays when the page is drawn anew.
    browser.type_into("input[name=event]", "ty").await;
    world.insert([event("bad9", "w9", 1, "reject")]).await;
    browser.until_seen("There are new letters: look again").await;
    assert_eq!(browser.run("return document.querySelector('input[name=event]').value"), "ty");
    // The place of the event that the reason is about, and no other that has the same value.
    browser.type_into("input[name=event]", "ped\u{e007}").await;
    until("it is alone", async || browser.run(drawn) == 1).await;
    browser.press("Replay these …").await;
    browser.until_seen("Replay 1 letter?").await;
    until_line(&browser, "laterna dlq replay picky --id ").await;
    browser.press("Leave it").await;
    browser.click(".letter.parked").await;
    browser.until_seen("invalid type").await;
    let marked =
        "return [...document.querySelectorAll('.document mark')].map(one => one.innerText.trim()).join('|')";
    until("its place is marked", async || browser.run(marked) == "\"do\": { \"$numberInt\": \"7\" },").await;
    assert_eq!(browser.barriers(), Vec::<String>::new());
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
    until_line(&browser, "laterna dlq replay picky --id").await;
    browser.press("Replay 1").await;
    browser.until_seen("Every event was applied").await;
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 2);
    browser.until_seen("No letters").await;
    // Which component it was applied with is told.
    let digest = host.status("picky").await.expect("it answers")["digest"].clone();
    let digest = &digest.as_str().expect("text")[..12];
    browser.open(&address(&host, "projections/picky/why/thing/w"));
    browser.until_seen(&format!("as a dead letter that was dealt with, with {digest}")).await;
    until_line(&browser, "laterna why picky").await;
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
        browser.open(&address(&host, view));
        browser
            .until_seen(if view == "projections/picky/letters" {
                "<b onclick="
            } else {
                "<script>window.hit"
            })
            .await;
    }
    browser.open(&address(&host, "projections/picky/letters"));
    browser.click(".letter.parked").await;
    browser.until_seen("\"note\": \"<script>window.hit = 1</script>").await;
    for view in [
        "projections/%3Cscript%3Ewindow.hit=1%3C%2Fscript%3E",
        "projections/%ZZ",
        "%3Cimg%20src=x%20onerror=window.hit=1%3E",
    ] {
        browser.open(&address(&host, view));
        browser.until_seen("Laterna").await;
    }
    assert_eq!(browser.run("return window.hit ?? null"), serde_json::Value::Null);
    assert_eq!(
        browser.run("return document.querySelectorAll('main img, main script, main b[onclick]').length"),
        0
    );
    is_clean(&browser, &host);
}
