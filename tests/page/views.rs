//! Every view, light and dark, on a desk and on a phone: whole, without barriers, small, and from this host alone.

use super::{address, event, is_clean, look};
use crate::support::{Host, Options, World, until};

/// Each view, with a text that is seen when it is there.
const VIEWS: [(&str, &str); 6] = [
    ("", "picky has letters"),
    ("projections/picky", "Another slide"),
    ("projections/picky/letters", "told to reject"),
    ("projections/picky/why/thing/w", "waits behind a dead letter"),
    ("operations", "Nothing was asked for"),
    ("hosts", "answers"),
];

/// How many bytes the page may be that come over the wire.
const BYTES_MAX: u64 = 150_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_view_is_whole_and_without_barriers_in_light_and_dark_on_a_desk_and_a_phone() {
    let world = World::with(&[("picky", "picky"), ("recorder", "recorder")], Options::mysql()).await;
    let host = world.start();
    world.insert([event("bad", "w", 1, "reject"), event("later", "w", 2, "ok")]).await;
    world.until_committed("picky", 2).await;
    host.until_phase("recorder", "streaming").await;
    let browser = look(&host, "").await;
    browser.until_seen("picky has letters").await;
    let files = "return performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')) \
        .filter(one => !one.name.includes('/api/')).reduce((sum, one) => sum + one.transferSize, 0)";
    let bytes = browser.run(files).as_u64().expect("a number");
    println!("the page is {bytes} bytes over the wire");
    assert!((20_000..BYTES_MAX).contains(&bytes), "the page is {bytes} bytes, at most {BYTES_MAX}");
    for (scheme, width, height) in
        [("light", 1280, 900), ("dark", 1280, 900), ("light", 390, 844), ("dark", 390, 844)]
    {
        browser.scheme(scheme);
        browser.resize(width, height);
        for (view, seen) in VIEWS {
            browser.open(&address(&host, view));
            browser.until_seen(seen).await;
            if view == "projections/picky/letters" {
                browser.click(".letter.parked").await;
                browser.until_seen("\"do\": \"reject\"").await;
            }
            let what = format!("{view:?}, {scheme}, {width} wide");
            let wide =
                browser.run("return document.scrollingElement.scrollWidth").as_u64().expect("a number");
            assert!(wide <= u64::from(width), "{what}: it is {wide} wide");
            assert_eq!(browser.barriers(), Vec::<String>::new(), "{what}");
        }
    }
    let ground = "return getComputedStyle(document.documentElement).backgroundColor";
    let dark = browser.run(ground);
    browser.scheme("light");
    assert_ne!(browser.run(ground), dark, "light and dark are two");
    // The question of a change is a view, too.
    browser.open(&address(&host, "projections/picky"));
    browser.press("Pause").await;
    browser.until_seen("Pause picky?").await;
    assert_eq!(browser.barriers(), Vec::<String>::new());
    is_clean(&browser, &host);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_that_is_started_anew_does_not_run_is_gone_from_an_open_page() {
    let mut world = World::with(&[("picky", "picky"), ("recorder", "recorder")], Options::mysql()).await;
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    let browser = look(&host, "").await;
    browser.until_seen("recorder").await;
    let port = host.port;
    host.stop().await;
    world.projections.remove("recorder");
    let host = Host::start(&world.config(port), port);
    host.until_phase("picky", "streaming").await;
    browser.until_seen("picky").await;
    until("it is gone", async || {
        browser.run("return document.body.innerText.includes('recorder')").as_bool() == Some(false)
    })
    .await;
}
