//! What the page costs a browser when there is much to show.

use serde_json::json;

use super::{event, is_clean, look};
use crate::support::browser::Browser;
use crate::support::{Options, World, some_time};

/// How much of its time a page may compute.
const SCRIPT_SHARE_MAX: f64 = 0.05;

/// For how many seconds a browser has run scripts of the page, and how long it has been open.
fn spent(browser: &Browser) -> [f64; 2] {
    let told = browser.devtools("Performance.getMetrics", &json!({}));
    let all = told["metrics"].as_array().expect("a list");
    ["ScriptDuration", "Timestamp"].map(|name| {
        let found = all.iter().find(|one| one["name"] == name);
        found.and_then(|one| one["value"].as_f64()).expect("a number")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_letters_and_a_busy_stream_cost_a_browser_little() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    // Five heads, and all others behind them.
    let of_one = |n: i64| (1..=5).map(move |a| event(&format!("{a}-{n}"), &format!("w{a}"), n, "reject"));
    world.insert((1..=2_000).flat_map(of_one)).await;
    world.until_committed("picky", 10_000).await;
    let browser = look(&host, "projections/picky/letters").await;
    browser.until_seen("9\u{202f}995 later ones wait behind them").await;
    browser.until_seen("and more").await;
    let drawn = browser.run("return document.querySelectorAll('*').length").as_u64().expect("a number");
    assert!(drawn < 1_500, "{drawn} elements are drawn");
    browser.devtools("Performance.enable", &json!({}));
    for (view, seen) in [
        ("projections/picky/letters", "9\u{202f}995"),
        ("projections/picky", "Another slide"),
        ("", "picky has letters"),
    ] {
        browser.open(&super::address(&host, view));
        browser.until_seen(seen).await;
        let [script, began] = spent(&browser);
        for n in 1..=40 {
            let more = (1..=10).map(|a| event(&format!("{view}-{a}-{n}"), &format!("{view}ok{a}"), n, "ok"));
            world.insert(more).await;
            some_time(100).await;
        }
        let [script, lasted] = [spent(&browser), [script, began]]
            .into_iter()
            .reduce(|now, then| [now[0] - then[0], now[1] - then[1]])
            .expect("two");
        println!("{view:?}: {:.1} ms of scripts a second", script * 1000.0 / lasted);
        assert!(script < lasted * SCRIPT_SHARE_MAX, "{view:?}: {script} s of scripts in {lasted} s");
    }
    is_clean(&browser, &host);
}
