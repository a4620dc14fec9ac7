use std::sync::Mutex;

use super::*;

static COLOR: ContextVar<String> = ContextVar::new("color");
static SIZE: ContextVar<u32> = ContextVar::with_default("size", || 7);

#[test]
fn a_variable_has_its_default_until_it_is_set_and_again_when_it_is_reset() {
    let mut context = Context::new();
    context.run(|| {
        assert_eq!((SIZE.get(), COLOR.get()), (Some(7), None));
        assert_eq!(COLOR.get_or("none".into()), "none");
        let first = SIZE.set(8);
        let second = SIZE.set(9);
        assert_eq!(SIZE.get(), Some(9));
        SIZE.reset(second).unwrap();
        assert_eq!(SIZE.get(), Some(8));
        SIZE.reset(first).unwrap();
        assert_eq!(SIZE.get(), Some(7));
    });
    assert!(context.is_empty());
}

#[test]
fn what_is_set_inside_of_run_stays_in_that_context() {
    let mut context = Context::copy();
    context.run(|| drop(COLOR.set("red".into())));
    assert_eq!(COLOR.get(), None);
    context.run(|| assert_eq!(COLOR.get().as_deref(), Some("red")));
    assert_eq!(context.len(), 1);
}

#[test]
fn a_copy_does_not_see_what_is_set_later_and_the_original_does_not_see_the_copys() {
    Context::new().run(|| {
        drop(COLOR.set("red".into()));
        let mut copy = Context::copy();
        drop(COLOR.set("green".into()));
        copy.run(|| {
            assert_eq!(COLOR.get().as_deref(), Some("red"));
            drop(COLOR.set("blue".into()));
        });
        assert_eq!(COLOR.get().as_deref(), Some("green"));
        copy.run(|| assert_eq!(COLOR.get().as_deref(), Some("blue")));
    });
}

#[test]
fn a_token_is_good_for_its_variable_in_its_context_only_and_is_not_lost_otherwise() {
    static OTHER: ContextVar<u32> = ContextVar::new("other");
    let mut context = Context::new();
    let token = context.run(|| SIZE.set(1));
    let token = SIZE.reset(token).unwrap_err().0;
    let token = context.run(|| OTHER.reset(token)).unwrap_err().0;
    assert!(WrongToken(SIZE.set(2)).to_string().contains("another context"));
    context.run(|| {
        assert_eq!(SIZE.get(), Some(1));
        SIZE.reset(token).unwrap();
        assert_eq!(SIZE.get(), Some(7));
    });
}

#[test]
fn the_context_comes_back_when_what_ran_in_it_panics() {
    let mut context = Context::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        context.run(|| {
            drop(COLOR.set("red".into()));
            std::panic::resume_unwind(Box::new("went off"));
        });
    }));
    assert!(panicked.is_err() && COLOR.get().is_none());
    context.run(|| assert_eq!(COLOR.get().as_deref(), Some("red")));
}

/// Asks for itself when it is cloned and when it is dropped.
struct Curious(&'static Mutex<u32>);

static CURIOUS: ContextVar<Curious> = ContextVar::new("curious");

impl Clone for Curious {
    fn clone(&self) -> Self {
        let _size = SIZE.get();
        *self.0.lock().unwrap() += 1;
        Self(self.0)
    }
}

impl Drop for Curious {
    fn drop(&mut self) {
        drop(SIZE.set(3));
        *self.0.lock().unwrap() -= 1;
    }
}

#[test]
fn a_value_may_use_variables_when_it_is_cloned_and_dropped() {
    static ALIVE: Mutex<u32> = Mutex::new(1);
    Context::new().run(|| {
        let token = CURIOUS.set(Curious(&ALIVE));
        assert!(CURIOUS.get().is_some());
        *ALIVE.lock().unwrap() += 1;
        drop(CURIOUS.set(Curious(&ALIVE)));
        CURIOUS.reset(token).unwrap();
    });
    assert_eq!(*ALIVE.lock().unwrap(), 0);
}

#[test]
fn a_job_runs_in_a_copy_of_the_context_it_was_made_in() {
    use crate::job::{Options, job};
    Context::new().run(|| {
        drop(COLOR.set("red".into()));
        let work = || {
            let found = COLOR.get();
            drop(COLOR.set("blue".into()));
            found
        };
        let (queued, handle) = job(work, Options::new());
        drop(COLOR.set("green".into()));
        std::thread::spawn(move || {
            assert!(queued.run());
            assert_eq!(COLOR.get(), None, "the pool's thread has its own back");
        })
        .join()
        .unwrap();
        assert_eq!(handle.wait().unwrap().as_deref(), Some("red"));
        assert_eq!(COLOR.get().as_deref(), Some("green"));
    });
}
