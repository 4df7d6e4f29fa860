//! Who looks: a token where one is needed, what a viewer does not see and cannot press.

use bson::{Document, doc};

use super::{event, is_clean, look};
use crate::api::{Guarded, OPERATOR, VIEWER};
use crate::support::{Options, World, until};

/// The trace of what fails.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asks_for_a_token_keeps_it_in_the_tab_and_a_viewer_sees_no_values() {
    let world = World::new("picky", Options::mysql()).await;
    let Guarded { host, viewer, operator, .. } = Guarded::start(&world);
    let traced = |mut event: Document| {
        event.insert("metadata", doc! { "traceparent": format!("00-{TRACE}-b7ad6b7169203331-01") });
        event
    };
    world.insert([traced(event("bad", "w", 1, "reject")), event("later", "w", 2, "ok")]).await;
    let secret = doc! { "do": "reject", "secret": "a canary" };
    world.insert([traced(crate::support::world::event("worse", "v", 1, secret))]).await;
    host.until_phase_by(&operator, "picky", "streaming").await;
    until("its letters are counted", async || {
        viewer.get("/api/v1/projections/picky").await.json()["parked"] == 2
    })
    .await;
    let browser = look(&host, "").await;
    browser.until_seen("One of the file that host.tokens names").await;
    assert!(!browser.text().contains("picky"), "{}", browser.text());
    assert_eq!(browser.barriers(), Vec::<String>::new());
    browser.type_into("input[name=token]", "nobody-0123456789abcdef0123456789").await;
    browser.press("Look").await;
    browser.until_seen("nobody has this token").await;
    assert!(!browser.text().contains("picky"), "{}", browser.text());
    browser.noted("browser");
    browser.type_into("input[name=token]", VIEWER).await;
    browser.press("Look").await;
    browser.until_seen("picky has letters").await;
    browser.until_seen("dashboard").await;
    let kept = browser.run("return JSON.stringify({ ...localStorage }) + document.cookie + location.href");
    assert!(!kept.as_str().expect("text").contains("0123456789"), "{kept}");
    assert_eq!(browser.run("return sessionStorage.length"), 1);
    browser.press("See its letters").await;
    browser.until_seen("a viewer does not see the reason").await;
    browser.click(".letter.parked").await;
    browser.until_seen("A viewer does not see what events hold").await;
    browser.until_seen(TRACE).await;
    assert!(!browser.text().contains("told to reject") && !browser.text().contains("a canary"));
    let open = "return [...document.querySelectorAll('main .buttons button:not(:disabled)')].map(one => one.innerText).join()";
    assert_eq!(browser.run(open), "Look again", "a viewer changes nothing");
    browser.open(&super::address(&host, "projections/picky/why/thing/v"));
    browser.until_seen("A viewer does not see what rows hold").await;
    browser.until_seen("a viewer does not see the reason").await;
    assert!(!browser.text().contains("told to reject") && !browser.text().contains("a canary"));
    is_clean(&browser, &host);
    browser.open(&super::address(&host, "projections/picky/letters"));
    browser.until_seen("a viewer does not see the reason").await;
    browser.press("Sign out").await;
    browser.until_seen("One of the file that host.tokens names").await;
    assert_eq!(browser.run("return sessionStorage.length"), 0);
    browser.type_into("input[name=token]", OPERATOR).await;
    browser.press("Look").await;
    browser.until_seen("told to reject").await;
}
