//! The page of `host.admin`, in a real browser, as people and assistive programs meet it.

mod access;
mod changes;
mod files;
mod keyboard;
mod letters;
mod load;
pub mod pictures;
mod views;

use bson::{Document, doc};

use crate::support::browser::Browser;
use crate::support::{Host, World};

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

/// How many rows a query of the control schema counts.
async fn counted(world: &World, table: &str, condition: &str) -> i64 {
    world.number(&format!("SELECT COUNT(*) FROM {}.{table} WHERE {condition}", world.control())).await
}
