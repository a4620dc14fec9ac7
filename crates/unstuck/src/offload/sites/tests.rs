//! What the estimate does, run by run.

use super::*;

/// So many equal runs.
fn runs(from: Estimate, count: usize, nanos: u32, on_worker: bool) -> Estimate {
    (0..count).fold(from, |estimate, _| estimate.after(nanos, on_worker))
}

/// How many runs of 200 ns in the pool until the site is short.
fn until_short(mut estimate: Estimate) -> usize {
    let mut count = 0;
    while !estimate.is_short() {
        estimate = estimate.after(200, false);
        count += 1;
    }
    count
}

#[test]
fn an_unknown_site_is_trusted_after_sixteen_short_runs() {
    assert_eq!(until_short(Estimate::UNKNOWN), 16);
}

#[test]
fn one_slow_run_makes_a_site_long_at_once() {
    let short = runs(Estimate::UNKNOWN, 1_000, 200, false);
    assert!(short.is_short());
    for slow in [SHORT, 100_000, 1_000_000, u32::MAX] {
        assert!(!short.after(slow, true).is_short() && !short.after(slow, false).is_short(), "{slow} ns");
    }
}

#[test]
fn a_run_of_seconds_is_forgotten_after_some_thirty_short_ones() {
    let long = Estimate::UNKNOWN.after(u32::MAX, false);
    assert!((20..40).contains(&until_short(long)), "{}", until_short(long));
}

#[test]
fn a_site_that_is_slow_on_workers_again_and_again_stays_longer_in_the_pool_each_time() {
    let mut estimate = runs(Estimate::UNKNOWN, 16, 200, false);
    let mut waits = Vec::new();
    for _ in 0..6 {
        estimate = estimate.after(LONGEST, true);
        waits.push(until_short(estimate));
        estimate = runs(estimate, waits[waits.len() - 1], 200, false);
    }
    assert!(waits.is_sorted() && waits[3] > 6 * waits[0], "{waits:?}");
    assert!((400..700).contains(&waits[5]) && waits[4] == waits[5], "{waits:?}");
}

#[test]
fn a_thousand_short_runs_on_workers_forgive_one_slow_one() {
    let burned = Estimate { nanos: 200, burns: 2, good: 0 };
    assert_eq!(runs(burned, FORGIVING as usize, 200, false).burns, 2, "runs in the pool prove nothing");
    let once = runs(burned, FORGIVING as usize, 200, true);
    assert_eq!((once.burns, once.good), (1, 0));
    assert_eq!(runs(once, FORGIVING as usize, 200, true).burns, 0);
}

#[test]
fn short_runs_at_a_short_site_write_nothing() {
    let short = runs(Estimate::UNKNOWN, 16, 200, false);
    for nanos in [0, 200, SHORT - 1] {
        assert_eq!(short.after(nanos, true), short);
    }
    let long = Estimate::UNKNOWN.after(u32::MAX, false);
    assert_eq!(long.after(u32::MAX, false), long, "nor do long runs at a long site");
}

#[test]
fn an_estimate_fits_into_its_word() {
    for estimate in [
        Estimate::UNKNOWN,
        Estimate { nanos: LONGEST, burns: MOST_BURNS, good: FORGIVING - 1 },
        Estimate { nanos: 0, burns: 0, good: 0 },
    ] {
        assert_eq!(Estimate::unpack(estimate.pack()), estimate);
    }
}

/// A site of this very closure, and nobody else's.
macro_rules! own_site {
    () => {{
        fn site<F: 'static>(_: F, place: &'static Location<'static>) -> &'static Site {
            Site::of::<F>(place).unwrap()
        }
        site(|| (), Location::caller())
    }};
}

#[test]
fn a_site_is_found_again_and_is_not_another_ones() {
    fn of<F: 'static>(_: &F, place: &'static Location<'static>) -> *const Site {
        Site::of::<F>(place).unwrap()
    }
    let (one, other) = (|| 1, || 2);
    let (here, there) = (Location::caller(), panic_location());
    assert_eq!(of(&one, here), of(&one, here));
    assert_ne!(of(&one, here), of(&other, here), "another closure");
    assert_ne!(of(&one, here), of(&one, there), "another place");
}

#[track_caller]
fn panic_location() -> &'static Location<'static> {
    Location::caller()
}

#[test]
fn while_a_run_lasts_too_long_no_other_begins() {
    let site = own_site!();
    for _ in 0..16 {
        site.learn(Duration::ZERO, false);
    }
    let first = site.begin().expect("it is short");
    while first.begun.elapsed() <= STUCK {
        std::hint::spin_loop();
    }
    assert!(site.begin().is_none(), "the first one is stuck");
    assert!(!site.is_short());
    first.end();
    assert!(site.begin().is_none(), "and has made the site long");
}

#[test]
fn of_two_runs_at_once_the_second_leaves_the_firsts_beginning_alone() {
    let site = own_site!();
    for _ in 0..16 {
        site.learn(Duration::ZERO, false);
    }
    let (Some(first), Some(second)) = (site.begin(), site.begin()) else {
        // The machine was away for a millisecond between the two: then nothing is to be seen here.
        return;
    };
    assert!(first.noted && !second.noted);
    second.end();
    assert_ne!(site.since.load(Ordering::Relaxed), 0);
    first.end();
    assert_eq!(site.since.load(Ordering::Relaxed), 0);
}
