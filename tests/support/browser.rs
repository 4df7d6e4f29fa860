//! A browser: headless Chromium behind chromedriver, spoken to in `WebDriver`'s own words. Keys and clicks are those of a person:
//! what a page cannot tell from one.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use super::until;
use super::world::free_port;

/// The name under which `WebDriver` hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that are no characters.
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";
pub const SPACE: &str = " ";

/// One tab of a browser of its own, with an empty profile.
pub struct Browser {
    driver: Child,
    agent: ureq::Agent,
    session: String,
    profile: tempfile::TempDir,
}

/// The programs of Chromium and chromedriver, and the script of axe-core.
fn programs() -> &'static [PathBuf] {
    static FOUND: OnceLock<Vec<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let found = super::server::services().arg("browser").output().expect("it runs");
        let told = String::from_utf8_lossy(&found.stdout).into_owned();
        assert!(found.status.success(), "{told}{}", String::from_utf8_lossy(&found.stderr));
        told.lines().map(PathBuf::from).collect()
    })
}

impl Browser {
    pub async fn start() -> Self {
        let port = free_port();
        let [chromium, chromedriver, _] = programs() else { panic!("three files are told") };
        let driver = Command::new(chromedriver)
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_mins(1)))
            .http_status_as_error(false)
            .build()
            .into();
        let profile = tempfile::tempdir().expect("a folder");
        let mut browser = Self { driver, agent, session: format!("http://127.0.0.1:{port}"), profile };
        until("chromedriver answers", async || browser.send("GET", "/status", &Value::Null).is_ok()).await;
        let profile = format!("--user-data-dir={}", browser.profile.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--lang=en-GB",
            "--window-size=1280,900",
            &profile,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let session = browser.ask("POST", "/session", &wanted);
        let id = session["sessionId"].as_str().expect("a session").to_owned();
        browser.session = format!("{}/session/{id}", browser.session);
        browser
    }

    /// What `WebDriver` answers, or why it does not do what it is told.
    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("{}{path}", self.session);
        let answer = tokio::task::block_in_place(|| match method {
            "GET" => self.agent.get(&url).call(),
            "DELETE" => self.agent.delete(&url).call(),
            _ => self.agent.post(&url).send_json(body),
        });
        let mut answer = answer.map_err(|error| error.to_string())?;
        let mut told: Value = answer.body_mut().read_json().map_err(|error| error.to_string())?;
        let value = told["value"].take();
        if answer.status().is_success() { Ok(value) } else { Err(value.to_string()) }
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.send(method, path, body).unwrap_or_else(|error| panic!("{method} {path} {body}: {error}"))
    }

    #[track_caller]
    pub fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// Opens another window, which is the one that is spoken to from then on.
    pub fn open_window(&self, url: &str) {
        let window = self.ask("POST", "/window/new", &json!({ "type": "window" }));
        self.ask("POST", "/window", &json!({ "handle": window["handle"] }));
        self.open(url);
    }

    /// What a script in the page gives.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What a script gives in the end: it calls `done`.
    #[track_caller]
    pub fn run_to_the_end(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; {script}");
        self.ask("POST", "/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// A command of the `DevTools` protocol.
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.ask("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// The text that is seen.
    pub fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a text is seen.
    pub async fn until_seen(&self, text: &str) {
        let began = std::time::Instant::now();
        while !self.text().contains(text) {
            assert!(began.elapsed() < super::PATIENCE, "{text:?} is not seen on the page:\n{}", self.text());
            super::some_time(50).await;
        }
    }

    /// Waits until a text is seen no more.
    pub async fn until_gone(&self, text: &str) {
        until(&format!("{text:?} is gone"), async || !self.text().contains(text)).await;
    }

    /// The elements that fit a selector, those that are seen only.
    fn found(&self, css: &str) -> Vec<String> {
        let list = self.ask("POST", "/elements", &json!({ "using": "css selector", "value": css }));
        let id = |one: &Value| one[ELEMENT].as_str().unwrap_or_default().to_owned();
        list.as_array().into_iter().flatten().map(id).collect()
    }

    /// Waits for the element of a selector.
    async fn element(&self, css: &str) -> String {
        let mut found = None;
        until(&format!("there is {css}"), async || {
            found = self.found(css).into_iter().next();
            found.is_some()
        })
        .await;
        found.expect("it is there")
    }

    /// Clicks as soon as it can be clicked.
    pub async fn click(&self, css: &str) {
        self.click_on(css, &format!("const one = document.querySelector({});", Value::from(css))).await;
    }

    /// Presses the last button or link with these words that is seen, once it can be; where a question stands, the question's.
    pub async fn press(&self, words: &str) {
        let script = format!(
            "const top = document.querySelector('dialog[open]') ?? document; \
             const all = [...top.querySelectorAll('button:not(:disabled), a, summary')]; \
             const one = all.filter(one => one.innerText.trim() === {} && one.getClientRects().length).pop();",
            Value::from(words)
        );
        self.click_on(words, &script).await;
    }

    /// Clicks on what a script names `one`, until the click has come to it: the page may be drawn anew between looking for it and
    /// the click, which then goes elsewhere.
    async fn click_on(&self, what: &str, script: &str) {
        let mark = format!(
            "{script} document.querySelectorAll('[data-marked]').forEach(one => one.removeAttribute('data-marked')); \
             window.clicked = false; one?.setAttribute('data-marked', ''); \
             one?.addEventListener('click', () => window.clicked = true, {{ capture: true, once: true }}); \
             return Boolean(one);"
        );
        let began = std::time::Instant::now();
        loop {
            let found = self.run(&mark) == true;
            let clicked = if found { self.try_click() } else { Err("there is none".to_owned()) };
            let Err(refused) = clicked else { return };
            assert!(
                began.elapsed() < super::PATIENCE,
                "{what:?} cannot be clicked: {refused}\n{}",
                self.text()
            );
            super::some_time(50).await;
        }
    }

    fn try_click(&self) -> Result<(), String> {
        let found = self.found("[data-marked]");
        let id = found.first().ok_or("it is not there")?;
        let clicked = self.send("POST", &format!("/element/{id}/click"), &json!({}));
        // Where a click leads to another page, nothing is left of the note.
        let came = self.run("return window.clicked ?? true") == true;
        match clicked {
            Err(refused) if !came => Err(refused),
            Ok(_) if !came => Err("the click went elsewhere".to_owned()),
            _ => Ok(()),
        }
    }

    /// Types into an element, as a person does.
    pub async fn type_into(&self, css: &str, text: &str) {
        let id = self.element(css).await;
        self.ask("POST", &format!("/element/{id}/value"), &json!({ "text": text }));
    }

    /// Chooses a file, as a person does in the window for that.
    pub async fn choose(&self, css: &str, file: &Path) {
        let file = file.canonicalize().expect("it is there");
        self.type_into(css, file.to_str().expect("its path is text")).await;
    }

    /// Drags a file over an element and lets it fall there, as a person does.
    pub async fn drop_file(&self, css: &str, file: &Path) {
        self.element(css).await;
        let middle = self.run(&format!(
            "const one = document.querySelector({}); one.scrollIntoView({{ block: 'center' }}); \
             const at = one.getBoundingClientRect(); return [at.x + at.width / 2, at.y + at.height / 2];",
            Value::from(css)
        ));
        let file = file.canonicalize().expect("it is there");
        let dragged = json!({ "items": [], "files": [file], "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            let event = json!({ "type": kind, "x": middle[0], "y": middle[1], "data": dragged });
            self.devtools("Input.dispatchDragEvent", &event);
        }
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub fn keys(&self, keys: &[&str]) {
        let pressed = keys.iter().flat_map(|key| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        });
        let actions: Vec<Value> = pressed.collect();
        self.ask(
            "POST",
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }),
        );
    }

    /// The barriers that axe-core finds for people who cannot see, or press a pointer: those that are serious or critical.
    pub fn barriers(&self) -> Vec<String> {
        let script = std::fs::read_to_string(&programs()[2]).expect("axe-core is there");
        self.devtools("Runtime.evaluate", &json!({ "expression": script }));
        let found = self.run_to_the_end(
            "axe.run(document, { resultTypes: ['violations'] }).then(found => done(found.violations\
             .filter(one => ['serious', 'critical'].includes(one.impact))\
             .map(one => `${one.id}: ${one.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | ')}`)), \
             error => done([String(error)]))",
        );
        serde_json::from_value(found).expect("a list of texts")
    }

    /// How wide and how high the page is seen, as on a phone or a desk.
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Whether the page is seen `light` or `dark`.
    pub fn scheme(&self, scheme: &str) {
        let feature = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.devtools("Emulation.setEmulatedMedia", &feature);
    }

    /// A picture of what is seen, as PNG.
    pub fn picture(&self) -> Vec<u8> {
        let taken = self.devtools("Page.captureScreenshot", &json!({ "format": "png" }));
        let text = taken["data"].as_str().expect("a picture");
        bson::Binary::from_base64(text, None).expect("it is Base64").bytes
    }

    /// What the browser noted since it was asked last: of `browser` its console, of `performance` its traffic.
    pub fn noted(&self, log: &str) -> Vec<Value> {
        let noted = self.ask("POST", "/se/log", &json!({ "type": log }));
        noted.as_array().cloned().unwrap_or_default()
    }

    /// The addresses that were asked since this was asked last, those of the browser's own pages excepted.
    pub fn asked(&self) -> Vec<String> {
        let message = |entry: &Value| -> Option<String> {
            let told: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &told["message"];
            (message["method"] == "Network.requestWillBeSent")
                .then(|| message["params"]["request"]["url"].as_str().unwrap_or_default().to_owned())
        };
        let all = self.noted("performance");
        all.iter()
            .filter_map(message)
            .filter(|url| !url.starts_with("chrome") && !url.starts_with("data:"))
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.send("DELETE", "", &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
