//! hyper on unstuck: what a library that is open to any runtime asks of one.
//!
//! hyper never names a runtime; it asks for four small traits (`hyper::rt`). `Read` and `Write` are the socket's,
//! `Timer` is the runtime's, and `Executor` spawns, which only HTTP/2 needs. The socket is async-io's: its reactor is
//! a thread of its own and wakes tasks on any executor.

use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_io::Async;
use futures_lite::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};

/// A socket as hyper wants it.
pub(crate) struct Socket(pub(crate) Async<TcpStream>);

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // hyper's buffer is uninitialised memory; reading into it directly takes `unsafe`, a copy does not.
        let mut chunk = [0; 4096];
        let most = buffer.remaining().min(chunk.len());
        let read = std::task::ready!(Pin::new(&mut self.0).poll_read(cx, &mut chunk[..most]))?;
        buffer.put_slice(&chunk[..read]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

/// The runtime's clock as hyper wants it; hyper ends connections whose headers take too long.
#[derive(Clone, Copy)]
pub(crate) struct Clock;

impl Timer for Clock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Nap(unstuck::sleep(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }
}

/// `hyper::rt::Sleep` is a foreign trait and so is the sleep: this is theirs to meet in.
struct Nap(unstuck::Sleep);

impl Sleep for Nap {}

impl Future for Nap {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}
