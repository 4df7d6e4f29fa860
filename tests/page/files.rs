//! The files of the page: who gets them, under which policy, and that they are what they are said to be.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::api::Guarded;
use crate::support::{Options, World};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/admin/page")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The scripts and styles in the folder, and how they are addressed.
fn served() -> Vec<String> {
    let mut all = vec!["/".to_owned()];
    for (place, path) in [("", "/page/"), ("vendor", "/page/vendor/")] {
        for entry in std::fs::read_dir(folder().join(place)).expect("it can be read") {
            let name = entry.expect("it can be read").file_name().into_string().expect("text");
            if [".js", ".css", ".svg"].iter().any(|end| name.ends_with(end)) {
                all.push(format!("{path}{name}"));
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_the_files_under_a_strict_policy_and_nothing_else() {
    let world = World::new("recorder", Options::mysql()).await;
    let Guarded { host, stranger, operator, .. } = Guarded::start(&world);
    host.until_phase_by(&operator, "recorder", "streaming").await;
    for path in served() {
        let told = stranger.get(&path).await;
        assert_eq!(told.code, 200, "{path}: {told:?}");
        let policy = told.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.split("; ").any(|one| one == part), "{path}: {policy}");
        }
        for part in ["form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"] {
            assert!(policy.split("; ").any(|one| one == part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("data:"), "{policy}");
        assert_eq!(
            (
                told.header("x-content-type-options"),
                told.header("referrer-policy"),
                told.header("cache-control")
            ),
            ("nosniff", "no-referrer", "no-cache"),
            "{path}"
        );
        let same = stranger.with("If-None-Match", told.header("etag")).get(&path).await;
        assert_eq!((same.code, same.text.as_str()), (304, ""), "{path}: {same:?}");
        assert!(same.header("content-security-policy") == policy, "{path}: {same:?}");
        assert_eq!(stranger.with("If-None-Match", "W/\"another\"").get(&path).await.code, 200, "{path}");
        let changed = stranger.ask("POST", &path, b"").await.expect("an answer");
        assert_eq!(changed.code, 405, "{path}: {changed:?}");
    }
    // What it shows is asked for with a token.
    assert_eq!([stranger.get("/api/v1/me").await.code, stranger.get("/status").await.code], [401, 401]);
    let me = operator.get("/api/v1/me").await.json();
    assert_eq!((&me["name"], &me["role"]), (&"on-call".into(), &"operator".into()), "{me}");
    for path in
        ["/page/", "/page/../admin.rs", "/page/%2e%2e/page.rs", "/page/vendor/README.md", "/index.html"]
    {
        assert_eq!(operator.get(path).await.code, 404, "{path}");
    }
    let recent = operator.get("/api/v1/projections/recorder/recent").await.json();
    assert_eq!(recent["interval_seconds"], 5, "{recent}");
    assert_eq!(operator.get("/api/v1/projections/nobody/recent").await.code, 404);
}

#[test]
fn the_page_has_no_script_or_style_in_its_text_and_names_no_other_host() {
    let html = read("index.html");
    assert!(!html.contains("<style") && !html.contains(" style="), "{html}");
    let is_handler = |word: &str| word.starts_with("on") && word.contains('=');
    assert!(!html.split_whitespace().any(is_handler), "{html}");
    for script in html.split("<script").skip(1) {
        assert!(script.trim_start().starts_with("src=\"/page/") && script.contains("></script>"), "{script}");
    }
    for path in served().iter().filter(|path| !path.contains("/vendor/") && *path != "/") {
        let text = read(&path["/page/".len()..]);
        let others = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!others.contains("http://") && !others.contains("https://"), "{path} names another host");
        for wrong in [
            "innerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "localStorage",
            "dangerously",
        ] {
            assert!(!text.contains(wrong), "{path}: {wrong}");
        }
        let lines = text.lines().count();
        assert!(lines <= 300, "{path}: {lines} lines, at most 300: split it");
    }
}

#[test]
fn the_libraries_are_what_the_list_says_and_have_their_licences() {
    let (sums, list) = (read("vendor/SHA256SUMS"), read("vendor/README.md"));
    for line in sums.lines() {
        let (sum, file) = line.split_once("  ").expect("a digest and a file");
        let bytes = std::fs::read(folder().join("vendor").join(file)).expect("it is there");
        assert_eq!(hex::encode(Sha256::digest(&bytes)), sum, "{file} is not the file it was");
        assert!(list.contains(&format!("`{file}`")), "{file} is not in the list");
    }
    for path in served().iter().filter_map(|path| path.strip_prefix("/page/vendor/")) {
        assert!(sums.contains(&format!("  {path}\n")), "{path} has no digest");
    }
    for part in list.split("`LICENSE-").skip(1) {
        let name = part.split('`').next().unwrap_or_default();
        assert!(read(&format!("vendor/LICENSE-{name}")).len() > 500, "{name}");
    }
    assert!(
        list.contains("LICENSE-htm") && list.contains("LICENSE-preact") && list.contains("LICENSE-uPlot")
    );
}

#[test]
fn each_question_shows_the_command_line_that_does_the_same() {
    let mut questions = 0;
    for path in served().iter().filter(|path| {
        path.rsplit_once('.').is_some_and(|(_, kind)| kind == "js") && !path.contains("/vendor/")
    }) {
        let text = read(&path["/page/".len()..]);
        for question in text.split("ask({\n").skip(1) {
            let question = question.lines().take(12).collect::<Vec<_>>().join("\n");
            assert!(question.contains(" cli: "), "{path} asks without its command line: {question}");
            questions += 1;
        }
    }
    assert!(questions >= 14, "{questions} questions");
}
