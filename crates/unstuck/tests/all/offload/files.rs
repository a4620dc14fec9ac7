//! Files and names, off the workers.

use std::path::PathBuf;

use unstuck::{Runtime, fs, net};

use crate::support::{Gate, OnDrop, eventually};

/// A directory of this test's own.
fn directory(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("unstuck-{}-{name}", std::process::id()))
}

#[test]
fn every_call_does_what_std_does() {
    let root = directory("files");
    let gone = root.clone();
    let _clean = OnDrop(move || _ = std::fs::remove_dir_all(&gone));
    unstuck::run(async {
        let deep = root.join("a/b");
        fs::create_dir_all(&deep).await?;
        fs::write(deep.join("one"), "hello").await?;
        assert_eq!(fs::read(deep.join("one")).await?, b"hello");
        assert_eq!(fs::copy(deep.join("one"), deep.join("two")).await?, 5);
        fs::rename(deep.join("two"), deep.join("0")).await?;
        let names: Vec<_> = fs::read_dir(&deep).await?.into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["0", "one"]);
        let entries = fs::read_dir(root.join("a")).await?;
        assert!(entries[0].file_type.is_dir() && entries[0].path == deep);
        assert_eq!(fs::metadata(deep.join("0")).await?.len(), 5);
        fs::remove_file(deep.join("0")).await?;
        assert!(fs::read_to_string(deep.join("0")).await.is_err());
        assert!(fs::remove_dir(&deep).await.is_err(), "it is not empty");
        fs::remove_dir_all(&root).await?;
        assert_eq!(fs::metadata(&root).await.unwrap_err().kind(), std::io::ErrorKind::NotFound);
        std::io::Result::Ok(())
    })
    .unwrap();
}

#[test]
fn a_look_up_gives_every_address_or_the_systems_error() {
    unstuck::run(async {
        let addresses = net::lookup("localhost:80").await.unwrap();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()) && !addresses.is_empty());
        assert!(net::lookup("no port given").await.is_err());
    });
}

#[test]
fn a_call_that_is_dropped_before_it_began_never_happens() {
    let path = directory("never");
    let runtime = Runtime::builder().worker_threads(1).max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        drop(fs::write(path.clone(), "not even submitted"));
        // Fill the general room and the reserved one, so that the write stays in the queue.
        let gate = Gate::new();
        let calls: Vec<_> = (0..5)
            .map(|_| {
                let held = gate.clone();
                unstuck::spawn(net::lookup(Slow(held)))
            })
            .collect();
        eventually("both rooms are full", || gate.arrived() == 5).await;
        let write = unstuck::spawn(fs::write(path.clone(), "queued and dropped"));
        eventually("it is queued", || runtime.statistics().blocking.queued == 1).await;
        write.cancel();
        assert!(write.await.unwrap_err().is_cancelled());
        gate.open();
        unstuck::gather(calls).await.into_iter().for_each(|call| drop(call.unwrap().unwrap()));
        assert!(fs::metadata(&path).await.is_err(), "it was written all the same");
    });
}

/// A name whose look-up takes as long as the gate is closed.
struct Slow(Gate);

impl std::net::ToSocketAddrs for Slow {
    type Iter = std::vec::IntoIter<std::net::SocketAddr>;

    fn to_socket_addrs(&self) -> std::io::Result<Self::Iter> {
        self.0.pass();
        Ok(Vec::new().into_iter())
    }
}

#[test]
#[should_panic(expected = "no runtime on this thread: call net::lookup() inside unstuck::run(..)")]
fn outside_of_a_runtime_a_call_says_so() {
    use std::future::Future;
    let mut lookup = std::pin::pin!(net::lookup("localhost:80"));
    let _ = lookup.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
}

#[test]
fn after_the_end_a_call_gives_an_error_that_says_so() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let handle = runtime.handle();
    runtime.shutdown();
    let error = handle.block_on(fs::read("Cargo.toml")).unwrap_err();
    assert!(error.to_string().contains("its thread pool has shut down"), "{error}");
}
