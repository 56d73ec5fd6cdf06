package ratelimit

import (
	"context"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"loginhub/hub/provider"
)

// limitHits returns, for each limit of a node with this rate, a call that counts at it.
// Package qr has the limit of renderings.
func limitHits(rate int, onReject func(string)) map[string]func() error {
	l := New(rate, 1, onReject)
	address, user := netip.MustParsePrefix("192.0.2.1/32"), l.userKey(provider.Identity{Subject: "u"})
	now := time.Now()
	return map[string]func() error{
		nameRequests:            func() error { return l.Requests.Allow(address, now) },
		namePhones:              func() error { return l.Phones.Allow(address, now) },
		nameUsers:               func() error { return l.users.Allow(user, now) },
		nameRefused:             func() error { return l.refusedCalls.Allow(user, now) },
		nameWrong:               func() error { return l.wrongMatches.Allow(user, now) },
		nameTickets:             func() error { return l.Tickets.Allow(address, now) },
		nameTicketsNetwork:      func() error { return l.Tickets.networks.Allow(address, now) },
		nameTicketsNode:         func() error { return l.Tickets.node.Allow(struct{}{}, now) },
		nameDevices:             func() error { return l.Devices.Allow(address, "c", now) },
		nameDevicesNetwork:      func() error { return l.Devices.from.networks.Allow(address, now) },
		nameDevicesNode:         func() error { return l.Devices.from.node.Allow(struct{}{}, now) },
		nameDevicesClient:       func() error { return l.Devices.clients.Allow("c", now) },
		nameUserCodes:           func() error { return l.UserCodes.Allow(address, now) },
		nameUserCodesNetwork:    func() error { return l.UserCodes.networks.Allow(address, now) },
		nameRefusedCodes:        func() error { return l.Codes.addresses.Allow(codeSource{from: address}, now) },
		nameRefusedCodesNetwork: func() error { return l.Codes.networks.Allow(codeSource{from: address}, now) },
		nameRefusedCodesTicket:  func() error { return l.Codes.tickets.Allow(ticketSource{ticket: "t"}, now) },
		nameWebLogins:           func() error { return l.WebLogins.Allow(address, now) },
		nameOpenID:              func() error { return l.OpenID.Allow(address, "c", now) },
		nameOpenIDNetwork:       func() error { return l.OpenID.networks.Allow(address, now) },
		nameOpenIDClient:        func() error { return l.OpenID.clients.Allow("c", now) },
		nameWxacodes:            func() error { return l.Wxacodes.Allow(address, now) },
		nameEvents:              func() error { return l.Events.Allow(address, now) },
		nameWaiters:             func() error { _, err := l.Waiters.Acquire(address); return err },
		nameCalls:               func() error { return l.Call(context.Background(), nil, nil) }, // no slot at all
	}
}

func TestMetrics_LimitNames(t *testing.T) {
	var reported []string
	hits := limitHits(1, nil)
	for limit := range hits {
		reported = nil
		hit := limitHits(1, func(name string) { reported = append(reported, name) })[limit] // of its own limits, which no other has used
		for n := 0; hit() == nil; n++ {
			if len(reported) > 0 || n > 10_000 {
				t.Fatalf("%s: %v after %d that were let pass", limit, reported, n)
			}
		}
		if !slices.Equal(reported, []string{limit}) {
			t.Errorf("limit %s is reported as %v", limit, reported)
		}
	}
	if want := append(slices.Collect(maps.Keys(hits)), QRRenders); len(want) != len(Names()) {
		t.Errorf("%d limits, of which %d are named", len(want), len(Names()))
	}
	for _, limit := range Names() {
		if hits[limit] == nil && limit != QRRenders {
			t.Errorf("%s is hit by nothing here", limit)
		}
	}
}

// Operators choose LOGINHUB_RATE_LIMIT by the tables of deploy/CONFIGURATION.md. Each
// row begins with the label of a limit.
func TestLimits_Documented(t *testing.T) {
	text, err := os.ReadFile("../../deploy/CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	allowed := func(limit string, rate int) (n int) {
		for hit := limitHits(rate, nil)[limit]; n <= 100_000 && hit() == nil; n++ {
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
		nameCalls: {maxProviderCalls}, QRRenders: {64, 32, 2}, nameWaiters: {1000}}
	for _, limit := range Names() {
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
	guesses := map[string]int{nameWrong: 6, nameUserCodes: 5, nameUserCodesNetwork: 40}
	for _, rate := range []int{0, 2, 99, 6000, 100_000} { // the number of guesses does not grow with the rate, and 0 does not turn it off
		for limit, want := range guesses {
			if n := allowed(limit, rate); n != want {
				t.Errorf("with %d, %s are %d", rate, limit, n)
			}
		}
	}
	for limit, hit := range limitHits(0, nil) {
		if slices.Contains([]string{nameWaiters, nameCalls, QRRenders}, limit) || guesses[limit] > 0 {
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
