//! A job on its way: its arguments as bytes, and who waits for the answer.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use unstuck_core::job::errand::{Errand, Stop, errand};
use unstuck_core::job::{Options, RunningJob};
use unstuck_core::{Away, JobHandle, JoinError, Loss};

use crate::portable::PortableJob;
use crate::wire::{self, Kind};
use crate::worker::{panic_text, sentence};

/// A job, ready to be sent.
pub(crate) struct Parcel {
    pub(crate) frame: Vec<u8>,
    /// How long it may run.
    pub(crate) limit: Option<Duration>,
    pub(crate) sender: Box<dyn Sender>,
}

/// Who sent it, whatever its type.
pub(crate) trait Sender: Send {
    /// The work begins, and `stop` stops it. False if it was cancelled before.
    fn begin(&self, stop: Stop) -> bool;
    fn is_cancelled(&self) -> bool;
    fn running(&self) -> RunningJob;
    /// Ends it with a value that is still bytes.
    fn done(self: Box<Self>, bytes: &[u8]);
    fn lost(self: Box<Self>, what: Loss, worker: Option<u32>, stderr: String);
    fn rejected(self: Box<Self>, why: &'static str);
}

/// What an answer without a value says.
pub(crate) fn failure(kind: Kind, body: &[u8]) -> Loss {
    match kind {
        Kind::Panicked => Loss::Panicked(match panic_text(body) {
            Some(text) => Box::new(text.to_owned()) as Box<dyn Any + Send>,
            None => Box::new(()),
        }),
        Kind::Unknown => Loss::Transport(format!(
            "no job is registered there as '{}': make it with #[unstuck::job], or add register!(..)",
            sentence(body)
        )),
        _ => Loss::Codec(sentence(body)),
    }
}

struct Typed<J: PortableJob>(Errand<J::Output>);

impl Parcel {
    /// Packs `job`. Without a parcel it has failed already, and the handle says why.
    pub(crate) fn pack<J: PortableJob>(
        job: &J,
        options: Options,
        limit: Option<Duration>,
        buffer: Vec<u8>,
    ) -> (Option<Self>, JobHandle<J::Output>) {
        let (errand, handle) = errand(options);
        // Serialize is the user's code, and submit never panics.
        let parcel = match panic::catch_unwind(AssertUnwindSafe(|| frame_in(buffer, job))) {
            Ok(Ok(frame)) => Some(Self { frame, limit, sender: Box::new(Typed::<J>(errand)) }),
            Ok(Err(why)) => {
                let loss = Loss::Codec(format!("its arguments cannot be written down ({why})"));
                Box::new(Typed::<J>(errand)).lost(loss, None, String::new());
                None
            }
            Err(payload) => {
                let origin = errand.origin();
                errand.finish(Err(JoinError::panicked(origin, payload)));
                None
            }
        };
        (parcel, handle)
    }
}

/// The question that a job is.
pub(crate) fn frame_of<J: PortableJob>(job: &J) -> Result<Vec<u8>, String> {
    frame_in(Vec::new(), job)
}

fn frame_in<J: PortableJob>(buffer: Vec<u8>, job: &J) -> Result<Vec<u8>, String> {
    let write = || postcard::to_extend(job, postcard::to_extend(J::NAME, wire::begin_in(buffer, Kind::Run))?);
    wire::seal(write().map_err(|error| error.to_string())?)
}

impl<J: PortableJob> Sender for Typed<J> {
    fn begin(&self, stop: Stop) -> bool {
        self.0.begin(stop)
    }

    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    fn running(&self) -> RunningJob {
        RunningJob::with_token(self.0.token())
    }

    fn done(self: Box<Self>, bytes: &[u8]) {
        let origin = || self.0.origin();
        let result = match panic::catch_unwind(|| J::read_output(bytes)) {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) => {
                let what = Loss::Codec(format!("its result cannot be read ({error})"));
                Err(JoinError::lost(origin(), Away { what, worker: None, stderr: String::new() }))
            }
            Err(payload) => Err(JoinError::panicked(origin(), payload)),
        };
        self.0.finish(result);
    }

    fn lost(self: Box<Self>, what: Loss, worker: Option<u32>, stderr: String) {
        let origin = self.0.origin();
        self.0.finish(Err(JoinError::lost(origin, Away { what, worker, stderr })));
    }

    fn rejected(self: Box<Self>, why: &'static str) {
        self.0.reject(why);
    }
}
