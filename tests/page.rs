//! The page of `host.admin`, in a real browser, as people and assistive programs meet it.

mod access;
mod changes;
mod files;
mod keyboard;
mod letters;
mod load;
pub mod pictures;
mod tables;
mod views;
mod words;

use bson::{Document, doc};

use crate::support::browser::Browser;
use crate::support::host::BINARY;
use crate::support::{Host, World, until};

/// The address of a view.
fn address(host: &Host, view: &str) -> String {
    format!("http://127.0.0.1:{}/#/{view}", host.port)
}

/// Opens a view in a browser of its own.
async fn look(host: &Host, view: &str) -> Browser {
    let browser = Browser::start().await;
    browser.open(&address(host, view));
    browser
}

/// An event for `picky`.
fn event(id: &str, aggregate: &str, sequence: i64, what: &str) -> Document {
    crate::support::world::event(id, aggregate, sequence, doc! { "do": what })
}

/// Nothing went wrong in the page, and it asked nobody but its host.
#[track_caller]
fn is_clean(browser: &Browser, host: &Host) {
    let errors: Vec<_> =
        browser.noted("browser").into_iter().filter(|line| line["level"] == "SEVERE").collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let own = format!("http://127.0.0.1:{}/", host.port);
    let asked = browser.asked();
    assert!(!asked.is_empty() && asked.iter().all(|url| url.starts_with(&own)), "{asked:?}");
}

/// Waits until a command line is seen that begins so, and demands that the program takes all that are seen as they stand.
async fn until_line(browser: &Browser, begin: &str) {
    let script =
        "return [...document.querySelectorAll('.cli code')].flatMap(one => one.innerText.split('\\n'))";
    let mut lines: Vec<String> = vec![];
    // The same words may stand in a reason, before the question that has the command line is open.
    until(&format!("{begin:?} is a command line"), async || {
        lines = serde_json::from_value(browser.run(script)).expect("a list of texts");
        lines.iter().any(|line| line.starts_with(begin))
    })
    .await;
    for line in lines {
        // Help is printed once everything before it was read.
        let words = line.strip_prefix("laterna ").unwrap_or_else(|| panic!("{line:?} names another program"));
        let shell = format!("exec {BINARY} {words} --help");
        let output = std::process::Command::new("sh").args(["-c", &shell]).output().expect("it runs");
        assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// How many rows a query of the control schema counts.
async fn counted(world: &World, table: &str, condition: &str) -> i64 {
    world.number(&format!("SELECT COUNT(*) FROM {}.{table} WHERE {condition}", world.control())).await
}
