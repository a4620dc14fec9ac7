//! The clients: plain threads with blocking sockets, so that no stall of the service is also theirs.
//!
//! `/digest` and `/page` clients ask again a moment after they are answered, as people do. (Without that pause the next
//! request is there before hyper has looked away, and one connection keeps the thread for sixteen in a row.) The `/health` client asks on a schedule, every
//! millisecond, answered or not, and each answer is timed from the moment its question was *due*: in a stall of 100 ms
//! a hundred questions pile up, and wait 100 ms, 99 ms, 98 ms, … That is what a hundred users would have seen.
//!
//! Rejected: one connection that asks when it has been answered. It sees a stall of half a second as one slow answer;
//! timed from when they were due, its questions queue behind each other, and it sees its own queue instead.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::client::{Client, invalid, send};
use crate::input::STARTS;
use crate::mode::Mode;
use crate::options::Options;
use crate::service::{Service, Work};

/// Time between two pings.
pub(crate) const EVERY: Duration = Duration::from_millis(1);

/// Connections of the `/health` client: enough that a service which answers a few questions at a time on each of them
/// catches up after a stall, and few enough for the usual limit of open files.
const USERS: usize = 64;

/// Load runs this long before anything counts: pools start their threads, connections are made.
const WARM_UP: Duration = Duration::from_millis(300);

/// What was measured in one mode.
pub(crate) struct Run {
    pub(crate) mode: Mode,
    pub(crate) start: Instant,
    pub(crate) length: Duration,
    pub(crate) pings: Vec<Ping>,
    /// Answers a second.
    pub(crate) digests: f64,
    pub(crate) pages: f64,
    pub(crate) work: Vec<Work>,
}

/// One question of the `/health` client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ping {
    /// When it was due, counted from the start of the run.
    pub(crate) due: Duration,
    /// From then to its answer.
    pub(crate) took: Duration,
}

/// Follows a run on the terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    pings: AtomicU64,
    slowest: AtomicU64,
}

/// The measured part of a run.
#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
}

/// Loads the service at `address` and gives what was measured.
pub(crate) fn measure(
    mode: Mode,
    options: &Options,
    address: SocketAddr,
    service: &Service,
    progress: &Progress,
) -> io::Result<Run> {
    // Before the load: on a service that stalls, each of them would take a stall to make.
    let users = connect(address)?;
    let length = options.length();
    let start = Instant::now() + WARM_UP;
    let window = Window { start, end: start + length };
    let input = service.input();

    let (pings, digests, pages) = thread::scope(|scope| {
        let ping = scope.spawn(move || ping(users, window, progress));
        let digests: Vec<_> = (0..options.digest_clients)
            .map(|client| {
                scope.spawn(move || {
                    repeat(address, window, options.pause(), |connection, round| {
                        let from = (client + round) % STARTS;
                        check(connection.get(&format!("/digest?from={from}"))?, input.expected(from))
                    })
                })
            })
            .collect();
        let pages: Vec<_> = (0..options.page_clients)
            .map(|client| {
                scope.spawn(move || {
                    repeat(address, window, options.pause(), |connection, round| {
                        let number = 1000 * client + round;
                        check(connection.get(&format!("/page?number={number}"))?, &format!("/{number}"))
                    })
                })
            })
            .collect();
        while !ping.is_finished() {
            progress.show(window);
            thread::sleep(Duration::from_millis(100));
        }
        let sum = |clients: Vec<thread::ScopedJoinHandle<'_, io::Result<f64>>>| -> io::Result<f64> {
            clients.into_iter().map(joined).sum()
        };
        // Every thread ends by itself, so an error of one may wait until all have been asked.
        (joined(ping), sum(digests), sum(pages))
    });
    Ok(Run { mode, start, length, pings: pings?, digests: digests?, pages: pages?, work: service.work() })
}

/// The connections of the `/health` client, each of them tried.
fn connect(address: SocketAddr) -> io::Result<Vec<Client>> {
    let user = |_| {
        let mut client = Client::connect(address)?;
        check(client.get("/health")?, "well")?;
        Ok(client)
    };
    (0..USERS).map(user).collect()
}

/// Asks `/health` on schedule, whether or not the last question has been answered.
///
/// One thread asks, going round the connections; each connection has a thread that receives. Answers come in order,
/// so the `n`th answer on connection `c` belongs to ping `c + n * USERS`.
fn ping(users: Vec<Client>, window: Window, progress: &Progress) -> io::Result<Vec<Ping>> {
    let mut senders = users.iter().map(Client::sender).collect::<io::Result<Vec<_>>>()?;
    let due: Vec<_> = (0..).map(|n| EVERY * n).take_while(|due| *due < window.end - window.start).collect();

    let mut pings = thread::scope(|scope| {
        let receivers: Vec<_> = users
            .into_iter()
            .enumerate()
            .map(|(user, client)| {
                let mine: Vec<_> = due.iter().copied().skip(user).step_by(USERS).collect();
                scope.spawn(move || receive(client, &mine, window.start, progress))
            })
            .collect();
        for (due, user) in due.iter().zip((0..USERS).cycle()) {
            thread::sleep((window.start + *due).saturating_duration_since(Instant::now()));
            send(&mut senders[user], "/health")?;
        }
        receivers.into_iter().map(joined).collect::<io::Result<Vec<_>>>()
    })?
    .concat();
    pings.sort_unstable_by_key(|ping| ping.due);
    Ok(pings)
}

/// Receives the answers to the pings that were due at `due` on one connection.
fn receive(
    mut client: Client,
    due: &[Duration],
    start: Instant,
    progress: &Progress,
) -> io::Result<Vec<Ping>> {
    let mut pings = Vec::with_capacity(due.len());
    for due in due {
        check(client.receive()?, "well")?;
        let took = (start + *due).elapsed();
        pings.push(Ping { due: *due, took });
        progress.ping(took);
    }
    Ok(pings)
}

/// Asks again and again until the window ends; gives answers a second.
///
/// Only whole requests count, over the time they took together: a request cut off at either end would make a slow
/// service look faster or slower than it is.
fn repeat(
    address: SocketAddr,
    window: Window,
    pause: Duration,
    mut ask: impl FnMut(&mut Client, usize) -> io::Result<()>,
) -> io::Result<f64> {
    let mut client = Client::connect(address)?;
    let mut first = None;
    let mut counted = 0_u32;
    for round in 0.. {
        let now = Instant::now();
        if now >= window.end {
            break;
        }
        ask(&mut client, round)?;
        if now >= window.start {
            first.get_or_insert(now);
            counted += 1;
        }
        thread::sleep(pause);
    }
    Ok(first.map_or(0.0, |first| f64::from(counted) / first.elapsed().as_secs_f64()))
}

fn check(answer: &str, expected: &str) -> io::Result<()> {
    if answer == expected {
        return Ok(());
    }
    Err(invalid(&format!("a wrong answer: {answer:?} instead of {expected:?}")))
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    thread.join().map_err(|_| io::Error::other("a client panicked"))?
}

impl Progress {
    pub(crate) fn to(bar: &ProgressBar) -> Self {
        Self { bar: bar.clone(), pings: AtomicU64::new(0), slowest: AtomicU64::new(0) }
    }

    // Relaxed throughout: numbers for the eye, nothing is read through them.

    fn ping(&self, took: Duration) {
        self.pings.fetch_add(1, Ordering::Relaxed);
        self.slowest.fetch_max(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn show(&self, window: Window) {
        let length = window.end - window.start;
        let done = window.start.elapsed().min(length);
        self.bar.set_message(format!(
            "{:4.1} of {:.1} s · {:5} pings, slowest {:3} ms",
            done.as_secs_f64(),
            length.as_secs_f64(),
            self.pings.load(Ordering::Relaxed),
            self.slowest.load(Ordering::Relaxed),
        ));
        self.bar.set_length(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
        self.bar.set_position(u64::try_from(done.as_millis()).unwrap_or(u64::MAX));
    }
}
