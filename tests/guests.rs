//! The components that tests run, built by `dev/build-plugins`.

use std::path::PathBuf;

/// Where a component is: the projectors of `plugins/`, the guests of `tests/guests`, or the file that is named in full.
pub fn path(name: &str) -> PathBuf {
    if name.starts_with('/') {
        return PathBuf::from(name);
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let places =
        [root.join(format!("target/guests/{name}.wasm")), root.join(format!("plugins/dist/{name}.wasm"))];
    let found = places.iter().find(|place| place.exists());
    found.unwrap_or_else(|| panic!("there is no component {name}: run dev/build-plugins")).clone()
}

/// A component's bytes.
pub fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).expect("the component can be read")
}
