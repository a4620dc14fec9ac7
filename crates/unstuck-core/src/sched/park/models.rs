//! Beds in every interleaving: a call is never slept through, wherever the sleeper lies.

use std::sync::Arc;

use super::{DriverSeat, Parker};
use crate::driver::ThreadDriver;
use crate::models::model;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread;

struct Beds {
    parkers: Vec<Parker>,
    driver: DriverSeat,
    /// What each sleeper waits for. Relaxed: that it is seen must come from the parker.
    calls: Vec<AtomicUsize>,
}

impl Beds {
    fn new(sleepers: usize) -> Arc<Self> {
        Arc::new(Self {
            parkers: (0..sleepers).map(|_| Parker::new()).collect(),
            driver: DriverSeat::new(Box::new(ThreadDriver::new())),
            calls: (0..sleepers).map(|_| AtomicUsize::new(0)).collect(),
        })
    }

    fn sleep_until_called(self: &Arc<Self>, me: usize, times: usize) -> thread::JoinHandle<()> {
        let beds = self.clone();
        thread::spawn(move || {
            beds.parkers[me].bind();
            while beds.calls[me].load(Ordering::Relaxed) < times {
                beds.parkers[me].park(&beds.driver, || false);
            }
        })
    }

    fn call(&self, sleeper: usize) {
        self.calls[sleeper].fetch_add(1, Ordering::Relaxed);
        self.parkers[sleeper].unpark(&self.driver);
    }
}

#[test]
fn a_sleeper_in_the_driver_hears_every_call() {
    model(|| {
        let beds = Beds::new(1);
        let sleeper = beds.sleep_until_called(0, 2);
        beds.call(0);
        beds.call(0);
        sleeper.join().unwrap();
    });
}

#[test]
fn a_sleeper_beside_the_driver_hears_every_call() {
    model(|| {
        let beds = Beds::new(1);
        // Somebody else lies in the driver all the time.
        let seat = beds.driver.seat.lock();
        let sleeper = beds.sleep_until_called(0, 2);
        beds.call(0);
        beds.call(0);
        sleeper.join().unwrap();
        drop(seat);
    });
}

#[test]
fn two_sleepers_are_called_at_the_right_doors() {
    model(|| {
        let beds = Beds::new(2);
        let sleepers = [beds.sleep_until_called(0, 1), beds.sleep_until_called(1, 1)];
        beds.call(0);
        beds.call(1);
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    });
}
