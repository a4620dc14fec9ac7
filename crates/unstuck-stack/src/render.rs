//! One text for people, without what the runtime adds to every stack.
//!
//! The two ends of a stall's backtrace are always the same: at the outer end the thread's start, the scheduler and the
//! catching of panics; at the inner end sometimes the runtime's own poll functions. Whoever reads a report looks for their
//! own functions. So both ends are trimmed, and nothing in between: there a frame of the runtime explains how one function
//! of theirs came to call another. If nothing would remain, nothing is trimmed.
//!
//! A recursion is shown once, and how often it was.
//!
//! A program that was stripped has no names for its own functions. Then their addresses stay, and a last line says why.
//!
//! At the inner end std and C functions stay, but only the last few before somebody else's: `std::thread::sleep` or
//! `Receiver::recv` is the answer to "doing what?", and the twelve functions that it calls are not.

use std::borrow::Cow;
use std::env;
use std::fmt::Write;

/// One function on a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The function's path, without the compiler's hash.
    pub function: String,
    /// Its source file, if the program has debug information.
    pub file: Option<String>,
    /// The line in `file`.
    pub line: Option<u32>,
}

/// Writes `frames` as text, a function and its place on each pair of lines. The runtime's own frames at both ends are left out.
///
/// # Examples
///
/// ```
/// use unstuck_stack::{Frame, render};
///
/// let frame = |function: &str| Frame { function: function.into(), file: Some("src/main.rs".into()), line: Some(7) };
/// let text = render(&[frame("shop::checkout"), frame("unstuck_core::task::poll"), frame("start_thread")]);
/// assert_eq!(text, "   0: shop::checkout\n             at src/main.rs:7\n");
/// ```
#[must_use]
pub fn render(frames: &[Frame]) -> String {
    let here = env::current_dir().ok().and_then(|path| path.to_str().map(|path| format!("{path}/")));
    let mut text = String::new();
    let shown = trimmed(frames);
    let mut number = 0;
    while number < shown.len() {
        let (round, times) = rounds(&shown[number..]);
        for (step, frame) in round.iter().enumerate() {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{:4}: {}", number + step, frame.function);
            let Some(file) = &frame.file else { continue };
            let file = short(file, here.as_deref());
            let _ = match frame.line {
                Some(line) => writeln!(text, "             at {file}:{line}"),
                None => writeln!(text, "             at {file}"),
            };
        }
        let _ = match (round.len(), times - 1) {
            (_, 0) => Ok(()),
            (1, more) => writeln!(text, "      (and {more} times more)"),
            (several, more) => writeln!(text, "      (these {several}, and {more} times more)"),
        };
        number += round.len() * times;
    }
    let nameless = shown.iter().filter(|frame| is_nameless(frame)).count();
    if nameless > 0 {
        let _ = writeln!(
            text,
            "      {nameless} of these have no name: the program was stripped, or some library was (in Cargo's profile \
             strip = \"debuginfo\" keeps names), or its file could not be opened"
        );
    }
    text
}

/// The most functions that call each other in a circle and are told apart from a stack that is merely deep.
const ROUND: usize = 8;

/// What `frames` begins with, and how often: one round of a recursion that goes on for three and more, else the first frame.
fn rounds(frames: &[Frame]) -> (&[Frame], usize) {
    for length in 1..=ROUND.min(frames.len()) {
        let (round, _) = frames.split_at(length);
        let times = frames.chunks(length).take_while(|frames| *frames == round).count();
        if times > 2 {
            return (round, times);
        }
    }
    (&frames[..1], 1)
}

/// Functions of std and C that are shown before the first one of somebody else.
const KEPT: usize = 3;

fn trimmed(frames: &[Frame]) -> &[Frame] {
    let Some(first) = frames.iter().position(|frame| !is_runtime(frame)) else { return frames };
    let theirs = frames.iter().position(|frame| !is_runtime(frame) && !is_library(frame));
    let first = theirs.map_or(first, |theirs| first.max(theirs.saturating_sub(KEPT)));
    // Where nobody's function has a name, the nameless ones are theirs.
    let is_end = |frame: &Frame| is_beginning(frame) || theirs.is_some() && is_nameless(frame);
    match frames.iter().rposition(|frame| !is_runtime(frame) && !is_end(frame)) {
        Some(last) if last >= first => &frames[first..=last],
        _ => &frames[first..],
    }
}

/// Crates whose functions call the user's, and say nothing about them.
const RUNTIME: &[&str] = &[
    "unstuck",
    "unstuck_core",
    "unstuck_blocking",
    "unstuck_cpu",
    "unstuck_time",
    "async_task",
    "rayon_core",
];
/// Plumbing between the runtime and the user's function: catching panics, calling closures, polling through pointers.
const PLUMBING: &[&str] = &[
    "std::panic::",
    "std::panicking::",
    "core::panic::unwind_safe::",
    "core::panicking::",
    "core::ops::function::",
    "core::future::",
    "core::pin::",
    "core::task::",
    "alloc::boxed::",
    "__rust_try",
    "__rustc::__rust_try",
];
/// How a thread begins. Only cut at the outer end, and only outside of what people call: `std::thread::sleep` is what they
/// look for, and with nothing of theirs on the stack it may be the outermost one that says anything.
const BEGINNINGS: &[&str] = &[
    "std::rt::",
    "std::sys::backtrace::",
    "std::sys::thread::unix::Thread",
    "std::sys::pal::",
    "std::sys_common::",
    "std::thread::Builder",
    "std::thread::builder::",
    "std::thread::lifecycle::",
    "std::thread::spawn",
    "std::thread::scoped::",
];
const BEGINNINGS_IN_C: &[&str] = &[
    "_start",
    "main",
    "__libc_start_main",
    "__libc_start_call_main",
    "start_thread",
    "start",
    "clone",
    "clone3",
];

/// What `symbolise` calls a function without a name.
pub(crate) const NAMELESS: &str = "unknown function at ";

fn is_nameless(frame: &Frame) -> bool {
    frame.function.starts_with(NAMELESS)
}

/// std's or the C library's.
fn is_library(frame: &Frame) -> bool {
    const LIBRARY: [&str; 3] = ["std", "core", "alloc"];
    let path = path(frame);
    let path = path.split(" as ").next().unwrap_or(&path).trim_start_matches(['<', '&']);
    let path = path.trim_start_matches("mut ").trim_start_matches("dyn ");
    match path.split_once("::") {
        Some((package, _)) => LIBRARY.contains(&package),
        // No path: C's, assembly, or a bare name of Rust's, which its file tells.
        None => !frame.file.as_deref().is_some_and(|file| file.ends_with(".rs")) || is_parameter(path),
    }
}

/// The `F` of `<F as core::ops::FnOnce<()>>::call_once`.
fn is_parameter(path: &str) -> bool {
    path.len() == 1
}

fn is_beginning(frame: &Frame) -> bool {
    let path = path(frame);
    let name = path.split('@').next().unwrap_or(&path);
    BEGINNINGS.iter().any(|start| path.trim_start_matches('<').starts_with(start))
        || name.ends_with("_thread_start") // a sanitizer's
        || BEGINNINGS_IN_C.iter().any(|&start| name == start || name.strip_prefix("__") == Some(start))
}

fn is_runtime(frame: &Frame) -> bool {
    let path = path(frame);
    // `<A as B>::f` is theirs if either A or B is. A bare `F` is a parameter of whoever wrote B.
    if let Some((implementer, of)) = path.strip_prefix('<').and_then(|rest| rest.split_once(" as ")) {
        return is_runtime_path(of) && (is_runtime_path(implementer) || !implementer.contains("::"));
    }
    is_runtime_path(&path)
}

fn is_runtime_path(path: &str) -> bool {
    let path = path.trim_start_matches(['<', '&']).trim_start_matches("mut ").trim_start_matches("dyn ");
    let package = path.split("::").next().unwrap_or(path);
    RUNTIME.contains(&package) || PLUMBING.iter().any(|start| path.starts_with(start))
}

/// The function's path. With line tables only, the compiler leaves a bare name; then its file tells where it belongs.
fn path(frame: &Frame) -> Cow<'_, str> {
    let function = frame.function.as_str();
    let bare = !function.starts_with('<') && !function.split('<').next().unwrap_or(function).contains("::");
    match frame.file.as_deref().and_then(module_of) {
        Some(module) if bare => format!("{module}::{function}").into(),
        _ => function.into(),
    }
}

/// `std::panicking` for `/rustc/../library/std/src/panicking.rs`, `unstuck_core` for `../unstuck-core-0.1.0/src/local.rs`.
fn module_of(file: &str) -> Option<String> {
    let (package, within) = file.rsplit_once("/src/")?;
    let package = package.rsplit('/').next()?;
    let module = within.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    if matches!(package, "core" | "alloc" | "std") && file.contains("/library/") {
        return Some(format!("{package}::{module}"));
    }
    // `name-1.2.3` in the registry, `name` in a checkout.
    let name = match package.rsplit_once('-') {
        Some((name, version)) if version.starts_with(|first: char| first.is_ascii_digit()) => name,
        _ => package,
    };
    let name = name.replace('-', "_");
    RUNTIME.contains(&name.as_str()).then(|| format!("{name}::{module}"))
}

/// `src/shop.rs` for a file below the current directory, `std/src/thread/mod.rs` for the compiler's own, `mio-1.0.3/src/..`
/// for those of the registry.
fn short<'a>(file: &'a str, here: Option<&str>) -> &'a str {
    if let Some(below) = here.and_then(|here| file.strip_prefix(here)) {
        return below;
    }
    if let Some((_, of_library)) = file.strip_prefix("/rustc/").and_then(|rest| rest.split_once("/library/"))
    {
        return of_library;
    }
    let of_registry = file.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/'));
    of_registry.map_or(file, |(_, of_package)| of_package)
}
