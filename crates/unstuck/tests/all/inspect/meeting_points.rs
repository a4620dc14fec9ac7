//! Queues, locks and groups name themselves, and who holds a lock is known.

use std::future::pending;
use std::time::Duration;

use unstuck::debug::graph;
use unstuck::sync::{Barrier, Condition, Event, Lock, LockGuard, Queue, Semaphore};
use unstuck::{sleep, task_group, wait_for};

use super::{noted, plain, spawn};

const SECOND: Duration = Duration::from_secs(1);

/// The graph without its first line, which is main's.
fn tree() -> String {
    let text = plain(&graph().to_string());
    text.split_once('\n').map(|(_, tasks)| tasks.to_owned()).unwrap()
}

#[test]
fn what_a_task_waits_at_has_a_name() {
    noted().run_until_complete(async {
        let (full, empty) = (Queue::bounded(1), Queue::<u32>::new());
        full.try_put(1).unwrap();
        let (semaphore, event, barrier) = (Semaphore::new(0), Event::new(), Barrier::new(2));
        let (lock, condition) = (Lock::new(()), Condition::new());
        let joined = full.clone();
        let tasks = [
            spawn("a", async move { full.put(2).await.unwrap() }),
            spawn("b", async move { _ = empty.get().await }),
            spawn("c", async move { joined.join().await }),
            spawn("d", async move { drop(semaphore.acquire().await) }),
            spawn("e", async move { event.wait().await }),
            spawn("f", async move { _ = barrier.wait().await }),
            spawn("g", async move { drop(condition.wait(lock.lock().await).await) }),
        ];
        sleep(SECOND).await;
        let expected = "\
a waiting
└── queue put
b waiting
└── queue get
c waiting
└── queue join
d waiting
└── semaphore
e waiting
└── event
f waiting
└── barrier
g waiting
└── condition
";
        assert_eq!(tree(), expected);
        assert!(tasks.iter().all(unstuck::Task::cancel));
    });
}

#[test]
fn who_wants_a_lock_waits_for_its_holder() {
    noted().run_until_complete(async {
        let lock = Lock::new(());
        let (held, wanted) = (lock.clone(), lock.clone());
        let writer = spawn("writer", async move {
            let _held = held.lock().await;
            sleep(2 * SECOND).await;
        });
        let reader = spawn("reader", async move {
            let _held = wanted.lock().await;
            pending::<()>().await;
        });
        sleep(SECOND).await;
        assert_eq!(tree(), "reader waiting\n└── lock held by writer waiting\n    └── sleep, 1s left\n");
        let json = graph().to_json();
        let holder = format!(r#""held_by":{}"#, writer.id());
        assert!(json.contains(r#""what":"lock","lock":"#) && json.contains(&holder), "{json}");
        assert!(graph().to_dot().contains(" [label=lock];"));

        // The lock passes on, and the wait that is over is not shown any more.
        writer.await.unwrap();
        let late = spawn("late", async move { drop(lock.lock().await) });
        sleep(SECOND).await;
        assert_eq!(tree(), "late waiting\n└── lock held by reader waiting\n");
        reader.cancel();
        late.await.unwrap();
        assert_eq!(tree(), "");
    });
}

#[test]
fn two_tasks_that_want_each_others_lock_are_shown_as_a_cycle() {
    noted().run_until_complete(async {
        let locks = [Lock::new(()), Lock::new(())];
        let crosses = |first: usize| {
            let (one, other) = (locks[first].clone(), locks[1 - first].clone());
            async move {
                let _one: LockGuard<()> = one.lock().await;
                sleep(SECOND).await;
                let _other = other.lock().await;
            }
        };
        let tasks = [spawn("a", crosses(0)), spawn("b", crosses(1))];
        sleep(2 * SECOND).await;
        let graph = graph();
        assert_eq!(graph.cycles(), [tasks.each_ref().map(unstuck::Task::id).to_vec()]);
        assert!(graph.to_string().contains("lock, cycle: a → b → a"), "{graph}");
        tasks[0].cancel();
    });
}

#[test]
fn a_group_shows_its_children_and_what_its_body_awaits() {
    noted().run_until_complete(async {
        let parent = spawn("parent", async {
            let group = task_group(|group| async move {
                let quick = group.spawn(async {
                    sleep(SECOND).await;
                    Ok::<_, String>(1)
                });
                let slow = group.spawn(async {
                    sleep(3 * SECOND).await;
                    Ok(2)
                });
                quick.task().unwrap().set_name("quick");
                slow.task().unwrap().set_name("slow");
                Ok(quick.await.unwrap() + slow.await.unwrap())
            });
            group.await.unwrap()
        });
        sleep(SECOND / 2).await;
        let children = tree();
        for part in [
            "parent waiting\n├── ",
            "── quick waiting\n",
            " sleep, 500ms left\n",
            "└── ",
            "── slow waiting\n",
        ] {
            assert!(children.contains(part), "{part:?} is not in\n{children}");
        }
        assert_eq!(children.lines().count(), 5);
        sleep(SECOND).await;
        assert_eq!(tree(), "parent waiting\n└── slow waiting\n    └── sleep, 1.5s left\n");
        assert_eq!(parent.await.unwrap(), 3);
    });
}

#[test]
fn a_wait_that_was_given_up_is_not_shown_any_more() {
    noted().run_until_complete(async {
        let queue = Queue::<u32>::new();
        let getter = spawn("getter", async move {
            assert!(wait_for(queue.get(), SECOND).await.is_err());
            sleep(2 * SECOND).await;
        });
        sleep(2 * SECOND).await;
        assert_eq!(tree(), "getter waiting\n└── sleep, 1s left\n");
        getter.cancel();
    });
}
