//! Bad input is refused in one clear line: which file, which statement, what to do; before any event is touched.

mod components;
mod constraints;
mod documents;
mod proof;
mod requests;
mod setup;
mod values;

use std::path::{Path, PathBuf};

use bson::doc;

use crate::guests;
use crate::support::world::{event, laterna, said};
use crate::support::{Options, World};

/// Texts, and what stands in their place.
type Replacements<'a> = [(&'a str, &'a str)];

/// A configuration file with these replacements in a valid one.
fn config(world: &World, replacements: &Replacements<'_>) -> PathBuf {
    config_at(world, 0, replacements)
}

/// The same for a host that serves at this port.
fn config_at(world: &World, port: u16, replacements: &Replacements<'_>) -> PathBuf {
    let path = world.config(port);
    let mut text = std::fs::read_to_string(&path).expect("it was written");
    for (from, to) in replacements {
        assert!(text.contains(from), "{from} is not in\n{text}");
        text = text.replace(from, to);
    }
    std::fs::write(&path, text).expect("it can be written");
    path
}

/// Both `check` and `run` refuse, with a message that says all of this.
fn assert_refused(config: &Path, says: &[&str]) {
    for command in ["check", "run"] {
        let output = laterna(config, &[command]);
        assert!(!output.status.success(), "{command} took it:\n{}", said(&output));
        for says in says {
            assert!(said(&output).contains(says), "{command} does not say {says:?}:\n{}", said(&output));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_none_is_refused_with_its_file_and_the_way_out() {
    let world = World::new("recorder", Options::mysql()).await;
    let component = guests::path("recorder").display().to_string();
    let healthy = guests::bytes("recorder");
    let core = wat::parse_str("(module)").expect("valid");
    let other_import = r#"(component (import "other:thing/api@1.0.0" (instance)))"#;
    let other_import = wat::parse_str(other_import).expect("valid");
    let empty_component = wat::parse_str("(component)").expect("valid");
    let cases: [(&str, Vec<u8>, &[&str]); 6] = [
        ("empty.wasm", vec![], &["empty"]),
        ("text.wasm", b"hello".to_vec(), &["WebAssembly"]),
        ("core.wasm", core, &["wasm32-wasip2"]),
        ("cut.wasm", healthy[..healthy.len() / 2].to_vec(), &[]),
        ("import.wasm", other_import, &["other:thing"]),
        ("bare.wasm", empty_component, &["laterna:projection/projector"]),
    ];
    for (name, bytes, says) in cases {
        let file = world.folder.path().join(name);
        std::fs::write(&file, bytes).expect("it can be written");
        let config = config(&world, &[(&component, &file.display().to_string())]);
        assert_refused(&config, &[&[name], says].concat());
    }
    let config = config(&world, &[(&component, "/nowhere/to/be.wasm")]);
    assert_refused(&config, &["/nowhere/to/be.wasm", "cannot be read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_that_is_not_allowed_is_refused_with_its_statement() {
    let cases: [(&str, &[&str]); 9] = [
        ("bad-ddl", &["statement"]),
        ("bad-two-statements", &["statement"]),
        ("bad-comment", &["comment"]),
        ("bad-foreign-table", &["table"]),
        ("bad-function", &["NOW", "occurred-at"]),
        ("bad-table", &["primary key"]),
        ("bad-column", &["statement 0", "no column `colour` in `bad_column`"]),
        ("other-world", &["laterna:projection"]),
        ("http-import", &["wasi:http"]),
    ];
    for (guest, says) in cases {
        let world = World::new(guest, Options::mysql()).await;
        world.insert([event("e1", "a", 1, doc! {})]).await;
        let config = config(&world, &[]);
        assert_refused(&config, &[&[format!("{guest}.wasm").as_str()], says].concat());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_the_server_refuses_is_found_before_any_event_is_touched() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("bad-ambiguous", options).await;
        world.insert([event("e1", "a", 1, doc! {})]).await;
        let config = config(&world, &[]);
        let check = laterna(&config, &["check"]);
        assert!(!check.status.success() && said(&check).contains("is ambiguous"), "{}", said(&check));
        let host = world.start();
        host.until_phase("bad_ambiguous", "paused").await;
        let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()";
        assert_eq!(world.number(tables).await, 0, "no table was created");
        assert_eq!(world.letters().await, (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_setup_passes_the_check_and_leaves_nothing_behind() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("recorder", options).await;
        let check = laterna(&config(&world, &[]), &["check"]);
        assert!(check.status.success(), "{}", said(&check));
        assert!(said(&check).contains("Everything is ready"), "{}", said(&check));
        let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()";
        assert_eq!(world.number(tables).await, 0);
        let scratch = format!(
            "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = '{}_scratch'",
            world.control()
        );
        assert_eq!(world.number(&scratch).await, 0);
    }
}
