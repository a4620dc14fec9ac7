//! Plain functions called soon, later, at a time.

use std::sync::mpsc;
use std::time::Duration;

use unstuck::{Deferred, EventLoop, Handle, Instant, Runtime, StallPolicy, sleep};

use super::Log;
use crate::support::Gate;

const SECOND: Duration = Duration::from_secs(1);

both! {
    async fn a_call_comes_once() {
        let (sender, receiver) = mpsc::channel();
        let call = Handle::current().call_soon(move || sender.send(()).unwrap());
        sleep(SECOND).await;
        assert_eq!(receiver.iter().count(), 1);
        assert!(call.is_done() && !call.cancel());
    }
}

#[unstuck::test(flavor = "single", paused)]
async fn later_calls_come_in_the_order_of_their_times() {
    let log = Log::new();
    let handle = Handle::current();
    let now = Instant::now();
    let say = |text: &'static str| {
        let log = log.clone();
        move || log.say(format!("{text} at {}", unstuck::time().as_secs()))
    };
    handle.call_later(3 * SECOND, say("three"));
    handle.call_at(now + 2 * SECOND, say("two"));
    handle.call_later(Duration::ZERO, say("zero"));
    handle.call_at(now, say("now"));
    handle.call_soon(say("soon"));
    sleep(5 * SECOND).await;
    assert_eq!(log.lines(), ["zero at 0", "now at 0", "soon at 0", "two at 2", "three at 3"]);
}

#[unstuck::test(flavor = "single", paused)]
async fn calls_whose_time_has_passed_come_at_once_in_the_order_of_their_times() {
    sleep(10 * SECOND).await;
    let (log, handle, now) = (Log::new(), Handle::current(), Instant::now());
    let say = |text: &'static str| {
        let log = log.clone();
        move || log.say(format!("{text} at {}", unstuck::time().as_secs()))
    };
    handle.call_later(SECOND, say("later"));
    handle.call_later(Duration::ZERO, say("now"));
    handle.call_at(now - SECOND, say("a second ago"));
    let taken_back = handle.call_at(now - 4 * SECOND, say("taken back"));
    handle.call_at(now - 3 * SECOND, say("three seconds ago"));
    handle.call_at(now - 2 * SECOND, || panic!("it goes off (this test wants that)"));
    handle.call_at(now - 3 * SECOND, say("the same time"));
    assert!(taken_back.cancel());
    sleep(2 * SECOND).await;
    let expected =
        ["three seconds ago at 10", "the same time at 10", "a second ago at 10", "now at 10", "later at 11"];
    assert_eq!(log.lines(), expected);
}

both! {
    async fn overdue_calls_all_come() {
        sleep(100 * SECOND).await;
        let (log, handle, now) = (Log::new(), Handle::current(), Instant::now());
        for number in 0..50_u32 {
            let log = log.clone();
            let call = handle.call_at(now - SECOND * (number * 7 % 50), move || log.say(format!("{number}")));
            if number % 5 == 0 {
                call.cancel();
            }
        }
        crate::support::eventually("the others have come", || log.lines().len() >= 40).await;
    }
}

both! {
    async fn a_call_taken_back_never_comes_and_leaves_no_timer() {
        let (sender, receiver) = mpsc::channel::<()>();
        let call = Handle::current().call_later(3600 * SECOND, move || sender.send(()).unwrap());
        sleep(SECOND).await;
        assert!(!call.is_done());
        assert!(call.cancel());
        crate::support::eventually("it has ended", || call.is_done()).await;
        sleep(7200 * SECOND).await;
        assert!(receiver.recv().is_err(), "its sender is gone, unused");
    }
}

both! {
    async fn a_call_that_is_being_made_cannot_be_taken_back() {
        let (ask, asks) = mpsc::channel::<unstuck::CallHandle>();
        let (answer, answers) = mpsc::channel();
        let call = Handle::current().call_later(SECOND, move || {
            let me = asks.recv().unwrap();
            answer.send((me.cancel(), me.is_done())).unwrap();
        });
        ask.send(call).unwrap();
        sleep(2 * SECOND).await;
        assert_eq!(answers.recv(), Ok((false, false)));
    }
}

both! {
    async fn of_two_who_take_a_call_back_one_does() {
        let call = Handle::current().call_later(3600 * SECOND, || unreachable!("it was taken back"));
        assert_eq!((call.cancel(), call.cancel()), (true, false));
        crate::support::eventually("it has ended", || call.is_done()).await;
    }
}

#[test]
fn a_call_that_was_taken_back_never_comes_whoever_is_quicker() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let handle = runtime.handle();
    for _ in 0..10_000 {
        let (sender, receiver) = mpsc::channel();
        let taken_back = handle.call_soon(move || sender.send(()).unwrap()).cancel();
        // The sender is gone when the call was made, or will not be.
        assert_eq!(receiver.recv().is_err(), taken_back);
    }
}

both! {
    async fn a_call_that_panics_stops_neither_the_loop_nor_the_next_call() {
        let (sender, receiver) = mpsc::channel();
        let handle = Handle::current();
        handle.call_soon(|| panic!("the call went off (this test wants that)"));
        handle.call_later(SECOND, move || sender.send(42).unwrap());
        sleep(2 * SECOND).await;
        assert_eq!(receiver.try_recv(), Ok(42));
    }
}

both! {
    async fn a_sleep_of_zero_gives_its_value() {
        assert_eq!(sleep(Duration::ZERO).with(42).await, 42);
        assert_eq!(unstuck::time(), Duration::ZERO);
    }
}

#[test]
fn a_call_from_another_thread_wakes_an_idle_loop() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let caller = std::thread::spawn(move || {
        let (sender, receiver) = mpsc::channel();
        handle.call_soon(move || sender.send(()).unwrap());
        receiver.recv().unwrap(); // the loop had nothing else to wake up for
        handle.stop();
    });
    event_loop.run_forever();
    caller.join().unwrap();
}

#[test]
fn a_call_from_another_thread_can_be_taken_back_before_it_started() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let log = Log::new();
    let called = log.clone();
    let caller = std::thread::spawn(move || handle.call_soon(move || called.say("called")).cancel());
    assert!(caller.join().unwrap());
    event_loop.run_until_complete(sleep(Duration::ZERO));
    assert_eq!(log.lines(), [""; 0]);
}

#[test]
fn a_call_from_another_thread_comes_while_all_workers_sleep() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let (handle, called) = (runtime.handle(), Deferred::new());
    let calls = called.clone();
    let caller = std::thread::spawn(move || {
        handle.call_soon(move || calls.set_result(std::thread::current().id()).unwrap());
        std::thread::current().id()
    });
    let id = runtime.block_on(called).unwrap();
    assert_ne!(id, caller.join().unwrap(), "by the runtime, and not on the spot");
}

#[test]
fn a_call_taken_back_while_the_only_worker_is_busy_never_comes() {
    let runtime = Runtime::builder().worker_threads(1).stall_guard(StallPolicy::Off).build().unwrap();
    let (gate, log) = (Gate::new(), Log::new());
    let (held, called) = (gate.clone(), log.clone());
    let busy = runtime.spawn(async move { held.pass() });
    gate.wait_for(1);
    let call = runtime.handle().call_soon(move || called.say("called"));
    assert!(call.cancel());
    gate.open();
    runtime.run(async { busy.await.unwrap() });
    assert_eq!(log.lines(), [""; 0]);
}
