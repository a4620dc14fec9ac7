//! Who awaits whom, on a paused clock: the texts are exact.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use unstuck::{Deferred, Handle, Runner, Runtime, Task, gather, shield, sleep, yield_now};

use super::{noted, plain, spawn};
use crate::support::{Gate, OnDrop, eventually, until};

const SECOND: Duration = Duration::from_secs(1);

/// The graph without `main`, whose place is the test's.
fn tree() -> String {
    let text = plain(&unstuck::debug::graph().to_string());
    let (main, tasks) = text.split_once('\n').unwrap();
    assert!(
        main.starts_with("main (crates/unstuck/tests/all/inspect/graph.rs:"),
        "the caller's place: {main}"
    );
    assert!(main.ends_with("RUNNING"), "{main}");
    tasks.to_owned()
}

#[test]
fn a_tree_shows_who_awaits_whom_and_what_else() {
    noted().run_until_complete(async {
        let disk = spawn("disk", sleep(3 * SECOND));
        let mut cache = spawn("cache", std::future::pending::<()>());
        let value = Deferred::<u32>::new();
        let setter = value.clone();
        let page = spawn("page", async move {
            let _all = gather!(disk, shield(&mut cache), sleep(2 * SECOND), value).await;
        });
        spawn("stray", std::future::pending::<()>()).detach();
        sleep(SECOND).await;
        let expected = "\
page waiting
├── disk waiting
│   └── sleep, 2s left
├── (shielded) cache waiting
├── sleep, 1s left
└── deferred
stray waiting
";
        assert_eq!(tree(), expected);

        setter.set_result(1).unwrap();
        sleep(3 * SECOND).await;
        assert_eq!(tree(), "page waiting\n└── (shielded) cache waiting\nstray waiting\n");
        page.cancel();
    });
}

#[test]
fn tasks_that_await_each_other_are_shown_as_a_cycle() {
    noted().run_until_complete(async {
        let from_b: Arc<Mutex<Option<Task<()>>>> = Arc::default();
        let to_a = from_b.clone();
        let a = spawn("a", async move {
            let b = to_a.lock().unwrap().take().unwrap();
            b.await.unwrap();
        });
        let (id_a, watch) = (a.id(), a.watch());
        let b = spawn("b", async move { a.await.unwrap() });
        let id_b = b.id();
        *from_b.lock().unwrap() = Some(b);
        sleep(SECOND).await;
        assert_eq!(tree(), "a waiting\n└── b waiting\n    └── cycle: a → b → a\n");
        let graph = unstuck::debug::graph();
        assert_eq!(graph.cycles(), [[id_a, id_b]]);
        assert!(
            graph.to_json().ends_with(&format!(r#","cycles":[[{id_a},{id_b}]]}}"#)),
            "{}",
            graph.to_json()
        );
        watch.cancel();
    });
}

#[test]
fn a_gather_of_many_shows_those_that_are_not_ready() {
    noted().run_until_complete(async {
        // More than join_all polls itself: each has a waker of its own, and its note is kept.
        let tasks: Vec<_> = (1..=40).map(|n| spawn(&format!("t{n}"), sleep(n * SECOND))).collect();
        let all = spawn("all", async move { drop(gather(tasks).await) });
        sleep(38 * SECOND + SECOND / 2).await;
        let expected = "\
all waiting
├── t39 waiting
│   └── sleep, 500ms left
└── t40 waiting
    └── sleep, 1.5s left
";
        assert_eq!(tree(), expected);
        all.cancel();
    });
}

#[test]
fn what_was_given_up_is_not_shown_any_more() {
    noted().run_until_complete(async {
        let mut slow = spawn("slow", std::future::pending::<()>());
        let waiter = spawn("waiter", async move {
            let _ = unstuck::timeout(SECOND, shield(&mut slow)).await;
            sleep(SECOND).await;
            let _keep = slow;
        });
        sleep(SECOND + SECOND / 2).await;
        assert_eq!(tree(), "slow waiting\nwaiter waiting\n└── sleep, 500ms left\n");
        waiter.cancel();
    });
}

#[test]
fn a_job_is_shown_with_its_place() {
    let gate = Gate::new();
    let inside = gate.clone();
    noted().run_until_complete(async move {
        let opened = gate.clone();
        let _open = OnDrop(move || opened.open());
        let task = spawn("caller", async move { unstuck::to_thread(move || inside.pass()).await });
        eventually("the call runs", || gate.arrived() == 1).await;
        let text = tree();
        assert!(text.starts_with("caller waiting\n└── job made at "), "{text}");
        assert!(text.contains("tests/all/inspect/graph.rs:"), "{text}");
        gate.open();
        task.await.unwrap().unwrap();
    });
}

#[test]
fn main_is_known_by_the_place_of_the_run() {
    let builder = || Runtime::builder().introspection(true);
    let runners = [builder().build().map(Runner::from), builder().build_single().map(Runner::from)];
    for runner in runners {
        let text = runner.unwrap().run(async { unstuck::debug::graph().to_string() }).unwrap();
        assert!(text.starts_with("main (crates/unstuck/tests/all/inspect/graph.rs:"), "{text}");
    }
}

#[test]
fn the_main_future_of_several_threads_is_the_root() {
    let runtime = unstuck::Runtime::builder().worker_threads(2).introspection(true).build().unwrap();
    let handle = runtime.handle();
    let end = Deferred::<()>::new();
    let wait = end.clone();
    let main = std::thread::spawn(move || {
        handle.block_on(async move {
            spawn("child", async move { wait.await.unwrap() }).await.unwrap();
        });
    });
    let expected = "└── child waiting\n    └── deferred\n";
    until("main awaits its child", || {
        let text = plain(&runtime.handle().graph().to_string());
        text.starts_with("main (crates/unstuck/tests/all/inspect/graph.rs:")
            && text.split_once('\n').is_some_and(|(_, rest)| rest == expected)
    });
    end.set_result(()).unwrap();
    main.join().unwrap();
    until("nothing is left", || runtime.handle().graph().tasks().is_empty());
}

#[test]
fn json_and_dot_say_the_same() {
    noted().run_until_complete(async {
        let leaf = spawn("leaf \"1\"", sleep(3 * SECOND));
        let id = leaf.id();
        let root = spawn("root", async move { leaf.await.unwrap() });
        sleep(SECOND).await;
        let graph = Handle::current().graph();
        let json = graph.to_json();
        assert!(
            json.starts_with(r#"{"version":1,"tasks":[{"id":null,"name":"main","spawned_at":{"file":"#),
            "{json}"
        );
        let leaf = format!(r#"{{"id":{id},"name":"leaf \"1\"","spawned_at":{{"file":"#);
        assert!(json.contains(&leaf), "{leaf} in {json}");
        assert!(json.contains(r#""awaits":[{"what":"sleep","left_us":2000000}]"#), "{json}");
        let edge = format!(r#""awaits":[{{"what":"task","task":{id},"shielded":false}}]"#);
        assert!(json.contains(&edge), "{edge} in {json}");
        assert!(json.ends_with(r#"],"cycles":[]}"#), "{json}");

        let dot: Vec<String> =
            graph.to_dot().lines().map(plain).map(|line| line.trim_end().to_owned()).collect();
        assert_eq!(dot[0..2], ["digraph awaits {", "  rankdir=LR; node [shape=box];"]);
        assert_eq!(
            dot[3..],
            [
                r#"  n1 [label="leaf \"1\" waiting"];"#,
                r#"  n1_0 [label="sleep, 2s left" style=rounded];"#,
                "  n1 -> n1_0;",
                r#"  n2 [label="root waiting"];"#,
                "  n2 -> n1;",
                "}",
            ]
        );
        root.cancel();
    });
}

#[test]
fn a_chain_of_ten_thousand_is_drawn_without_a_stack_overflow() {
    noted().run_until_complete(async {
        let mut last = spawn("bottom", std::future::pending::<()>());
        let bottom = last.watch();
        for _ in 0..10_000 {
            last = unstuck::spawn(async move { drop(last.await) });
        }
        yield_now().await;
        yield_now().await;
        let graph = Handle::current().graph();
        assert!(graph.cycles().is_empty());
        let text = graph.to_string();
        assert!(text.contains("(see below)") && text.contains("bottom"), "{}", &text[..2000]);
        assert!(text.lines().count() < 20_000);
        bottom.cancel();
        last.await.unwrap();
    });
}
