package ratelimit

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"loginhub/hub/provider"
)

var (
	noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	here = netip.MustParsePrefix("203.0.113.7/32")
)

// retryIn returns the retry delay of a refused request; 0 if it is allowed.
func retryIn(t *testing.T, err error) time.Duration {
	t.Helper()
	if err == nil {
		return 0
	}
	var again *provider.RetryError
	if !errors.As(err, &again) || !errors.Is(err, ErrRateLimited) || again.After <= 0 {
		t.Fatalf("refused with %v", err)
	}
	return again.After
}

func TestRateLimiter_Burst(t *testing.T) {
	for _, rate := range []int{1, 2, 3, 7, 59, 60, 61, 600, 1000, 7777, 60000} {
		l := newAddrLimiter(rate)
		for i := range rate {
			if err := l.Allow(here, noon); err != nil {
				t.Fatalf("%d a minute: request %d is refused", rate, i+1)
			}
		}
		wait := retryIn(t, l.Allow(here, noon))
		step := time.Minute / time.Duration(rate)
		if wait == 0 || wait > step {
			t.Fatalf("%d a minute: one more has to wait %v, want up to %v", rate, wait, step)
		}
		for range 100 { // refused requests do not count
			l.Allow(here, noon)
		}
		if retryIn(t, l.Allow(here, noon.Add(wait-time.Nanosecond))) == 0 || retryIn(t, l.Allow(here, noon.Add(wait))) != 0 {
			t.Errorf("%d a minute: %v was the wrong delay", rate, wait)
		}
	}
}

func TestRateLimiter_Refill(t *testing.T) {
	const rate = 60
	for i, want := range map[int]int{10: 10, 40: 40, 100: 60, 1000: 60} { // seconds later: number allowed
		l := newAddrLimiter(rate)
		for range rate {
			l.Allow(here, noon)
		}
		now, got := noon.Add(time.Duration(i)*time.Second), 0
		for l.Allow(here, now) == nil {
			got++
		}
		if got != want {
			t.Errorf("%d s later %d are allowed, want %d", i, got, want)
		}
	}
}

func TestRateLimiter_KeysIndependent(t *testing.T) {
	l := newAddrLimiter(1)
	for _, text := range []string{"203.0.113.7", "203.0.113.8", "2001:db8:1:2::1", "2001:db8:1:3::1"} {
		if l.Allow(Key(netip.MustParseAddr(text)), noon) != nil {
			t.Errorf("%s shares a budget", text)
		}
	}
	for _, text := range []string{"203.0.113.7", "2001:db8:1:2:ffff::9"} { // a /64 is one subscriber
		if l.Allow(Key(netip.MustParseAddr(text)), noon) == nil {
			t.Errorf("%s has two budgets", text)
		}
	}
	// All clients without an address share one budget.
	if l.Allow(Key(netip.Addr{}), noon) != nil || l.Allow(Key(netip.Addr{}), noon) == nil {
		t.Error("wrong limit without an address")
	}
}

func TestRateLimiter_Zero(t *testing.T) {
	l := newAddrLimiter(0)
	for range 10000 {
		if l.Allow(here, noon) != nil {
			t.Fatal("refused")
		}
	}
	if len(l.tat) != 0 {
		t.Error("entries are stored without a limit")
	}
}

// addressNumber returns the i-th of very many addresses.
func addressNumber(i uint32) netip.Prefix {
	var raw [4]byte
	binary.BigEndian.PutUint32(raw[:], i)
	return netip.PrefixFrom(netip.AddrFrom4(raw), 32)
}

func TestRateLimiter_TableFull(t *testing.T) {
	l := newAddrLimiter(10)
	l.Allow(here, noon)
	refused := 0
	for i := range uint32(maxRateKeys + 50) {
		if l.Allow(addressNumber(i), noon) != nil {
			refused++
		}
	}
	if len(l.tat) > maxRateKeys+1 {
		t.Errorf("%d entries", len(l.tat))
	}
	// Addresses that do not fit share one budget of ten.
	if refused < 40 {
		t.Errorf("beyond the table only %d are refused", refused)
	}
	if l.Allow(here, noon) != nil {
		t.Error("an address from before the flood is refused")
	}
	// After a minute the table is empty again.
	later := noon.Add(time.Minute + time.Second)
	if l.Allow(addressNumber(1<<30), later) != nil || len(l.tat) > 2 {
		t.Errorf("after the flood there are %d entries", len(l.tat))
	}
}

func TestRateLimiter_SweepInterval(t *testing.T) {
	l := newAddrLimiter(600) // an address is removed after a tenth of a second
	for i := range uint32(maxRateKeys) {
		l.Allow(addressNumber(i), noon)
	}
	for i, at := range []struct {
		later time.Duration
		kept  int
	}{{0, maxRateKeys + 1}, {500 * time.Millisecond, maxRateKeys + 1}, {time.Second, 1}} {
		if err := l.Allow(addressNumber(uint32(maxRateKeys+i)), noon.Add(at.later)); err != nil {
			t.Errorf("%v later: %v", at.later, err)
		}
		if len(l.tat) != at.kept {
			t.Errorf("%v later there are %d entries, want %d", at.later, len(l.tat), at.kept)
		}
	}
}

func TestRateLimiter_ClockStepsBack(t *testing.T) {
	l := newAddrLimiter(60)
	for range 60 {
		l.Allow(here, noon)
	}
	if wait := retryIn(t, l.Allow(here, noon.Add(-time.Second))); wait > 3*time.Second {
		t.Errorf("after a step back of 1 s the delay is %v", wait)
	}
}
