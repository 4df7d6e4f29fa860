//! Configurations that are taken, and those that are refused with their setting.

use std::collections::HashMap;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;
use crate::readmodel::lane::acknowledge::Acknowledge;
use crate::source::Fields;

pub(super) const VALID: &str = r#"
    [mongodb]
    uri = "mongodb://127.0.0.1/?replicaSet=rs0"
    database = "bank"
    [mysql]
    url = "mysql://app:hunter2@127.0.0.1/bank"
    [projection.accounts]
    component = "accounts.wasm"
"#;

pub(super) fn load(text: &str, overrides: &[(&str, &str)]) -> anyhow::Result<Config> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("laterna.toml");
    std::fs::write(&path, text)?;
    let overrides: HashMap<_, _> =
        overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::from_sources(&path, overrides)
}

/// The message about a configuration that must be refused.
pub(super) fn refusal(text: &str, overrides: &[(&str, &str)]) -> String {
    format!("{:#}", load(text, overrides).expect_err("it must be refused"))
}

#[test]
fn what_is_not_given_has_a_default() {
    let config = load(VALID, &[]).expect("it is valid");
    let accounts = &config.projection["accounts"];
    assert_eq!((accounts.lanes, accounts.batch_max, accounts.start), (4, 1000, Start::History));
    assert_eq!(config.mongodb.outbox, "outbox");
    assert!(config.host.admin.ip().is_loopback());
    assert!(!config.host.id.is_empty());
}

#[test]
fn every_value_can_be_overridden_by_the_environment() {
    let overrides = [
        ("LATERNA_PROJECTION__ACCOUNTS__LANES", "8"),
        ("LATERNA_MYSQL__URL", "mysql://other@h/db"),
        ("LATERNA_HOST__LEASE_SECONDS", "3"),
        ("LATERNA_PROJECTION__ACCOUNTS__BUDGET__FUEL", "5000000"),
    ];
    let config = load(VALID, &overrides).expect("it is valid");
    assert_eq!(config.projection["accounts"].lanes, 8);
    assert_eq!(config.mysql.url().expect("given").expose_secret(), "mysql://other@h/db");
    assert_eq!(config.host.lease_seconds, 3);
    assert_eq!(config.projection["accounts"].budget.fuel, 5_000_000);
}

#[test]
fn a_field_name_replaces_the_one_of_the_preset_and_no_other() {
    let text = VALID.replace("[mysql]", "preset = \"debezium\"\nfields.payload = \"data\"\n[mysql]");
    let names = load(&text, &[]).expect("it is valid").mongodb.field_names();
    assert_eq!(names, Fields { payload: "data".into(), ..Fields::debezium() });
}

#[test]
fn what_becomes_of_documents_is_keeping_them_unless_something_else_is_said() {
    let acknowledging = |lines: &str| {
        let config = load(&VALID.replace("[mysql]", &format!("{lines}\n[mysql]")), &[]).expect("it is valid");
        config.mongodb.acknowledging().expect("it is valid")
    };
    let after = |seconds| Acknowledge::Delete { age: Duration::from_secs(seconds) };
    assert_eq!(acknowledging(""), Acknowledge::Keep);
    assert_eq!(acknowledging("acknowledge = \"mark\""), Acknowledge::Mark);
    assert_eq!(acknowledging("acknowledge = \"delete\""), after(3600));
    assert_eq!(acknowledging("acknowledge = \"delete\"\ndelete_after_seconds = 5"), after(5));
    assert_eq!(acknowledging("acknowledge = \"retain\"\nretain = \"30d\""), after(30 * 86400));
}

#[test]
fn an_age_that_makes_no_sense_is_refused() {
    for (lines, says) in [
        ("acknowledge = \"retain\"", "give `mongodb.retain`"),
        ("acknowledge = \"retain\"\nretain = \"a while\"", "like \"30d\""),
        ("acknowledge = \"retain\"\nretain = \"0s\"", "1 s to"),
        ("retain = \"30d\"", "acknowledge = \"retain\""),
        ("acknowledge = \"delete\"\ndelete_after_seconds = 99_999_999", "`mongodb.delete_after_seconds`"),
        ("fields.payload = \"laterna\"", "reserved"),
        ("fields.payload = \"metadata\"", "names `metadata` twice"),
        ("fields.aggregate_id = \"_id\"", "names \"_id\", which is no field of its own"),
        ("fields.sequence = \"\"", "names \"\", which is no field of its own"),
    ] {
        let refused = refusal(&VALID.replace("[mysql]", &format!("{lines}\n[mysql]")), &[]);
        assert!(refused.contains(says), "{lines}: {refused}");
    }
}

#[test]
fn an_unknown_key_is_refused_by_its_name() {
    for (text, key) in [
        (VALID.replace("component", "kompnent"), "kompnent"),
        (VALID.replace("[mysql]", "[mysql]\nhost = \"x\""), "host"),
        (format!("{VALID}\n[extra]\na = 1"), "extra"),
    ] {
        let refused = refusal(&text, &[]);
        assert!(refused.contains(key) && refused.contains("laterna.toml"), "{refused}");
    }
    assert!(refusal(VALID, &[("LATERNA_MYSQL__HOST", "x")]).contains("host"));
}

#[test]
fn what_is_wrong_is_told_all_at_once() {
    let text =
        VALID.replace("component = \"accounts.wasm\"", "component = \"a.wasm\"\nlanes = 0\nbatch_max = 0");
    let refused = refusal(&text, &[]);
    assert!(refused.contains("`projection.accounts.lanes`"), "{refused}");
    assert!(refused.contains("`projection.accounts.batch_max`"), "{refused}");
}

#[test]
fn an_editors_marks_and_line_ends_are_no_obstacle() {
    let text = format!("\u{feff}{}", VALID.replace('\n', "\r\n"));
    load(&text, &[]).expect("it is valid");
}

#[test]
fn a_broken_line_is_named_but_not_repeated() {
    let refused = refusal(&VALID.replace("hunter2@127.0.0.1/bank\"", "hunter2@127.0.0.1/bank"), &[]);
    assert!(refused.contains("line 6") && !refused.contains("hunter2"), "{refused}");
}

#[test]
fn a_key_that_stands_twice_is_refused_by_its_line() {
    let refused = refusal(&VALID.replace("database = \"bank\"", "database = \"a\"\ndatabase = \"b\""), &[]);
    assert!(refused.contains("duplicate key") && refused.contains("line 5"), "{refused}");
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    assert!(refusal("[mongodb\n", &[]).contains("line 1"));
    assert!(refusal("", &[]).contains("mongodb"));
}

#[test]
fn secrets_come_from_files_and_never_show() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("url");
    std::fs::write(&path, "mysql://app:hunter3@h/bank\n").expect("written");
    let text = VALID.replace(
        "url = \"mysql://app:hunter2@127.0.0.1/bank\"",
        &format!("url_file = {:?}", path.display().to_string()),
    );
    let config = load(&text, &[]).expect("it is valid");
    assert_eq!(config.mysql.url().expect("readable").expose_secret(), "mysql://app:hunter3@h/bank");
    assert!(!format!("{:?}", load(VALID, &[]).expect("it is valid")).contains("hunter2"));
    std::fs::write(&path, "\n").expect("written");
    assert!(refusal(&text, &[]).contains("is empty"));
    std::fs::remove_file(&path).expect("removed");
    assert!(refusal(&text, &[]).contains("cannot read `mysql.url_file`"));
}

#[test]
fn a_secret_that_is_everybodys_to_read_is_told_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("url");
    std::fs::write(&path, "mysql://app:hunter3@h/bank\n").expect("written");
    let url_file = format!("url_file = {:?}", path.display().to_string());
    let text = VALID.replace("url = \"mysql://app:hunter2@127.0.0.1/bank\"", &url_file);
    let advice = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("it is mine");
        load(&text, &[]).expect("it is valid").advice()
    };
    assert_eq!([advice(0o600), advice(0o640)], [vec![], Vec::<String>::new()]);
    for mode in [0o644, 0o604] {
        let advice = advice(mode);
        let told = |says: &str| advice.len() == 1 && advice[0].contains(says);
        assert!(told("`mysql.url_file`") && told("chmod 600") && !told("hunter3"), "{advice:?}");
    }
}

#[test]
fn the_examples_are_valid() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let servers = [
        ("LATERNA_MYSQL__URL", "mysql://app@mysql/bank"),
        ("LATERNA_MYSQL__DDL_URL", "mysql://ddl@mysql/bank"),
    ];
    for name in ["laterna.toml", "laterna.compose.toml"] {
        let text = std::fs::read_to_string(examples.join(name)).expect("the example is there");
        load(&text, &servers).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = Config::load(Path::new("/nowhere/laterna.toml")).expect_err("there is none");
    assert!(format!("{missing:#}").contains("/nowhere/laterna.toml"));
}
