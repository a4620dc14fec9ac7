//! The slot in every interleaving:
//! `RUSTFLAGS="--cfg unstuck_loom" cargo test --release -p unstuck-stack --lib`.
//!
//! Two threads may be asked, each with a stack of its own, and every word of an answer must come from the thread that
//! was asked. The faulty slot, in which the asker takes the slot back while a handler copies, must be found out.

use std::panic;
use std::sync::Arc;

use loom::thread;

use crate::slot::{Answer, Copied, GivenUp, Progress, Question, Registers, Slot};

const WORDS: usize = 2;

fn stack(thread: u64) -> u64 {
    thread * 0x1_0000
}

/// The handler on `thread`: every word that it copies says whose it is.
fn handler(slot: &Slot<WORDS>, thread: u64) -> Answer {
    let registers = Registers { pc: thread, sp: stack(thread), fp: thread, lr: thread };
    slot.answer(registers, || thread, |_| thread)
}

fn ask(slot: &Slot<WORDS>, thread: u64) -> Option<Question> {
    slot.ask(thread, stack(thread)..stack(thread) + 16).ok()
}

fn check(copied: &Copied, thread: u64) {
    assert_eq!(copied.registers, Registers { pc: thread, sp: stack(thread), fp: thread, lr: thread });
    assert_eq!((copied.start, copied.words.as_slice()), (stack(thread), &[thread; WORDS][..]));
}

/// Looks once, then gives up.
fn take(slot: &Slot<WORDS>, question: Question, thread: u64) {
    if slot.look(question) == Progress::Waiting && slot.give_up(question) != GivenUp::Answered {
        return;
    }
    if slot.look(question) == Progress::Ready {
        check(&slot.copied(question), thread);
    }
}

#[test]
fn an_answer_is_whole_or_there_is_none() {
    loom::model(|| {
        let slot = Arc::new(Slot::<WORDS>::new());
        let theirs = slot.clone();
        let question = ask(&slot, 1).unwrap();
        let asked = thread::spawn(move || handler(&theirs, 1));
        take(&slot, question, 1);
        let _ = asked.join().unwrap();
        assert!(ask(&slot, 2).is_some(), "when all is over the slot is free");
    });
}

/// The asker gives up on thread 1, whose handler comes at any time, and asks thread 2.
#[test]
fn a_late_handler_does_not_spoil_the_next_answer() {
    loom::model(|| {
        let slot = Arc::new(Slot::<WORDS>::new());
        let first = ask(&slot, 1).unwrap();
        let handlers = [1, 2].map(|number| {
            let theirs = slot.clone();
            thread::spawn(move || handler(&theirs, number))
        });
        take(&slot, first, 1);
        if let Some(second) = ask(&slot, 2) {
            take(&slot, second, 2);
        }
        for handler in handlers {
            let _ = handler.join().unwrap();
        }
    });
}

/// A signal that nobody sent for us may come at the same time as ours.
#[test]
fn two_handlers_of_one_thread_and_a_stranger_give_one_answer() {
    loom::model(|| {
        let slot = Arc::new(Slot::<WORDS>::new());
        let question = ask(&slot, 1).unwrap();
        let (theirs, strangers) = (slot.clone(), slot.clone());
        let asked = thread::spawn(move || [handler(&theirs, 1), handler(&theirs, 1)]);
        let stranger = thread::spawn(move || handler(&strangers, 2));
        assert_eq!(stranger.join().unwrap(), Answer::NotAsked);
        assert_eq!(asked.join().unwrap(), [Answer::Given, Answer::NotAsked]);
        assert_eq!(slot.look(question), Progress::Ready);
        check(&slot.copied(question), 1);
    });
}

/// A thread withdraws, and its memory is given to another: no word of it may be read from then on.
#[test]
fn after_withdrawing_nobody_reads_that_stack() {
    loom::model(|| {
        let slot = Arc::new(Slot::<WORDS>::new());
        let question = ask(&slot, 1).unwrap();
        let theirs = slot.clone();
        let asked = thread::spawn(move || {
            let answer = handler(&theirs, 1);
            theirs.withdraw(question);
            // The same number and the same stack again, as late as can be.
            let again = theirs.answer(
                Registers { pc: 1, sp: stack(1), fp: 1, lr: 1 },
                || 1,
                |_| unreachable!("this stack is gone"),
            );
            assert_eq!(again, Answer::NotAsked);
            answer
        });
        take(&slot, question, 1);
        let _ = asked.join().unwrap();
    });
}

/// A thread on another stack says so, and the slot is free at once.
#[test]
fn a_declined_question_is_over() {
    loom::model(|| {
        let slot = Arc::new(Slot::<WORDS>::new());
        let question = ask(&slot, 1).unwrap();
        let theirs = slot.clone();
        let elsewhere = Registers { pc: 1, sp: stack(9), fp: 1, lr: 1 };
        let asked = thread::spawn(move || theirs.answer(elsewhere, || 1, |_| unreachable!("not that stack")));
        take(&slot, question, 1);
        let _ = asked.join().unwrap();
        assert!(ask(&slot, 2).is_some());
    });
}

/// The fault: "it has been long enough, the slot is mine again", without asking whether a handler copies.
#[test]
fn an_asker_who_does_not_look_whether_a_handler_copies_is_found_out() {
    let found = panic::catch_unwind(|| {
        loom::model(|| {
            let slot = Arc::new(Slot::<WORDS>::new());
            let _given_up = ask(&slot, 1).unwrap();
            let handlers = [1, 2].map(|number| {
                let theirs = slot.clone();
                thread::spawn(move || handler(&theirs, number))
            });
            slot.take_back_by_force();
            if let Some(second) = ask(&slot, 2) {
                take(&slot, second, 2);
            }
            for handler in handlers {
                let _ = handler.join().unwrap();
            }
        });
    });
    assert!(found.is_err(), "the models above would not notice either");
}
