package api

import (
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"loginhub/hub/ticket"
)

// limitRecorder records the limits that were exceeded.
type limitRecorder struct{ limits []string }

func (*limitRecorder) ObserveRequest(string, string, time.Duration) {}
func (h *limitRecorder) IncLimited(limit string)                    { h.limits = append(h.limits, limit) }

// limitHits returns, for each limit of a server with this rate, a call that counts at
// it.
func limitHits(t *testing.T, rate int, h *limitRecorder) map[string]func() error {
	t.Helper()
	s, err := New(Config{Metrics: h, RateLimit: rate, MaxWaitersPerAddr: 1})
	if err != nil {
		t.Fatal(err)
	}
	address, user := netip.MustParsePrefix("192.0.2.1/32"), s.limits.userKey(ticket.Identity{Subject: "u"})
	now := time.Now()
	return map[string]func() error{
		limitRequests:            func() error { return s.limits.requests.allow(address, now) },
		limitPhones:              func() error { return s.limits.phones.allow(address, now) },
		limitUsers:               func() error { return s.limits.users.allow(user, now) },
		limitRefused:             func() error { return s.limits.refusedCalls.allow(user, now) },
		limitWrong:               func() error { return s.limits.wrongMatches.allow(user, now) },
		limitTickets:             func() error { return s.ticketLimiter.allow(address, now) },
		limitTicketsNetwork:      func() error { return s.ticketLimiter.networks.allow(address, now) },
		limitTicketsNode:         func() error { return s.ticketLimiter.node.allow(struct{}{}, now) },
		limitRefusedCodes:        func() error { return s.codeGuard.addresses.allow(codeSource{from: address}, now) },
		limitRefusedCodesNetwork: func() error { return s.codeGuard.networks.allow(codeSource{from: address}, now) },
		limitRefusedCodesTicket:  func() error { return s.codeGuard.tickets.allow(ticketSource{ticket: "t"}, now) },
		limitWebLogins:           func() error { return s.webLoginLimiter.allow(address, now) },
		limitWxacodes:            func() error { return s.wxacodeLimiter.allow(address, now) },
		limitWaiters:             func() error { _, err := s.waiterLimiter.acquire(address); return err },
		limitCalls:               func() error { return s.withSlot(t.Context(), nil, nil) }, // no slot at all
		limitQRRenders: func() error {
			fillRenderQueue(s, address)
			return s.renderLimiter.run(t.Context(), address, func() error { return nil })
		},
	}
}

// fillRenderQueue takes all render slots and the address's share of the queue.
func fillRenderQueue(s *Server, address netip.Prefix) {
	for len(s.renderLimiter.slots) < cap(s.renderLimiter.slots) {
		s.renderLimiter.slots <- struct{}{}
	}
	for {
		if _, err := s.renderLimiter.perAddr.acquire(address); err != nil {
			return
		}
	}
}

func TestMetrics_LimitNames(t *testing.T) {
	h := &limitRecorder{}
	hits := limitHits(t, 1, h)
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
			t.Errorf("limit %s is reported as %v", limit, h.limits)
		}
	}
	if len(hits) != len(Limits()) {
		t.Errorf("%d limits, of which %d are named", len(hits), len(Limits()))
	}
}

// Operators choose LOGINHUB_RATE_LIMIT by the tables of deploy/CONFIGURATION.md. Each
// row begins with the label of a limit.
func TestLimits_Documented(t *testing.T) {
	text, err := os.ReadFile("../deploy/CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	allowed := func(limit string, rate int) (n int) {
		for hit := limitHits(t, rate, &limitRecorder{})[limit]; n <= 100_000 && hit() == nil; n++ {
		}
		return n
	}
	number := regexp.MustCompile(`[0-9][0-9,]*`)
	numbers := func(cell string) (all []int) {
		for _, digits := range number.FindAllString(cell, -1) {
			n, _ := strconv.Atoi(strings.ReplaceAll(digits, ",", ""))
			all = append(all, n)
		}
		return all
	}
	_, section, _ := strings.Cut(string(text), "\n## Limits\n")
	rows := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` (\\|.*)$").FindAllStringSubmatch(section, -1) {
		rows[m[1]] = strings.Split(m[2], "|")
	}
	fixed := map[string][]int{ // the numbers of the last cell
		limitCalls: {maxProviderCalls}, limitQRRenders: {maxRenderQueue, maxRenderQueuePerAddr, int(renderQueueTimeout.Seconds())}, limitWaiters: {1000}}
	for _, limit := range Limits() {
		cells := rows[limit]
		delete(rows, limit)
		if len(cells) < 4 {
			t.Errorf("%s has no row: %q", limit, cells)
			continue
		}
		last := numbers(cells[len(cells)-2])
		if want, ok := fixed[limit]; ok {
			if !slices.Equal(last, want) {
				t.Errorf("%s: %v, documented %v", limit, want, last)
			}
			continue
		}
		if n := allowed(limit, 600); !slices.Equal(numbers(cells[4]), []int{n}) {
			t.Errorf("with 600, %s allows %d, documented %s", limit, n, cells[4])
		}
		if n := allowed(limit, 1); n != 1 && !slices.Equal(last, []int{n}) || n == 1 && len(last) > 0 {
			t.Errorf("with 1, %s allows %d, documented %v", limit, n, last)
		}
	}
	for _, rate := range []int{0, 2, 99, 6000, 100_000} { // the number of guesses does not grow with the rate, and 0 does not turn it off
		if n := allowed(limitWrong, rate); n != 6 {
			t.Errorf("with %d, %s are %d", rate, limitWrong, n)
		}
	}
	for limit, hit := range limitHits(t, 0, &limitRecorder{}) {
		if slices.Contains([]string{limitWrong, limitWaiters, limitCalls, limitQRRenders}, limit) {
			continue // they do not depend on the rate
		}
		for range 1000 {
			if err := hit(); err != nil {
				t.Fatalf("with 0, %s: %v", limit, err)
			}
		}
	}
	if len(rows) > 0 {
		t.Errorf("rows without a limit: %q", rows)
	}
}
