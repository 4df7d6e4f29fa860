//! The rows of the fault catalogue, and how they are run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::{chaos, health, hosts, mongodb_faults, mysql_faults};

/// One kind of fault.
pub struct Row {
    pub number: u32,
    /// What happens, and so the trial's name.
    pub fault: &'static str,
    pub proof: Proof,
}

/// Where it is shown that the fault does no harm.
pub enum Proof {
    /// Here, in seconds: part of `cargo test`.
    Quick(Test),
    /// Here, but it takes longer: only with `make faults`.
    Slow(Test),
    /// In the tests of `make test`, e.g. `crash::a_host_killed…`.
    Elsewhere(&'static str),
    /// Nowhere, for this reason.
    Not(&'static str),
}

/// It need not be `Send`: async closures borrow in a way that nobody can prove to be.
type Test = fn() -> Pin<Box<dyn Future<Output = ()>>>;

/// Makes a row's proof out of an async function.
macro_rules! test {
    ($function:path) => {
        || Box::pin($function())
    };
}
pub(crate) use test;

/// All rows, in order.
pub fn rows() -> Vec<Row> {
    let mut rows = [hosts::rows(), mongodb_faults::rows(), mysql_faults::rows(), health::rows()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    rows.sort_by_key(|row| row.number);
    rows
}

/// Runs what was asked for: the quick rows, or all with `FAULTS=all`. At most two at once: each has servers of its own.
pub fn run() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let all = std::env::var("FAULTS").is_ok_and(|faults| faults == "all");
    let results: Results = Arc::default();
    let trials = rows().into_iter().filter_map(|row| match row.proof {
        Proof::Quick(test) => Some(trial(row.number, row.fault, test, results.clone())),
        Proof::Slow(test) if all => Some(trial(row.number, row.fault, test, results.clone())),
        _ => None,
    });
    let mut trials: Vec<Trial> = trials.collect();
    trials.push(Trial::test("every fault has a row and every named test exists", || match gaps() {
        gaps if gaps.is_empty() => Ok(()),
        gaps => Err(Failed::from(gaps.join("\n"))),
    }));
    trials.push(trial(0, "chaos: a seed is a schedule", test!(chaos::seed), results.clone()));
    trials.push(trial(0, "chaos", test!(chaos::run), results.clone()));
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        summarize(&results);
    }
    conclusion.exit_code()
}

/// How many kinds of fault there are. What holds during all of them has the numbers behind.
const FAULTS: u32 = 60;

/// What is wrong with the catalogue: a number without a row, a test that is named and is not there.
fn gaps() -> Vec<String> {
    let rows = rows();
    let count = |number: u32| rows.iter().filter(|row| row.number == number).count();
    let last = rows.iter().map(|row| row.number).max().unwrap_or_default().max(FAULTS);
    let numbers = (1..=last).filter(|number| count(*number) == 0);
    let mut gaps: Vec<String> = numbers.map(|number| format!("fault {number} has no row")).collect();
    let sources = sources();
    for row in &rows {
        if let Proof::Elsewhere(name) = row.proof
            && !sources.iter().any(|(path, text)| has_test(path, text, name))
        {
            gaps.push(format!("fault {} names the test {name}, which does not exist", row.number));
        }
    }
    gaps
}

/// All Rust files that hold tests of `make test`, by their paths.
fn sources() -> Vec<(String, String)> {
    let mut sources = Vec::new();
    let host = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![host.join("src"), host.join("../tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("it is readable");
                sources.push((path.display().to_string(), text));
            }
        }
    }
    sources
}

/// Whether a file holds the test that `module::test` names.
fn has_test(path: &str, code: &str, name: &str) -> bool {
    let Some((modules, test)) = name.rsplit_once("::") else { return false };
    let is_here = modules
        .split("::")
        .filter(|module| *module != "tests")
        .all(|module| path.ends_with(&format!("/{module}.rs")) || path.contains(&format!("/{module}/")));
    let is_test = |at: usize| {
        let above = code[..at].rsplit('\n').nth(1).unwrap_or_default().trim();
        above.starts_with("#[") && above.contains("test")
    };
    is_here && code.match_indices(&format!("fn {test}(")).any(|(at, _)| is_test(at))
}

/// By row: some faults have several.
type Results = Arc<Mutex<BTreeMap<(u32, &'static str), (bool, Duration)>>>;

fn trial(number: u32, fault: &'static str, test: Test, results: Results) -> Trial {
    // What is no row of the catalogue has the number 0, and no line in the summary.
    let name = if number == 0 { fault.to_owned() } else { format!("{number:02} {fault}") };
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let began = Instant::now();
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // Not spawned, as in `#[tokio::test]`: async closures are not `Send` in general.
            runtime.block_on(test());
        }));
        let passed = ended.is_ok();
        results.lock().expect("nobody panics with it").insert((number, fault), (passed, began.elapsed()));
        if passed { Ok(()) } else { Err(Failed::from("see its panic above")) }
    })
}

/// One line a row: what came of it, or where it is shown.
fn summarize(results: &Results) {
    let results = results.lock().expect("nobody panics with it");
    println!("fault  outcome");
    for Row { number, fault, proof } in rows() {
        let outcome = match (results.get(&(number, fault)), proof) {
            (Some((true, took)), _) => format!("held, {:.1} s", took.as_secs_f64()),
            (Some((false, _)), _) => "BROKEN".to_owned(),
            (None, Proof::Elsewhere(name)) => format!("shown by {name}"),
            (None, Proof::Not(why)) => format!("no test: {why}"),
            (None, Proof::Quick(_)) => "not selected".to_owned(),
            (None, Proof::Slow(_)) => "only with `make faults`".to_owned(),
        };
        println!("{number:>5}  {fault}: {outcome}");
    }
}
