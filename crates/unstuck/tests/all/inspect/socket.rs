//! Looking from outside, while every worker is stuck.

use std::fs;
use std::path::Path;
use std::time::Duration;

use unstuck::{Runtime, sleep};
use unstuck_inspect::{Process, Request, ask, processes};

use super::Count;
use crate::support::{
    Gate, OnDrop, in_child, open_files, sleep_soundly, text, threads, until, until_threads_are_gone,
};

/// Runs the body of a test in a process of its own, with a folder for sockets of its own.
fn apart<F: FnOnce()>(body: F) {
    let folder =
        format!("{}/unstuck-socket-{}", std::env::temp_dir().display(), std::any::type_name::<F>().len());
    let folder = format!("{folder}-{}", std::process::id());
    let place = format!("XDG_RUNTIME_DIR={folder}");
    fs::create_dir_all(&folder).unwrap();
    if let Some(output) = in_child(&["env", &place], body) {
        assert!(output.status.success(), "{}\n{}", output.status, text(&output));
    }
    let _ = fs::remove_dir_all(&folder);
}

fn myself() -> Process {
    let own = processes().into_iter().find(|process| process.pid == std::process::id());
    own.expect("this process can be asked")
}

fn asked(request: Request) -> String {
    ask(&myself(), &request).unwrap()
}

#[test]
fn while_every_worker_is_stuck_the_socket_tells_who_runs_and_cancels() {
    apart(|| {
        let gate = Gate::new();
        let runtime = Runtime::builder()
            .worker_threads(2)
            .max_rescue_threads(0)
            .thread_name("stuck")
            .inspect(true)
            .build()
            .unwrap();
        let waiting = runtime.spawn(sleep(Duration::from_secs(3600)));
        until("it sleeps", || asked(Request::Tree).contains("sleep, "));
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let gate = gate.clone();
                runtime.spawn(async move { gate.pass() })
            })
            .collect();
        let opened = gate.clone();
        let _open = OnDrop(move || opened.open());
        gate.wait_for(2);

        let ps = asked(Request::Ps);
        assert!(
            ps.starts_with(&format!(r#"{{"version":1,"pid":{},"program":""#, std::process::id())),
            "{ps}"
        );
        assert_eq!(ps.matches(r#""state":"running""#).count(), 2, "{ps}");
        assert!(ps.contains(r#""thread":"stuck-0""#) && ps.contains(r#""thread":"stuck-1""#), "{ps}");
        assert!(ps.contains("tests/all/inspect/socket.rs"), "{ps}");
        let tree = asked(Request::Tree);
        assert_eq!(tree.matches(") RUNNING for ").count(), 2, "{tree}");
        assert!(asked(Request::Dot).contains("digraph awaits"), "{tree}");
        until("the guard has reported it", || {
            let stalls = asked(Request::Stalls);
            stalls.contains("has not come back from a poll") && stalls.contains(r#""thread":"stuck-"#)
        });

        let id: u64 = waiting.id().to_string().parse().unwrap();
        assert!(asked(Request::Cancel(id)).ends_with(r#","cancelled":true,"name":"task-1"}"#));
        assert!(waiting.watch().is_cancelling(), "no worker has had time for it");
        gate.open();
        assert!(waiting.wait().unwrap_err().is_cancelled());
        for task in tasks {
            task.wait().unwrap();
        }
        let answer = asked(Request::Cancel(id));
        assert!(answer.contains(&format!(r#""error":"there is no unfinished task {id}""#)), "{answer}");
    });
}

#[test]
fn nothing_listens_unless_it_is_asked_for() {
    apart(|| {
        let runtime = Runtime::builder().worker_threads(1).introspection(true).build().unwrap();
        runtime.block_on(async {});
        assert_eq!(processes(), []);
        assert!(!threads().iter().any(|(name, _)| name == "unstuck-inspect"));
    });
}

#[test]
fn one_socket_serves_all_runtimes_and_goes_with_the_last() {
    apart(|| {
        let files = open_files();
        let build =
            |name| Runtime::builder().worker_threads(1).thread_name(name).inspect(true).build().unwrap();
        let (one, two) = (build("one"), build("two"));
        let single = Runtime::builder().thread_name("loop").inspect(true).build_single().unwrap();
        drop(single.spawn_local(std::future::pending::<()>()));
        let ps = asked(Request::Ps);
        for name in ["one", "two", "loop"] {
            assert!(ps.contains(&format!(r#"{{"name":"{name}","tasks":["#)), "{ps}");
        }
        assert!(asked(Request::Tree).contains("# runtime loop\\ntask-"));
        drop(single);
        drop(two);
        let socket = myself().socket;
        assert!(!asked(Request::Ps).contains(r#""name":"two""#));
        drop(one);
        assert!(!socket.exists());
        assert_eq!(processes(), []);
        until_threads_are_gone();
        assert_eq!(open_files(), files);
        // And again.
        drop(build("three"));
        assert_eq!(processes(), []);
    });
}

#[test]
fn a_folder_that_others_can_enter_is_an_error_that_says_what_to_do() {
    apart(|| {
        use std::os::unix::fs::PermissionsExt;
        let folder = unstuck_inspect::place::candidates().remove(0);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let error = unstuck_inspect::place::secure(&folder).unwrap_err().to_string();
        assert!(error.contains("is open to other users (its mode should be 0700): remove it"), "{error}");
        assert_eq!(processes(), []);
    });
}

#[test]
fn the_socket_wakes_nobody_while_nobody_asks() {
    apart(|| {
        let runtime = Runtime::builder().worker_threads(2).thread_name("idle").inspect(true).build().unwrap();
        drop(runtime.spawn(sleep(Duration::from_secs(3600))));
        until("all sleep", || runtime.statistics().tasks.sleeping_workers == 2);
        assert!(asked(Request::Ps).contains(r#""state":"waiting""#));
        let asleep = sleep_soundly(Duration::from_secs(1), &["idle-", "unstuck-inspect"]);
        assert!(asleep.iter().any(|name| name == "unstuck-inspect"), "{asleep:?}");
    });
}

#[test]
fn it_answers_while_tasks_come_and_go() {
    apart(|| {
        let runtime = Runtime::builder().worker_threads(2).inspect(true).build().unwrap();
        let (rounds, handle) = (Count::default(), runtime.handle());
        let counted = rounds.clone();
        let churn = runtime.spawn(async move {
            loop {
                let tasks = (0..20).map(|_| handle.spawn(unstuck::yield_now()));
                drop(unstuck::gather(tasks).await);
                counted.up();
            }
        });
        let begun = rounds.get();
        for _ in 0..100 {
            assert!(asked(Request::Ps).ends_with('}'));
            assert!(asked(Request::Tree).contains(r#""text":"#));
        }
        until("it went on meanwhile", || rounds.get() > begun);
        churn.cancel();
        assert!(churn.wait().unwrap_err().is_cancelled());
        assert!(Path::new(&myself().socket).exists());
    });
}
