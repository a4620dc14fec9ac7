//! Tasks that belong together. asyncio: `async with asyncio.TaskGroup() as group`.
//!
//! `task_group` gives its body a group to spawn into, and comes back when everything that was spawned has ended. The first
//! failure cancels the others, waits for their cleanup, and all failures come in one error.
//!
//! Watch for: the oven is cleaned before the error arrives; the order that comes too late is refused.

use unstuck::{TaskGroup, finally, sleep, task_group};
use unstuck_examples::{SECOND, delay, say};

fn main() {
    unstuck::run_single(tutorial());
}

type Problem = Box<dyn std::error::Error + Send + Sync>;

pub(crate) async fn tutorial() {
    let total = task_group(|group| async move {
        let starter = group.spawn(async { Ok::<_, Problem>(delay(1).await) });
        let main_course = group.spawn(async { Ok(delay(2).await) });
        group.spawn(async { Ok(delay(3).await) }); // nobody awaits it, but the group
        Ok::<_, Problem>(starter.await? + main_course.await?)
    })
    .await;
    say!("the group gave {total:?}");

    match task_group(kitchen).await {
        Ok(()) => say!("dinner is served"),
        Err(error) => say!("{error}"),
    }
}

async fn kitchen(group: TaskGroup<Problem>) -> Result<(), Problem> {
    let late = group.clone();
    group.spawn(async move {
        let roast = async {
            say!("the roast is in the oven");
            sleep(10 * SECOND).await;
        };
        finally(roast, async {
            sleep(SECOND).await;
            say!("the oven is clean");
            let dessert = late.spawn(async { Ok(()) });
            say!("is the dessert refused? {}", dessert.await.is_err_and(|none| none.is_refused()));
        })
        .await;
        Ok(())
    });
    group.spawn(async {
        sleep(SECOND).await;
        say!("no salt!");
        Err::<(), Problem>("the salt is out".into())
    });
    sleep(10 * SECOND).await; // cancelled, too
    say!("never said");
    Ok(())
}
