"""The questions, and what coir-bench calls the answers of its yardsticks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    name: str  # coir-bench's, and that of the programs for Go and May
    what: str
    workers: int
    boost: str = ""
    thread: str = ""


QUESTIONS = (
    Question(
        "runtime/spawn_join/workers/1",
        "spawn and join",
        1,
        "runtime/spawn_join/yardstick:boost",
        "runtime/spawn_join/yardstick:thread",
    ),
    Question(
        "runtime/spawn_join/workers/2",
        "spawn and join",
        2,
        thread="runtime/spawn_join/yardstick:thread",
    ),
    Question(
        "runtime/yield/workers/1",
        "switch by yield",
        1,
        "runtime/yield/yardstick:boost",
        "runtime/yield/yardstick:thread",
    ),
    Question(
        "sync/lock",
        "lock and unlock, nobody else",
        1,
        "sync/lock/yardstick:boost",
        "sync/lock/yardstick:thread",
    ),
    Question(
        "sync/lock_contended",
        "lock and unlock, one rival",
        2,
        thread="sync/lock_contended/yardstick:thread",
    ),
    Question(
        "sync/lock_across_yield",
        "lock, yield, unlock, one rival",
        1,
        "sync/lock_across_yield/yardstick:boost",
        "sync/lock_across_yield/yardstick:thread",
    ),
    Question(
        "sync/channel_hop/workers/1",
        "hop, room for 16",
        1,
        "sync/channel_hop/yardstick:boost",
    ),
    Question("sync/channel_hop/workers/2", "hop, room for 16", 2),
    Question(
        "sync/channel_hop/rendezvous/workers/1",
        "hop, no room",
        1,
        "sync/channel_hop/yardstick:boost/rendezvous",
    ),
    Question("sync/channel_hop/rendezvous/workers/2", "hop, no room", 2),
    Question(
        "sync/channel_hop/unbounded/workers/1",
        "hop, unbounded",
        1,
        thread="sync/channel_hop/yardstick:thread",
    ),
    Question(
        "sync/channel_hop/unbounded/workers/2",
        "hop, unbounded",
        2,
        thread="sync/channel_hop/yardstick:thread",
    ),
    Question("sync/timed_hop", "hop with deadline, room for 16", 1, "sync/timed_hop/yardstick:boost"),
    Question(
        "sync/timed_hop/unbounded",
        "hop with deadline, unbounded",
        1,
        thread="sync/timed_hop/yardstick:thread",
    ),
    Question(
        "runtime/deadline/from_now",
        "arm and disarm a timer",
        1,
        thread="runtime/deadline/yardstick:timerfd",
    ),
    Question(
        "runtime/sleep/fibers/1",
        "1 sleeps 1 ms",
        1,
        "runtime/sleep/yardstick:boost/fibers/1",
        "runtime/sleep/yardstick:thread/fibers/1",
    ),
    Question(
        "runtime/sleep/fibers/1000",
        "1,000 sleep 1 ms",
        1,
        "runtime/sleep/yardstick:boost/fibers/1000",
        "runtime/sleep/yardstick:thread/fibers/1000",
    ),
)
