//! Ends of processes, stacks and threads that a test process itself would not survive.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::time::Duration;

use unstuck::{Runtime, sleep, spawn};

use crate::support::{Gate, alone, in_child, text};

#[test]
fn process_exit_in_a_task_exits_with_its_code() {
    for single in ["0", "1"] {
        let body = || {
            let single = std::env::var("SINGLE").unwrap() == "1";
            let main = async {
                drop(spawn(sleep(Duration::MAX)));
                drop(unstuck::to_thread(|| Gate::new().pass())); // runs for ever
                spawn(async { std::process::exit(7) }).await.unwrap();
            };
            if single { unstuck::run_single(main) } else { unstuck::run(main) }
        };
        let Some(output) = in_child(&["env", &format!("SINGLE={single}")], body) else { return };
        assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    }
}

#[test]
fn a_runtime_in_a_thread_local_or_a_static_does_not_abort_at_the_end() {
    thread_local! {
        static KEPT: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    }
    static FOR_EVER: OnceLock<Runtime> = OnceLock::new();
    alone(|| {
        let runtime = || {
            let runtime = Runtime::builder().worker_threads(2).build().unwrap();
            drop(runtime.spawn(sleep(Duration::MAX)));
            assert_eq!(runtime.block_on(runtime.spawn(async { 42 })).unwrap(), 42);
            runtime
        };
        std::thread::spawn(move || KEPT.set(Some(runtime()))).join().unwrap();
        KEPT.set(Some(runtime()));
        FOR_EVER.set(runtime()).unwrap();
    });
}

#[test]
fn a_guard_in_a_thread_local_may_outlive_everything() {
    thread_local! {
        static GUARD: RefCell<Option<unstuck::EnterGuard>> = const { RefCell::new(None) };
    }
    alone(|| {
        let runtime = Runtime::builder().worker_threads(1).build().unwrap();
        let handle = runtime.handle();
        std::thread::spawn(move || GUARD.set(Some(handle.enter()))).join().unwrap();
        GUARD.set(Some(runtime.enter()));
    });
}

/// Uses a kilobyte of stack per call, for ever.
fn dig(depth: u64) -> u64 {
    let ballast = std::hint::black_box([depth; 128]);
    if depth == u64::MAX { 0 } else { dig(depth + 1) + ballast[(depth % 128) as usize] }
}

#[test]
fn a_stack_overflow_in_a_task_aborts_and_names_the_worker() {
    let Some(output) = in_child(&[], || {
        let runtime = Runtime::builder().worker_threads(1).thread_name("web").build().unwrap();
        let _ = runtime.block_on(runtime.spawn(async { dig(0) }));
    }) else {
        return;
    };
    assert!(!output.status.success());
    assert!(text(&output).contains("thread 'web-0'"), "{}", text(&output));
    assert!(text(&output).contains("overflowed its stack"), "{}", text(&output));
}

#[test]
fn the_stack_size_can_be_set() {
    alone(|| {
        // 16 MiB of frames overflow the default stack of 2 MiB.
        fn deep(left: u32) -> u32 {
            let ballast = std::hint::black_box([left; 256]);
            if left == 0 { 0 } else { deep(left - 1) + u32::from(ballast[7] == left) }
        }
        let runtime = Runtime::builder().worker_threads(1).thread_stack_size(64 << 20).build().unwrap();
        assert_eq!(runtime.block_on(runtime.spawn(async { deep(16_384) })).unwrap(), 16_384);
        assert_eq!(runtime.handle().spawn_blocking(|| deep(16_384)).wait().unwrap(), 16_384);
    });
}

#[test]
fn a_future_of_a_mebibyte_is_spawned_and_run() {
    alone(|| {
        let runtime = Runtime::builder().worker_threads(1).thread_stack_size(32 << 20).build().unwrap();
        // Made where there is stack enough: an unoptimized build moves it a few times before it is boxed.
        let maker = std::thread::Builder::new().stack_size(32 << 20).spawn(move || {
            let task = runtime.spawn(async {
                let ballast = std::hint::black_box([1_u8; 1 << 20]);
                unstuck::yield_now().await;
                ballast.iter().map(|&byte| u32::from(byte)).sum::<u32>()
            });
            runtime.block_on(task).unwrap()
        });
        assert_eq!(maker.unwrap().join().unwrap(), 1 << 20);
    });
}
