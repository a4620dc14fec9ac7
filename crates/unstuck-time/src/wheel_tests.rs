//! The wheel against a model: a `BTreeMap` of deadlines.

use std::collections::BTreeMap;
use std::task::Waker;

use super::*;

/// Marsaglia's xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A distance whose size is spread over all levels.
    fn distance(&mut self) -> u64 {
        let bits = self.below(58);
        self.next() & ((1 << bits) - 1)
    }
}

fn waker() -> Waker {
    Waker::noop().clone()
}

/// Everything due at `now`, in the order in which it is to be woken; in steps of `budget`.
fn expire(wheel: &mut Wheel, now: u64, budget: usize) -> Vec<(u64, u64)> {
    let mut due = Vec::new();
    while wheel.expire(now, budget, &mut due) == Progress::More {}
    let mut fired: Vec<_> = due.iter().map(|due| (due.deadline, due.seq)).collect();
    fired.sort_unstable();
    fired
}

/// Arms, cancels and expires at random, and compares with the model after every step.
fn compare_with_the_model(seed: u64, steps: usize) {
    let mut random = Random(seed);
    let mut now = random.next() >> 3;
    let mut wheel = Wheel::new(now);
    let mut model: BTreeMap<(u64, u64), Key> = BTreeMap::new();
    let mut gone: Vec<Key> = Vec::new();
    for step in 0..steps {
        match random.below(10) {
            0..5 => {
                let late = random.below(20) == 0;
                let deadline =
                    if late { now.saturating_sub(random.below(5000)) } else { now + random.distance() };
                let key = wheel.arm(deadline, waker());
                model.insert((deadline, key.number), key);
            }
            5..7 if !model.is_empty() => {
                let at = random.below(model.len() as u64) as usize;
                let name = *model.keys().nth(at).unwrap();
                let key = model.remove(&name).unwrap();
                assert!(wheel.cancel(key).is_some());
                gone.push(key);
            }
            7 if !model.is_empty() => {
                // Exactly to the next deadline, or to one nanosecond before it.
                let next = model.keys().next().unwrap().0.max(now);
                now = if random.below(2) == 0 { next } else { (next - 1).max(now) };
            }
            _ => now += random.distance() >> random.below(30),
        }
        let fired = expire(&mut wheel, now, 1 + random.below(8) as usize);
        let later = model.split_off(&(now + 1, 0));
        assert_eq!(fired, model.keys().copied().collect::<Vec<_>>(), "seed {seed}, step {step}");
        gone.extend(model.into_values());
        model = later;
        assert_eq!(wheel.len(), model.len());
        let next = model.keys().next().map_or(NEVER, |&(deadline, _)| deadline);
        let told = wheel.next_deadline();
        assert!(told <= next, "seed {seed}, step {step}: told {told}, but {next} is due");
        if model.len() <= WALK {
            assert_eq!(told, next, "seed {seed}, step {step}: few timers, so the answer is exact");
        }
    }
    assert!(gone.into_iter().all(|key| wheel.cancel(key).is_none()), "a key that is gone names nothing");
    assert_eq!(wheel.drain().len(), model.len());
}

#[test]
fn the_wheel_fires_what_a_sorted_map_would_fire() {
    for seed in 1..=40 {
        compare_with_the_model(seed << 32 | 0x9E37_79B9, 1500);
    }
}

#[test]
fn a_hundred_thousand_mixed_deadlines_fire_in_order_and_on_time() {
    let mut random = Random(7);
    let start = 1 << 60;
    let mut wheel = Wheel::new(start);
    let mut expected: Vec<(u64, u64)> = (0..100_000)
        .map(|_| {
            let deadline = start + random.below(100_000_000);
            (deadline, wheel.arm(deadline, waker()).number)
        })
        .collect();
    expected.sort_unstable();

    let mut fired = Vec::new();
    let mut looks = 0;
    while wheel.len() > 0 {
        let now = wheel.next_deadline();
        let look = expire(&mut wheel, now, 256);
        assert!(look.iter().all(|&(deadline, _)| deadline == now), "fired when due, to the nanosecond");
        fired.extend(look);
        looks += 1;
    }
    assert_eq!(fired, expected);
    assert!(looks < 100_000 + 5_000, "{looks} looks: unfolding cost too many wake-ups");
}

#[test]
fn a_few_timers_need_one_look_each_however_far_away_they_are() {
    let start = 12_345_678_901;
    for distance in [0, 1, 1_000, 70_000, 5_000_000, 1_000_000_000, 3_600_000_000_000, 1 << 58] {
        let mut wheel = Wheel::new(start);
        wheel.arm(start + distance, waker());
        assert_eq!(wheel.next_deadline(), start + distance);
        assert_eq!(expire(&mut wheel, start + distance, 256).len(), 1);
    }
}

#[test]
fn a_crowd_far_away_is_found_in_a_few_looks() {
    let mut wheel = Wheel::new(0);
    let deadline = 3_600_000_000_123;
    for _ in 0..1000 {
        wheel.arm(deadline, waker());
    }
    let mut looks = 0;
    while wheel.len() > 0 {
        let now = wheel.next_deadline();
        assert!(now <= deadline);
        let fired = expire(&mut wheel, now, 256);
        assert!(fired.is_empty() || now == deadline);
        looks += 1;
    }
    assert!(looks <= LEVELS + 1, "{looks} looks");
}

#[test]
fn a_crowd_in_one_tick_is_told_exactly() {
    let start = 1 << 40;
    let mut wheel = Wheel::new(start);
    for i in 0..1000 {
        wheel.arm(start + 500 + i % 3, waker());
    }
    assert_eq!(wheel.next_deadline(), start + 500);
    assert_eq!(expire(&mut wheel, start + 499, 256).len(), 0);
    assert_eq!(expire(&mut wheel, start + 500, 256).len(), 334);
    assert_eq!(wheel.next_deadline(), start + 501);
}

#[test]
fn cancelling_the_earliest_timer_moves_the_next_deadline() {
    let mut wheel = Wheel::new(0);
    let early = wheel.arm(1_000, waker());
    wheel.arm(2_000_000, waker());
    assert_eq!(wheel.next_deadline(), 1_000);
    wheel.cancel(early);
    assert_eq!(wheel.next_deadline(), 2_000_000);
}

#[test]
fn timers_for_never_do_not_hide_the_others_and_can_be_cancelled() {
    let mut wheel = Wheel::new(0);
    let never: Vec<_> = (0..200).map(|_| wheel.arm(NEVER, waker())).collect();
    assert_eq!(wheel.next_deadline(), NEVER);
    wheel.arm(77, waker());
    assert_eq!(wheel.next_deadline(), 77);
    assert_eq!(expire(&mut wheel, NEVER - 1, 256).len(), 1);
    assert_eq!(wheel.next_deadline(), NEVER);
    assert!(never.into_iter().all(|key| wheel.cancel(key).is_some()));
    assert_eq!(wheel.len(), 0);
}

#[test]
fn arming_while_a_slot_is_half_unfolded_loses_nothing() {
    let mut wheel = Wheel::new(0);
    // One slot of level 2: ticks 4096 and later.
    let base = 4096 << TICK_SHIFT;
    for i in 0..100 {
        wheel.arm(base + i * 40_000, waker());
    }
    let mut due = Vec::new();
    assert_eq!(wheel.expire(base + 1, 10, &mut due), Progress::More);
    assert!(wheel.next_deadline() <= base + 40_000, "the rest of the slot is not forgotten");
    wheel.arm(base + 2, waker());
    let rest = expire(&mut wheel, base + 100 * 40_000, 10);
    assert_eq!(due.len() + rest.len(), 101);
    assert_eq!(wheel.next_deadline(), NEVER);
}

#[test]
fn a_million_timers_armed_and_cancelled_give_their_memory_back() {
    let mut wheel = Wheel::new(0);
    let mut random = Random(3);
    let keeper = wheel.arm(1 << 50, waker());
    let keys: Vec<_> = (0..1_000_000).map(|_| wheel.arm(random.below(1 << 40), waker())).collect();
    assert!(wheel.capacity() >= 1_000_000);
    for key in keys {
        assert!(wheel.cancel(key).is_some());
    }
    assert!(wheel.capacity() <= 512, "room for {} timers is kept for one", wheel.capacity());
    assert!(wheel.cancel(keeper).is_some());
    assert_eq!(wheel.next_deadline(), NEVER);
}

#[test]
fn a_key_given_out_in_advance_names_its_timer_before_and_after_it_is_hung() {
    let mut wheel = Wheel::new(0);
    let (one, two, three) = (wheel.reserve(), wheel.reserve(), wheel.reserve());
    assert_eq!((wheel.len(), wheel.loose(), wheel.next_deadline()), (0, 3, NEVER));
    assert!(wheel.cancel(two).is_none());
    assert!(matches!(wheel.displace(three, 9_000_000), Moved::Noted));
    assert_eq!(wheel.hang(one, 5_000_000, 1, &waker()), Hung::Until(5_000_000));
    assert_eq!(wheel.hang(two, 6_000_000, 2, &waker()), Hung::Cancelled);
    assert_eq!(wheel.hang(three, 7_000_000, 3, &waker()), Hung::Until(9_000_000));
    wheel.hung(3);
    assert_eq!((wheel.len(), wheel.loose(), wheel.next_deadline()), (2, 1, 5_000_000));
    assert_eq!(wheel.hang(two, 9_000_000, 1, &waker()), Hung::Until(9_000_000), "its key may be used again");
    wheel.hung(1);
    let after = wheel.arm(9_000_000, waker());
    assert!(wheel.cancel(one).is_some());
    let seqs: Vec<_> = expire(&mut wheel, 9_000_000, 10).iter().map(|&(_, seq)| seq).collect();
    assert_eq!(seqs, [3, 4, 5], "in the order of arming");
    assert!(matches!(wheel.find(after), Found::Gone) && matches!(wheel.find(one), Found::Gone));
    let last = wheel.reserve();
    assert_eq!(wheel.hang(last, 20_000_000, 1, &waker()), Hung::Until(20_000_000));
    let (_, again) = wheel.loosen(last).unwrap();
    assert_eq!((again.index, wheel.len(), wheel.loose(), wheel.next_deadline()), (last.index, 0, 1, NEVER));
    assert!(wheel.cancel(last).is_none() && wheel.loosen(last).is_none(), "the old key names nothing");
    assert_eq!(wheel.hang(again, 30_000_000, 1, &waker()), Hung::Until(30_000_000));
    assert!(wheel.cancel(again).is_some());
    let last = wheel.reserve();
    wheel.release(last);
    assert_eq!((wheel.len(), wheel.loose()), (0, 0));
}

#[test]
fn what_is_loose_neither_fires_nor_is_drained() {
    let mut wheel = Wheel::new(0);
    let key = wheel.reserve();
    assert!(expire(&mut wheel, 1 << 40, 10).is_empty() && wheel.drain().is_empty());
    assert_eq!(wheel.hang(key, 5, 1, &waker()), Hung::Until(5), "long past: it is due at once");
    assert_eq!(expire(&mut wheel, 1 << 40, 10).len(), 1);
}
