//! What comes with the image: its bill of materials.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::world::said;

#[test]
fn the_bill_of_materials_has_every_crate_of_the_lock_file_in_its_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let ran = Command::new(root.join("dev/sbom/make")).current_dir(&root).output().expect("it runs");
    assert!(ran.status.success(), "{}", said(&ran));
    let bill: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let named = |one: &Value| {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        (text("name"), text("version"))
    };
    let told: BTreeSet<(String, String)> =
        bill["components"].as_array().expect("components").iter().map(named).collect();
    let lock: toml::Table =
        std::fs::read_to_string(root.join("Cargo.lock")).expect("it is there").parse().expect("TOML");
    let packages = lock["package"].as_array().expect("packages").iter();
    let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let locked: BTreeSet<(String, String)> =
        packages.map(|package| (text(package, "name"), text(package, "version"))).collect();
    assert_eq!(told, locked);
}
