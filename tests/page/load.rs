//! What the page costs a browser when there is much to show.

use std::path::Path;

use bson::{Document, doc};
use serde_json::{Value, json};

use super::{address, event, is_clean, look};
use crate::support::browser::Browser;
use crate::support::world::free_port;
use crate::support::{Host, Mysqld, Options, World, some_time};

/// How much of its time a page may compute.
const SCRIPT_SHARE_MAX: f64 = 0.05;

/// How long drawing anew may take, that there are sixty frames a second, in milliseconds.
const FRAME_MS_MAX: f64 = 1000.0 / 60.0;

/// How often it is measured at most.
const ROUNDS: u32 = 6;

/// Measures each frame that the page draws anew, from its scripts until it is on the screen.
const MEASURING: &str = "if (!window.measured) { \
    const began = [], after = new MessageChannel(), real = requestAnimationFrame.bind(window); \
    after.port1.onmessage = () => measured.push(performance.now() - began.shift()); \
    window.requestAnimationFrame = draw => real(at => { \
        began.push(performance.now()); draw(at); after.port2.postMessage(null); \
    }); \
    } \
    window.measured = [];";

/// For how many seconds scripts of the page ran in the samples that a browser took, and how long it took them.
fn of_scripts(profile: &Value) -> [f64; 2] {
    let nodes = profile["nodes"].as_array().expect("a list");
    let is_idle = |id: &Value| {
        let node = nodes.iter().find(|node| node["id"] == *id).expect("it is there");
        ["(idle)", "(program)", "(root)"].iter().any(|name| node["callFrame"]["functionName"] == *name)
    };
    let [samples, times] =
        ["samples", "timeDeltas"].map(|name| profile[name].as_array().expect("a list").as_slice());
    let all =
        samples.iter().zip(times).map(|(id, micros)| (is_idle(id), micros.as_f64().unwrap_or_default()));
    let (mut ran, mut lasted) = (0.0, 0.0);
    for (is_idle, micros) in all {
        lasted += micros / 1e6;
        ran += if is_idle { 0.0 } else { micros / 1e6 };
    }
    [ran, lasted]
}

/// Nineteen copies of one component, each with a table of its own.
fn copies(folder: &Path) -> Vec<(String, String)> {
    let bytes = crate::guests::bytes("bench-fan");
    let copy = |number: usize| {
        let (name, mut bytes) = (format!("fan_{number:02}"), bytes.clone());
        let places = bytes.windows(6).enumerate().filter(|(_, found)| *found == b"fan_00");
        for at in places.map(|(at, _)| at).collect::<Vec<_>>() {
            bytes[at..at + 6].copy_from_slice(name.as_bytes());
        }
        let file = folder.join(format!("{name}.wasm"));
        std::fs::write(&file, bytes).expect("it can be written");
        (name, file.display().to_string())
    };
    (1..20).map(copy).collect()
}

/// An event that all twenty take.
fn paid(id: &str, aggregate: &str, sequence: i64) -> Document {
    let mut document = crate::support::world::event(
        id,
        aggregate,
        sequence,
        doc! { "do": "ok", "balanceCents": sequence, "amountCents": 1 },
    );
    document.insert("type", "MoneyDeposited");
    document
}

/// Starts a host whose copies begin now: the letters are those of `picky` alone.
fn start(world: &World) -> Host {
    let port = free_port();
    let config = world.config(port);
    let text = std::fs::read_to_string(&config).expect("it can be read");
    let line = |line: &str| {
        let is_copy = line.starts_with("[projection.fan_");
        [line, "\n", if is_copy { "start = \"now\"\n" } else { "" }].concat()
    };
    let text: String = text.lines().map(line).collect();
    std::fs::write(&config, text).expect("it can be written");
    Host::start(&config, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_projections_and_ten_thousand_letters_cost_a_browser_little() {
    // Twenty projections have more sessions than is fair to others on a server that all tests share.
    let (server, folder) = (Mysqld::mariadb().await, tempfile::tempdir().expect("a folder"));
    let copies = copies(folder.path());
    let mut names: Vec<(&str, &str)> =
        copies.iter().map(|(name, file)| (name.as_str(), file.as_str())).collect();
    names.push(("picky", "picky"));
    let world = World::with(&names, Options { lanes: 1, ..server.options() }).await;
    // Five heads, and all others behind them.
    let of_one = |n: i64| (1..=5).map(move |a| event(&format!("{a}-{n}"), &format!("w{a}"), n, "reject"));
    world.insert((1..=2_000).flat_map(of_one)).await;
    let host = start(&world);
    world.until_committed("picky", 10_000).await;
    for (name, _) in &names {
        host.until_phase(name, "streaming").await;
    }
    let browser = look(&host, "projections/picky/letters").await;
    browser.until_seen("9\u{202f}995 later ones wait behind them").await;
    browser.until_seen("and more").await;
    let drawn = browser.run("return document.querySelectorAll('*').length").as_u64().expect("a number");
    assert!(drawn < 1_500, "{drawn} elements are drawn");
    browser.devtools("Profiler.enable", &json!({}));
    for (view, seen) in [
        ("projections/picky/letters", "9\u{202f}995"),
        ("projections/picky", "Another slide"),
        ("", "picky has letters"),
    ] {
        browser.open(&super::address(&host, view));
        browser.until_seen(seen).await;
        costs_little(&world, &browser, view).await;
    }
    let told = "import('/page/state.js').then(({ known }) => done([...known.projections.values()] \
         .filter(one => one.events > 0 && one.phase === 'streaming').length))";
    assert_eq!(browser.run_to_the_end(told), 20, "all twenty went on");
    assert_eq!(browser.run("return document.querySelectorAll('.row').length"), 20);
    let wide = browser.run("return document.scrollingElement.scrollWidth <= innerWidth");
    assert_eq!(wide, true, "twenty rows are as wide as one");
    assert_eq!(browser.barriers(), Vec::<String>::new(), "twenty rows");
    is_clean(&browser, &host);
}

/// What events that flow cost a browser.
struct Cost {
    /// Which part of the time scripts ran.
    scripts: f64,
    /// How long a quick one of the frames took, in milliseconds; none where nothing was drawn anew.
    frame_ms: Option<f64>,
}

impl Cost {
    fn is_little(&self) -> bool {
        self.scripts < SCRIPT_SHARE_MAX && self.frame_ms.is_some_and(|ms| ms < FRAME_MS_MAX)
    }
}

/// Looks what events cost a browser, once more where something else on this machine may have been in the way.
async fn costs_little(world: &World, browser: &Browser, view: &str) {
    for round in 1.. {
        let cost = measured(world, browser, &format!("{view}-{round}")).await;
        if cost.is_little() {
            return;
        }
        let Cost { scripts, frame_ms } = cost;
        assert!(round < ROUNDS, "{view:?}: scripts for {scripts} of the time, {frame_ms:?} ms for a frame");
    }
}

/// Writes events that every projection takes, for some seconds, and measures what that costs.
async fn measured(world: &World, browser: &Browser, name: &str) -> Cost {
    browser.run(MEASURING);
    browser.devtools("Profiler.start", &json!({}));
    for n in 1..=30 {
        world.insert((1..=4).map(|a| paid(&format!("{name}-{a}-{n}"), &format!("{name}ok{a}"), n))).await;
        some_time(100).await;
    }
    let [ran, lasted] = of_scripts(&browser.devtools("Profiler.stop", &json!({}))["profile"]);
    let mut frames: Vec<f64> =
        serde_json::from_value(browser.run("return measured")).expect("a list of numbers");
    frames.sort_by(f64::total_cmp);
    let scripts = ran / lasted;
    println!("{name:?}: {:.1} ms of scripts a second; frames of {frames:.1?} ms", scripts * 1000.0);
    // What else this machine does makes some of them longer, and none shorter.
    Cost { scripts, frame_ms: frames.get(frames.len() / 10).copied() }
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
        committed += 3_000;
        world.until_committed("picky", committed).await;
    };
    load("alone").await;
    let quiet = sessions(&world).await;
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
    load("watched").await;
    let with_pages = sessions(&world).await;
    // Nobody is told who leads which projection, so that view asks, every 3 s.
    let asked: Vec<_> = browser.asked().into_iter().filter(|url| !url.ends_with("/api/v1/hosts")).collect();
    assert_eq!(asked, Vec::<String>::new(), "a page is told what happens, and asks for nothing");
    // One for what is asked, and one for what became of events.
    assert!(with_pages <= quiet + 2, "{quiet} sessions alone, {with_pages} with five pages");
}
