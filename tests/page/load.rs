//! What the page costs a browser when there is much to show.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{address, event, is_clean, look};
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
    twenty_rows(&browser).await;
    is_clean(&browser, &host);
}

/// Twenty projections on the overview, each of which is told of every second, as this one is.
async fn twenty_rows(browser: &Browser) {
    browser.run_to_the_end(
        "Promise.all([import('/page/state.js'), import('/page/draw.js')]).then(([{ known }, { changed }]) => { setInterval(() => { \
         const one = known.projections.get('picky'), past = known.past.get('picky'); \
         for (let n = 1; n < 20; n++) { const name = `picky${n}`; known.past.set(name, past); \
         known.projections.set(name, { ...one, projection: name, events: one.events + Date.now(), events_per_second: Math.random() * 900 }); } \
         changed(); }, 1000); done(true); })",
    );
    browser.until_seen("20 of 20 projections: have letters.").await;
    let [script, began] = spent(browser);
    some_time(4_000).await;
    let [script, lasted] = [spent(browser), [script, began]]
        .into_iter()
        .reduce(|now, then| [now[0] - then[0], now[1] - then[1]])
        .expect("two");
    println!("twenty rows: {:.1} ms of scripts a second", script * 1000.0 / lasted);
    assert!(script < lasted * SCRIPT_SHARE_MAX, "twenty rows: {script} s of scripts in {lasted} s");
    let wide = browser.run("return document.scrollingElement.scrollWidth <= innerWidth");
    assert_eq!(wide, true, "twenty rows are as wide as one");
    assert_eq!(browser.barriers(), Vec::<String>::new(), "twenty rows");
}

/// How many sessions a world's host has at MySQL, at most while it is looked a few times.
async fn sessions(world: &World) -> i64 {
    let count = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{}'", world.name);
    let mut most = 0;
    for _ in 0..20 {
        most = most.max(world.number(&count).await);
        some_time(50).await;
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn five_open_pages_ask_a_host_under_load_for_nothing_and_share_the_two_sessions_of_all_requests() {
    let world = World::new("picky", Options { lanes: 2, ..Options::mysql() }).await;
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    let mut committed = 0;
    let mut load = async |name: &str| {
        let of = |n: i64| event(&format!("{name}{n}"), &format!("w{}", n % 50), n, "ok");
        world.insert((0..3_000).map(of)).await;
        let began = Instant::now();
        committed += 3_000;
        world.until_committed("picky", committed).await;
        began.elapsed()
    };
    load("warm").await;
    let (alone, quiet) = (load("alone").await, sessions(&world).await);
    let browser = look(&host, "").await;
    browser.until_seen("Both sides are in step.").await;
    for (view, seen) in [
        ("projections/picky", "Another slide"),
        ("projections/picky/letters", "No letters"),
        ("projections/picky/why/thing/w7", "What it becomes"),
        ("hosts", "answers"),
    ] {
        browser.open_window(&address(&host, view));
        let there = || browser.run("return document.body.innerText + document.body.innerHTML");
        crate::support::until(&format!("{view} is drawn"), async || {
            there().as_str().is_some_and(|text| text.contains(seen))
        })
        .await;
    }
    // What was asked while they were drawn.
    some_time(1_000).await;
    browser.asked();
    let (watched, with_pages) = (load("watched").await, sessions(&world).await);
    // Nobody is told who leads which projection, so that view asks, every 3 s.
    let asked: Vec<_> = browser.asked().into_iter().filter(|url| !url.ends_with("/api/v1/hosts")).collect();
    assert_eq!(asked, Vec::<String>::new(), "a page is told what happens, and asks for nothing");
    println!(
        "3,000 events: {alone:?} alone, {watched:?} with five pages; {quiet} sessions, {with_pages} with them"
    );
    // One for what is asked, and one for what became of events.
    assert!(with_pages <= quiet + 2, "{quiet} sessions alone, {with_pages} with five pages");
    assert!(watched < alone * 2 + Duration::from_secs(1), "{alone:?} alone, {watched:?} with five pages");
}
