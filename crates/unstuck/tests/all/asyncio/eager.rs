//! Eager tasks: the body runs inside of `spawn`, up to its first suspension.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use unstuck::contextvars::ContextVar;
use unstuck::task::{self, Builder};
use unstuck::{EventLoop, Handle, Runtime, all_tasks, sleep, spawn, yield_now};

use super::Log;
use crate::support::eventually;

const SECOND: Duration = Duration::from_secs(1);

static USER: ContextVar<&'static str> = ContextVar::with_default("user", || "nobody");

fn eager() -> Builder {
    Builder::new().eager(true)
}

both! {
    async fn the_body_runs_up_to_its_first_suspension_before_spawn_returns() {
        let log = Log::new();
        let says = log.clone();
        let task = eager().spawn(async move {
            says.say("begun");
            sleep(SECOND).await;
            says.say("ended");
        });
        assert_eq!(log.lines(), ["begun"]);
        assert!(!task.is_done());
        task.await.unwrap();
        assert_eq!(log.lines(), ["begun", "ended"]);
        assert_eq!(unstuck::time(), SECOND);
    }
}

both! {
    async fn a_body_that_never_suspends_is_done_when_spawn_returns() {
        let mut task = eager().spawn(async { 42 });
        assert!(task.is_done());
        assert_eq!(task.try_result().unwrap().unwrap(), 42);
        let task = eager().spawn(async { 42 });
        assert_eq!(task.await.unwrap(), 42);
    }
}

both! {
    async fn the_body_runs_under_its_own_identity_and_its_own_context_copy() {
        drop(USER.set("creator"));
        let outer = spawn(async {
            let outer = task::current().unwrap().id();
            drop(USER.set("outer"));
            let inner = eager().name("inner").spawn(async {
                let me = task::current().unwrap();
                assert_eq!((&*me.name(), USER.get()), ("inner", Some("outer")));
                drop(USER.set("inner"));
                yield_now().await;
                assert_eq!((task::current().unwrap(), USER.get()), (me.clone(), Some("inner")));
                me.id()
            });
            assert_eq!((task::current().unwrap().id(), USER.get()), (outer, Some("outer")));
            let id = inner.id();
            assert_eq!(inner.await.unwrap(), id);
        });
        outer.await.unwrap();
        // From the main future too, which is no task.
        let from_main = eager().spawn(async {
            drop(USER.set("changed"));
            task::current().unwrap().id()
        });
        assert_eq!(from_main.id(), from_main.await.unwrap());
        assert!(task::current().is_none());
        assert_eq!(USER.get(), Some("creator"));
    }
}

both! {
    async fn an_eagerly_started_task_is_among_all_tasks_from_its_first_step_to_its_end() {
        let listed = |name: &str| all_tasks().iter().filter(|task| &*task.name() == name).count();
        let task = eager().name("eager").spawn(async move {
            let first = listed("eager");
            sleep(SECOND).await;
            first
        });
        assert_eq!(listed("eager"), 1);
        let handle = Handle::current();
        let elsewhere = std::thread::spawn(move || handle.tasks().len()).join().unwrap();
        assert_eq!(elsewhere, 1);
        assert_eq!(task.await.unwrap(), 1);
        assert_eq!(listed("eager"), 0);
    }
}

both! {
    async fn a_body_that_panics_in_its_first_step_fails_its_task_and_nothing_else() {
        let task = eager().spawn(async { panic!("E") });
        assert!(task.is_done());
        assert_eq!(task.await.map(|(): ()| ()).unwrap_err().panic_message(), Some("E"));
    }
}

both! {
    async fn a_body_that_wakes_or_cancels_itself_in_its_first_step_goes_on_in_the_queue() {
        let woken = eager().spawn(async {
            yield_now().await;
            42
        });
        // On several workers another one may have run it to its end by now.
        assert_eq!(woken.await.unwrap(), 42);
        let cancelled = eager().spawn(async {
            task::current().unwrap().cancel();
            sleep(SECOND).await;
        });
        assert!(cancelled.is_done(), "the await was cancelled at once");
        assert!(cancelled.await.unwrap_err().is_cancelled());
    }
}

both! {
    async fn eager_tasks_may_start_eager_tasks() {
        fn nest(depth: u32) -> std::pin::Pin<Box<dyn Future<Output = u32> + Send>> {
            Box::pin(async move {
                if depth == 0 {
                    return 0;
                }
                let inner = eager().spawn(nest(depth - 1));
                assert!(inner.is_done());
                inner.await.unwrap() + 1
            })
        }
        assert_eq!(eager().spawn(nest(20)).await.unwrap(), 20);
    }
}

both! {
    async fn an_eager_task_that_waits_is_woken_by_others() {
        let (sender, receiver) = mpsc::channel();
        let value = unstuck::Deferred::new();
        let waits = value.clone();
        let task = eager().spawn(async move {
            sender.send(()).unwrap();
            waits.await.unwrap()
        });
        receiver.try_recv().unwrap();
        spawn(async move { value.set_result(42).unwrap() }).await.unwrap();
        assert_eq!(task.await.unwrap(), 42);
    }
}

#[test]
fn where_no_async_code_of_the_runtime_runs_an_eager_task_is_queued() {
    let event_loop = EventLoop::new().unwrap();
    let other = Runtime::builder().worker_threads(1).build().unwrap();
    let here = std::thread::current().id();
    let where_it_runs = async { std::thread::current().id() };
    let entered = other.enter();
    let on_worker = eager().spawn(where_it_runs);
    drop(entered);
    assert_ne!(on_worker.wait().unwrap(), here);
    // A thread of the loop's pool belongs to the loop, and may not run its tasks.
    let ran = Mutex::new(None);
    event_loop.run_until_complete(async {
        let task = unstuck::to_thread(|| eager().spawn(async { std::thread::current().id() }));
        *ran.lock().unwrap() = Some(task.await.unwrap().await.unwrap());
    });
    assert_eq!(*ran.lock().unwrap(), Some(here));
}

#[test]
fn futures_that_are_not_send_start_eagerly_on_the_single_threaded_loop() {
    let shared = std::rc::Rc::new(std::cell::Cell::new(0));
    unstuck::run_single(async {
        let mine = shared.clone();
        let task = eager().name("local").spawn_local(async move {
            mine.set(1);
            yield_now().await;
            mine.set(2);
            task::current().unwrap().name()
        });
        assert_eq!(shared.get(), 1);
        assert_eq!(&*task.await.unwrap(), "local");
    });
    assert_eq!(shared.get(), 2);
}

#[test]
fn an_eager_task_on_a_closed_loop_is_refused_and_never_runs() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let handle = runtime.handle();
    runtime.shutdown();
    let log = Log::new();
    let says = log.clone();
    let refused = handle.block_on(async {
        let mut task = eager().spawn(async move { says.say("ran") });
        task.try_result().unwrap().unwrap_err()
    });
    assert!(refused.is_rejected());
    assert_eq!(log.lines(), [""; 0]);
}

both! {
    async fn a_task_that_awaits_itself_gets_an_error_instead_of_hanging() {
        let (sender, receiver) = unstuck_channel();
        let task = spawn(async move {
            let myself: unstuck::Task<String> = receiver.await.unwrap();
            myself.await.unwrap_err().to_string()
        });
        let watch = task.watch();
        sender(task);
        eventually("it has ended", || watch.is_done()).await;
        assert!(!watch.is_cancelled());
    }
}

/// A way to hand a task its own handle, and what it made of it.
fn unstuck_channel<T: Send + 'static>() -> (impl FnOnce(T), impl Future<Output = Option<T>> + Send) {
    let place = std::sync::Arc::new(Mutex::new(None));
    let puts = place.clone();
    let take = async move {
        loop {
            if let Some(value) = place.lock().unwrap().take() {
                return Some(value);
            }
            yield_now().await;
        }
    };
    (move |value| *puts.lock().unwrap() = Some(value), take)
}

both! {
    async fn the_error_of_a_task_that_awaits_itself_says_so() {
        let (sender, receiver) = unstuck_channel();
        let (tell, told) = mpsc::channel();
        let task = spawn(async move {
            let mut myself: unstuck::Task<()> = receiver.await.unwrap();
            let error = (&mut myself).await.unwrap_err();
            tell.send((error.is_deadlock(), error.is_cancelled(), error.to_string())).unwrap();
        });
        let watch = task.watch();
        sender(task);
        eventually("it has ended", || watch.is_done()).await;
        let (deadlock, cancelled, text) = told.try_recv().unwrap();
        assert!(deadlock && !cancelled && text.contains("awaits itself"), "{text}");
    }
}
