//! What is shown of a thread's stack, and what is said when there is none.

use super::*;

const LIMIT: Duration = Duration::from_secs(1);

#[test]
fn who_turned_it_off_reads_that() {
    let missing = Asked::from_now_on(false).address().ask(LIMIT, || true);
    assert!(!missing.is_taken());
    assert_eq!(missing.to_string(), "it is turned off (stall_backtrace)");
}

#[test]
fn a_seat_without_a_thread_has_no_stack() {
    assert!(Address::nobody().ask(LIMIT, || true).to_string().contains("thread is not there"));
}

#[cfg(not(feature = "backtrace"))]
#[test]
fn a_build_without_it_says_how_to_get_it() {
    let missing = Asked::from_now_on(true).address().ask(LIMIT, || true);
    assert!(missing.to_string().contains("feature \"backtrace\""), "{missing}");
}

/// Where stacks can be read.
#[cfg(all(feature = "backtrace", target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod taken {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_stack_of_a_poll_that_goes_on_is_shown() {
        let asked = Asked::from_now_on(true);
        let backtrace = asked.address().ask(LIMIT, || true); // a thread may ask itself
        assert!(backtrace.is_taken(), "{backtrace}");
        assert!(backtrace.to_string().contains("the_stack_of_a_poll_that_goes_on_is_shown"), "{backtrace}");
    }

    #[test]
    fn a_poll_that_is_over_by_then_has_no_stack_although_its_thread_answers() {
        let asked = Asked::from_now_on(true);
        for ends_after in [0, 1] {
            let looks = AtomicUsize::new(0);
            let backtrace = asked.address().ask(LIMIT, || looks.fetch_add(1, Ordering::Relaxed) < ends_after);
            assert_eq!(backtrace.to_string(), "the poll came back before its stack could be read");
        }
    }

    #[test]
    fn a_thread_that_is_gone_is_not_asked() {
        let address = std::thread::spawn(|| Asked::from_now_on(true).address()).join().unwrap();
        assert!(address.ask(LIMIT, || true).to_string().contains("the thread has ended"));
    }
}
