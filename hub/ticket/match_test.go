package ticket_test

import (
	"regexp"
	"slices"
	"testing"

	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// numbersOf returns the numbers or fails the test.
func numbersOf(t *testing.T, ring *ticket.Keyring, v ticket.Ticket) (string, []string) {
	t.Helper()
	code, offered, err := ring.MatchNumbers(v)
	if err != nil {
		t.Fatal(err)
	}
	return code, offered
}

func TestMatchNumbers_Deterministic(t *testing.T) {
	c := &client.Client{ID: "demo", NumberMatching: true}
	for _, all := range paths(t, c) {
		for _, v := range all {
			code, offered := numbersOf(t, newRing(t), v)
			// Another node, state, seq and client must not change the numbers.
			v.Client, v.State, v.Seq = "other", ticket.Scanned, v.Seq+7
			again, same := numbersOf(t, newRing(t), v)
			if code != again || !slices.Equal(offered, same) {
				t.Errorf("%q of %q, then %q of %q", code, offered, again, same)
			}
		}
	}
}

func TestMatchNumbers_Differ(t *testing.T) {
	ring := newRing(t)
	differs := func(one, other ticket.Ticket) bool {
		a, offeredA := numbersOf(t, ring, one)
		b, offeredB := numbersOf(t, ring, other)
		return a != b || !slices.Equal(offeredA, offeredB)
	}
	for range 20 {
		v := newTicket(t, demo)
		otherKey := v
		otherKey.Key = "old"
		// Two tickets are equal by chance once in 2 million, so twenty pairs never are.
		if !differs(v, newTicket(t, demo)) || !differs(v, otherKey) {
			t.Errorf("%s has the same numbers as another", v.ID)
		}
	}
}

// TestMatchNumbers_Unpredictable checks that there are three different numbers of two
// digits, one of them the page's. Each value and each place must be equally likely: a
// user who taps blindly is right once in three times.
func TestMatchNumbers_Unpredictable(t *testing.T) {
	ring := newRing(t)
	twoDigits := regexp.MustCompile(`^[1-9][0-9]$`)
	const rounds = 18000
	places := make([]int, 3)
	values, codes := map[string]int{}, map[string]int{}
	for range rounds {
		v := ticket.Ticket{ID: ticket.NewSecret().ID(), Key: "new"}
		code, offered := numbersOf(t, ring, v)
		place := slices.Index(offered, code)
		if len(offered) != 3 || place < 0 || offered[0] == offered[1] || offered[1] == offered[2] || offered[0] == offered[2] {
			t.Fatalf("%q of %q", code, offered)
		}
		for _, n := range offered {
			if !twoDigits.MatchString(n) {
				t.Fatalf("%q is offered", n)
			}
			values[n]++
		}
		codes[code]++
		places[place]++
	}
	// The bound is six standard deviations: it fails by chance once in 10^8 runs.
	for i, n := range places {
		if n < 6000-380 || n > 6000+380 {
			t.Errorf("the right number stood in place %d %d times of %d", i+1, n, rounds)
		}
	}
	if len(values) != 90 || len(codes) != 90 {
		t.Errorf("%d different numbers were offered, %d right", len(values), len(codes))
	}
	for n, times := range codes {
		if times < 200-85 || times > 200+85 {
			t.Errorf("%s was right %d times of %d", n, times, rounds)
		}
	}
}
