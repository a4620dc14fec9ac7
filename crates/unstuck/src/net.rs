//! Names and addresses.
//!
//! Sockets are not here yet: `async-net` and `async-io` work on this runtime as they are.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::Location;

use crate::offload::own;

/// Looks a name up, in the system's way (`getaddrinfo`), on a thread of the blocking pool: asyncio's
/// `loop.getaddrinfo`.
///
/// Takes what [`ToSocketAddrs`] takes: `"localhost:80"`, `("localhost", 80)`. The pool keeps room for look-ups: closures
/// that fill it up do not hold them up.
///
/// ```
/// # unstuck::run(async {
/// let addresses = unstuck::net::lookup(("127.0.0.1", 80)).await?;
/// assert_eq!(addresses, ["127.0.0.1:80".parse().unwrap()]);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// # Cancellation
/// Dropped before it began, it never happens. One that has begun goes on to its end in the background, which can take
/// the system's resolver many seconds.
///
/// # Errors
/// The system's, also when there is no such name. Of kind `Other` if the runtime has shut down.
///
/// # Panics
/// Awaiting it outside a runtime panics.
#[track_caller]
pub fn lookup<A>(name: A) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send
where
    A: ToSocketAddrs + Send + 'static,
{
    own("net::lookup", Location::caller(), move || Ok(name.to_socket_addrs()?.collect()))
}
