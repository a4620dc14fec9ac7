//! The service: three pages, and the two ways to write them.
//!
//! This is the room to compare. `inline` is what one writes on the first day: it reads well, it passes its tests, and
//! it stops the thread. `offloaded` says what kind of work it is, in one word more: `to_thread` for calls that wait,
//! `cpu` for calls that compute.
//!
//! Each piece of work notes its thread and time; the timeline shows them under the pings.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

use async_io::Async;
use futures_lite::future;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use unstuck::JoinError;

use crate::hyper_rt::{Clock, Socket};
use crate::input::{Input, STARTS};

/// How the handlers treat work that takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Do it right here, on the runtime's thread.
    Inline,
    /// Hand it to the threads made for it, and wait without holding one.
    Offloaded,
}

/// What a piece of work was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Computed a digest.
    Digest,
    /// Waited for the slow peer.
    Page,
}

/// One piece of work, where and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) kind: Kind,
    pub(crate) thread: ThreadId,
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
}

/// The service; cheap to clone.
#[derive(Clone)]
pub(crate) struct Service(Arc<Inner>);

struct Inner {
    style: Style,
    input: Arc<Input>,
    peer: SocketAddr,
    agent: ureq::Agent,
    done: Mutex<Vec<Work>>,
}

impl Service {
    pub(crate) fn new(style: Style, input: Arc<Input>, peer: SocketAddr) -> Self {
        let agent = ureq::Agent::new_with_defaults();
        Self(Arc::new(Inner { style, input, peer, agent, done: Mutex::new(Vec::new()) }))
    }

    /// Serves until `stopped` is ready.
    pub(crate) async fn serve(
        &self,
        listener: TcpListener,
        stopped: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let listener = Async::new(listener)?;
        let accepting = async {
            loop {
                let (stream, _) = listener.accept().await?;
                stream.get_ref().set_nodelay(true)?;
                unstuck::spawn(self.clone().converse(stream)).detach();
            }
        };
        let stopping = async {
            stopped.await;
            Ok(())
        };
        future::or(stopping, accepting).await
    }

    /// One connection, from the first request to the last.
    async fn converse(self, stream: Async<TcpStream>) {
        let handler = service_fn(|request| {
            let service = self.clone();
            async move { Ok::<_, Infallible>(service.answer(&request).await) }
        });
        let talk = http1::Builder::new().timer(Clock).serve_connection(Socket(stream), handler);
        // The client went away in the middle of something: nobody is left to tell.
        drop(talk.await);
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let number =
            request.uri().query().and_then(|query| query.split_once('=')?.1.parse().ok()).unwrap_or(0);
        let answer = match (request.uri().path(), self.0.style) {
            ("/health", _) => Ok("well".to_owned()),
            ("/digest", Style::Inline) => self.digest_inline(number).await,
            ("/digest", Style::Offloaded) => self.digest_offloaded(number).await,
            ("/page", Style::Inline) => self.page_inline(number).await,
            ("/page", Style::Offloaded) => self.page_offloaded(number).await,
            _ => return response(StatusCode::NOT_FOUND, "there are /health, /digest and /page\n".to_owned()),
        };
        match answer {
            Ok(text) => response(StatusCode::OK, text),
            Err(problem) => response(StatusCode::INTERNAL_SERVER_ERROR, problem.0),
        }
    }

    // What one writes on the first day.

    async fn digest_inline(&self, start: usize) -> Result<String, Problem> {
        Ok(self.digest(start))
    }

    async fn page_inline(&self, number: usize) -> Result<String, Problem> {
        Ok(self.page(number)?)
    }

    // The same, in a service that stays awake.

    async fn digest_offloaded(&self, start: usize) -> Result<String, Problem> {
        let service = self.clone();
        Ok(unstuck::cpu(move || service.digest(start)).await?)
    }

    async fn page_offloaded(&self, number: usize) -> Result<String, Problem> {
        let service = self.clone();
        Ok(unstuck::to_thread(move || service.page(number)).await??)
    }

    /// Computes.
    fn digest(&self, start: usize) -> String {
        self.noted(Kind::Digest, || self.0.input.digest(start % STARTS))
    }

    /// Blocks.
    fn page(&self, number: usize) -> Result<String, ureq::Error> {
        let address = format!("http://{}/{number}", self.0.peer);
        self.noted(Kind::Page, || self.0.agent.get(&address).call()?.body_mut().read_to_string())
    }

    fn noted<T>(&self, kind: Kind, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let value = work();
        let work = Work { kind, thread: thread::current().id(), begin, end: Instant::now() };
        self.0.done.lock().unwrap_or_else(PoisonError::into_inner).push(work);
        value
    }

    pub(crate) fn input(&self) -> &Input {
        &self.0.input
    }

    /// The work done so far.
    pub(crate) fn work(&self) -> Vec<Work> {
        self.0.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a page could not be made.
struct Problem(String);

impl From<ureq::Error> for Problem {
    fn from(error: ureq::Error) -> Self {
        Self(format!("the peer did not answer: {error}"))
    }
}

impl From<JoinError> for Problem {
    fn from(error: JoinError) -> Self {
        Self(error.to_string())
    }
}

fn response(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}
