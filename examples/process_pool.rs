//! Calls that may crash, or never come back. asyncio: `loop.run_in_executor(ProcessPoolExecutor(), f)`.
//!
//! A thread that loops for ever cannot be stopped, and a crash takes the whole program along. So such a call gets a process
//! of its own: this very program, started again. What travels there is the name of a function and its arguments, so the
//! function is a *job*: `#[unstuck::job]` makes `parse::job(..)` beside `parse(..)`.
//!
//! | | `ProcessPoolExecutor` | here |
//! |---|---|---|
//! | one child is killed | every pending call fails, the pool is broken for good | its call fails, the pool goes on |
//! | a call never comes back | nobody can stop it | `timeout`, `cancel`: its process is killed |
//!
//! Watch for: the crash and the runaway are errors of those two calls; the calls after them find a pool in good health.
//! The first line of `main` is what makes this program able to be its own child (`#[unstuck::main]` has it built in).

use std::time::Duration;

use unstuck::process::ProcessPool;
use unstuck::run_in_executor;

fn main() {
    unstuck::process::serve_if_child();
    tutorial();
}

/// As a C library might: counts words, crashes at some inputs, never returns at others.
#[unstuck::job]
fn parse(text: String) -> usize {
    match text.as_str() {
        "crash" => std::process::abort(),
        "runaway" => loop {
            std::hint::spin_loop();
        },
        "panic" => panic!("this is no text"),
        _ => text.split_whitespace().count(),
    }
}

pub(crate) fn tutorial() {
    let pool = ProcessPool::builder()
        .max_children(2)
        .timeout(Duration::from_secs(2))
        .forward_stderr(false) // the panic below is expected
        .build()
        .expect("the pool is made");

    unstuck::run(async {
        println!("called here:   {} words", parse("to be or not to be".into()));
        let words = run_in_executor(&pool, parse::job("to be or not to be".into())).await;
        println!("in a process:  {} words", words.unwrap());

        for text in ["crash", "runaway", "panic"] {
            let error = pool.spawn(parse::job(text.into())).await.unwrap_err();
            let how = match (error.signal(), error.panic_message()) {
                (Some(signal), _) => format!("its process was killed by signal {signal}"),
                (_, Some(message)) => format!("it panicked: {message}"),
                _ if error.is_timeout() => "it ran too long, and was killed".to_owned(),
                _ => error.to_string(),
            };
            println!("{text:14} {how}");
        }

        let runs = pool.handle().clone().no_timeout().spawn(parse::job("runaway".into()));
        println!("cancelled:     {}", runs.cancel() && runs.await.unwrap_err().is_cancelled());

        let texts = ["one", "one two", "one two three"];
        let counts: Vec<usize> = pool.map(texts, |text| parse::job(text.into())).try_collect().await.unwrap();
        println!("in order:      {counts:?}");
    });
    pool.shutdown();
    println!("children left: {}", pool.children().len());
}
