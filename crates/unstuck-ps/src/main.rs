//! The command; see the library beside it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    match unstuck_ps::run(std::env::args_os().skip(1).collect(), &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("unstuck-ps: {}", failure.message);
            ExitCode::from(failure.status)
        }
    }
}
