//! What limiters do, in every interleaving.

use std::sync::Arc;
use std::time::Duration;

use unstuck_core::sync::atomic::{AtomicUsize, Ordering};
use unstuck_core::sync::thread;

use super::fails;
use crate::gate::{
    COMES_BACK_WITHOUT_ASKING, COMES_IN_TWO_VISITS, Gate, LEAVES_WITHOUT_A_WORD, LEAVES_WITHOUT_LOOKING,
    SOUND,
};

/// What a limiter does, with threads that come, work and leave.
fn through_the_gate<const FAULT: u8>(limit: usize, comers: u8) {
    loom::model(move || {
        let gate = Arc::new(Gate::<u8, FAULT>::new(limit));
        let inside = Arc::new(AtomicUsize::new(0));
        let passed = Arc::new(AtomicUsize::new(0));
        let come = {
            let (gate, inside, passed) = (gate.clone(), inside.clone(), passed.clone());
            move |who: u8| {
                let mut next = gate.enter(who, || true).unwrap();
                while next.is_some() {
                    // SeqCst: the model's own counts, which shall order nothing else.
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < limit, "too many inside");
                    inside.fetch_sub(1, Ordering::SeqCst);
                    passed.fetch_add(1, Ordering::SeqCst);
                    next = gate.leave();
                }
            }
        };
        let others: Vec<_> = (1..comers)
            .map(|who| {
                let come = come.clone();
                thread::spawn(move || come(who))
            })
            .collect();
        come(0);
        others.into_iter().for_each(|other| other.join().unwrap());
        let counts = gate.counts();
        // SeqCst: as above.
        assert_eq!((passed.load(Ordering::SeqCst), counts.inside, counts.line), (comers.into(), 0, 0));
    });
}

#[test]
fn nobody_is_kept_at_a_limiter_while_there_is_room_and_no_more_than_the_limit_are_inside() {
    through_the_gate::<SOUND>(1, 3);
    through_the_gate::<SOUND>(2, 3);
}

/// One that lends its permit, with others that come meanwhile: it takes it back, and leaves.
fn lent_and_taken_back<const FAULT: u8>(limit: usize, others: u8) {
    loom::model(move || {
        let gate = Arc::new(Gate::<u8, FAULT>::new(limit));
        let inside = Arc::new(AtomicUsize::new(0));
        let stay = {
            let inside = inside.clone();
            move || {
                // SeqCst: the model's own counts, which shall order nothing else.
                assert!(inside.fetch_add(1, Ordering::SeqCst) < limit, "too many inside");
                inside.fetch_sub(1, Ordering::SeqCst);
            }
        };
        // Stays for everybody whom a visit to the gate has let in.
        let pass = {
            let (gate, stay) = (gate.clone(), stay.clone());
            move |mut next: Option<u8>| {
                while next.is_some() {
                    stay();
                    next = gate.leave();
                }
            }
        };
        assert_eq!(gate.enter(0, || true), Ok(Some(0)));
        let others: Vec<_> = (1..=others)
            .map(|who| {
                let (gate, pass) = (gate.clone(), pass.clone());
                thread::spawn(move || pass(gate.enter(who, || true).unwrap()))
            })
            .collect();
        pass(gate.leave());
        gate.come_back(Duration::ZERO, || ());
        stay();
        pass(gate.leave());
        others.into_iter().for_each(|other| other.join().unwrap());
        let counts = gate.counts();
        assert_eq!((counts.inside, counts.line), (0, 0));
    });
}

#[test]
fn a_permit_that_was_lent_comes_back_and_never_are_more_inside_than_the_limit() {
    lent_and_taken_back::<SOUND>(1, 2);
    lent_and_taken_back::<SOUND>(2, 2);
}

#[test]
fn a_limiter_that_grows_lets_those_in_who_wait() {
    loom::model(|| {
        let gate = Arc::new(Gate::<u8>::new(1));
        assert_eq!(gate.enter(1, || true), Ok(Some(1)));
        let resized = {
            let gate = gate.clone();
            thread::spawn(move || gate.resize(2))
        };
        let second = gate.enter(2, || true).unwrap();
        let granted = resized.join().unwrap();
        assert_eq!(second.into_iter().chain(granted).collect::<Vec<_>>(), [2]);
        assert_eq!((gate.leave(), gate.leave(), gate.counts().inside), (None, None, 0));
    });
}

#[test]
fn the_models_notice_a_limiter_that_looks_too_seldom() {
    assert!(fails("models::gate::faulty_gate_leaves_without_looking"));
    assert!(fails("models::gate::faulty_gate_comes_in_two_visits"));
    assert!(fails("models::gate::faulty_gate_takes_a_permit_back_without_asking"));
    assert!(fails("models::gate::faulty_gate_leaves_without_a_word_to_who_comes_back"));
}

#[test]
#[ignore = "must fail; run by the test above"]
fn faulty_gate_leaves_without_looking() {
    through_the_gate::<LEAVES_WITHOUT_LOOKING>(1, 2);
}

#[test]
#[ignore = "must fail; run by the test above"]
fn faulty_gate_comes_in_two_visits() {
    through_the_gate::<COMES_IN_TWO_VISITS>(1, 2);
}

#[test]
#[ignore = "must fail; run by the test above"]
fn faulty_gate_takes_a_permit_back_without_asking() {
    lent_and_taken_back::<COMES_BACK_WITHOUT_ASKING>(1, 1);
}

#[test]
#[ignore = "must fail; run by the test above"]
fn faulty_gate_leaves_without_a_word_to_who_comes_back() {
    lent_and_taken_back::<LEAVES_WITHOUT_A_WORD>(1, 1);
}
