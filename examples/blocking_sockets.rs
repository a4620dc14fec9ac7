//! Sockets that do not block. asyncio: `aiohttp` instead of `requests`.
//!
//! An async client waits by awaiting, so it needs no thread per request: thousands of them fit on one loop. The sockets
//! here are those of the `async-io` crate, which works on unstuck as it is (`async-net` too).
//!
//! Watch for: both ask before either is answered; one second; a heartbeat that never pauses; and no `to_thread`.

use std::io;
use std::net::TcpStream;
use std::thread;

use async_io::Async;
use futures_lite::AsyncReadExt;
use unstuck::spawn;
use unstuck_examples::{Heartbeat, SECOND, SlowServer, say};

fn main() -> io::Result<()> {
    let server = SlowServer::start(|| thread::sleep(SECOND))?;
    unstuck::run_single(tutorial(server));
    Ok(())
}

/// An async client: wherever it waits, it awaits.
async fn get(server: SlowServer) -> io::Result<String> {
    let mut answer = String::new();
    Async::<TcpStream>::connect(server.address).await?.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn get_status(server: SlowServer) {
    say!("a task asks");
    let status = get(server).await.unwrap();
    say!("a task was answered: {status}");
}

pub(crate) async fn tutorial(server: SlowServer) {
    let heartbeat = Heartbeat::start();
    let task_one = spawn(get_status(server));
    let task_two = spawn(get_status(server));
    task_one.await.unwrap();
    task_two.await.unwrap();
    say!("longest time without a heartbeat: {:.2} s", heartbeat.stop());
}
