//! One of coir-bench's questions, asked of May: may-bench SECONDS NAME prints one JSON line, and
//! may-bench list all names. ../../README.md says what each means.

mod runtime;
mod sync;

use std::process::exit;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Runs about as often as asked, and tells how long it took and how many operations that were.
type Ask = fn(u64) -> (Duration, u64);

const QUESTIONS: &[(&str, usize, Ask)] = &[
    ("runtime/spawn_join/workers/1", 1, runtime::spawn_join),
    ("runtime/spawn_join/workers/2", 2, runtime::spawn_join),
    ("runtime/yield/workers/1", 1, runtime::yield_between_two),
    ("sync/lock", 1, sync::lock),
    ("sync/lock_contended", 2, sync::lock_contended),
    ("sync/lock_across_yield", 1, sync::lock_across_yield),
    ("sync/channel_hop/unbounded/workers/1", 1, sync::hop),
    ("sync/channel_hop/unbounded/workers/2", 2, sync::hop),
    ("sync/timed_hop/unbounded", 1, sync::timed_hop),
    ("runtime/sleep/fibers/1", 1, |n| runtime::sleepers(n, 1)),
    ("runtime/sleep/fibers/1000", 1, |n| {
        runtime::sleepers(n, 1000)
    }),
];

/// Ends the program unless both are the same.
fn expect(what: &str, got: u64, expected: u64) {
    if got != expected {
        eprintln!("may-bench: {what}: {got} instead of {expected}");
        exit(1);
    }
}

/// Asks for more and more until it takes as long as it should; only the last time counts.
fn measure(ask: Ask, at_least: f64) -> (Duration, u64) {
    let mut n = 1;
    loop {
        // In a coroutine, for the main thread is none of the workers.
        let answer = may::go!(move || ask(n)).join();
        let Ok((took, operations)) = answer else {
            eprintln!("may-bench: a coroutine has panicked");
            exit(1);
        };
        if took.as_secs_f64() >= at_least {
            return (took, operations);
        }
        let enough = 1.2 * n as f64 * at_least / took.as_secs_f64().max(1e-9);
        n = (enough as u64).clamp(n + 1, 10 * n);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["list"] {
        QUESTIONS.iter().for_each(|(name, ..)| println!("{name}"));
        return;
    }
    let [seconds, wanted] = &arguments[..] else {
        eprintln!("usage: may-bench SECONDS NAME | may-bench list");
        exit(2);
    };
    let (Ok(seconds), Some((name, workers, ask))) = (
        seconds.parse::<f64>(),
        QUESTIONS.iter().find(|(name, ..)| name == wanted),
    ) else {
        eprintln!("may-bench: there is no question {wanted}, or {seconds} is no number");
        exit(2);
    };
    may::config().set_workers(*workers);
    let (took, operations) = measure(*ask, seconds);
    let seconds = took.as_secs_f64();
    let ns = seconds * 1e9 / operations as f64;
    let rival = match sync::ROUNDS_OF_RIVAL.load(Relaxed) {
        0 => String::new(),
        rounds => format!(r#", "rival": {}"#, rounds as f64 / operations as f64),
    };
    println!(
        r#"{{"name": "{name}", "workers": {workers}, "operations": {operations}, "seconds": {seconds}, "ns": {ns}{rival}}}"#
    );
}
