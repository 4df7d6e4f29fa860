//! The pictures of the page in the documents: taken from a real host, new with each run. `LATERNA_WRITE_PICTURES=1` puts them
//! into `docs/images`.

use std::path::{Path, PathBuf};

use bank::Generator;
use bson::Document;

use super::{address, look};
use crate::api::{Guarded, OPERATOR};
use crate::guests;
use crate::support::browser::Browser;
use crate::support::{Options, World, until};

/// How many bytes all pictures together may be.
const BYTES_MAX: u64 = 1_600_000;

/// Where they are left.
fn place() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Takes a view light and dark.
pub fn take(browser: &Browser, name: &str) {
    for scheme in ["light", "dark"] {
        browser.scheme(scheme);
        // Two frames later the colours have changed.
        browser.run_to_the_end("requestAnimationFrame(() => requestAnimationFrame(() => done()))");
        let file = place().join(format!("{name}-{scheme}.png"));
        let bytes = browser.picture();
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000, "{name}");
        std::fs::write(&file, bytes).expect("it can be written");
        if std::env::var_os("LATERNA_WRITE_PICTURES").is_some() {
            let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
            std::fs::copy(&file, images.join(file.file_name().expect("a name"))).expect("it can be copied");
        }
    }
    browser.scheme("light");
}

/// Takes a view light and dark as a phone shows it.
fn take_on_a_phone(browser: &Browser, name: &str) {
    browser.resize(390, 844);
    browser.run("scrollTo(0, 0)");
    take(browser, &format!("{name}-phone"));
    browser.resize(1280, 860);
}

/// Takes a view of another size, which is for whoever looks at the page, and in no document.
fn keep(browser: &Browser, name: &str, width: u32, height: u32) {
    browser.resize(width, height);
    browser.run_to_the_end("requestAnimationFrame(() => requestAnimationFrame(() => done()))");
    std::fs::write(place().join(format!("{name}.png")), browser.picture()).expect("it can be written");
}

/// Deposits that no bank makes: `accounts` does not take them.
fn spoilt(mut document: Document) -> Option<Document> {
    document.get_str("type").ok().filter(|kind| *kind == "MoneyDeposited")?;
    document.get_document_mut("payload").ok()?.insert("amountCents", -250);
    Some(document)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pictures_of_the_documents_are_taken() {
    let names = [("accounts", "accounts"), ("activity", "recorder"), ("balances", "balances")];
    let world = World::with(&names, Options::mysql()).await;
    let events: Vec<_> = Generator::new(7, 400).take(16_000).collect();
    let (early, late) = events.split_at(4_000);
    let mut count = 0;
    let early = early.iter().map(|event| {
        let document = event.document();
        let is_wanted = event.sequence > 2 && count < 6;
        let spoilt = is_wanted.then(|| spoilt(document.clone())).flatten();
        count += usize::from(spoilt.is_some());
        spoilt.unwrap_or(document)
    });
    world.insert(early.collect::<Vec<_>>()).await;
    let Guarded { host, .. } = Guarded::start(&world);
    for name in ["accounts", "activity", "balances"] {
        world.until_committed(name, 4_000).await;
    }
    // They go on while the pictures are taken.
    let writing = tokio::spawn({
        let (outbox, late) =
            (world.outbox.clone(), late.iter().map(bank::Event::document).collect::<Vec<_>>());
        async move {
            for some in late.chunks(40) {
                outbox.insert_many(some).await.expect("the outbox takes documents");
                crate::support::some_time(100).await;
            }
        }
    });
    let browser = look(&host, "").await;
    browser.resize(1280, 860);
    browser.run(&format!("sessionStorage.setItem('laterna-token', {OPERATOR:?}); location.reload()"));
    browser.until_seen("accounts has letters").await;
    world.run(&format!("ALTER TABLE {}.balances DROP COLUMN updated_at", world.name)).await;
    browser.until_seen("balances stands still.").await;
    until("events go through, and the page shows it", async || {
        let rates = "return [...document.querySelectorAll('.row:not(.still) .figures div:first-child dd')] \
            .every(one => Number(one.innerText) > 50) && document.querySelector('.spark polyline') !== null";
        browser.run(rates) == true
    })
    .await;
    take(&browser, "overview");
    take_on_a_phone(&browser, "overview");
    browser.open(&address(&host, "projections/accounts/letters"));
    browser.until_seen("should be more than 0").await;
    until("what is held is drawn", async || {
        browser.run("return document.querySelectorAll('.letter.held').length > 5") == true
    })
    .await;
    browser.click(".letter.parked").await;
    browser.until_seen("\"amountCents\"").await;
    let marked = "return document.querySelector('.document mark')?.innerText ?? ''";
    let marked = browser.run(marked);
    assert!(marked.as_str().is_some_and(|marked| marked.contains("\"amountCents\"")), "{marked}");
    take(&browser, "letters");
    take_on_a_phone(&browser, "letters");
    browser.press("why").await;
    browser.until_seen("was not applied: a dead letter").await;
    browser.resize(1280, 1000);
    take(&browser, "aggregate");
    keep(&browser, "aggregate-phone", 390, 844);
    browser.open(&address(&host, "projections/activity"));
    browser.resize(1280, 1000);
    keep(&browser, "projection", 1280, 1000);
    keep(&browser, "projection-phone", 390, 1600);
    browser.resize(1280, 1000);
    browser.choose("input[name=component]", &guests::path("recorder-wider")).await;
    browser.until_seen("shadow run").await;
    browser.run("document.getElementById('deployments').scrollIntoView()");
    take(&browser, "deployment");
    keep(&browser, "deployment-phone", 390, 844);
    writing.abort();
    let _ = writing.await;
}

#[test]
fn the_documents_show_each_picture_and_all_are_small() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let read = |file: &str| std::fs::read_to_string(docs.join(file)).expect("it can be read");
    let shown = read("operating.md") + &read("tutorial.md") + &read("../README.md");
    let (mut bytes, mut pictures) = (0, 0);
    for entry in std::fs::read_dir(docs.join("images")).expect("it can be read") {
        let entry = entry.expect("it can be read");
        let name = entry.file_name().into_string().expect("text");
        let (light, dark) = (name.replace("-dark", "-light"), name.replace("-light", "-dark"));
        assert!(shown.contains(&light) || shown.contains(&dark), "no document shows {name}");
        bytes += entry.metadata().expect("it is there").len();
        pictures += 1;
    }
    assert!(pictures >= 14 && bytes < BYTES_MAX, "{pictures} pictures, {bytes} bytes");
}
