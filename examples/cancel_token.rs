//! Cancelling a call that runs in a thread. asyncio: cannot; trio: `from_thread.check_cancelled()`.
//!
//! Nobody can stop a thread from outside. A closure that may take long asks now and then whether anybody still wants it:
//! `offload::check()?` where it can return, `offload::is_cancelled()` where it has to tidy up first.
//!
//! Watch for: `cancel()` of a call that runs says `false`, since it cannot be taken back; awaiting it afterwards waits
//! until the thread is really done; a call bound to its task is told when the task is cancelled.

use std::sync::mpsc::{Sender, channel};

use unstuck::offload::{self, Cancelled};
use unstuck::{spawn, to_thread, yield_now};

fn main() {
    tutorial();
}

pub(crate) fn tutorial() {
    unstuck::run(async {
        let (started, has_started) = channel();
        let copy = to_thread(move || copy_many_files(&started));
        while has_started.try_recv().is_err() {
            yield_now().await;
        }
        println!("taken back: {}", copy.cancel());
        match copy.await.unwrap() {
            Ok(files) => println!("copied {files} files"),
            Err(error) => {
                println!("it has stopped: {}", error.to_string().contains("was cancelled while it ran"));
            }
        }

        let (started, has_started) = channel();
        let (tell, told) = channel();
        let task = spawn(async move {
            let search = move || search_and_tidy_up(&started, &tell);
            offload::call().name("search").cancel_on_drop().spawn(search).await
        });
        while has_started.try_recv().is_err() {
            yield_now().await;
        }
        task.cancel();
        println!("the task was cancelled: {}", task.await.is_err());
        let found = to_thread(move || told.recv().unwrap_or_default()).await.unwrap();
        println!("its call was told, and {found}");
    });
}

/// Copies for as long as anybody wants it, up to a number that nobody waits for.
fn copy_many_files(started: &Sender<()>) -> Result<u64, Cancelled> {
    for _ in 0..u64::MAX {
        offload::check()?; // between two files: nothing is half copied
        let _ = started.send(());
    }
    Ok(u64::MAX)
}

/// The same for a function that has something to say at its end.
fn search_and_tidy_up(started: &Sender<()>, tell: &Sender<&'static str>) {
    while !offload::is_cancelled() {
        let _ = started.send(());
    }
    let _ = tell.send("has tidied up");
}
