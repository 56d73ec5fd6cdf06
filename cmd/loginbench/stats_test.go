package main

import (
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"
)

func TestQuantile_NearestRank(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1)*time.Millisecond)
	}
	for q, want := range map[float64]float64{0: 1, 0.001: 1, 0.5: 50, 0.9: 90, 0.99: 99, 0.991: 100, 1: 100} {
		if got := quantile(hundred, q); got != time.Duration(want)*time.Millisecond {
			t.Errorf("q %v: %v", q, got)
		}
	}
	if got := quantile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	if got := quantile(hundred[:1], 0.99); got != time.Millisecond {
		t.Errorf("of one: %v", got)
	}
}

func TestLatencies_Unsorted(t *testing.T) {
	all := []time.Duration{4 * time.Millisecond, time.Millisecond, 3 * time.Millisecond, 2 * time.Millisecond}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	f := latencies("x", all)
	if f[0].Value != 2 || f[3].Value != 4 || f[0].Unit != "ms" {
		t.Errorf("%+v", f)
	}
	if mean(all) != 2500*time.Microsecond || mean(nil) != 0 {
		t.Errorf("mean %v", mean(all))
	}
}

// A stalled server must not slow the generator down: that would hide the delay of
// the requests that were due meanwhile.
func TestPace_SlowServer(t *testing.T) {
	const n, rate = 50, 1000
	var mu sync.Mutex
	due, fired := make([]time.Time, n), make([]time.Time, n)
	stall := make(chan struct{})
	var stalled sync.WaitGroup
	pace(n, rate, func(i int, at time.Time) func() {
		due[i] = at
		stalled.Go(func() { <-stall })
		return func() {
			mu.Lock()
			defer mu.Unlock()
			fired[i] = time.Now()
		}
	})
	close(stall)
	stalled.Wait()
	for i := range n {
		if fired[i].Before(due[i]) {
			t.Errorf("shot %d %v early", i, due[i].Sub(fired[i]))
		}
		if i > 0 && due[i].Sub(due[i-1]) != time.Second/rate {
			t.Errorf("shot %d due %v after the last", i, due[i].Sub(due[i-1]))
		}
	}
}

func TestProc_OwnProcess(t *testing.T) {
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
		rand.Uint64()
	}
	if cpu(os.Getpid()) <= 0 || rss(os.Getpid()) < 1<<20 {
		t.Errorf("cpu %v, rss %v", cpu(os.Getpid()), rss(os.Getpid()))
	}
	if cpu(1<<30) != 0 || rss(1<<30) != 0 {
		t.Error("of a process that is not there")
	}
}
