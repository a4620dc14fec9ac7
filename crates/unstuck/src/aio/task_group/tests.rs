use std::future::pending;

use super::*;

#[test]
fn a_child_whose_spawn_is_under_way_while_its_group_is_dropped_is_cancelled_too() {
    crate::run_single(async {
        let group = TaskGroup::<()> { shared: Arc::default() };
        let scope = Scope {
            shared: group.shared.clone(),
            children: FuturesUnordered::new(),
            failures: Vec::new(),
            untold: Vec::new(),
            aborting: false,
        };
        let entry = Entry::new(&group.shared).expect("the group is open");
        drop(scope); // on another thread, say
        let drawer = Drawer::<()>::new();
        let child = entry.adopt(crate::spawn(child::run(pending(), drawer.clone())), drawer);
        let task = child.task().expect("it was not refused").clone();
        assert!(child.await.is_err()); // nobody waits for a group that has gone
        crate::yield_now().await;
        assert!(task.is_cancelled());
        assert!(group.spawn(async { Ok(()) }).await.unwrap_err().is_refused());
    });
}
