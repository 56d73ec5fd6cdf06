package api

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"loginhub/hub/ticket"
)

// heard keeps the limits that were hit.
type heard struct{ limits []string }

func (*heard) Answered(string, string, time.Duration) {}
func (h *heard) Limited(limit string)                 { h.limits = append(h.limits, limit) }

func TestEveryLimitTellsTheMeterItsOwnName(t *testing.T) {
	h := &heard{}
	s := &Server{Config: Config{Meter: h}, making: newLimiter(1), drawing: newLimiter(1), visiting: newLimiter(1),
		throttle: newThrottle(1), seats: newSeats(1)}
	s.count()
	address, user := netip.MustParsePrefix("192.0.2.1/32"), s.throttle.person(ticket.Identity{Subject: "u"})
	now := time.Now()
	hits := map[string]func() error{
		limitRequests: func() error { return s.throttle.requests.allow(address, now) },
		limitPhones:   func() error { return s.throttle.phones.allow(address, now) },
		limitUsers:    func() error { return s.throttle.users.allow(user, now) },
		limitRefused:  func() error { return s.throttle.refused.allow(user, now) },
		limitWrong:    func() error { return s.throttle.wrong.allow(user, now) },
		limitTickets:  func() error { return s.making.allow(address, now) },
		limitWebsite:  func() error { return s.visiting.allow(address, now) },
		limitCodes:    func() error { return s.drawing.allow(address, now) },
		limitSeats:    func() error { _, err := s.seats.take(address); return err },
		limitCalls:    func() error { return s.limited(t.Context(), nil, nil) }, // no place at all
	}
	for _, limit := range Limits() {
		hit := hits[limit]
		if hit == nil {
			t.Errorf("%s is hit by nothing here", limit)
			continue
		}
		h.limits = nil
		for n := 0; hit() == nil; n++ {
			if len(h.limits) > 0 || n > 1000 {
				t.Fatalf("%s: %v after %d that were let pass", limit, h.limits, n)
			}
		}
		if !slices.Equal(h.limits, []string{limit}) {
			t.Errorf("a hit on %s is told as %v", limit, h.limits)
		}
	}
	if len(hits) != len(Limits()) {
		t.Errorf("%d limits, of which %d are named", len(hits), len(Limits()))
	}
}
