package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A WaitGroup is the cheapest way to wait for one goroutine.
func spawnJoin(n int64) (time.Duration, int64) {
	value := int64(0)
	begin := time.Now()
	for range n {
		var ended sync.WaitGroup
		ended.Add(1)
		go func() {
			value++
			ended.Done()
		}()
		ended.Wait()
	}
	took := time.Since(begin)
	wrong("goroutines ran", value, n)
	return took, n
}

func yield(n int64) (time.Duration, int64) {
	var done atomic.Bool
	partner := int64(0)
	begun, ended := make(chan struct{}), make(chan struct{})
	go func() {
		begun <- struct{}{}
		for !done.Load() {
			partner++
			runtime.Gosched()
		}
		close(ended)
	}()
	<-begun
	begin := time.Now()
	for range n {
		runtime.Gosched()
	}
	took := time.Since(begin)
	done.Store(true)
	<-ended
	// The clock switches them as well, and more than once a second something else runs.
	if partner < n-n/100-1 {
		wrong("yields let the other run", partner, n)
	}
	return took, n + partner
}

// Timers of channels would lie in no heap unless somebody waits; those with a function always do.
func setAndStop(n int64) (time.Duration, int64) {
	timer := time.AfterFunc(time.Hour, func() {})
	timer.Stop()
	stopped := int64(0)
	begin := time.Now()
	for range n {
		timer.Reset(10 * time.Second)
		if timer.Stop() {
			stopped++
		}
	}
	took := time.Since(begin)
	wrong("timers were stopped", stopped, n)
	return took, n
}

func sleepers(rounds, count int64) (time.Duration, int64) {
	const nap = time.Millisecond
	var slept atomic.Int64
	begin := time.Now()
	for range rounds {
		var all sync.WaitGroup
		all.Add(int(count))
		for range count {
			go func() {
				before := time.Now()
				time.Sleep(nap)
				if time.Since(before) >= nap {
					slept.Add(1)
				}
				all.Done()
			}()
		}
		all.Wait()
	}
	took := time.Since(begin)
	wrong("goroutines slept long enough", slept.Load(), rounds*count)
	return took, rounds
}
