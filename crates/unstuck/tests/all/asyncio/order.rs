//! The exact order of the tutorials' programs, on a virtual clock: one thread, first in first out.

use std::time::Duration;

use unstuck::{Handle, cpu, gather, sleep, spawn, to_thread, yield_now};

use super::Log;

const SECOND: Duration = Duration::from_secs(1);

fn seconds() -> u64 {
    assert_eq!(unstuck::time().subsec_nanos(), 0);
    unstuck::time().as_secs()
}

#[unstuck::test(flavor = "single", paused)]
async fn two_sleeping_tasks_let_the_third_speak_every_second() {
    let log = Log::new();
    let delay = |name: &'static str| {
        let log = log.clone();
        spawn(async move {
            log.say(format!("{} {name} sleeps", seconds()));
            sleep(3 * SECOND).await;
            log.say(format!("{} {name} woke", seconds()));
        })
    };
    let (first, second) = (delay("first"), delay("second"));
    let hello_every_second = {
        let log = log.clone();
        async move {
            for _ in 0..2 {
                sleep(SECOND).await;
                log.say(format!("{} hello", seconds()));
            }
        }
    };
    log.say("0 main");
    hello_every_second.await;
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(
        log.lines(),
        [
            "0 main",
            "0 first sleeps",
            "0 second sleeps",
            "1 hello",
            "2 hello",
            "3 first woke",
            "3 second woke"
        ]
    );
}

#[unstuck::test(flavor = "single", paused)]
async fn awaits_one_after_the_other_add_up_and_tasks_do_not() {
    let nap = || async {
        sleep(3 * SECOND).await;
    };
    nap().await;
    nap().await;
    assert_eq!(seconds(), 6);
    let naps = [spawn(nap()), spawn(nap()), spawn(nap())];
    for nap in naps {
        nap.await.unwrap();
    }
    assert_eq!(seconds(), 9);
    gather!(nap(), nap(), nap()).await;
    assert_eq!(seconds(), 12);
}

#[unstuck::test(flavor = "single", paused)]
async fn a_call_soon_comes_at_the_next_turn_before_what_sleeps() {
    let log = Log::new();
    let called = log.clone();
    log.say("before");
    Handle::current().call_soon(move || called.say("Hallo"));
    log.say("after call_soon");
    sleep(SECOND).await;
    log.say("woke");
    assert_eq!(log.lines(), ["before", "after call_soon", "Hallo", "woke"]);
}

#[unstuck::test(flavor = "single", paused)]
async fn tasks_and_calls_share_one_queue_first_in_first_out() {
    let log = Log::new();
    let handle = Handle::current();
    let mut tasks = Vec::new();
    for number in 0..4 {
        let log = log.clone();
        if number % 2 == 0 {
            tasks.push(spawn(async move {
                log.say(format!("{number}a"));
                yield_now().await;
                log.say(format!("{number}b"));
            }));
        } else {
            handle.call_soon(move || log.say(format!("{number}")));
        }
    }
    assert_eq!(log.lines(), [""; 0], "nothing starts before the creator awaits");
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(log.lines(), ["0a", "1", "2a", "3", "0b", "2b"]);
}

#[unstuck::test(flavor = "single", paused)]
async fn a_sleep_of_zero_makes_one_trip_through_the_queue() {
    let log = Log::new();
    let other = log.clone();
    let task = spawn(async move {
        for number in 0..3 {
            other.say(format!("task {number}"));
            sleep(Duration::ZERO).await;
        }
    });
    for number in 0..3 {
        log.say(format!("main {number}"));
        sleep(Duration::ZERO).await;
    }
    task.await.unwrap();
    assert_eq!(log.lines(), ["main 0", "task 0", "main 1", "task 1", "main 2", "task 2"]);
    assert_eq!(seconds(), 0);
}

#[unstuck::test(flavor = "single", paused)]
async fn tasks_that_compute_run_one_after_the_other() {
    let log = Log::new();
    let compute = |name: &'static str| {
        let log = log.clone();
        spawn(async move {
            log.say(format!("{name} starts"));
            std::hint::black_box((0..10_000_u64).sum::<u64>());
            log.say(format!("{name} ends"));
        })
    };
    let (one, two) = (compute("one"), compute("two"));
    one.await.unwrap();
    two.await.unwrap();
    assert_eq!(log.lines(), ["one starts", "one ends", "two starts", "two ends"]);
}

#[unstuck::test(flavor = "single", paused)]
async fn timers_fire_in_the_order_of_their_deadlines_and_equal_ones_in_the_order_of_arming() {
    let log = Log::new();
    let tasks = [3, 1, 2, 1, 3].into_iter().enumerate().map(|(place, delay)| {
        let log = log.clone();
        spawn(async move {
            sleep(delay * SECOND).await;
            log.say(format!("{delay} from {place}"));
        })
    });
    gather(tasks).await;
    assert_eq!(log.lines(), ["1 from 1", "1 from 3", "2 from 2", "3 from 0", "3 from 4"]);
}

#[unstuck::test(flavor = "single", paused)]
async fn while_calls_run_on_other_threads_the_loop_goes_on() {
    let log = Log::new();
    let other = log.clone();
    let (open, closed) = std::sync::mpsc::channel();
    let task = spawn(async move {
        other.say("the loop goes on");
        open.send(()).unwrap();
    });
    let (waited, computed) = gather!(to_thread(move || closed.recv().unwrap()), cpu(|| 42)).await;
    waited.unwrap();
    log.say(format!("computed {}", computed.unwrap()));
    task.await.unwrap();
    assert_eq!(log.lines(), ["the loop goes on", "computed 42"]);
}
