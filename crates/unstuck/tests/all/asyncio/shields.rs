//! `shield` over and over, late failures, and shields among others. (The plain cases are in `timeouts`.)

use std::time::Duration;

use unstuck::{Handle, Task, gather, shield, sleep, spawn, wait_for};

use super::Log;

const SECOND: Duration = Duration::from_secs(1);

fn after<T: Send + 'static>(delay: u32, value: T) -> Task<T> {
    spawn(sleep(delay * SECOND).with(value))
}

both! {
    async fn a_wait_that_is_over_can_be_begun_again_and_gets_the_value() {
        let mut inner = after(3, 42);
        for second in 1..=2 {
            assert!(wait_for(shield(&mut inner), SECOND).await.is_err());
            assert_eq!(unstuck::time(), second * SECOND);
        }
        assert_eq!(shield(&mut inner).await.unwrap(), 42);
    }
}

both! {
    async fn a_failure_after_the_waiter_has_left_is_reported_if_nobody_ever_reads_it() {
        let reports = Log::new();
        let hears = reports.clone();
        Handle::current().set_exception_handler(move |failure| hears.say(failure.message().unwrap()));
        let fails = || {
            spawn(async {
                sleep(2 * SECOND).await;
                panic!("too late");
            })
        };
        let mut read: Task<()> = fails();
        assert!(wait_for(shield(&mut read), SECOND).await.is_err());
        let mut unread: Task<()> = fails();
        let left = spawn(async move { wait_for(shield(&mut unread), SECOND).await.is_err() });
        assert!(left.await.unwrap());
        sleep(5 * SECOND).await;
        assert_eq!(reports.lines(), ["too late"], "the one whose handle is gone, and once");
        assert_eq!(read.await.unwrap_err().panic_message(), Some("too late"));
        sleep(SECOND).await;
        assert_eq!(reports.lines().len(), 1, "the other was looked at");
    }
}

both! {
    async fn shielded_and_unshielded_waits_go_together_in_one_gather() {
        let (mut kept, given) = (after(3, "kept"), after(3600, "given"));
        let watch = given.watch();
        let both = gather!(shield(&mut kept), given);
        assert!(wait_for(both, SECOND).await.is_err());
        assert!(watch.is_done() && !kept.is_done());
        assert_eq!(kept.await.unwrap(), "kept");
    }
}
