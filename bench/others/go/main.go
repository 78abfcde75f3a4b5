// One of coir-bench's questions, asked of Go: others [-seconds S] NAME prints one JSON line.
// ../README.md says what each name means.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

// A question runs about n times, and tells how long it took and how many operations that were.
type question struct {
	name    string
	workers int
	ask     func(n int64) (time.Duration, int64)
}

var questions = []question{
	{"runtime/spawn_join/workers/1", 1, spawnJoin},
	{"runtime/spawn_join/workers/2", 2, spawnJoin},
	{"runtime/yield/workers/1", 1, yield},
	{"sync/lock", 1, lock},
	{"sync/lock_contended", 2, lockContended},
	{"sync/lock_across_yield", 1, lockAcrossYield},
	{"sync/channel_hop/workers/1", 1, func(n int64) (time.Duration, int64) { return hop(n, 16) }},
	{"sync/channel_hop/workers/2", 2, func(n int64) (time.Duration, int64) { return hop(n, 16) }},
	{"sync/channel_hop/rendezvous/workers/1", 1, func(n int64) (time.Duration, int64) { return hop(n, 0) }},
	{"sync/channel_hop/rendezvous/workers/2", 2, func(n int64) (time.Duration, int64) { return hop(n, 0) }},
	{"sync/timed_hop", 1, timedHop},
	{"runtime/deadline/from_now", 1, setAndStop},
	{"runtime/sleep/fibers/1", 1, func(n int64) (time.Duration, int64) { return sleepers(n, 1) }},
	{"runtime/sleep/fibers/1000", 1, func(n int64) (time.Duration, int64) { return sleepers(n, 1000) }},
}

func wrong(what string, got, expected int64) {
	if got != expected {
		fmt.Fprintf(os.Stderr, "others: %s: %d instead of %d\n", what, got, expected)
		os.Exit(1)
	}
}

// Asks for more and more until it takes as long as it should; only the last time counts.
func measure(ask func(int64) (time.Duration, int64), atLeast time.Duration) (time.Duration, int64) {
	for n := int64(1); ; {
		took, operations := ask(n)
		if took >= atLeast {
			return took, operations
		}
		enough := int64(1.2 * float64(n) * float64(atLeast) / float64(max(took, 1)))
		n = min(max(enough, n+1), 10*n)
	}
}

func main() {
	seconds := flag.Float64("seconds", 0.5, "how long to measure at least")
	list := flag.Bool("list", false, "print the names")
	flag.Parse()
	if *list {
		for _, q := range questions {
			fmt.Println(q.name)
		}
		return
	}
	for _, q := range questions {
		if q.name != flag.Arg(0) {
			continue
		}
		runtime.GOMAXPROCS(q.workers)
		took, operations := measure(q.ask, time.Duration(*seconds*float64(time.Second)))
		result := map[string]any{
			"name":       q.name,
			"workers":    q.workers,
			"operations": operations,
			"seconds":    took.Seconds(),
			"ns":         float64(took.Nanoseconds()) / float64(operations),
		}
		if shareOfRival >= 0 {
			result["rival"] = shareOfRival
		}
		line, err := json.Marshal(result)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
		return
	}
	fmt.Fprintf(os.Stderr, "others: there is no question %q; -list names them\n", flag.Arg(0))
	os.Exit(2)
}
