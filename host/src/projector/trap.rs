//! The meaning of an error that ended a guest's run: whose fault it is, and its message for people.

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::budget::{Budget, deadline_ms};
use super::determinism::{Impurity, WALL_CLOCK};
use super::sandbox::Sandbox;
use crate::failure::Failure;

const MESSAGE_BYTES_MAX: usize = 4 << 10;
const FRAMES_SHOWN: usize = 3;
/// The words of wasmtime for a guest that handed over more bytes than `set_hostcall_fuel` allows. Its type is private;
/// a test of the limit shows that the words are still these.
const COPIED_TOO_MUCH: &str = "fuel allocated for hostcalls has been exhausted";
/// The words of Rust's panic when there is no thread to be had.
const NO_THREAD: &str = "failed to spawn thread";
const THREADS: &str = "a projector has no threads: do the work in `project` itself";
/// The words of languages when a text is none that the contract can carry: `QuickJS`, Python, the engine itself.
const NO_UNICODE: [&str; 3] = ["expected string: Utf8(Utf8Error", "surrogates not allowed", "invalid utf-8"];
const CUT_TEXT: &str = "a text was cut inside a character, as `slice` and `substring` of JavaScript do: cut it with \
                        `Array.from(text).slice(0, 20).join(\"\")`, which counts whole characters";
/// How the functions of Python's interpreter begin.
const PYTHON: [&str; 2] = ["Py", "_Py"];
const PYTHON_LOGGING: &str =
    "Python's `logging` reads the clock for each line: use `print`, or `log.write` of `wit_world.imports`";
/// Functions of the languages' own machinery start like this. They are above the guest's own in every panic.
const MACHINERY: [&str; 15] = [
    "<wasm function",
    "<core::",
    "<std::",
    "<alloc::",
    "core::",
    "std::",
    "alloc::",
    "__rustc::",
    "rust_",
    "abort",
    "exit",
    "_Exit",
    "wit_",
    "laterna:",
    "laterna_sdk::",
];

/// The failure of a run with so much fuel that ended with this error.
pub(super) fn failure(error: &wasmtime::Error, sandbox: &Sandbox, fuel: u64, budget: &Budget) -> Failure {
    let trap = error.downcast_ref::<Trap>();
    match trap {
        Some(Trap::OutOfFuel) => return Failure::OutOfFuel { fuel },
        Some(Trap::Interrupt) => return Failure::Deadline { limit_ms: deadline_ms(fuel) },
        _ => {}
    }
    if sandbox.memory.exhausted() {
        return Failure::misconfigured(
            format!("{error:#}"),
            "give this host more memory, or let it run fewer lanes",
        );
    }
    if sandbox.memory.refused() {
        return Failure::OutOfMemory { limit_bytes: budget.memory_bytes };
    }
    if let Some(impure) = error.downcast_ref::<Impurity>() {
        let mut message = impure.to_string();
        if impure.import == WALL_CLOCK.import && is_python(error) {
            message.push_str("; ");
            message.push_str(PYTHON_LOGGING);
        }
        return Failure::Trapped { message: cut(with_place(message, error)) };
    }
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        let reason = format!("it ended itself with exit code {code}: return a rejection instead");
        return trapped(sandbox, &reason, error);
    }
    let cause = error.root_cause().to_string();
    if cause.contains(COPIED_TOO_MUCH) {
        let limit = budget.copied_bytes();
        return Failure::OutputTooLarge { what: format!("it hands over more than {limit} bytes at once") };
    }
    let mut reason = trap.map_or(cause, Trap::to_string);
    if is_recursion(trap, error) {
        reason.push_str(": a projector has 1 MiB of stack, so recurse less deeply");
    }
    trapped(sandbox, &reason, error)
}

/// The guest's own words first, then the engine's, then where in the guest it was.
fn trapped(sandbox: &Sandbox, reason: &str, error: &wasmtime::Error) -> Failure {
    let mut message = sandbox.output.last_words();
    if !message.is_empty() {
        message.push('\n');
    }
    message.push_str(reason);
    let threads = message.contains(NO_THREAD).then_some(THREADS);
    let text = NO_UNICODE.iter().any(|words| message.contains(words)).then_some(CUT_TEXT);
    if let Some(hint) = sandbox.missed.trapped().or(threads).or(text) {
        message.push('\n');
        message.push_str(hint);
    }
    Failure::Trapped { message: cut(with_place(message, error)) }
}

/// The stack that languages keep in memory ends before the engine's own: the same function over and over shows it.
fn is_recursion(trap: Option<&Trap>, error: &wasmtime::Error) -> bool {
    let repeats = || {
        let frames = frames(error);
        frames.len() == FRAMES_SHOWN && frames.iter().all(|frame| *frame == frames[0])
    };
    match trap {
        Some(Trap::StackOverflow) => true,
        Some(Trap::MemoryOutOfBounds) => repeats(),
        _ => false,
    }
}

/// Returns true for an error from inside of Python's interpreter.
fn is_python(error: &wasmtime::Error) -> bool {
    frames(error).iter().any(|function| PYTHON.iter().any(|start| function.starts_with(start)))
}

/// The message, and where in the guest it was.
fn with_place(mut message: String, error: &wasmtime::Error) -> String {
    for frame in frames(error) {
        message.push_str("\n  in ");
        message.push_str(&frame);
    }
    message
}

fn frames(error: &wasmtime::Error) -> Vec<String> {
    error.downcast_ref::<WasmBacktrace>().map_or_else(Vec::new, |trace| own_frames(&trace.to_string()))
}

/// The top frames that are the author's. Lines of a backtrace read `3: 0x1a2b - module!function`.
fn own_frames(backtrace: &str) -> Vec<String> {
    let frames = backtrace.lines().filter_map(|line| line.split_once(" - "));
    let functions =
        frames.filter_map(|(_, frame)| frame.split_once('!')).map(|(_, function)| readable(function));
    let is_own = |function: &String| {
        !MACHINERY.iter().any(|start| function.starts_with(start)) && !function.ends_with("_cabi")
    };
    functions.filter(is_own).take(FRAMES_SHOWN).collect()
}

/// A Rust name without its hashes: `zoo[1f00]::project::h0123456789abcdef` is `zoo::project`.
fn readable(function: &str) -> String {
    let is_hash = |text: &str| text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let function = match function.rsplit_once("::h") {
        Some((name, hash)) if is_hash(hash) => name,
        _ => function,
    };
    let mut name = String::with_capacity(function.len());
    let mut rest = function;
    while let Some((before, after)) = rest.split_once('[') {
        name.push_str(before);
        rest = match after.split_once(']') {
            Some((hash, after)) if is_hash(hash) => after,
            _ => {
                name.push('[');
                after
            }
        };
    }
    name + rest
}

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backtrace_shows_the_authors_frames_without_hashes() {
        let backtrace = "error while executing at wasm backtrace:
    0:  0x1a3a8 - zoo.wasm!abort
    1:  0x14f68 - zoo.wasm!std[d123b7a1a2ed1472]::sys::pal::wasi::helpers::abort_internal
    2:  0x139a5 - zoo.wasm!__rustc[b7974e8690430dd9]::__rust_abort
    3:  0x2775f - zoo.wasm!core[6d9e98711c484d2e]::panicking::panic_fmt
    4:   0x633b - zoo.wasm!<core::iter::adapters::map::Map<I,F> as core::iter::Iterator>::fold::hecb49e26387457c7
    5:   0x7777 - zoo.wasm!zoo[0123456789abcdef]::price::<[u8]>
    6:   0xe71b - zoo.wasm!<zoo::P as zoo::exports::Guest>::project::h96a0a9c8e75e2c87
    7:   0x999d - zoo.wasm!zoo::exports::_export_project_cabi::h8b9cc51e6db3085b
    8:   0xea2a - zoo.wasm!laterna:projection/projector@0.1.0#project
    9:  0xb066e - <unknown>!<wasm function 517>";
        assert_eq!(own_frames(backtrace), ["zoo::price::<[u8]>", "<zoo::P as zoo::exports::Guest>::project"]);
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        let message = cut("ö".repeat(MESSAGE_BYTES_MAX));
        assert!(message.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8() && message.ends_with("ö…"));
    }
}
