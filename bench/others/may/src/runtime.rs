use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};

use may::sync::mpsc;
use may::{coroutine, go};

use crate::expect;

pub fn spawn_join(n: u64) -> (Duration, u64) {
    let mut value = 0;
    let begin = Instant::now();
    for _ in 0..n {
        value = go!(move || value + 1).join().unwrap();
    }
    let took = begin.elapsed();
    expect("coroutines ran", value, n);
    (took, n)
}

pub fn yield_between_two(n: u64) -> (Duration, u64) {
    let done = Arc::new(AtomicBool::new(false));
    let is_done = done.clone();
    let (begun, begins) = mpsc::channel();
    let other = go!(move || {
        begun.send(()).unwrap();
        let mut rounds = 0;
        while !is_done.load(Relaxed) {
            rounds += 1;
            coroutine::yield_now();
        }
        rounds
    });
    // May gives a new one no turn while others only yield.
    begins.recv().unwrap();
    let begin = Instant::now();
    for _ in 0..n {
        coroutine::yield_now();
    }
    let took = begin.elapsed();
    done.store(true, Relaxed);
    let partner: u64 = other.join().unwrap();
    if partner + 1 < n {
        expect("yields let the other run", partner, n);
    }
    (took, n + partner)
}

pub fn sleepers(rounds: u64, count: u64) -> (Duration, u64) {
    const NAP: Duration = Duration::from_millis(1);
    let slept = Arc::new(AtomicU64::new(0)); // those that did so long enough
    let begin = Instant::now();
    for _ in 0..rounds {
        let all: Vec<_> = (0..count)
            .map(|_| {
                let slept = slept.clone();
                go!(move || {
                    let before = Instant::now();
                    coroutine::sleep(NAP);
                    if before.elapsed() >= NAP {
                        slept.fetch_add(1, Relaxed);
                    }
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.join().unwrap());
    }
    let took = begin.elapsed();
    expect(
        "coroutines slept long enough",
        slept.load(Relaxed),
        rounds * count,
    );
    (took, rounds)
}
