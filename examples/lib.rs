//! What the tutorial examples share. Read it once; it is short.
//!
//! [`say!`] puts the loop's clock in front of a line, [`delay`] is the tutorial's sleep that talks, [`Heartbeat`] notices
//! when a loop stands still, [`primes_below`] is something to compute and [`SlowServer`] something to wait for.
//!
//! Every example has the same shape: `tutorial` is the lesson, `main` chooses the runtime that it runs on. (The tests play
//! the same `tutorial` on a clock that does not make them wait.)

use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use unstuck::{Instant, Task, sleep, spawn};

/// `sleep(2 * SECOND).await` reads well.
pub const SECOND: Duration = Duration::from_secs(1);

/// Prints a line with the loop's time in front of it: ` 1.0 s  finished`.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {
        $crate::print_with_time(format_args!($($text)*))
    };
}

/// What [`say!`] calls. Only inside a runtime: elsewhere there is no loop's time.
pub fn print_with_time(text: fmt::Arguments<'_>) {
    println!("{:4.1} s  {text}", unstuck::time().as_secs_f64());
}

/// Sleeps, and says so before and after: the function that most of the tutorial is told with.
pub async fn delay(seconds: u64) -> u64 {
    say!("sleeping for {seconds} second(s)");
    sleep(Duration::from_secs(seconds)).await;
    say!("finished sleeping for {seconds} second(s)");
    seconds
}

/// A task that beats every 50 ms and remembers the longest time without a beat. On a healthy loop that is little more
/// than 50 ms; when somebody blocks the loop, it is as long as they did.
#[derive(Debug)]
pub struct Heartbeat {
    beats: Arc<Mutex<Beats>>,
    task: Task<()>,
}

#[derive(Debug)]
struct Beats {
    last: Instant,
    longest_gap: Duration,
}

impl Heartbeat {
    /// Starts to beat.
    pub fn start() -> Self {
        let beats = Arc::new(Mutex::new(Beats { last: Instant::now(), longest_gap: Duration::ZERO }));
        let task = spawn({
            let beats = beats.clone();
            async move {
                loop {
                    sleep(Duration::from_millis(50)).await;
                    beat(&beats);
                }
            }
        });
        Self { beats, task }
    }

    /// Stops, and gives the longest time without a beat, in seconds.
    pub fn stop(self) -> f64 {
        self.task.cancel();
        beat(&self.beats).as_secs_f64() // the loop may have stood still up to this moment
    }
}

fn beat(beats: &Mutex<Beats>) -> Duration {
    let mut beats = beats.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    beats.longest_gap = beats.longest_gap.max(now - beats.last);
    beats.last = now;
    beats.longest_gap
}

/// Counts primes in the slowest way, and so computes for long: it stands for every parser, image and checksum.
pub fn primes_below(end: u64) -> u64 {
    let mut primes = 0;
    for number in 2..end {
        let mut divisor = 2;
        while divisor * divisor <= number && number % divisor != 0 {
            divisor += 1;
        }
        if divisor * divisor > number {
            primes += 1;
        }
    }
    primes
}

/// A server on this machine that is slow to answer: it stands for every website, database and file that a program waits
/// for.
#[derive(Clone, Copy, Debug)]
pub struct SlowServer {
    /// Where to connect.
    pub address: SocketAddr,
}

impl SlowServer {
    /// Starts the server on threads of its own. Whoever connects is told `200 OK` after a call of `before_answer`.
    pub fn start(before_answer: fn()) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                thread::spawn(move || {
                    before_answer();
                    connection.write_all(b"200 OK")
                });
            }
        });
        Ok(Self { address })
    }
}
