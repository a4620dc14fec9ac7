//! `Deferred`, asyncio's `Future()`.

use std::time::Duration;

use unstuck::{Deferred, sleep, spawn, wait_for};

const SECOND: Duration = Duration::from_secs(1);

both! {
    async fn many_may_await_one_value() {
        let deferred = Deferred::new();
        let waiters: Vec<_> = (0..20).map(|_| spawn(deferred.clone())).collect();
        sleep(SECOND).await;
        assert!(!deferred.is_done());
        deferred.set_result("value").unwrap();
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap().unwrap(), "value");
        }
        assert_eq!(deferred.await.unwrap(), "value", "also after it was set");
    }
}

both! {
    async fn a_result_is_not_ready_before_it_is_set_and_can_be_set_once() {
        let deferred = Deferred::new();
        assert!(deferred.result().unwrap_err().is_not_ready());
        deferred.set_result(1).unwrap();
        assert!(deferred.set_result(2).unwrap_err().is_already_set());
        assert!(deferred.set_error("late").unwrap_err().is_already_set());
        assert!(!deferred.cancel());
        assert_eq!(deferred.await.unwrap(), 1);
    }
}

both! {
    async fn a_cancelled_one_ends_every_wait_and_takes_no_value() {
        let deferred = Deferred::<u32>::new();
        let waiter = spawn(deferred.clone());
        sleep(SECOND).await;
        assert!(deferred.cancel() && deferred.is_cancelled());
        assert!(waiter.await.unwrap().unwrap_err().is_cancelled());
        assert!(deferred.set_result(1).unwrap_err().is_already_set());
        assert!(!deferred.cancel());
    }
}

both! {
    async fn an_error_reaches_every_waiter() {
        let deferred = Deferred::<u32>::new();
        let waiters = [spawn(deferred.clone()), spawn(deferred.clone())];
        deferred.set_error(std::io::Error::other("no such thing")).unwrap();
        for waiter in waiters {
            let error = waiter.await.unwrap().unwrap_err();
            assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no such thing");
        }
    }
}

both! {
    async fn a_waiter_that_gives_up_does_not_disturb_the_others() {
        let deferred = Deferred::new();
        let patient = spawn(deferred.clone());
        assert!(wait_for(deferred.clone(), SECOND).await.is_err());
        deferred.set_result(42).unwrap();
        assert_eq!(patient.await.unwrap().unwrap(), 42);
    }
}

#[test]
fn it_is_usable_without_a_loop_and_between_two_of_them() {
    let deferred = Deferred::new();
    assert!(!deferred.is_done());
    let there = deferred.clone();
    let other = std::thread::spawn(move || unstuck::run_single(there));
    unstuck::run(async move { deferred.set_result(42).unwrap() });
    assert_eq!(other.join().unwrap().unwrap(), 42);
}
