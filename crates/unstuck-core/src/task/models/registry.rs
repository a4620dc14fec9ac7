//! The registry: who is seen in it, and that its home learns when the last has gone.

use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;

use super::{Dropping, Drops, Hits, House, assert_freed, name};
use crate::models::model;
use crate::sync::atomic::Ordering;
use crate::sync::thread;
use crate::task::{Home, Runnable, Spawn, Task, header, numbers};

#[test]
fn a_snapshot_meets_a_task_that_leaves() {
    model(|| {
        let (house, name) = (House::new(1), name());
        let mut future = Hits::needs(0);
        let futures = Drops::default();
        future._future = Some(Dropping(futures.clone()));
        house.spawn(future, &name).detach();
        let stays = house.spawn(Hits::needs(1), &name);
        let runner = {
            let house = house.clone();
            thread::spawn(move || assert!(house.run_one()))
        };
        let seen = house.registry.snapshot();
        assert!(seen.contains(&stays.watch()), "who stays is seen");
        assert!(seen.len() == 2 || futures.count() == 1, "who is not seen has gone");
        runner.join().unwrap();
        assert!(Arc::strong_count(&name) > seen.len(), "who is seen has not been freed");
        drop(seen);
        stays.cancel();
        drop(stays);
        while house.run_one() {}
        assert_eq!(house.registry.len(), 0);
        assert_freed(&name);
    });
}

#[test]
fn a_spawn_during_close_is_refused_or_cancelled_but_never_forgotten() {
    model(|| {
        let (house, name) = (House::new(1), name());
        let spawner = {
            let (house, name) = (house.clone(), name.clone());
            thread::spawn(move || house.spawn(Hits::needs(1), &name))
        };
        house.registry.close();
        for task in house.registry.snapshot() {
            task.cancel();
        }
        let mut task = spawner.join().unwrap();
        while house.run_one() {}
        let error = task.try_result().expect("it has ended").err().expect("without a value");
        assert!(error.is_cancelled() || error.is_rejected());
        assert!(house.registry.is_empty());
        drop((task, error));
        assert_freed(&name);
    });
}

#[test]
fn the_last_two_tasks_of_a_closed_home_do_not_both_miss_that_it_is_drained() {
    model(|| {
        let (house, name) = (House::new(2), name());
        // Numbers of two different shards.
        for id in [1, 1 + numbers::ID_BLOCK] {
            let how = Spawn { name: Some(name.clone()), place: Location::caller(), is_call: false };
            let home = NonNull::from(&*house as &dyn Home);
            let header = header::allocate(Hits::needs(0), home, id, how);
            // SAFETY: as in `task::spawn`.
            unsafe {
                assert!(house.registry.insert(header));
                drop(Task::<Option<Dropping>>::from_raw(header));
                house.submit(Runnable::new(header));
            }
        }
        house.registry.close();
        let other = {
            let house = house.clone();
            thread::spawn(move || assert!(house.run_one()))
        };
        assert!(house.run_one());
        other.join().unwrap();
        assert!(house.drained.load(Ordering::Relaxed) >= 1);
        assert!(house.registry.is_empty());
        assert_freed(&name);
    });
}

#[test]
fn blocks_are_freed_once_while_others_are_filled() {
    model(|| {
        let (house, name) = (House::new(1), name());
        // Two fill a block; the third opens the next one while they leave.
        house.spawn(Hits::needs(0), &name).detach();
        house.spawn(Hits::needs(0), &name).detach();
        let runner = {
            let house = house.clone();
            thread::spawn(move || {
                assert!(house.run_one());
                assert!(house.run_one());
            })
        };
        house.spawn(Hits::needs(0), &name).detach();
        house.registry.close();
        runner.join().unwrap();
        while house.run_one() {}
        assert!(house.registry.is_empty());
        assert_freed(&name);
    });
}
