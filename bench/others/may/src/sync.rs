use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};

use may::sync::{mpsc, Mutex};
use may::{coroutine, go};

use crate::expect;

pub fn lock(n: u64) -> (Duration, u64) {
    let mutex = Mutex::new(0);
    let begin = Instant::now();
    for _ in 0..n {
        *mutex.lock().unwrap() += 1;
    }
    let took = begin.elapsed();
    expect("rounds", mutex.into_inner().unwrap(), n);
    (took, n)
}

/// In the last question that had a rival.
pub static ROUNDS_OF_RIVAL: AtomicU64 = AtomicU64::new(0);

/// Two that do the same n times, or as often as the first does; what both do counts.
fn with_rival(n: u64, round: fn(&Mutex<u64>)) -> (Duration, u64) {
    let shared = Arc::new((Mutex::new(0), AtomicBool::new(false)));
    let of_rival = shared.clone();
    let (begun, begins) = mpsc::channel();
    let rival = go!(move || {
        begun.send(()).unwrap();
        let mut rounds = 0;
        while !of_rival.1.load(Relaxed) {
            round(&of_rival.0);
            rounds += 1;
        }
        rounds
    });
    begins.recv().unwrap();
    let begin = Instant::now();
    for _ in 0..n {
        round(&shared.0);
    }
    let took = begin.elapsed();
    shared.1.store(true, Relaxed);
    let rounds: u64 = rival.join().unwrap();
    let count = *shared.0.lock().unwrap();
    expect("rounds inside", count, n + rounds);
    if n >= 10_000_000 && rounds == 0 {
        expect("rounds of the rival", rounds, n);
    }
    ROUNDS_OF_RIVAL.store(rounds, Relaxed);
    (took, count)
}

pub fn lock_contended(n: u64) -> (Duration, u64) {
    with_rival(n, |mutex| *mutex.lock().unwrap() += 1)
}

pub fn lock_across_yield(n: u64) -> (Duration, u64) {
    with_rival(n, |mutex| {
        let mut count = mutex.lock().unwrap();
        *count += 1;
        coroutine::yield_now();
        drop(count);
        coroutine::yield_now();
    })
}

fn hops(n: u64, receive: fn(&mpsc::Receiver<u64>) -> Option<u64>) -> (Duration, u64) {
    let (there, asked) = mpsc::channel();
    let (answer, back) = mpsc::channel();
    let echo = go!(move || {
        while let Some(value) = receive(&asked) {
            answer.send(value + 1).unwrap();
        }
    });
    let mut value = 0;
    let begin = Instant::now();
    for _ in 0..n {
        there.send(value).unwrap();
        value = receive(&back).unwrap();
    }
    let took = begin.elapsed();
    drop(there);
    echo.join().unwrap();
    expect("the value that came back", value, n);
    (took, 2 * n)
}

pub fn hop(n: u64) -> (Duration, u64) {
    hops(n, |channel| channel.recv().ok())
}

/// Every receive has ten seconds.
pub fn timed_hop(n: u64) -> (Duration, u64) {
    hops(n, |channel| {
        channel.recv_timeout(Duration::from_secs(10)).ok()
    })
}
