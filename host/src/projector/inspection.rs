//! The inspection of a component without compiling it: its kind, its imports, its exports.
//!
//! It reads names only. The compiler finds out whether the bytes are valid and the types fit.

use wasmparser::{CanonicalFunction, CanonicalOption, Encoding, Parser, Payload};
use wasmtime::Engine;

use super::budget::COMPONENT_BYTES_MAX;
use super::kind::ComponentKind;
use super::refusal::ComponentRefusal;

/// A component's outside, whether or not this host runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

impl Outline {
    /// Reads the names; refuses only what is no component at all.
    pub fn read(bytes: &[u8]) -> Result<Self, ComponentRefusal> {
        recognise(bytes)?;
        let ExternNames { imports, exports, .. } = names(bytes)?;
        Ok(Self { imports, exports })
    }

    /// The kind of the component by its exports, in whichever version.
    pub fn kind(&self) -> Option<ComponentKind> {
        let exports =
            |kind: &ComponentKind| self.exports.iter().any(|name| parts(name).1 == kind.interface());
        ComponentKind::ALL.into_iter().find(exports)
    }
}

/// The beginning of all compatible versions.
const SERIES: &str = "0.1";
/// WASI packages whose 0.2 interfaces are linked, deterministic and denying.
const WASI: [&str; 6] =
    ["wasi:io", "wasi:cli", "wasi:clocks", "wasi:random", "wasi:filesystem", "wasi:sockets"];

/// Refuses what is not of this kind, as early and as clearly as possible. Gives the export that makes it that.
pub(super) fn inspect(bytes: &[u8], kind: ComponentKind) -> Result<String, ComponentRefusal> {
    recognise(bytes)?;
    let names = names(bytes)?;
    check_imports(&names.imports)?;
    if names.utf16 {
        return Err(ComponentRefusal::Utf16);
    }
    check_exports(names.exports, kind)
}

/// Refuses what cannot be a component, by its size and its first bytes.
fn recognise(bytes: &[u8]) -> Result<(), ComponentRefusal> {
    if bytes.is_empty() {
        return Err(ComponentRefusal::Empty);
    }
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(ComponentRefusal::TooLarge { bytes: bytes.len() });
    }
    if Engine::detect_precompiled(bytes).is_some() {
        return Err(ComponentRefusal::Precompiled);
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(ComponentRefusal::NotWasm);
    }
    Ok(())
}

#[derive(Default)]
struct ExternNames {
    imports: Vec<String>,
    exports: Vec<String>,
    utf16: bool,
}

/// The outermost component's imports and exports, and whether any component in it uses UTF-16.
fn names(bytes: &[u8]) -> Result<ExternNames, ComponentRefusal> {
    let invalid =
        |error: wasmparser::BinaryReaderError| ComponentRefusal::Invalid { reason: error.to_string() };
    let mut names = ExternNames::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(ComponentRefusal::CoreModule);
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    names.imports.push(import.map_err(invalid)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    names.exports.push(export.map_err(invalid)?.name.name.to_owned());
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section {
                    names.utf16 |= uses_utf16(&function.map_err(invalid)?);
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

fn uses_utf16(function: &CanonicalFunction) -> bool {
    let (CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. }) = function
    else {
        return false;
    };
    options.iter().any(|option| matches!(option, CanonicalOption::UTF16 | CanonicalOption::CompactUTF16))
}

/// A name like `wasi:cli/stdout@0.2.6` in its parts; a bare function has no package.
fn parts(name: &str) -> (&str, &str, &str) {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    let package = interface.split_once('/').map_or("", |(package, _)| package);
    (package, interface, version)
}

/// Returns true for a version of the series. One before a release promises nothing.
fn is_version(version: &str, series: &str) -> bool {
    version.strip_prefix(series).is_some_and(|rest| rest.starts_with('.') && !rest.contains('-'))
}

fn check_imports(names: &[String]) -> Result<(), ComponentRefusal> {
    let mut imports: Vec<(&'static str, Vec<String>)> = Vec::new();
    for name in names {
        let Some(hint) = refused(name) else { continue };
        match imports.iter_mut().find(|(known, _)| *known == hint) {
            Some((_, names)) => names.push(name.clone()),
            None => imports.push((hint, vec![name.clone()])),
        }
    }
    if imports.is_empty() { Ok(()) } else { Err(ComponentRefusal::Imports { imports }) }
}

/// The remedy for an import that is refused, or nothing if it is linked.
fn refused(import: &str) -> Option<&'static str> {
    let (package, interface, version) = parts(import);
    Some(match package {
        "laterna:projection" => {
            let known = ["laterna:projection/types", "laterna:projection/log"].contains(&interface);
            match (known, is_version(version, SERIES)) {
                (true, true) => return None,
                _ => {
                    "this host runs 0.1, up to 0.1.0; build it with the SDK of this version, or update the host"
                }
            }
        }
        "wasi:http" => {
            "a projector has no network; for JavaScript, rebuild with componentize-qjs --sync, or with \
             componentize-js --disable http --disable fetch-event"
        }
        wasi if WASI.contains(&wasi) && is_version(version, "0.2") => return None,
        wasi if WASI.contains(&wasi) => {
            "this host has WASI 0.2; rebuild for it: Rust for wasm32-wasip2, JavaScript with \
             componentize-qjs --sync"
        }
        "" => "bare functions cannot be linked; build it for the world laterna:projection/projection",
        _ => "a projector gets its events and nothing else; remove what uses it",
    })
}

/// Other exports are what some toolchains leave behind.
fn check_exports(found: Vec<String>, kind: ComponentKind) -> Result<String, ComponentRefusal> {
    let mut other = None;
    for export in &found {
        let (_, interface, version) = parts(export);
        match interface == kind.interface() {
            true if is_version(version, SERIES) => return Ok(export.clone()),
            true => other = Some(export.clone()),
            false => {}
        }
    }
    Err(match other {
        Some(found) => ComponentRefusal::OtherVersion { kind, found },
        None => ComponentRefusal::OtherKind { kind, found },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projector::kind::CONTRACT;

    fn check(wat: &str, expect: Result<(), &str>) {
        let bytes = wat::parse_str(wat).expect("the test's component parses");
        let refusal =
            inspect(&bytes, ComponentKind::Projector).map(drop).map_err(|refusal| refusal.to_string());
        match (refusal, expect) {
            (Ok(()), Ok(())) => {}
            (Err(refusal), Err(expect)) if refusal.contains(expect) => {}
            (refusal, expect) => panic!("{wat}\n is {refusal:?}, not {expect:?}"),
        }
    }

    const EXPORT: &str = r#"(instance $i) (export "laterna:projection/projector@0.1.0" (instance $i))"#;

    fn check_import(name: &str, expect: Result<(), &str>) {
        check(&format!(r#"(component (import "{name}" (instance)) {EXPORT})"#), expect);
    }

    #[test]
    fn what_is_no_component_is_refused() {
        assert_eq!(inspect(b"", ComponentKind::Projector), Err(ComponentRefusal::Empty));
        assert_eq!(inspect(b"hello", ComponentKind::Projector), Err(ComponentRefusal::NotWasm));
        assert_eq!(
            inspect(&vec![0; COMPONENT_BYTES_MAX + 1], ComponentKind::Projector),
            Err(ComponentRefusal::TooLarge { bytes: COMPONENT_BYTES_MAX + 1 })
        );
        check("(module)", Err("core module"));
    }

    #[test]
    fn a_truncated_component_is_refused() {
        let whole = wat::parse_str(format!("(component {EXPORT})")).expect("it parses");
        inspect(&whole, ComponentKind::Projector).expect("it is a projector");
        let name = b"laterna:projection/projector";
        let end = whole.windows(name.len()).position(|bytes| bytes == name).expect("the export is named");
        for length in 1..end + name.len() {
            assert!(inspect(&whole[..length], ComponentKind::Projector).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn compiled_code_is_refused() {
        let engine = super::super::engine::Engine::new(None).expect("an engine starts");
        let component = wat::parse_str("(component)").expect("it parses");
        let code = engine.wasmtime().precompile_component(&component).expect("it compiles");
        assert_eq!(inspect(&code, ComponentKind::Projector), Err(ComponentRefusal::Precompiled));
    }

    #[test]
    fn wasi_0_2_and_the_contract_may_be_imported() {
        for name in [
            "laterna:projection/types@0.1.0",
            "laterna:projection/log@0.1.7",
            "wasi:cli/stdout@0.2.6",
            "wasi:random/insecure-seed@0.2.12",
            "wasi:sockets/tcp@0.2.9",
        ] {
            check_import(name, Ok(()));
        }
    }

    #[test]
    fn other_imports_are_refused_with_a_way_out() {
        check_import("wasi:http/types@0.2.10", Err("--disable http"));
        check_import("wasi:cli/stdout@0.3.0", Err("this host has WASI 0.2"));
        check_import("wasi:keyvalue/store@0.2.0", Err("remove what uses it"));
        check_import("laterna:projection/log@0.2.0", Err("update the host"));
        check_import("laterna:projection/log@0.2.0", Err(&format!("up to {CONTRACT};")));
        check_import("laterna:projection/clock@0.1.0", Err("update the host"));
        check_import("acme:secrets/vault@1.0.0", Err("remove what uses it"));
        check(&format!(r#"(component (import "now" (func)) {EXPORT})"#), Err("bare functions"));
    }

    #[test]
    fn every_refused_import_is_named_and_each_hint_is_given_once() {
        let imports = ["wasi:http/types@0.2.0", "a:b/c@1.0.0", "wasi:http/outgoing-handler@0.2.0"]
            .map(|name| format!(r#"(import "{name}" (instance))"#))
            .concat();
        check(
            &format!("(component {imports} {EXPORT})"),
            Err("`wasi:http/types@0.2.0` and `wasi:http/outgoing-handler@0.2.0` (a projector has no network"),
        );
        check(&format!("(component {imports} {EXPORT})"), Err("`a:b/c@1.0.0` (a projector gets its events"));
    }

    #[test]
    fn imports_of_inner_components_are_not_the_outer_ones() {
        check(
            &format!(r#"(component (component (import "wasi:http/types@0.2.0" (instance))) {EXPORT})"#),
            Ok(()),
        );
    }

    #[test]
    fn strings_in_utf_16_are_refused() {
        let component = |encoding: &str| {
            format!(
                r#"(component
                    (core module $m
                        (memory (export "memory") 1)
                        (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
                        (func (export "greet") (param i32 i32)))
                    (core instance $m (instantiate $m))
                    (func $greet (param "name" string) (canon lift (core func $m "greet")
                        string-encoding={encoding} (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
                    {EXPORT})"#
            )
        };
        check(&component("utf8"), Ok(()));
        check(&component("utf16"), Err("a toolchain that uses UTF-8"));
        check(&component("latin1+utf16"), Err("a toolchain that uses UTF-8"));
    }

    #[test]
    fn a_component_that_is_no_projector_is_refused() {
        check("(component)", Err("exports nothing"));
        check(
            r#"(component (instance $i) (export "wasi:cli/run@0.2.0" (instance $i)))"#,
            Err("exports `wasi:cli/run@0.2.0`"),
        );
        check(
            r#"(component (instance $i) (export "laterna:projection/projector@0.2.0" (instance $i)))"#,
            Err("built for `laterna:projection/projector@0.2.0`"),
        );
    }

    #[test]
    fn extra_exports_are_tolerated() {
        check(&format!(r#"(component {EXPORT} (export "init" (instance $i)))"#), Ok(()));
    }
}
