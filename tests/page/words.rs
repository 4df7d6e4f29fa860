//! What the page says of how things stand: pure functions of its own, run in the browser that it is for.

use serde_json::json;

use super::look;
use crate::support::{Options, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_told_from_being_behind_and_a_lag_that_grows_from_one_that_goes() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    let browser = look(&host, "").await;
    browser.until_seen("Both sides are in step.").await;
    let told = browser.run_to_the_end(
        "import('/page/words.js').then(({ standing, stillSince }) => { \
         const now = Date.now(), waits = { phase: 'streaming', parked: 0, held: 0, lag_seconds: 60, lag_events: 9, events: 5 }; \
         let last = null; \
         const hear = (told, ago) => { last = { ...told, still_since: stillSince(last, told, now - ago) }; return standing(last, null); }; \
         const first = hear(waits, 40000), moves = hear({ ...waits, events: 6 }, 39000), stops = hear({ ...waits, events: 6 }, 30000), \
         stands = hear({ ...waits, events: 6 }, 100), goes = hear({ ...waits, events: 7 }, 0); \
         done([first.kind, moves.kind, stops.kind, stands.says, goes.kind, \
         stillSince(last, { ...waits, events: 7, lag_events: 0 }, now)]); })",
    );
    let says = "Stands still: 9 events wait, and none was applied for 30 s";
    assert_eq!(told, json!(["behind", "behind", "still", says, "behind", null]));
    let kinds = browser.run_to_the_end(
        "import('/page/words.js').then(({ standing, lagTrend }) => { \
         const one = (more) => standing({ phase: 'streaming', parked: 0, held: 0, lag_seconds: 0, lag_events: 0, ...more }, null).kind; \
         const past = (...lag) => ({ at: lag.map((_, index) => index * 10), lag }); \
         done([one({}), one({ lag_events: 9, still_since: Date.now() - 1000 }), one({ parked: 2 }), one({ trouble: 'x', parked: 2 }), \
         one({ phase: 'history' }), lagTrend(past(5, 5, 5, 5)), lagTrend(past(0, 10, 20, 60)), lagTrend(past(60, 20, 10, 0)), \
         lagTrend(past(60, 0, 0, 0, 0)), lagTrend(past(9))]); })",
    );
    let expect =
        json!(["in-step", "in-step", "letters", "still", "history", null, "rising", "falling", null, null]);
    assert_eq!(kinds, expect);
    // The place of an event that a reason is about: by its name, or by its value and column.
    let marked = browser.run_to_the_end(
        "import('/page/json.js').then(({ pieces }) => { \
         const long = (text) => ({ $numberLong: text }); \
         const event = { type: 'Paid', payload: { cents: long('7'), amountCents: long('-250'), note: 'x', seven: long('7'), lines: [{ sku: null }] } }; \
         const named = (reason) => pieces(event, reason).filter(one => one.isNamed).map(one => one.text.trim()).join('|'); \
         done(['amountCents is -250', 'payload.lines.0.sku is missing', 'the note is wrong', \
         'invalid type: integer `7`, expected a string at line 1 column 10', 'invalid type: integer `7`, expected a string at line 1 column 50', \
         'invalid type: string \"x\", expected i64 at line 1 column 44'].map(named)); })",
    );
    let long = |name: &str, value: &str| format!("\"{name}\": {{ \"$numberLong\": \"{value}\" }},");
    let expect = [
        long("amountCents", "-250"),
        "\"sku\": null".to_owned(),
        String::new(),
        long("cents", "7"),
        long("seven", "7"),
        "\"note\": \"x\",".to_owned(),
    ];
    assert_eq!(marked, json!(expect));
    let differing = browser.run_to_the_end(
        "import('/page/diff.js').then(({ differing }) => done([differing('a\\nb\\nc', 'a\\nx\\nc\\nd'), differing(null, 'q'), differing('q', null)] \
         .map(lines => lines.map(line => line.join('')).join('|'))))",
    );
    assert_eq!(differing, json!([" a|\u{2212}b|+x| c|+d", "+q", "\u{2212}q"]));
}
