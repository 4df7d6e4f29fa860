//! The page without a pointer: everything is reached, pressed and left again with keys.

use super::{event, look};
use crate::support::browser::{ENTER, ESCAPE, SPACE, TAB};
use crate::support::{Options, World, until};

/// What can be pressed or written into, as far as it is seen.
const REACHABLE: &str =
    "a[href], button:not(:disabled), input:not(:disabled), select, summary, [tabindex='0']";

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_reached_and_done_with_keys_alone() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    world.insert([event("bad", "w", 1, "reject"), event("later", "w", 2, "ok")]).await;
    world.until_committed("picky", 2).await;
    host.until_phase("picky", "streaming").await;
    let browser = look(&host, "").await;
    browser.until_seen("picky has letters").await;
    for (view, seen) in [
        ("", "See its letters"),
        ("projections/picky", "Another slide"),
        ("projections/picky/letters", "told to reject"),
        ("projections/picky/why/thing/w", "waits behind a dead letter"),
        ("operations", "Nothing was asked for"),
        ("hosts", "answers"),
    ] {
        browser.open(&super::address(&host, view));
        browser.until_seen(seen).await;
        browser.run("document.activeElement.blur(); window.reached = new Set(); addEventListener('focusin', event => window.reached.add(event.target))");
        let count = browser.run(&format!("return [...document.querySelectorAll(\"{REACHABLE}\")].filter(one => one.getClientRects().length).length"));
        let count = count.as_u64().expect("a number");
        for _ in 0..count + 3 {
            browser.keys(&[TAB]);
        }
        let missed = browser.run(&format!("return [...document.querySelectorAll(\"{REACHABLE}\")].filter(one => one.getClientRects().length && !window.reached.has(one)).map(one => one.outerHTML.slice(0, 120))"));
        assert_eq!(missed, serde_json::json!([]), "{view}: not reached with the keyboard");
    }
    // A letter is opened, its question left and asked again, all by keys.
    browser.open(&super::address(&host, "projections/picky/letters"));
    browser.until_seen("told to reject").await;
    let reach = async |what: &str| {
        until(&format!("the focus is on {what}"), async || {
            browser.keys(&[TAB]);
            let on = browser
                .run("return (document.activeElement.innerText || document.activeElement.name || '').trim()");
            on.as_str().is_some_and(|on| on.starts_with(what))
        })
        .await;
    };
    reach("rejected").await;
    browser.keys(&[ENTER]);
    browser.until_seen("\"do\": \"reject\"").await;
    // What comes in meanwhile may draw the list anew between the two keys.
    let asked = || {
        let shown = browser.run("return document.body.innerText");
        shown.as_str().is_some_and(|shown| shown.contains("Its event is given up for good"))
    };
    until("the question is asked", async || {
        if !asked() {
            reach("Discard …").await;
            browser.keys(&[SPACE]);
        }
        (0..50).any(|_| asked())
    })
    .await;
    let inside = "return Boolean(document.activeElement.closest('dialog'))";
    for _ in 0..6 {
        browser.keys(&[TAB]);
        assert_ne!(
            browser.run("return document.activeElement.closest('main') && true"),
            true,
            "the page is behind the question"
        );
    }
    browser.keys(&[ESCAPE]);
    browser.until_gone("Its event is given up for good").await;
    assert_eq!(
        browser.run("return document.activeElement.innerText"),
        "Discard …",
        "the focus is back where it was"
    );
    until("the question is asked again", async || {
        if !asked() {
            reach("Discard …").await;
            browser.keys(&[ENTER]);
        }
        (0..50).any(|_| asked())
    })
    .await;
    until("the focus is in the question", async || {
        browser.keys(&[TAB]);
        browser.run(inside) == true && browser.run("return document.activeElement.name") == "why"
    })
    .await;
    browser.keys(&["w", "h", "y", TAB]);
    let id = world
        .number(&format!("SELECT id FROM {}.dead_letter WHERE event_id = 'bad'", world.control()))
        .await
        .to_string();
    let digits: Vec<String> = id.chars().map(String::from).collect();
    browser.keys(&digits.iter().map(String::as_str).collect::<Vec<_>>());
    browser.keys(&[ENTER]);
    browser.until_seen("No letters").await;
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 1);
}
