//! What users and the system can do wrong.

use std::io;
use std::sync::atomic::AtomicBool;

use super::*;

/// Panics when dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the bomb went off (this test wants that)");
    }
}

#[test]
fn a_panic_is_the_jobs_error_and_not_the_end_of_the_process() {
    let pool = pool(1);
    let line = line!() + 1;
    let error = block_on(pool.spawn(|| -> () { panic!("no bread") })).unwrap_err();
    assert_eq!(error.panic_message(), Some("no bread"));
    assert_eq!((error.place().file(), error.place().line()), (file!(), line));
    assert_eq!(pool.spawn(|| "alive").wait().unwrap(), "alive");
}

#[test]
fn a_panic_on_a_plain_rayon_pool_is_the_jobs_error_too() {
    let plain = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let error = plain.submit(|| -> () { panic!("no bread") }, Options::new()).wait().unwrap_err();
    assert_eq!(error.panic_message(), Some("no bread"));
}

#[test]
fn panicking_destructors_do_not_end_the_process() {
    let pool = pool(1);
    let mut gate = Gate::new();
    drop(pool.spawn(gate.job(Bomb)));
    let bomb = Bomb;
    assert!(pool.spawn(move || std::mem::forget(bomb)).cancel());
    gate.open();
    let bomb = Bomb;
    assert!(pool.spawn(move || drop(bomb)).wait().unwrap_err().is_panic());
    assert_eq!(pool.spawn(|| "alive").wait().unwrap(), "alive");
}

#[test]
fn a_panic_in_a_parallel_iterator_or_in_rayons_spawn_does_not_end_the_process() {
    let pool = pool(2);
    let error = pool
        .spawn(|| (0..100).into_par_iter().for_each(|n| assert!(n != 50, "fifty (this test wants that)")))
        .wait()
        .unwrap_err();
    assert!(error.is_panic());
    pool.install(|| rayon::spawn(|| panic!("nobody's job (this test wants that)")));
    assert_eq!(pool.spawn(|| "alive").wait().unwrap(), "alive");
}

#[test]
fn a_panicking_initializer_breaks_the_pool_and_says_so() {
    let pool = CpuPool::builder()
        .threads(2)
        .initializer(|| panic!("no scales (this test wants that)"))
        .build()
        .unwrap();
    until("a job is refused", || {
        let refused = pool.spawn(|| ()).wait();
        refused.is_err_and(|error| error.is_rejected() && error.to_string().contains("initializer panicked"))
    });
    pool.shutdown();
}

#[test]
fn the_initializer_runs_once_on_each_thread() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let pool = CpuPool::builder().threads(3).initializer(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    pool.build().unwrap().shutdown();
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn a_wrapper_that_misbehaves_costs_no_thread() {
    type Wrapper = fn(&mut dyn FnMut());
    let forgets: Wrapper = |_| {};
    let panics: Wrapper = |_| panic!("wrapper (this test wants that)");
    for wrapper in [forgets, panics] {
        let pool = CpuPool::builder().threads(2).around(wrapper).build().unwrap();
        assert_eq!(pool.spawn(|| 1).wait().unwrap(), 1);
        pool.shutdown();
    }
}

#[test]
fn when_a_thread_cannot_be_made_build_fails_and_joins_the_others() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (attempts, lives) = (AtomicUsize::new(0), alive.clone());
    let error = CpuPool::builder()
        .threads(4)
        .spawner(move |builder, body| {
            if attempts.fetch_add(1, Ordering::SeqCst) == 2 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let lives = lives.clone();
            lives.fetch_add(1, Ordering::SeqCst);
            builder.spawn(move || {
                body();
                lives.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(error.to_string().contains("ask for fewer"), "{error}");
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn a_lazy_pool_without_threads_rejects_the_job_and_tries_again_for_the_next() {
    let can = Arc::new(AtomicBool::new(false));
    let switch = can.clone();
    let pool = CpuPool::builder()
        .threads(2)
        .spawner(move |builder, body| {
            if switch.load(Ordering::SeqCst) {
                builder.spawn(body)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        })
        .build_lazy()
        .unwrap();
    let error = pool.spawn(|| ()).wait().unwrap_err();
    assert!(error.is_rejected() && error.to_string().contains("could not be made"), "{error}");
    assert!(pool.start().is_err());
    can.store(true, Ordering::SeqCst);
    assert_eq!(pool.spawn(|| 1).wait().unwrap(), 1);
}

#[test]
fn a_pool_that_could_not_work_is_not_built() {
    assert_eq!(CpuPool::builder().threads(0).build().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert!(CpuPool::builder().name("nul\0").build().is_err());
}
