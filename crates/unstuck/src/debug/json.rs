//! Writes JSON: a few lines, where a crate would cost everybody who only wants to run tasks.

use std::fmt::{self, Write};
use std::panic::Location;
use std::time::Duration;

use unstuck_core::guard::StallReport;

use super::{Await, On, TaskInfo, TaskState};

/// A JSON string.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?, // all below U+10000
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// A JSON array.
pub(super) struct List<I>(pub(super) I);

impl<I> fmt::Display for List<I>
where
    I: IntoIterator + Clone,
    I::Item: fmt::Display,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for (index, item) in self.0.clone().into_iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{item}")?;
        }
        f.write_char(']')
    }
}

/// What may not be known.
struct Maybe<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Maybe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("null"),
        }
    }
}

struct Place(&'static Location<'static>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"{{"file":{},"line":{}}}"#, Text(&super::graph::file(self.0)), self.0.line())
    }
}

fn micros(time: Duration) -> u128 {
    time.as_micros()
}

/// A task as a JSON object.
pub(super) struct Task<'a>(pub(super) &'a TaskInfo);

impl fmt::Display for Task<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TaskInfo { id, name, place, state, cancelling, polls, busy, awaits, .. } = self.0;
        let (state, running) = match state {
            TaskState::Waiting => ("waiting", None),
            TaskState::Ready => ("ready", None),
            TaskState::Running(running) => ("running", running.as_ref()),
            _ => ("done", None),
        };
        write!(f, r#"{{"id":{},"name":{},"spawned_at":{}"#, Maybe(*id), Text(name), Place(place))?;
        write!(f, r#","state":"{state}","cancelling":{cancelling}"#)?;
        if let Some(running) = running {
            let (thread, lasted) = (Text(&running.thread), micros(running.lasted));
            write!(f, r#","thread":{thread},"running_us":{lasted}"#)?;
            if let Some(call) = &running.call {
                write!(f, r#","call":{}"#, Text(&call.to_string()))?;
            }
        }
        let awaits = List(awaits.iter().map(Awaited));
        write!(f, r#","polls":{polls},"busy_us":{},"awaits":{awaits}}}"#, micros(*busy))
    }
}

struct Awaited<'a>(&'a Await);

impl fmt::Display for Awaited<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"{{"what":{}"#, Text(self.0.what))?;
        match self.0.on {
            On::Task { id, shielded } => write!(f, r#","task":{id},"shielded":{shielded}"#)?,
            On::Moment(left) => write!(f, r#","left_us":{}"#, micros(left))?,
            On::Place(place) => write!(f, r#","made_at":{}"#, Place(place))?,
            On::Lock { lock, holder } => write!(f, r#","lock":{lock},"held_by":{}"#, Maybe(holder))?,
            _ => {}
        }
        f.write_char('}')
    }
}

/// A stall report as a JSON object; it was made that long ago.
pub(super) struct Stall<'a>(pub(super) Duration, pub(super) &'a StallReport);

impl fmt::Display for Stall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stall(ago, report) = self;
        let name = report.name.as_deref().map(Text);
        write!(f, r#"{{"ago_us":{},"task":{},"name":{}"#, micros(*ago), Maybe(report.task), Maybe(name))?;
        write!(f, r#","spawned_at":{},"thread":{}"#, Maybe(report.place.map(Place)), Text(&report.worker))?;
        write!(f, r#","lasted_us":{},"text":{}}}"#, micros(report.lasted), Text(&report.to_string()))
    }
}
