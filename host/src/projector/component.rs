//! A component from its bytes to something that can be run: inspected, compiled, linked, started once, described.
//!
//! Everything that can be refused is refused here, before anything is deployed. It touches no database.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::budget::{Budget, COMPILE_SECONDS_MAX};
use super::engine::Engine;
use super::inspection::inspect;
use super::instance::{Instance, panic_message};
use super::refusal::ComponentRefusal;
use super::stats::Stats;
use super::world::{Projecting, Upcasting, World};
use crate::event::Event;
use crate::failure::Failure;

/// The compiler recurses into nested code.
const COMPILER_STACK_BYTES: usize = 16 << 20;
/// About a third of what a lane gets where processors are short.
const NICENESS: i32 = 5;
const SHORT_DIGEST: usize = 12;

/// A projector, or an upcaster, that is ready to run, with the budget it runs under. Clones are the same component.
#[derive(Clone)]
pub struct Component<R: World = Projecting>(Arc<ComponentParts<R>>);

struct ComponentParts<R: World> {
    digest: String,
    manifest: R::Manifest,
    budget: Budget,
    code: R::Code,
    record: Arc<Stats>,
}

impl Component {
    /// Checks, compiles and describes a component. It blocks: seconds for Rust and `QuickJS`, up to half a minute
    /// for Python and `StarlingMonkey`, [`COMPILE_SECONDS_MAX`] at most.
    pub fn load(engine: &Engine, bytes: &[u8], budget: &Budget) -> Result<Self, ComponentRefusal> {
        Self::load_within(Duration::from_secs(COMPILE_SECONDS_MAX), engine, bytes, budget)
    }
}

impl Component<Upcasting> {
    /// See [`Component::load`].
    pub fn load_upcaster(engine: &Engine, bytes: &[u8], budget: &Budget) -> Result<Self, ComponentRefusal> {
        Self::load_within(Duration::from_secs(COMPILE_SECONDS_MAX), engine, bytes, budget)
    }
}

impl<R: World> Component<R> {
    fn load_within(
        limit: Duration,
        engine: &Engine,
        bytes: &[u8],
        budget: &Budget,
    ) -> Result<Self, ComponentRefusal> {
        let built_for = inspect(bytes, R::KIND)?;
        let digest = hex::encode(Sha256::digest(bytes));
        let (code, manifest) = {
            let _one_at_a_time = engine.compiling();
            let (engine, budget) = (engine.clone(), budget.clone());
            let (digest, bytes) = (digest.clone(), bytes.to_owned());
            on_its_own_thread(limit, move || prepare::<R>(&engine, &digest, &bytes, &budget, &built_for))?
        };
        let (budget, record) = (budget.clone(), Arc::default());
        Ok(Self(Arc::new(ComponentParts { digest, manifest, budget, code, record })))
    }

    /// The SHA-256 of the component's bytes, in hex.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Translates the answer to an event into the host's words, if it is within the limits.
    pub(super) fn accept(&self, event: &Event, raw: Vec<R::Raw>) -> Result<Vec<R::Made>, Failure> {
        R::accept(self.budget(), self.manifest(), event, raw)
    }

    /// The digest as people see it in logs.
    pub fn short_digest(&self) -> &str {
        &self.0.digest[..SHORT_DIGEST]
    }

    /// The component's manifest, within limits but otherwise unchecked.
    pub fn manifest(&self) -> &R::Manifest {
        &self.0.manifest
    }

    pub fn budget(&self) -> &Budget {
        &self.0.budget
    }

    /// Statistics of the component's work on this host.
    pub fn record(&self) -> &Arc<Stats> {
        &self.0.record
    }

    /// It was caught answering from state it kept, and so it is run one event at a time.
    pub fn is_impure(&self) -> bool {
        self.record().is_impure()
    }

    pub(super) fn code(&self) -> &R::Code {
        &self.0.code
    }
}

impl<R: World> fmt::Debug for Component<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, version) = R::named(&self.0.manifest);
        write!(f, "Component({name} {version} {})", self.short_digest())
    }
}

fn prepare<R: World>(
    engine: &Engine,
    digest: &str,
    bytes: &[u8],
    budget: &Budget,
    built_for: &str,
) -> Result<(R::Code, R::Manifest), ComponentRefusal> {
    let component = compiled(engine, digest, bytes)?;
    let does_not_fit = |error: wasmtime::Error| ComponentRefusal::DoesNotFit {
        kind: R::KIND,
        built_for: built_for.to_owned(),
        reason: format!("{error:#}"),
    };
    let linked = engine.linker().instantiate_pre(&component).map_err(does_not_fit)?;
    let code = R::code(linked).map_err(does_not_fit)?;
    let (_, described) =
        Instance::<R>::start(&code, budget).map_err(|failure| ComponentRefusal::Start { failure })?;
    Ok((code, R::manifest(described)?))
}

fn compiled(
    engine: &Engine,
    digest: &str,
    bytes: &[u8],
) -> Result<wasmtime::component::Component, ComponentRefusal> {
    if let Some(component) = engine.cache().and_then(|cache| cache.load(digest, engine.wasmtime())) {
        return Ok(component);
    }
    let component = wasmtime::component::Component::from_binary(engine.wasmtime(), bytes)
        .map_err(|error| ComponentRefusal::Invalid { reason: format!("{error:#}") })?;
    if let Some(cache) = engine.cache() {
        cache.store(digest, &component);
    }
    Ok(component)
}

/// A compiler that panics or does not end must not take the process along: it has a thread of its own, which is
/// left behind if it takes too long.
fn on_its_own_thread<T: Send + 'static>(
    limit: Duration,
    task: impl FnOnce() -> Result<T, ComponentRefusal> + Send + 'static,
) -> Result<T, ComponentRefusal> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let run = move || {
        give_way();
        let result = catch_unwind(AssertUnwindSafe(task)).unwrap_or_else(|panic| {
            Err(ComponentRefusal::Uncompilable { reason: panic_message(&*panic).to_owned() })
        });
        // Nobody waits for it any more if it took too long.
        let _ = sender.send(result);
    };
    thread::Builder::new()
        .name("projector-compile".into())
        .stack_size(COMPILER_STACK_BYTES)
        .spawn(run)
        .map_err(|error| ComponentRefusal::Host { reason: format!("no thread to compile on: {error}") })?;
    match receiver.recv_timeout(limit) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(ComponentRefusal::CompileTime),
        Err(RecvTimeoutError::Disconnected) => {
            Err(ComponentRefusal::Uncompilable { reason: "its thread ended without a word".to_owned() })
        }
    }
}

/// Lets the lanes go before the thread that compiles, and the threads that the compiler starts from it. It is not so
/// far behind them that it would take too long on a busy machine.
fn give_way() {
    if cfg!(target_os = "linux") {
        // Only here is the priority a thread's own. Without it, compiling costs the lanes more, and nothing else.
        let _ = rustix::process::nice(NICENESS);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::failure::Failure;
    use crate::projector::test_component::{HEALTHY, bytes, bytes_containing, bytes_describing};

    fn load(bytes: &[u8], budget: &Budget) -> Result<Component, ComponentRefusal> {
        Component::load(&Engine::new(None).expect("an engine starts"), bytes, budget)
    }

    fn check_start(describe: &str, expect: &str) {
        let refusal = load(&bytes_describing(describe), &Budget::default()).expect_err("it is refused");
        assert!(refusal.to_string().contains(expect), "{refusal}");
    }

    #[test]
    fn a_component_has_its_digest_and_its_manifest() {
        let bytes = bytes(HEALTHY);
        let component = load(&bytes, &Budget::default()).expect("it loads");
        assert_eq!(component.digest(), hex::encode(Sha256::digest(&bytes)));
        assert_eq!(component.manifest().name, "specimen");
        assert!(!component.is_impure());
    }

    #[test]
    fn what_does_not_start_is_refused() {
        check_start("unreachable", "wasm trap: wasm `unreachable`");
        check_start("(loop $forever (br $forever))", "an endless loop in its start-up or in `describe`");
        check_start(
            "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
            "raise `budget.memory_bytes`",
        );
    }

    #[test]
    fn a_component_that_needs_more_memory_than_its_budget_is_refused() {
        let budget = Budget { memory_bytes: 1 << 16, ..Budget::default() };
        let refusal = load(&bytes(HEALTHY), &budget).expect_err("it is refused");
        assert_eq!(
            refusal,
            ComponentRefusal::Start { failure: Failure::OutOfMemory { limit_bytes: 1 << 16 } }
        );
    }

    #[test]
    fn clocks_and_random_numbers_are_constants_at_the_start() {
        let describe = "(call $now (i32.const 512)) (drop (call $random)) (drop (call $monotonic))";
        load(&bytes_describing(describe), &Budget::default()).expect("it loads");
    }

    #[test]
    fn other_types_than_the_contracts_are_refused() {
        let other = wat::parse_str(
            r#"(component
                (core module $m (func (export "describe") (result i32) (i32.const 1)))
                (core instance $i (instantiate $m))
                (func $describe (result bool) (canon lift (core func $i "describe")))
                (instance $p (export "describe" (func $describe)))
                (export "laterna:projection/projector@0.1.0" (instance $p)))"#,
        );
        let refusal = load(&other.expect("it parses"), &Budget::default()).expect_err("it is refused");
        assert!(matches!(refusal, ComponentRefusal::DoesNotFit { .. }), "{refusal}");
    }

    /// A healthy projector that was built for this version of the contract.
    fn built_for(version: &str) -> Vec<u8> {
        let text = include_str!("specimen.wat").replace("(;project;)", HEALTHY);
        for name in ["projector", "log"] {
            assert!(text.contains(&format!("laterna:projection/{name}@0.1.0")), "the specimen names it");
        }
        wat::parse_str(text.replace("@0.1.0\"", &format!("@{version}\""))).expect("the specimen parses")
    }

    #[test]
    fn what_is_built_for_any_version_of_the_series_is_loaded_and_runs() {
        for version in ["0.1.0", "0.1.1", "0.1.2", "0.1.9", "0.1.10", "0.1.999", "0.1.1+build.5"] {
            let component = load(&built_for(version), &Budget::default());
            let component = component.unwrap_or_else(|refusal| panic!("{version}: {refusal}"));
            let mut guest = crate::projector::Guest::new(component, "test");
            let verdict =
                guest.project_alone(&crate::projector::test_component::event(1)).expect("it runs").verdict;
            assert_eq!(verdict, Ok(vec![]), "{version}");
        }
    }

    #[test]
    fn what_is_built_for_another_series_is_refused_with_both_versions_and_the_remedy() {
        for version in ["0.0.1", "0.2.0", "0.10.0", "1.0.0", "1.1.0", "0.1.0-rc.1", "0.1.5-beta"] {
            let refusal =
                load(&built_for(version), &Budget::default()).expect_err("it is refused").to_string();
            for expect in [
                &format!("@{version}`"),
                "this host runs",
                "0.1",
                "the SDK of this version",
                "update the host",
            ] {
                assert!(refusal.contains(expect), "{version}: {expect}: {refusal}");
            }
        }
    }

    #[test]
    fn what_needs_more_than_this_version_has_is_told_both() {
        // A later version of the series may have a function more.
        let later = include_str!("specimen.wat")
            .replace("(;project;)", HEALTHY)
            .replace("@0.1.0\"", "@0.1.7\"")
            .replacen(
                "(export \"write\" (func (param \"level\" $level) (param \"message\" string)))",
                "(export \"write\" (func (param \"level\" $level) (param \"message\" string)))
                 (export \"trace\" (func (param \"message\" string)))",
                1,
            );
        let refusal = load(&wat::parse_str(later).expect("it parses"), &Budget::default());
        let told = refusal.expect_err("this host has no such function").to_string();
        for expect in ["projector@0.1.7`", "projection@0.1.0` of this host", "trace", "update the host"] {
            assert!(told.contains(expect), "{expect}: {told}");
        }
    }

    #[test]
    fn the_contracts_version_is_that_of_its_file() {
        let wit = include_str!("../../../wit/projection.wit");
        assert!(wit.contains(&format!("package laterna:projection@{};", crate::projector::kind::CONTRACT)));
    }

    #[test]
    fn a_projector_is_no_upcaster() {
        let engine = Engine::new(None).expect("an engine starts");
        let refusal = Component::load_upcaster(&engine, &bytes(HEALTHY), &Budget::default());
        let told = refusal.expect_err("it is refused").to_string();
        assert!(
            told.contains("it is no upcaster: it has to export `laterna:projection/upcasting@0.1`"),
            "{told}"
        );
        assert!(told.contains("it is a projector, whose place is a projection's `component`"), "{told}");
    }

    #[test]
    fn a_manifest_with_a_case_that_does_not_exist_is_refused() {
        check_start("(i32.store8 (i32.const 88) (i32.const 7))", "discriminant");
    }

    /// A projector whose `describe` gives this.
    fn giving(kind: &str) -> ComponentRefusal {
        let other = format!(
            r#"(component
                (component $made
                    {kind}
                    (core module $m (func (export "describe") (result i32) (i32.const 1)))
                    (core instance $i (instantiate $m))
                    (func (export "describe") (result $given) (canon lift (core func $i "describe"))))
                (instance $p (instantiate $made))
                (export "laterna:projection/projector@0.1.0" (instance $p)))"#,
        );
        let bytes = wat::parse_str(&other).unwrap_or_else(|error| panic!("{kind}: {error}"));
        load(&bytes, &Budget::default()).expect_err("it is refused")
    }

    #[test]
    fn what_cannot_cross_into_the_host_is_refused() {
        for kind in ["(type $given (stream u8))", "(type $given (future u8))", "(type $given error-context)"]
        {
            let refusal = giving(kind);
            let is_invalid = matches!(refusal, ComponentRefusal::Invalid { .. });
            assert!(is_invalid && refusal.to_string().contains("feature"), "{kind}: {refusal}");
        }
        let resource = r#"(type $a (resource (rep i32))) (export $r "r" (type $a)) (type $given (own $r))"#;
        let refusal = giving(resource);
        assert!(matches!(refusal, ComponentRefusal::DoesNotFit { .. }), "{refusal}");
    }

    #[test]
    fn code_that_is_asynchronous_is_refused() {
        let bytes = bytes_containing(
            r#"(core module $m (func (export "f") (result i32) (i32.const 0))
                 (func (export "c") (param i32 i32 i32) (result i32) (i32.const 0)))
               (core instance $i (instantiate $m))
               (func $f async (canon lift (core func $i "f") async (callback (core func $i "c"))))"#,
        );
        let refusal = load(&bytes, &Budget::default()).expect_err("it is refused");
        let is_invalid = matches!(refusal, ComponentRefusal::Invalid { .. });
        assert!(is_invalid && refusal.to_string().contains("async"), "{refusal}");
    }

    #[test]
    fn ten_thousand_functions_are_compiled_or_refused_in_time() {
        let functions: Vec<String> = (0..10_000)
            .map(|n| format!("(func (param i32) (result i32) (i32.add (local.get 0) (i32.const {n})))"))
            .collect();
        let bytes = bytes_containing(&format!("(core module {})", functions.concat()));
        match load(&bytes, &Budget::default()) {
            Ok(_) | Err(ComponentRefusal::CompileTime) => {}
            Err(refusal) => panic!("{refusal}"),
        }
    }

    #[test]
    fn what_projectors_do_not_need_is_refused() {
        for module in [
            "(memory i64 1)",
            "(memory 1 1 shared)",
            "(func (return_call 0))",
            "(tag)",
            "(type (struct (field i32)))",
            "(func (param v128) (drop (f32x4.relaxed_madd (local.get 0) (local.get 0) (local.get 0))))",
        ] {
            let bytes = bytes_containing(&format!("(core module {module})"));
            let refusal = load(&bytes, &Budget::default()).expect_err("it is refused");
            assert!(matches!(refusal, ComponentRefusal::Invalid { .. }), "{module}: {refusal}");
        }
    }

    #[test]
    fn what_is_too_large_from_the_start_is_refused() {
        let check = |module: &str, expect: &str| {
            let more = format!("(core module $large {module}) (core instance (instantiate $large))");
            let refusal = load(&bytes_containing(&more), &Budget::default()).expect_err("it is refused");
            assert!(refusal.to_string().contains(expect), "{module}: {refusal}");
        };
        check("(memory 65536)", "raise `budget.memory_bytes`");
        check("(table 1000000 funcref)", "a table of 1000000 elements");
        check("(func $forever (loop $more (br $more))) (start $forever)", "an endless loop in its start-up");
        check("(func $trap unreachable) (start $trap)", "wasm trap: wasm `unreachable`");
    }

    #[test]
    fn code_that_is_not_valid_is_refused() {
        let refusal = load(&bytes_describing("(i64.const 1)"), &Budget::default());
        let refusal = refusal.expect_err("a value is left on the stack");
        assert!(matches!(refusal, ComponentRefusal::Invalid { .. }), "{refusal}");
    }

    #[test]
    fn compiled_code_is_kept_and_checked_before_it_is_used_again() {
        let home = tempfile::tempdir().expect("a directory is made");
        let directory = home.path().join("compiled");
        let load = || {
            let engine = Engine::new(Some(&directory)).expect("an engine starts");
            Component::load(&engine, &bytes(HEALTHY), &Budget::default()).expect("it loads");
            let files = fs::read_dir(&directory).expect("the cache is there");
            let paths: Vec<_> = files.map(|file| file.expect("it can be listed").path()).collect();
            assert_eq!(paths.len(), 1, "{paths:?}");
            (fs::read(&paths[0]).expect("it can be read"), paths[0].clone())
        };
        let (compiled, path) = load();
        assert_eq!(fs::metadata(&directory).expect("it is there").permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        // A file that was not written whole, and one with other code in it.
        fs::write(&path, &compiled[..compiled.len() / 2]).expect("it can be written");
        assert_eq!(load().0.len(), compiled.len());
        let mut other = compiled.clone();
        let last = other.len() - 1;
        other[last] ^= 1;
        fs::write(&path, &other).expect("it can be written");
        assert_ne!(load().0, other);
    }

    #[test]
    fn a_cache_that_others_can_write_is_refused() {
        let home = tempfile::tempdir().expect("a directory is made");
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o770)).expect("it is mine");
        let refusal = Engine::new(Some(home.path())).err().expect("it is refused");
        assert!(format!("{refusal:#}").contains("chmod 700"), "{refusal:#}");
    }

    #[test]
    fn a_compiler_that_panics_is_a_refusal() {
        let limit = Duration::from_secs(COMPILE_SECONDS_MAX);
        let refusal = on_its_own_thread(limit, || -> Result<(), ComponentRefusal> { panic!("on purpose") });
        assert_eq!(refusal, Err(ComponentRefusal::Uncompilable { reason: "on purpose".into() }));
    }

    #[test]
    fn code_that_takes_too_long_to_compile_is_refused_and_the_next_one_is_loaded() {
        // The compiler's time grows with the square of such a depth: four times as many blocks would take minutes.
        let blocks = 40_000;
        let (open, close) = ("block ".repeat(blocks), "end ".repeat(blocks));
        let bomb = bytes_containing(&format!("(core module (func {open} {close}))"));
        let engine = Engine::new(None).expect("an engine starts");
        let load = |limit, bytes: &[u8]| {
            Component::<Projecting>::load_within(
                Duration::from_millis(limit),
                &engine,
                bytes,
                &Budget::default(),
            )
        };
        let refusal = load(100, &bomb).expect_err("it takes seconds");
        assert_eq!(refusal, ComponentRefusal::CompileTime);
        let told = refusal.to_string();
        assert!(told.contains("120 s") && told.contains("make it smaller"), "{told}");
        // Its thread is still at it.
        load(60_000, &bytes(HEALTHY)).expect("it loads");
    }
}
