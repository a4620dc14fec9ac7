//! What people read: their own functions, and not the runtime's at both ends.

use std::hint::black_box;

use unstuck_stack::{Frame, render};

use crate::subject::{Flag, Subject};

fn shown(functions: &[&str]) -> Vec<String> {
    let frames =
        functions.iter().map(|&function| Frame { function: function.into(), file: None, line: None });
    let text = render(&frames.collect::<Vec<_>>());
    text.lines().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect()
}

#[test]
fn the_runtime_is_left_out_at_both_ends_but_not_in_between() {
    let stack = [
        "unstuck_core::task::yield_now",
        "<core::pin::Pin<P> as core::future::future::Future>::poll",
        "shop::checkout::{{closure}}",
        "unstuck::aio::gather::poll",
        "shop::main::{{closure}}",
        "<unstuck_core::task::header::Work<F> as core::future::future::Future>::poll",
        "<core::panic::unwind_safe::AssertUnwindSafe<F> as core::ops::function::FnOnce<()>>::call_once",
        "std::panicking::catch_unwind",
        "__rust_try",
        "unstuck_core::sched::worker::run",
        "std::sys::backtrace::__rust_begin_short_backtrace",
        "<alloc::boxed::Box<F,A> as core::ops::function::FnOnce<Args>>::call_once",
        "start_thread",
        "__clone3",
    ];
    let theirs = ["shop::checkout::{{closure}}", "unstuck::aio::gather::poll", "shop::main::{{closure}}"];
    assert_eq!(shown(&stack), theirs);
}

#[test]
fn a_stripped_program_shows_addresses_and_says_why() {
    let frames = |names: &[&str]| -> Vec<_> {
        names.iter().map(|name| Frame { function: (*name).into(), file: None, line: None }).collect()
    };
    let text = render(&frames(&[
        "clock_nanosleep",
        "unknown function at 0x17",
        "unknown function at 0x42",
        "__clone3",
    ]));
    assert!(text.contains("0: clock_nanosleep") && text.contains("2: unknown function at 0x42"), "{text}");
    assert!(text.contains("2 of these have no name: the program was stripped"), "{text}");
    // One that belongs to nobody, at the outer end of what has names, is not worth a line.
    let text = render(&frames(&["shop::slow", "unknown function at 0x42", "start_thread"]));
    assert_eq!(text, "   0: shop::slow\n");
}

#[test]
fn what_the_thread_waits_in_is_shown() {
    let stack =
        ["clock_nanosleep", "std::thread::sleep", "shop::slow", "unstuck_core::run", "std::rt::lang_start"];
    assert_eq!(shown(&stack), stack[..3]);
}

#[test]
fn of_what_std_calls_in_turn_only_the_last_few_are_shown() {
    let stack = [
        "syscall",
        "std::sys::pal::unix::futex::futex_wait",
        "<std::thread::thread::Thread>::park_timeout",
        "std::sync::mpmc::list::Channel<T>::recv",
        "std::sync::mpmc::Receiver<T>::recv",
        "std::sync::mpsc::Receiver<T>::recv",
        "shop::checkout",
        "std::panicking::catch_unwind",
        "shop::main",
        "unstuck_core::run",
    ];
    assert_eq!(shown(&stack), stack[3..9]);
    assert_eq!(shown(&stack[..6]), stack[..6], "nobody else is there");
}

#[test]
fn a_recursion_is_shown_once_and_how_often_it_was() {
    let frames = |functions: &[&str]| -> String {
        let frame = |function: &&str| Frame { function: (*function).into(), file: None, line: None };
        render(&functions.iter().map(frame).collect::<Vec<_>>())
    };
    let deep = [&["shop::count"][..], &["shop::walk"; 200], &["shop::main"]].concat();
    assert_eq!(
        frames(&deep),
        "   0: shop::count\n   1: shop::walk\n      (and 199 times more)\n 201: shop::main\n"
    );
    let two = [&["shop::even", "shop::odd"].repeat(3)[..], &["shop::even", "shop::main"]].concat();
    assert_eq!(
        frames(&two),
        "   0: shop::even\n   1: shop::odd\n      (these 2, and 2 times more)\n   6: shop::even\n   7: shop::main\n"
    );
    assert_eq!(frames(&["shop::a"; 2]), "   0: shop::a\n   1: shop::a\n", "twice is no recursion");
    assert_eq!(frames(&["shop::a"; 3]), "   0: shop::a\n      (and 2 times more)\n");
}

#[test]
fn users_own_implementations_of_the_runtimes_traits_are_theirs() {
    let stack = [
        "<shop::Driver as unstuck_core::driver::Driver>::park",
        "<unstuck_core::Handle as shop::Extension>::work",
        "<shop::Lookup as core::future::future::Future>::poll",
    ];
    assert_eq!(shown(&stack), stack);
    assert_eq!(shown(&["unstuck_core_extras::a", "unstuck_core::b"]), ["unstuck_core_extras::a"]);
}

/// Line tables only: names without modules.
#[test]
fn bare_names_are_known_by_their_files() {
    let frame = |(function, file): (&str, &str)| Frame {
        function: function.into(),
        file: Some(file.into()),
        line: Some(1),
    };
    let stack = [
        ("clock_nanosleep", "./time/clock_nanosleep.c"),
        ("sleep", "/rustc/0123/library/std/src/sys/thread/unix.rs"),
        ("work", "src/main.rs"),
        (
            "poll<shop::Work>",
            "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/unstuck-core-0.1.0/src/task/header.rs",
        ),
        ("call_once<shop::Work>", "/rustc/0123/library/core/src/ops/function.rs"),
        ("{closure#1}<shop::Work>", "/rustc/0123/library/std/src/thread/lifecycle.rs"),
        ("start_thread", "./nptl/pthread_create.c"),
    ];
    let text = render(&stack.map(frame));
    assert!(text.contains("work") && !text.contains("poll") && text.lines().count() == 6, "{text}");
}

#[test]
fn a_stack_of_nothing_else_is_shown_as_it_is() {
    let stack = ["unstuck_core::sched::worker::run", "std::panicking::catch_unwind"];
    assert_eq!(shown(&stack), stack);
    assert_eq!(render(&[]), "");
}

#[test]
fn places_are_short() {
    let frame = |file: String| Frame { function: "f".into(), file: Some(file), line: Some(3) };
    let text = render(&[
        frame(format!("{}/src/shop.rs", std::env::current_dir().unwrap().display())),
        frame("/rustc/0123456789abcdef/library/std/src/thread/mod.rs".into()),
        frame("/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/mio-1.0.3/src/poll.rs".into()),
        frame("/elsewhere/a.c".into()),
    ]);
    let places: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix("at ")).collect();
    assert_eq!(
        places,
        ["src/shop.rs:3", "std/src/thread/mod.rs:3", "mio-1.0.3/src/poll.rs:3", "/elsewhere/a.c:3"]
    );
}

#[inline(never)]
fn the_users_function(stop: &Flag) {
    stop.wait();
    black_box("the_users_function");
}

#[test]
fn names_are_demangled_and_come_with_file_and_line() {
    let subject = Subject::new(the_users_function);
    subject.wait_until_in("the_users_function");
    let frames = subject.frames();
    // With line tables only (`--release` here) the compiler leaves the bare name.
    let full = "all::text::the_users_function";
    let is_it = |frame: &&Frame| frame.function == full || frame.function == "the_users_function";
    let frame = frames.iter().find(is_it).expect("found above");
    assert!(frame.file.as_deref().unwrap().ends_with("tests/all/text.rs"), "{frame:?}");
    assert!(frame.line.is_some());
    let text = render(&frames);
    assert!(text.contains("the_users_function\n"), "{text}");
    for noise in ["start_thread", "__rust_begin_short_backtrace", "catch_unwind"] {
        assert!(!text.contains(noise), "{text}");
    }
}
