//! What the processes do that are watched. Each line that counts begins with "> ", since the test harness talks, too.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use unstuck::offload::{self, Overflow, ThreadPool};
use unstuck::process::ProcessPool;
use unstuck::{Runtime, StallPolicy, cpu, fs, spawn, to_thread};

use crate::watch::PLAY;

unstuck::process::serve_in_tests!();

macro_rules! say {
    ($($what:tt)*) => { println!("> {}", format_args!($($what)*)) };
}

/// Played in a process of its own: see watch.rs.
#[test]
#[ignore = "the other tests run it as a child"]
fn play_one() {
    let name = std::env::var(PLAY).unwrap();
    match name.as_str() {
        "tokio: behind" => tokio_behind(),
        "smol: behind" => smol_behind(),
        "rayon: behind" => rayon_behind(),
        "unstuck: behind" => unstuck_behind(),
        "unstuck: behind, cpu" => unstuck_behind_on_cpu(),
        "tokio: file" => tokio_file(),
        "unstuck: file" => unstuck_file(),
        "tokio: queue" => tokio_queue(),
        "unstuck: queue" => unstuck_queue(),
        "tokio: cancel" => tokio_cancel(),
        "unstuck: cancel" => unstuck_cancel(),
        "tokio: drop" => tokio_drop(),
        "unstuck: drop" => unstuck_drop(),
        "tokio: no thread" => tokio_without_threads(),
        "unstuck: no thread" => unstuck_without_threads(),
        "rayon: panic" => rayon_panic(),
        "unstuck: panic" => unstuck_panic(),
        "smol: burst" => smol_burst(),
        "unstuck: burst" => unstuck_burst(),
        "tokio and rayon: share" => tokio_and_rayon_share(),
        "unstuck: share" => unstuck_share(),
        "unstuck: killed child" => unstuck_killed_child(),
        _ => panic!("nobody plays '{name}'"),
    }
}

/// tokio with one worker, and so many threads for calls that block.
fn tokio(blocking: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(blocking)
        .enable_time()
        .build()
        .unwrap()
}

/// unstuck with one worker, so many threads for calls that block, and one that computes.
fn unstuck(blocking: usize) -> Runtime {
    Runtime::builder().worker_threads(1).max_blocking_threads(blocking).cpu_threads(1).build().unwrap()
}

fn sleep_for_ever() -> ! {
    loop {
        thread::park();
    }
}

fn tokio_behind() {
    let runtime = tokio(1);
    let outer = runtime.spawn_blocking(|| {
        say!("begun");
        let inner = tokio::task::spawn_blocking(|| 40);
        tokio::runtime::Handle::current().block_on(inner).unwrap() + 2
    });
    say!("{}", runtime.block_on(outer).unwrap());
}

fn smol_behind() {
    // Its pool reads the variable when it is first used: a program without threads may still set it.
    let outer = blocking::unblock(|| {
        say!("begun");
        // One after another until the pool has no threads left, whatever its limit is.
        fn nest() -> u64 {
            1 + futures_lite::future::block_on(blocking::unblock(nest))
        }
        nest()
    });
    say!("{}", futures_lite::future::block_on(outer));
}

fn rayon_behind() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (tell, told) = channel();
    pool.spawn(move || {
        say!("begun");
        let (give, given) = channel();
        rayon::spawn(move || give.send(40).unwrap());
        tell.send(given.recv().unwrap() + 2).unwrap();
    });
    say!("{}", told.recv().unwrap());
}

fn unstuck_behind() {
    let runtime = unstuck(1);
    let outer = runtime.handle().spawn_blocking(|| to_thread(|| 40).wait().unwrap() + 2);
    say!("{}", outer.wait().unwrap());
}

fn unstuck_behind_on_cpu() {
    let outer = async { cpu(|| cpu(|| 40).wait().unwrap() + 2).await };
    say!("{}", unstuck(1).block_on(outer).unwrap());
}

/// The calls that fill the pool end when the file has been read.
fn tokio_file() {
    tokio(2).block_on(async {
        let all = Arc::new(Barrier::new(3));
        let calls = [(); 2].map(|()| {
            let all = all.clone();
            tokio::task::spawn_blocking(move || all.wait())
        });
        say!("begun");
        tokio::fs::read_to_string("Cargo.toml").await.unwrap();
        all.wait();
        for call in calls {
            call.await.unwrap();
        }
        say!("read");
    });
}

fn unstuck_file() {
    unstuck(2).block_on(async {
        let all = Arc::new(Barrier::new(3));
        let calls = [(); 2].map(|()| {
            let all = all.clone();
            to_thread(move || all.wait())
        });
        fs::read_to_string("Cargo.toml").await.unwrap();
        all.wait();
        for call in calls {
            call.await.unwrap();
        }
        say!("read");
    });
}

const FLOOD: usize = 20_000;

fn tokio_queue() {
    let runtime = tokio(1);
    let (open, gate) = channel::<()>();
    let held = runtime.spawn_blocking(move || _ = gate.recv());
    let jobs: Vec<_> = (0..FLOOD).map(|n| runtime.spawn_blocking(move || n)).collect();
    let refused = jobs.iter().filter(|job| job.is_finished()).count();
    drop(open);
    runtime.block_on(held).unwrap();
    say!("{refused} of {FLOOD} refused");
}

fn unstuck_queue() {
    let pool = ThreadPool::builder().max_threads(1).queue(100, Overflow::Reject).build().unwrap();
    let ((open, gate), (tell, told)) = (channel::<()>(), channel());
    let held = pool.spawn(move || (tell.send(()).unwrap(), gate.recv().is_err()));
    told.recv().unwrap();
    let jobs: Vec<_> = (0..FLOOD).map(|n| pool.spawn(move || n)).collect();
    let refused = jobs.iter().filter(|job| job.is_done()).count();
    drop(open);
    held.wait().unwrap();
    say!("{refused} of {FLOOD} refused");
}

fn tokio_cancel() {
    let runtime = tokio(1);
    let (tell, told) = channel();
    let job = runtime.spawn_blocking(move || {
        tell.send(()).unwrap();
        sleep_for_ever() // it has nobody to ask
    });
    told.recv().unwrap();
    say!("begun");
    job.abort();
    let ended = runtime.block_on(job);
    say!("{ended:?}");
}

fn unstuck_cancel() {
    let runtime = unstuck(1);
    let (tell, told) = channel();
    let job = runtime.handle().spawn_blocking(move || {
        tell.send(()).unwrap();
        while offload::check().is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
        "it heard"
    });
    told.recv().unwrap();
    job.cancel();
    say!("{}", job.wait().unwrap());
}

fn tokio_drop() {
    let runtime = tokio(1);
    let (tell, told) = channel();
    runtime.spawn_blocking(move || {
        tell.send(()).unwrap();
        sleep_for_ever()
    });
    told.recv().unwrap();
    say!("begun");
    drop(runtime);
    say!("gone");
}

fn unstuck_drop() {
    let runtime = unstuck(1);
    let (tell, told) = channel();
    let _entered = runtime.enter();
    let stuck = offload::call().name("stuck").spawn(move || {
        tell.send(()).unwrap();
        sleep_for_ever()
    });
    told.recv().unwrap();
    let report = runtime.shutdown_timeout(Duration::from_millis(10));
    say!("{}", report.to_string().replace('\n', " "));
    drop((report, stuck));
    say!("gone");
}

/// More than any address space has.
const STACK: usize = 1 << 60;

fn tokio_without_threads() {
    let runtime = tokio::runtime::Builder::new_current_thread().thread_stack_size(STACK).build().unwrap();
    match panic::catch_unwind(AssertUnwindSafe(|| runtime.spawn_blocking(|| ()))) {
        Ok(_) => say!("taken in"),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map_or("?", String::as_str);
            say!("submitting panicked: {text}");
        }
    }
}

fn unstuck_without_threads() {
    let pool = ThreadPool::builder().stack_size(STACK).build().unwrap();
    say!("{}", pool.spawn(|| ()).wait().unwrap_err());
}

fn rayon_panic() {
    let (tell, told) = channel::<()>();
    rayon::spawn(move || {
        let _tell = tell;
        panic!("oh");
    });
    say!("{:?}", told.recv());
    sleep_for_ever()
}

fn unstuck_panic() {
    unstuck(1).block_on(async {
        let error = cpu(|| -> () { panic!("oh") }).await.unwrap_err();
        let next = cpu(|| 42).await.unwrap();
        say!("its error: {}; the next: {next}", error.panic_message().unwrap());
    });
}

const BURST: usize = 200;

/// Runs when all 200 have begun: each on a thread of its own.
fn meets(all: &Arc<Barrier>) -> impl FnOnce() + Send + 'static {
    let all = all.clone();
    move || _ = all.wait()
}

fn smol_burst() {
    let all = Arc::new(Barrier::new(BURST));
    let jobs: Vec<_> = (0..BURST).map(|_| blocking::unblock(meets(&all))).collect();
    jobs.into_iter().for_each(futures_lite::future::block_on);
    say!("done");
    sleep_for_ever()
}

fn unstuck_burst() {
    let keep_alive = Duration::from_millis(300);
    let runtime = Runtime::builder().worker_threads(1).blocking_keep_alive(keep_alive).build().unwrap();
    let all = Arc::new(Barrier::new(BURST));
    let jobs: Vec<_> = (0..BURST).map(|_| runtime.handle().spawn_blocking(meets(&all))).collect();
    jobs.into_iter().for_each(|job| job.wait().unwrap());
    say!("done");
    sleep_for_ever()
}

/// The CPU time that the calling thread has had, in ms.
fn cpu_time() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}

/// Computes until `enough`, and gives the CPU time that this thread has had meanwhile.
fn burn(enough: impl Fn(f64) -> bool) -> f64 {
    let before = cpu_time();
    loop {
        let had = cpu_time() - before;
        if enough(had) {
            return had;
        }
        (0..1_000).for_each(|_| std::hint::spin_loop());
    }
}

/// Two that compute side by side, on one CPU: a poll until it has had 400 ms of it, and a job until the poll has ended.
#[derive(Clone)]
struct Share {
    begin: Arc<Barrier>,
    over: Arc<AtomicBool>,
}

impl Share {
    fn new() -> Self {
        Self { begin: Arc::new(Barrier::new(2)), over: Arc::default() }
    }

    fn poll(&self) -> f64 {
        self.begin.wait();
        let had = burn(|had| had > 400.0);
        // Relaxed: it carries nothing, here and below.
        self.over.store(true, Ordering::Relaxed);
        had
    }

    fn job(&self) -> f64 {
        self.begin.wait();
        burn(|_| self.over.load(Ordering::Relaxed))
    }
}

fn tokio_and_rayon_share() {
    let runtime = tokio(1);
    let share = Share::new();
    let in_job = share.clone();
    let (tell, told) = channel();
    rayon::spawn(move || tell.send(in_job.job()).unwrap());
    let had = runtime.block_on(runtime.spawn(async move { share.poll() })).unwrap();
    say!("{:.3}", told.recv().unwrap() / had);
}

fn unstuck_share() {
    let runtime =
        Runtime::builder().worker_threads(1).cpu_threads(1).stall_guard(StallPolicy::Off).build().unwrap();
    let share = Share::new();
    let in_job = share.clone();
    runtime.block_on(async move {
        let job = cpu(move || in_job.job());
        let had = spawn(async move { share.poll() }).await.unwrap();
        say!("{:.3}", job.await.unwrap() / had);
    });
}

fn unstuck_killed_child() {
    let pool = ProcessPool::builder().max_children(1).forward_stderr(false).build().unwrap();
    let killed = pool.spawn(dies::job()).wait().unwrap_err();
    let next = pool.spawn(double::job(21)).wait().unwrap();
    say!("it was killed by {}; the next: {next}", killed.signal().unwrap());
}

#[unstuck::job]
fn double(n: u32) -> u32 {
    2 * n
}

#[unstuck::job]
fn dies() {
    let own = std::process::id().to_string();
    let _ = std::process::Command::new("kill").args(["-9", &own]).status();
}
