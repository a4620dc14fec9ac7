//! With the feature `tracing`: a stall is an event, with the report's fields.
//! `cargo test -p unstuck --features tracing --test events`

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What has not come after this long never will.
const PATIENCE: Duration = Duration::from_secs(180);

/// Hands on what events of the guard say.
struct Collector(Mutex<Sender<BTreeMap<String, String>>>);

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "unstuck::stall" && *metadata.level() == Level::WARN
    }
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let _ = self.0.lock().unwrap().send(fields.0);
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_stall_is_an_event_unless_somebody_else_was_named() {
    let (tell, told) = mpsc::channel();
    tracing::subscriber::set_global_default(Collector(Mutex::new(tell))).unwrap();
    let runtime = unstuck::Runtime::builder().worker_threads(1).debug(false).build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let entered = runtime.enter();
    let task = unstuck::task::Builder::new().name("reader").spawn(async move { _ = released.recv() });
    drop(entered);
    let event = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(event["message"], "a poll has not come back");
    assert_eq!(event["task"], task.id().to_string());
    assert_eq!(event["name"], "\"reader\"");
    assert!(event["place"].contains("events.rs"), "{event:?}");
    assert!(event["lasted_ms"].parse::<f64>().unwrap() >= 10.0, "{event:?}");
    for field in ["worker", "class", "behind", "done", "way_out", "backtrace", "suppressed"] {
        assert!(event.contains_key(field), "{field} in {event:?}");
    }
    drop(release);
    runtime.block_on(task).unwrap();
    runtime.shutdown();

    let (tell, named) = mpsc::channel();
    let tell = Mutex::new(tell);
    let builder = unstuck::Runtime::builder().worker_threads(1);
    let runtime = builder.on_stall(move |_| _ = tell.lock().unwrap().send(())).build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let entered = runtime.enter();
    let task = unstuck::task::Builder::new().name("told").spawn(async move { _ = released.recv() });
    drop(entered);
    named.recv_timeout(PATIENCE).unwrap();
    drop(release);
    runtime.block_on(task).unwrap();
    runtime.shutdown();
    // Reports of the first stall's later milliseconds may still come.
    assert!(told.try_iter().all(|event| event["name"] == "\"reader\""), "it went to somebody else");
}
