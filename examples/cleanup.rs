//! Giving back what one holds, when one is cancelled. asyncio: `try … finally`, `except CancelledError`.
//!
//! A cancellation drops a future at its await, and a destructor cannot await. What has to be given back *with* an await (a
//! goodbye to the other side, a rollback, a file moved into place) stands in a `finally`: it runs when the body ended,
//! however it ended, and may take its time. `catch_cancel` is the `except`: code that may also decide to go on.
//!
//! Watch for: who cancels waits for the cleanup; the inner one comes before the outer one; the connection is given back in
//! every case, also when the query fails; after a cancellation was swallowed, the task goes on.

use unstuck::{catch_cancel, finally, shield, sleep, spawn, wait_for};
use unstuck_examples::{SECOND, say};

fn main() {
    unstuck::run_single(tutorial());
}

pub(crate) async fn tutorial() {
    say!("1. cancelled");
    let task = spawn(transfer(10));
    sleep(SECOND).await;
    task.cancel_with("the customer has left");
    say!("it was asked to end");
    let error = task.await.unwrap_err();
    say!("it has ended: {}", error.reason().and_then(|reason| reason.text()).unwrap_or("no reason"));

    say!("2. out of time");
    let transferred = wait_for(transfer(10), SECOND).await;
    say!("{}", if transferred.is_err() { "the time was over; all was given back first" } else { "in time" });

    say!("3. in time");
    say!("moved {} coins", transfer(1).await);

    say!("4. a task that does not give up");
    let stubborn = spawn(async {
        if let Err(cancelled) = catch_cancel(sleep(10 * SECOND)).await {
            say!("cancelled, and going on all the same");
            drop(cancelled); // swallowed
        }
        sleep(SECOND).await; // not cancelled: one request, one answer
        "done"
    });
    sleep(SECOND).await;
    stubborn.cancel();
    say!("{}", stubborn.await.unwrap());

    say!("5. what must not be cut off");
    let task = spawn(async {
        let mut write = spawn(async {
            sleep(2 * SECOND).await;
            say!("the last page is written");
        });
        // By reference, and so shielded: a cancellation leaves the write alone. Then it is waited for.
        let outcome = catch_cancel(shield(&mut write)).await;
        say!("cancelled: {}", outcome.is_err());
        drop(write.await);
        if let Err(cancelled) = outcome {
            cancelled.resume::<()>().await;
        }
    });
    sleep(SECOND).await;
    task.cancel();
    say!("cancelled: {}", task.await.is_err_and(|error| error.is_cancelled()));
}

/// Moves coins, over a connection that is closed and in a transaction that is rolled back.
async fn transfer(seconds: u32) -> u32 {
    say!("connected");
    let transaction = async {
        let moved = catch_cancel(async {
            sleep(seconds * SECOND).await;
            42
        })
        .await;
        match moved {
            Ok(coins) => {
                say!("committed");
                coins
            }
            Err(cancelled) => {
                sleep(SECOND).await; // the other side takes its time
                say!("rolled back");
                cancelled.resume().await
            }
        }
    };
    finally(transaction, async {
        sleep(SECOND / 2).await;
        say!("disconnected");
    })
    .await
}
