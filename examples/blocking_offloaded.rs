//! Blocking calls on threads. asyncio: `asyncio.to_thread(requests.get, url)`.
//!
//! The same blocking client as in `blocking_single`, but each call runs on a thread of the pool for calls that wait, and
//! the task awaits it. The waiting threads cost memory, not time; the loop stays free.
//!
//! Watch for: both ask before either is answered; one second instead of two; and a heartbeat that never pauses.

use std::io::{self, Read};
use std::net::TcpStream;
use std::thread;

use unstuck::{spawn, to_thread};
use unstuck_examples::{Heartbeat, SECOND, SlowServer, say};

fn main() -> io::Result<()> {
    let server = SlowServer::start(|| thread::sleep(SECOND))?;
    unstuck::run_single(tutorial(server));
    Ok(())
}

/// A blocking client, like Python's `requests.get(url)`.
fn get(server: SlowServer) -> io::Result<String> {
    let mut answer = String::new();
    TcpStream::connect(server.address)?.read_to_string(&mut answer)?;
    Ok(answer)
}

async fn get_status(server: SlowServer) {
    say!("a task asks");
    let status = to_thread(move || get(server)).await.unwrap().unwrap();
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
