//! Blocking calls in tasks, on one thread. asyncio: the tutorial's `requests.get` in coroutines.
//!
//! A blocking client does not know of the loop. While it waits for its answer, the thread waits with it, and the loop is
//! this thread: nothing else happens at all. Two tasks take as long as two plain calls, and the heartbeat stops. An
//! `async fn` around a blocking call does not make it async.
//!
//! Watch for: asks, answered, asks, answered; two seconds; and the time without a heartbeat.
//!
//! What to do instead: `blocking_offloaded` if the library blocks, `blocking_sockets` if you can choose one that is async.

use std::io::{self, Read};
use std::net::TcpStream;
use std::thread;

use unstuck::spawn;
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
    let status = get(server).unwrap(); // no await in here: nobody else runs until it returns
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
