package apitest_test

import (
	"net/netip"
	"strings"
	"testing"

	"loginhub/api"
	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// trustLocalProxy trusts the address of the test itself as a proxy.
func trustLocalProxy(c *api.Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// addressPairs are the addresses of browser and phone, and whether they are known to
// differ.
var addressPairs = []struct {
	name, browser, phone string
	differ               bool
}{
	{"the same", "203.0.113.7", "203.0.113.7", false},
	{"others", "203.0.113.7", "198.51.100.9", true},
	{"one IPv6 household", "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", false},
	{"two IPv6 households", "2001:db8:1:2::1", "2001:db8:1:3::1", true},
	{"two families", "203.0.113.7", "2001:db8:1:2::1", false},
	{"private browser address", "10.0.0.7", "203.0.113.7", false},
	{"carrier NAT", "203.0.113.7", "100.64.1.1", false},
	{"spoofed hop on the left", "198.51.100.9, 203.0.113.7", "203.0.113.7", false},
	{"spoofed hop of the phone", "203.0.113.7", "203.0.113.7, 198.51.100.9", true},
}

func TestAddressMismatch_WarnAndRefuse(t *testing.T) {
	t.Parallel()
	of := func(id, mismatch string) *client.Client {
		return &client.Client{ID: id, Origins: []string{site}, AddressMismatch: mismatch}
	}
	o := &fakeProvider{users: map[string]provider.Identity{"ann": {Provider: "p", Subject: "ann"}}}
	s := start(t, options{api: trustLocalProxy, providers: map[string]provider.Exchanger{"p": o},
		clients: []*client.Client{of("nothing", ""), of("ignore", client.MismatchIgnore), of("warn", client.MismatchWarn), of("refuse", client.MismatchRefuse)}})
	ann := &phone{s, "p", "ann"}
	for _, pair := range addressPairs {
		for _, client := range []string{"nothing", "ignore", "warn", "refuse"} {
			t.Run(pair.name+" "+client, func(t *testing.T) {
				p := s.createTicket(t, map[string]string{"client_id": client}, forwarded, pair.browser)
				call := func(action string) *answer {
					return s.ask(t, "POST", p.path(action), ann.body(), forwarded, pair.phone)
				}
				if pair.differ && client == "refuse" {
					asked := o.calls()
					call("scan").problem(t, 403, "address_mismatch")
					call("confirm").problem(t, 403, "address_mismatch")
					if o.calls() != asked {
						t.Error("the provider was called")
					}
					p.requireState(t, "pending", 1)
					call("reject").ok(t, 200) // a reject is always allowed
					return
				}
				login, _ := call("scan").ok(t, 200)["login"].(map[string]any)
				warned, there := login["address_warning"]
				if want := pair.differ && client == "warn"; there != want || want && warned != true {
					t.Errorf("address_warning %v (%v)", warned, there)
				}
				call("confirm").ok(t, 200)
			})
		}
	}
}

func TestAddressMismatch_UntrustedProxy(t *testing.T) {
	t.Parallel()
	c := demo()
	c.AddressMismatch = client.MismatchWarn
	s := start(t, options{clients: []*client.Client{c}})
	p := s.createTicket(t, nil, forwarded, "203.0.113.7")
	login, _ := s.ask(t, "POST", p.path("scan"), s.phone("ann").body(), forwarded, "198.51.100.9").ok(t, 200)["login"].(map[string]any)
	if warned, there := login["address_warning"]; there {
		t.Errorf("address_warning %v", warned)
	}
}

// hiddenAddresses are values of a trusted proxy's X-Forwarded-For that hide the address;
// "" sends none.
var hiddenAddresses = []string{"", ",", "unknown", "_secret", "<b>", "203.0.113.7,", "203.0.113.7:", "203.0.113.7:x", "[203.0.113.7", "127.0.0.1", "127.0.0.9, 127.0.0.1",
	"0.0.0.0", "203.0.113.7" + strings.Repeat(", 127.0.0.1", 40)}

func TestAddressMismatch_RefuseHidden(t *testing.T) {
	t.Parallel()
	near := []string{forwarded, "203.0.113.7"}
	c := demo()
	c.AddressMismatch = client.MismatchRefuse
	for _, to := range []options{{clients: []*client.Client{c}}, {clients: []*client.Client{c}, api: trustLocalProxy}} {
		s := start(t, to)
		values, begin := hiddenAddresses, near
		if to.api == nil { // no proxy is trusted: any header hides the address, no header does not
			values, begin = []string{"203.0.113.7"}, nil
		}
		p := s.createTicket(t, nil, begin...)
		for _, value := range values {
			headers := []string{forwarded, value}
			if value == "" {
				headers = nil
			}
			s.ask(t, "POST", ticketsPath, nil, headers...).problem(t, 403, "address_mismatch")
			for _, action := range []string{"scan", "confirm"} {
				s.ask(t, "POST", p.path(action), s.phone("ann").body(), headers...).problem(t, 403, "address_mismatch")
			}
		}
		p.requireState(t, "pending", 1)
		s.ask(t, "POST", p.path("confirm"), s.phone("ann").body(), begin...).ok(t, 200)
		s.ask(t, "POST", s.createTicket(t, nil, begin...).path("reject"), s.phone("ann").body(), forwarded, "unknown").ok(t, 200)
		said := 0
		for line := range strings.Lines(s.log.String()) {
			if strings.Contains(line, "address_mismatch: refuse") {
				if said++; !strings.Contains(line, "level=WARN") || !strings.Contains(line, "LOGINHUB_TRUSTED_PROXIES") || !strings.Contains(line, "client=demo") {
					t.Errorf("the log line is %q", line)
				}
			}
		}
		if said != 1 {
			t.Errorf("%d warnings in the log", said)
		}
	}
}

func TestAddressMismatch_RefuseEveryHeader(t *testing.T) {
	t.Parallel()
	c := demo()
	c.AddressMismatch = client.MismatchRefuse
	s := start(t, options{clients: []*client.Client{c}})
	for _, header := range []string{forwarded, "Forwarded", "X-Real-Ip"} {
		s.ask(t, "POST", ticketsPath, nil, header, "203.0.113.7").problem(t, 403, "address_mismatch")
	}
}
