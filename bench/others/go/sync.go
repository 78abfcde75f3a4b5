package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func lock(n int64) (time.Duration, int64) {
	var mutex sync.Mutex
	count := int64(0)
	begin := time.Now()
	for range n {
		mutex.Lock()
		count++
		mutex.Unlock()
	}
	took := time.Since(begin)
	wrong("rounds", count, n)
	return took, n
}

// Goes into the result of those questions that have one.
var shareOfRival = -1.0

// Two that do the same n times, or as often as the first does; what both do counts.
func withRival(n int64, round func(count *int64)) (time.Duration, int64) {
	var done atomic.Bool
	count, ofRival := int64(0), int64(0)
	begun, ended := make(chan struct{}), make(chan struct{})
	go func() {
		begun <- struct{}{}
		for !done.Load() {
			round(&count)
			ofRival++
		}
		close(ended)
	}()
	<-begun
	begin := time.Now()
	for range n {
		round(&count)
	}
	took := time.Since(begin)
	done.Store(true)
	<-ended
	wrong("rounds inside", count, n+ofRival)
	if n >= 10_000_000 && ofRival == 0 {
		wrong("rounds of the rival", ofRival, n)
	}
	shareOfRival = float64(ofRival) / float64(count)
	return took, count
}

func lockContended(n int64) (time.Duration, int64) {
	var mutex sync.Mutex
	return withRival(n, func(count *int64) {
		mutex.Lock()
		*count++
		mutex.Unlock()
	})
}

func lockAcrossYield(n int64) (time.Duration, int64) {
	var mutex sync.Mutex
	return withRival(n, func(count *int64) {
		mutex.Lock()
		*count++
		runtime.Gosched()
		mutex.Unlock()
		runtime.Gosched()
	})
}

func hop(n int64, capacity int) (time.Duration, int64) {
	there := make(chan int64, capacity)
	back := make(chan int64, capacity)
	ended := make(chan struct{})
	go func() {
		for value := range there {
			back <- value + 1
		}
		close(ended)
	}()
	value := int64(0)
	begin := time.Now()
	for range n {
		there <- value
		value = <-back
	}
	took := time.Since(begin)
	close(there)
	<-ended
	wrong("the value that came back", value, n)
	return took, 2 * n
}

// Every receive has ten seconds.
func receiveInTime(channel chan int64, timer *time.Timer) (int64, bool) {
	timer.Reset(10 * time.Second)
	select {
	case value, open := <-channel:
		timer.Stop()
		return value, open
	case <-timer.C:
		return 0, false
	}
}

func timedHop(n int64) (time.Duration, int64) {
	there := make(chan int64, 16)
	back := make(chan int64, 16)
	ended := make(chan struct{})
	go func() {
		timer := time.NewTimer(time.Hour)
		for {
			value, ok := receiveInTime(there, timer)
			if !ok {
				close(ended)
				return
			}
			back <- value + 1
		}
	}()
	timer := time.NewTimer(time.Hour)
	value := int64(0)
	begin := time.Now()
	for range n {
		there <- value
		value, _ = receiveInTime(back, timer)
	}
	took := time.Since(begin)
	close(there)
	<-ended
	wrong("the value that came back", value, n)
	return took, 2 * n
}
