package api

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"loginhub/hub/ticket"
)

// heard keeps the limits that were hit.
type heard struct{ limits []string }

func (*heard) Answered(string, string, time.Duration) {}
func (h *heard) Limited(limit string)                 { h.limits = append(h.limits, limit) }

// limitsOf is an edge with that rate, and what hits each of its limits.
func limitsOf(t *testing.T, rate int, h *heard) map[string]func() error {
	t.Helper()
	s, err := New(Config{Meter: h, RateLimit: rate, Seats: 1})
	if err != nil {
		t.Fatal(err)
	}
	address, user := netip.MustParsePrefix("192.0.2.1/32"), s.throttle.person(ticket.Identity{Subject: "u"})
	now := time.Now()
	return map[string]func() error{
		limitRequests: func() error { return s.throttle.requests.allow(address, now) },
		limitPhones:   func() error { return s.throttle.phones.allow(address, now) },
		limitUsers:    func() error { return s.throttle.users.allow(user, now) },
		limitRefused:  func() error { return s.throttle.refused.allow(user, now) },
		limitWrong:    func() error { return s.throttle.wrong.allow(user, now) },
		limitTickets:  func() error { return s.making.allow(address, now) },
		limitNetwork:  func() error { return s.making.networks.allow(address, now) },
		limitNode:     func() error { return s.making.node.allow(struct{}{}, now) },
		limitBad:      func() error { return s.codes.addresses.allow(codeSource{from: address}, now) },
		limitBadWide:  func() error { return s.codes.networks.allow(codeSource{from: address}, now) },
		limitBadHere:  func() error { return s.codes.tickets.allow(ticketSource{ticket: "t"}, now) },
		limitWebsite:  func() error { return s.visiting.allow(address, now) },
		limitCodes:    func() error { return s.drawing.allow(address, now) },
		limitSeats:    func() error { _, err := s.seats.take(address); return err },
		limitCalls:    func() error { return s.limited(t.Context(), "nobody", nil) }, // no place at all
		limitDrawings: func() error {
			fillLine(s, address)
			return s.easel.draw(t.Context(), address, func() error { return nil })
		},
	}
}

// fillLine takes all places to draw, and the address's share of the line.
func fillLine(s *Server, address netip.Prefix) {
	for len(s.easel.places) < cap(s.easel.places) {
		s.easel.places <- struct{}{}
	}
	for {
		if _, err := s.easel.each.take(address); err != nil {
			return
		}
	}
}

func TestEveryLimitTellsTheMeterItsOwnName(t *testing.T) {
	h := &heard{}
	hits := limitsOf(t, 1, h)
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

// TestTheREADMEsTableHasEveryLimitWithItsNumbers: an operator sizes his one
// setting by it.
func TestTheREADMEsTableHasEveryLimitWithItsNumbers(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{ // how the table calls them
		limitRequests: "any request", limitTickets: "new tickets |", limitNetwork: "new tickets of a network", limitNode: "new tickets of all",
		limitBad: "codes that the provider refused", limitBadWide: "refused codes of a network", limitBadHere: "refused codes of one ticket",
		limitCodes: "mini-program codes", limitWebsite: "WeChat's website logins",
		limitPhones: "phone calls, before", limitUsers: "phone calls, after", limitRefused: "… refused", limitWrong: "… with a wrong number",
		limitSeats: "waiting sockets and polls", // by another number than the rate
	}
	allowed := func(limit string, rate int) (n int) {
		for hit := limitsOf(t, rate, &heard{})[limit]; n <= 100_000 && hit() == nil; n++ {
		}
		return n
	}
	_, table, _ := strings.Cut(string(text), "\n| what | counted by | per minute | with 600 | never below |\n")
	table, after, _ := strings.Cut(table, "\n\n")
	lines := strings.Split(table, "\n")[1:]
	for _, limit := range Limits() {
		at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "| "+rows[limit]) })
		if limit == limitCalls {
			if !strings.Contains(after, fmt.Sprintf(" %d calls under way to each provider", maxCalls)) {
				t.Errorf("%s are not named, or not with %d", limit, maxCalls)
			}
			continue
		}
		if limit == limitDrawings {
			says := fmt.Sprintf(" half of the cores at once (at least one), so that a flood of them starves nothing else: %d drawings more wait, %d of them from one address, for at most %.0f s,",
				maxDrawLine, maxDrawEach, drawWait.Seconds())
			if !strings.Contains(after, says) {
				t.Errorf("%s are not named, or not with%s", limit, says)
			}
			continue
		}
		if rows[limit] == "" || at < 0 {
			t.Errorf("%s has no row", limit)
			continue
		}
		cells := strings.Split(lines[at], "|")
		lines = slices.Delete(lines, at, at+1)
		number := func(cell string) int {
			n, _ := strconv.Atoi(strings.ReplaceAll(strings.TrimSpace(cell), ",", "")) // empty: 0
			return n
		}
		if limit == limitSeats {
			continue
		}
		if n := allowed(limit, 600); n != number(cells[4]) {
			t.Errorf("with 600, %s are %d: %s", limit, n, cells)
		}
		least := max(1, number(cells[5]))
		if cells[5] == " " && number(cells[4]) > 600 { // so many times the number
			least = number(cells[4]) / 600
		}
		if n := allowed(limit, 1); n != least {
			t.Errorf("with 1, %s are %d: %s", limit, n, cells)
		}
	}
	for _, rate := range []int{0, 2, 99, 6000, 100_000} { // guesses do not grow with the carriers' NATs, and 0 does not free them
		if n := allowed(limitWrong, rate); n != 6 {
			t.Errorf("with %d, %s are %d", rate, limitWrong, n)
		}
	}
	for limit, hit := range limitsOf(t, 0, &heard{}) {
		if slices.Contains([]string{limitWrong, limitSeats, limitCalls, limitDrawings}, limit) {
			continue // by other numbers
		}
		for range 1000 {
			if err := hit(); err != nil {
				t.Fatalf("with 0, %s: %v", limit, err)
			}
		}
	}
	if len(lines) > 0 {
		t.Errorf("rows of no limit: %q", lines)
	}
}
