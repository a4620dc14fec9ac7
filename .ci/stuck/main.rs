//! `stuck naps|reads|computes`: a task gets stuck in its poll, and the first report that has a backtrace is printed.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::process::{ChildStdout, Command, Stdio, exit};
use std::time::Duration;

use unstuck::Runtime;

#[inline(never)]
fn naps_in_a_poll() {
    loop {
        std::thread::sleep(Duration::from_secs(60));
        black_box(());
    }
}

#[inline(never)]
fn reads_in_a_poll(mut pipe: ChildStdout) {
    while pipe.read(&mut [0]).is_ok() {
        black_box(());
    }
}

#[inline(never)]
fn computes_in_a_poll() {
    let mut sum = 0_u64;
    loop {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(7));
    }
}

fn main() {
    let how = std::env::args().nth(1).unwrap_or_default();
    let runtime = Runtime::builder()
        .worker_threads(2)
        .on_stall(|report| {
            if report.backtrace.is_taken() {
                println!("{report}");
                let _ = io::stdout().flush();
                exit(0);
            }
        })
        .build()
        .expect("a runtime");
    // It says nothing until its input ends, which is when we are over.
    let mut echo =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cat is everywhere");
    let pipe = echo.stdout.take().expect("a pipe");
    runtime.block_on(runtime.spawn(async move {
        match how.as_str() {
            "naps" => naps_in_a_poll(),
            "reads" => reads_in_a_poll(pipe),
            "computes" => computes_in_a_poll(),
            _ => panic!("say naps, reads or computes"),
        }
    }))
    .expect("one of the three");
}
