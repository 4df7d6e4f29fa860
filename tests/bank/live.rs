//! The demo: its page in a real browser, where everything is broken and heals, and its tour, which ends by itself.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use demo::live::{Live, Parts};
use demo::settings::Settings;
use demo::setup::Servers;
use mongodb::Client;
use sqlx::{Connection, Executor, Row};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::page::pictures;
use crate::support::browser::Browser;
use crate::support::host::BINARY;
use crate::support::{Options, until};

/// A demo with databases of its own.
struct Demo {
    live: Live,
    settings: Settings,
    _folder: tempfile::TempDir,
}

impl Demo {
    async fn start(options: &Options) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings {
            mongodb_uri: options.mongodb.clone(),
            mysql_admin_url: options.mysql.clone(),
            database: format!("d{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)),
            events: 1,
            rate: 0,
            writers: 1,
            keep: false,
            poison: false,
            port: 0,
            also_at: Some(OUTSIDE.to_owned()),
            tour: true,
            folder: folder.path().to_owned(),
        };
        let servers = Servers::prepare(&settings).await.expect("the servers take it");
        let parts = Parts {
            program: PathBuf::from(BINARY),
            components: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../plugins/dist"),
            state: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("state"),
            port: 0,
            prints: true,
        };
        let live = Live::start(&settings, &servers, parts).await.unwrap_or_else(|error| panic!("{error:#}"));
        Self { live, settings, _folder: folder }
    }

    /// Ends it, and drops what it made.
    async fn end(self) {
        let Self { live, settings, .. } = self;
        drop(live);
        // As the next demo does, which would find the tables that this one has built beside its live ones.
        Servers::prepare(&settings).await.expect("the servers take it");
        let client = Client::with_uri_str(&settings.mongodb_uri).await.expect("a URI");
        client.database(&settings.mongodb_database()).drop().await.expect("it is dropped");
        let mut mysql =
            sqlx::MySqlConnection::connect(&settings.mysql_admin_url).await.expect("MySQL answers");
        let (name, control) = (&settings.database, settings.control_schema());
        let like = format!(
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name = '{name}' OR schema_name LIKE '{}%'",
            control.replace('_', "\\_")
        );
        let found = mysql.fetch_all(like.as_str()).await.expect("a list");
        let mut found: Vec<String> =
            found.iter().map(|row| row.try_get_unchecked(0).expect("a name")).collect();
        found.sort();
        assert_eq!(found, [name.clone(), control], "nothing of the last demo is left");
        for database in found {
            mysql.execute(format!("DROP DATABASE {database}").as_str()).await.expect("it is dropped");
        }
        for user in [settings.app_user(), settings.ddl_user(), settings.reader_user()] {
            mysql.execute(format!("DROP USER '{user}'@'%'").as_str()).await.expect("it is dropped");
        }
    }
}

/// Another address of this machine, as a container's is for whoever is outside of it.
const OUTSIDE: &str = "127.0.0.2";

const EQUAL: &str = "Both sides are equal.";

/// Replaces the amount, as a person does.
async fn amount(browser: &Browser, text: &str) {
    browser.run("const one = document.querySelector('input[name=amount]'); one.focus(); one.select()");
    let keys: Vec<String> = text.chars().map(String::from).collect();
    browser.keys(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    until("the amount is typed", async || {
        browser.run("return document.querySelector('input[name=amount]').value") == text
    })
    .await;
}

/// Presses a button of all tabs in one moment.
fn press_at_once(tabs: &[&Browser], words: &str) {
    let now = tabs[0].run("return Date.now()").as_u64().expect("a moment");
    for tab in tabs {
        tab.run(&format!(
            "const one = [...document.querySelectorAll('button')].find(one => one.innerText === {words:?}); \
             setTimeout(() => one.click(), {} - Date.now())",
            now + 1_000
        ));
    }
}

/// What Ada has, on the left and on the right.
fn ada(browser: &Browser) -> [String; 2] {
    let script = "return [document.querySelector('.document .balance')?.innerText ?? '', \
        document.querySelector('.rows tbody td.number')?.innerText ?? '']";
    serde_json::from_value(browser.run(script)).expect("two texts")
}

async fn both_have(browser: &Browser, balance: &str) {
    until(&format!("Ada has {balance} on both sides"), async || {
        ada(browser).iter().all(|side| side == balance)
    })
    .await;
}

/// Both hosts run, each projection is led by one of them, and nothing is wrong with it.
async fn until_settled(browser: &Browser) {
    until("both hosts do what they should", async || {
        let counted = "return [[...document.querySelectorAll('.host')].filter(one => /leads|stands by/.test(one.innerText)).length, \
            [...document.querySelectorAll('.projection .says')].filter(one => one.innerText === 'In step').length].join()";
        browser.run(counted) == "2,3"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_demo_shows_both_sides_and_everything_that_is_broken_heals() {
    let demo = Demo::start(&Options::mysql()).await;
    let address = format!("http://127.0.0.1:{}/", demo.live.ports[0]);
    let browser = Browser::start().await;
    browser.resize(1440, 1180);
    browser.open(&address);
    until("the hosts follow", async || demo.live.stage.is_ready()).await;
    browser.until_seen(EQUAL).await;
    until_settled(&browser).await;
    browser.press("Deposit").await;
    browser.until_seen("Read in MySQL").await;
    both_have(&browser, "105.00").await;
    browser.press("Transfer").await;
    browser.until_seen("The transfer is completed.").await;
    both_have(&browser, "100.00").await;
    looks_well(&browser);

    let other = Browser::start().await;
    other.open(&address);
    other.until_seen(EQUAL).await;
    for tab in [&browser, &other] {
        amount(tab, "90.00").await;
    }
    let answered =
        |tab: &Browser| tab.run("return document.querySelector('.answered').innerText").to_string();
    let before = [&browser, &other].map(answered);
    press_at_once(&[&browser, &other], "Withdraw");
    both_have(&browser, "10.00").await;
    until("both were answered", async || {
        [&browser, &other].iter().zip(&before).all(|(tab, before)| answered(tab) != *before)
    })
    .await;
    let answers = [&browser, &other].map(answered);
    let with = |words: &str| answers.iter().filter(|answer| answer.contains(words)).count();
    assert_eq!(
        [with("The balance is 10.00"), with("Refused: 9000 is more than the 6000")],
        [1, 1],
        "{answers:?}"
    );
    drop(other);
    amount(&browser, "5.00").await;

    commands_and_events(&browser).await;
    databases_go_and_come(&browser).await;
    projectors_change(&browser).await;
    hosts_go_and_come(&browser).await;
    let verdict = demo.live.stage.verdict().await.expect("both answer");
    assert!(verdict.equal && verdict.accounts == 3, "{verdict:?}");
    let errors: Vec<_> =
        browser.noted("browser").into_iter().filter(|line| line["level"] == "SEVERE").collect();
    // What was refused, the browser notes as well.
    let own: Vec<_> =
        errors.iter().filter(|line| !line.to_string().contains("Failed to load resource")).collect();
    assert!(own.is_empty(), "{own:#?}");
    let asked = browser.asked();
    assert!(!asked.is_empty() && asked.iter().all(|url| url.starts_with(&address)), "{asked:?}");
    demo.end().await;
}

/// Light and dark, on a desk and on a phone: without barriers, nothing wider than the screen; and the pictures are taken.
fn looks_well(browser: &Browser) {
    browser.resize(1280, 900);
    pictures::take(browser, "demo");
    for (scheme, width) in [("light", 1440), ("dark", 390)] {
        browser.scheme(scheme);
        browser.resize(width, 1180);
        assert_eq!(browser.barriers(), Vec::<String>::new(), "{scheme}");
        let wide = browser.run("return document.scrollingElement.scrollWidth").as_u64().expect("a number");
        assert!(wide <= u64::from(width), "{scheme}: it is {wide} wide");
    }
    browser.scheme("light");
    browser.resize(1440, 1180);
}

async fn commands_and_events(browser: &Browser) {
    browser.press("Send a command twice").await;
    browser.until_seen("it acted once").await;
    both_have(browser, "11.00").await;
    browser.press("Deliver an event twice").await;
    browser.until_seen("a second time, with the same id").await;
    browser.press("Poison an event").await;
    browser.until_seen("parked: a letter").await;
    browser.until_seen("held behind it").await;
    browser.until_seen("The sides differ.").await;
    browser.press("Discard the letter").await;
    browser.until_seen("Discarded 2 letter(s)").await;
    both_have(browser, "12.00").await;
    browser.until_seen(EQUAL).await;
}

async fn databases_go_and_come(browser: &Browser) {
    browser.press("Take MySQL away").await;
    browser.until_seen("MySQL is away: commands go on.").await;
    browser.press("Deposit").await;
    browser.until_seen("The balance is 17.00.").await;
    browser.until_seen("there are no queries; commands go on").await;
    browser.press("Give MySQL back").await;
    both_have(browser, "17.00").await;
    browser.press("Take MongoDB away").await;
    browser.until_seen("MongoDB is away: queries go on.").await;
    browser.press("Audit trail").await;
    until("the audit trail is read", async || {
        let told = "return [...document.querySelectorAll('.entries code')].some(one => one.innerText === 'MoneyWithdrawn')";
        browser.run(told) == true
    })
    .await;
    browser.press("Deposit").await;
    browser.until_seen("Refused:").await;
    browser.press("Give MongoDB back").await;
    browser.until_seen(EQUAL).await;
    both_have(browser, "17.00").await;
}

async fn projectors_change(browser: &Browser) {
    browser.press("Deploy one with a new column").await;
    until("the table has the column", async || {
        browser.run("return document.querySelector('.rows td.new')?.innerText") == "EUR"
    })
    .await;
    browser.press("Deploy a broken one").await;
    both_have(browser, "18.00").await;
    until("the event is in all tables", async || {
        browser.run("return document.querySelectorAll('.flight:first-child .applied').length") == 3
    })
    .await;
    browser.press("Change a row by hand").await;
    browser.until_seen("The sides differ.").await;
    browser.press("Verify and repair").await;
    both_have(browser, "18.00").await;
}

async fn hosts_go_and_come(browser: &Browser) {
    for (breaks, seen, balance) in [
        ("Kill the host that leads", "is dead", "23.00"),
        ("Freeze the host that leads", "is frozen", "28.00"),
    ] {
        until_settled(browser).await;
        browser.press(breaks).await;
        browser.until_seen(seen).await;
        browser.press("Deposit").await;
        both_have(browser, balance).await;
        browser.press("Bring the hosts back").await;
    }
    until_settled(browser).await;
    browser.until_seen(EQUAL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_of_the_demo_ends_by_itself_with_both_sides_equal_on_mariadb() {
    let demo = Demo::start(&Options::mariadb()).await;
    demo.live.stage.play_the_tour().await.unwrap_or_else(|error| panic!("{error:#}"));
    for port in demo.live.ports {
        let told = from_outside(port).await;
        assert!(told.contains(" 200 OK\r\n") && told.contains("<title>"), "{port}: {told}");
    }
    let verdict = demo.live.stage.verdict().await.expect("both answer");
    assert!(verdict.equal && verdict.accounts == 3, "{verdict:?}");
    demo.end().await;
}

/// What the page at a port is for whoever comes by the other address: published by an engine of containers, it has the
/// loopback's name in a browser.
async fn from_outside(port: u16) -> String {
    let mut stream = TcpStream::connect((OUTSIDE, port)).await.expect("there is a way in");
    let asked = format!("GET / HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.expect("it listens");
    let mut told = String::new();
    stream.read_to_string(&mut told).await.expect("it answers");
    told
}
