//! The ways to run the service, and the only room that starts a runtime.
//!
//! Each mode gets a fresh runtime on a thread of its own, is loaded and measured from outside, and is then told to
//! stop: its main future ends, `run` cancels and awaits what is left, and the next mode starts from nothing.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use unstuck::{Deferred, Runtime, StallPolicy};

use crate::load::{self, Progress, Run};
use crate::options::Options;
use crate::service::{Service, Style};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    SingleInline,
    MultiInline,
    Rescued,
    Offloaded,
}

impl Mode {
    pub(crate) const ALL: [Mode; 4] = [Mode::SingleInline, Mode::MultiInline, Mode::Rescued, Mode::Offloaded];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Mode::SingleInline => "single-threaded, inline",
            Mode::MultiInline => "multi-threaded, inline",
            Mode::Rescued => "multi-threaded, inline, rescued",
            Mode::Offloaded => "multi-threaded, to_thread + cpu",
        }
    }

    pub(crate) fn style(self) -> Style {
        match self {
            Mode::SingleInline | Mode::MultiInline | Mode::Rescued => Style::Inline,
            Mode::Offloaded => Style::Offloaded,
        }
    }
}

/// Runs the service in one mode, under load, and gives what was measured.
pub(crate) fn measure(
    mode: Mode,
    options: &Options,
    service: &Service,
    progress: &Progress,
) -> io::Result<Run> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let stop = Deferred::new();
    thread::scope(|scope| {
        let server = thread::Builder::new().name("service".into()).spawn_scoped(scope, {
            let stop = stop.clone();
            move || run(mode, options, service, listener, stop)
        })?;
        let run = load::measure(mode, options, address, service, progress);
        // Only refuses a second result; this is the first.
        let _ = stop.set_result(());
        server.join().map_err(|_| io::Error::other("the service panicked"))??;
        run
    })
}

fn run(
    mode: Mode,
    options: &Options,
    service: &Service,
    listener: TcpListener,
    stop: Deferred<()>,
) -> io::Result<()> {
    let serving = service.serve(listener, async move {
        // The value is nothing and cannot fail: this only waits for it.
        drop(stop.await);
    });
    let builder = Runtime::builder().worker_threads(options.workers()).cpu_threads(options.cpu_threads());
    match mode {
        Mode::SingleInline => builder.build_single()?.run(serving),
        // As other runtimes are: nobody notices a poll that does not come back.
        Mode::MultiInline => builder.stall_guard(StallPolicy::Off).build()?.run(serving),
        // As unstuck comes.
        Mode::Rescued | Mode::Offloaded => builder.build()?.run(serving),
    }
}
