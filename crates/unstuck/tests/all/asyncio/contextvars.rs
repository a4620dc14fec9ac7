//! Context variables: copied where something is started, changed for nobody else.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use unstuck::contextvars::{Context, ContextVar, copy_context};
use unstuck::offload::{CpuPool, DefaultExecutor, ThreadPool};
use unstuck::{EventLoop, Handle, Runtime, cpu, run_in_executor, sleep, spawn, to_thread, yield_now};

static USER: ContextVar<String> = ContextVar::new("user");

fn user() -> Option<String> {
    USER.get()
}

fn sets(name: &str) {
    drop(USER.set(name.into()));
}

const SECOND: Duration = Duration::from_secs(1);

both! {
    async fn a_task_has_a_copy_of_its_creators_context_from_the_moment_of_the_spawn() {
        sets("ada");
        let child = spawn(async {
            yield_now().await;
            user()
        });
        sets("eve"); // later than the spawn
        assert_eq!(child.await.unwrap().as_deref(), Some("ada"));
        assert_eq!(user().as_deref(), Some("eve"));
    }
}

both! {
    async fn what_a_task_changes_does_not_leak_to_its_creator_or_its_siblings() {
        sets("ada");
        let tasks = ["bob", "cyd"].map(|name| {
            spawn(async move {
                sets(name);
                sleep(SECOND).await; // they overlap
                let grandchild = spawn(async { user() });
                (user(), grandchild.await.unwrap())
            })
        });
        let names = |name: &str| (Some(name.to_string()), Some(name.to_string()));
        let found: Vec<_> = unstuck::gather(tasks).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(found, [names("bob"), names("cyd")]);
        assert_eq!(user().as_deref(), Some("ada"));
    }
}

both! {
    async fn a_task_sees_its_variables_after_every_await() {
        let task = spawn(async {
            sets("ada");
            for _ in 0..10 {
                yield_now().await;
                assert_eq!(user().as_deref(), Some("ada"));
            }
            sleep(SECOND).await;
            user()
        });
        assert_eq!(task.await.unwrap().as_deref(), Some("ada"));
        assert_eq!(user(), None);
    }
}

both! {
    async fn calls_run_in_the_context_in_which_they_were_asked_for() {
        let (sender, receiver) = mpsc::channel();
        let tell = || {
            let sender = sender.clone();
            move || sender.send(user()).unwrap()
        };
        let handle = Handle::current();
        sets("soon");
        handle.call_soon(tell());
        sets("later");
        handle.call_later(SECOND, tell());
        sets("at");
        handle.call_at(handle.now() + 2 * SECOND, tell());
        sets("never");
        sleep(3 * SECOND).await;
        let found: Vec<_> = receiver.try_iter().flatten().collect();
        assert_eq!(found, ["soon", "later", "at"]);
    }
}

both! {
    async fn offloaded_calls_run_in_a_copy_of_the_callers_context() {
        sets("ada");
        let call = || {
            let found = user();
            sets("changed on the pool's thread");
            found
        };
        let threads = ThreadPool::builder().max_threads(1).build().unwrap();
        let compute = CpuPool::builder().threads(1).build().unwrap();
        let jobs = vec![
            to_thread(call),
            cpu(call),
            run_in_executor(&DefaultExecutor, call),
            run_in_executor(&threads, call),
            run_in_executor(&compute, call),
            Handle::current().spawn_blocking(call),
            Handle::current().cpu(call),
        ];
        sets("eve"); // later than the calls
        for job in jobs {
            assert_eq!(job.await.unwrap().as_deref(), Some("ada"));
        }
        assert_eq!(user().as_deref(), Some("eve"));
        // The same threads know nothing of it when a job comes from where nothing is set.
        let job = Context::new().run(|| run_in_executor(&threads, user));
        assert_eq!(job.await.unwrap(), None);
    }
}

both! {
    async fn a_task_started_by_an_offloaded_call_inherits_through_it() {
        sets("ada");
        let value = to_thread(|| unstuck::spawn(async { user() })).await.unwrap();
        assert_eq!(value.await.unwrap().as_deref(), Some("ada"));
    }
}

both! {
    async fn code_can_run_in_a_context_of_its_own() {
        sets("ada");
        let mut context = copy_context();
        let child = context.run(|| {
            sets("bob");
            spawn(async { user() })
        });
        assert_eq!(user().as_deref(), Some("ada"));
        assert_eq!(child.await.unwrap().as_deref(), Some("bob"));
        assert_eq!(context.run(user).as_deref(), Some("bob"), "it keeps what was set in it");
    }
}

both! {
    async fn a_token_resets_a_variable_in_its_own_task_only() {
        let first = USER.set("ada".into());
        let second = USER.set("bob".into());
        let child = spawn(async move { USER.reset(second).unwrap_err().0 });
        let second = child.await.unwrap();
        USER.reset(second).unwrap();
        assert_eq!(user().as_deref(), Some("ada"));
        USER.reset(first).unwrap();
        assert_eq!(user(), None);
    }
}

#[test]
fn each_run_has_a_copy_of_its_callers_context() {
    sets("ada");
    let main = || async {
        let found = user();
        sets("changed in main");
        yield_now().await;
        assert_eq!(user().as_deref(), Some("changed in main"));
        found
    };
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let event_loop = EventLoop::new().unwrap();
    for _ in 0..2 {
        assert_eq!(runtime.block_on(main()).as_deref(), Some("ada"));
        assert_eq!(event_loop.run_until_complete(main()).as_deref(), Some("ada"));
        assert_eq!(unstuck::run(main()).as_deref(), Some("ada"));
        assert_eq!(unstuck::run_single(main()).as_deref(), Some("ada"));
    }
    assert_eq!(user().as_deref(), Some("ada"));
}

#[test]
fn work_handed_in_from_a_plain_thread_brings_that_threads_context() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    sets("outside");
    let task = runtime.spawn(async { user() });
    assert_eq!(task.wait().unwrap().as_deref(), Some("outside"));
    let task = Context::new().run(|| runtime.spawn(async { user() }));
    assert_eq!(task.wait().unwrap(), None);
}

#[test]
fn the_values_of_a_task_go_when_the_task_has_gone() {
    static COUNTED: ContextVar<std::sync::Arc<()>> = ContextVar::new("counted");
    let value = std::sync::Arc::new(());
    let seen = Mutex::new(0);
    unstuck::run_single(async {
        let mine = value.clone();
        let task = spawn(async move {
            drop(COUNTED.set(mine));
            let children = [spawn(sleep(SECOND / 1000)), spawn(sleep(SECOND / 1000))];
            unstuck::gather(children).await;
        });
        *seen.lock().unwrap() = std::sync::Arc::strong_count(&value);
        task.await.unwrap();
    });
    assert_eq!(*seen.lock().unwrap(), 2, "the value and the future");
    assert_eq!(std::sync::Arc::strong_count(&value), 1);
}

#[test]
fn the_error_of_a_cancelled_task_keeps_none_of_its_values() {
    static COUNTED: ContextVar<std::sync::Arc<()>> = ContextVar::new("counted");
    let value = std::sync::Arc::new(());
    let error = unstuck::run_single(async {
        let mine = value.clone();
        let task = spawn(async move {
            drop(COUNTED.set(mine));
            std::future::pending::<()>().await;
        });
        unstuck::yield_now().await;
        assert_eq!(std::sync::Arc::strong_count(&value), 2);
        task.cancel();
        task.await.unwrap_err()
    });
    assert_eq!(std::sync::Arc::strong_count(&value), 1);
    assert!(error.is_cancelled());
}
