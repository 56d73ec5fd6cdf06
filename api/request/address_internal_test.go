package request

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// trustedPrefixes returns a load balancer's network, this machine, and an IPv6 proxy.
func trustedPrefixes(t testing.TB) []netip.Prefix {
	t.Helper()
	var all []netip.Prefix
	for _, text := range []string{"10.0.0.0/8", "127.0.0.0/8", "2001:db8:ffff::/48"} {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func requestFrom(peer string, headers ...string) *http.Request {
	r := &http.Request{RemoteAddr: peer, Header: http.Header{}}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

const forwarded = "X-Forwarded-For"

type addressCase struct {
	name             string
	peer             string
	headers          []string
	display, rateKey string // "" is none
}

func addressCases() []addressCase {
	return []addressCase{
		{"straight from the internet", "203.0.113.7:1234", nil, "203.0.113.7", "203.0.113.7/32"},
		{"straight, IPv6", "[2001:db8::7]:1234", nil, "2001:db8::7", "2001:db8::/64"},
		{"straight, with a zone", "[fe80::1%eth0]:1234", nil, "", "fe80::/64"},
		{"straight, mapped", "[::ffff:203.0.113.7]:1234", nil, "203.0.113.7", "203.0.113.7/32"},
		{"straight, private network", "192.168.1.5:1234", nil, "", "192.168.1.5/32"},
		{"no address", "@", nil, "", ""},
		{"a pipe", "pipe", nil, "", ""},

		{"untrusted peer, X-Forwarded-For", "203.0.113.7:1", []string{forwarded, "198.51.100.1"}, "", "203.0.113.7/32"},
		{"untrusted peer, Forwarded", "203.0.113.7:1", []string{"Forwarded", "for=198.51.100.1"}, "", "203.0.113.7/32"},
		{"untrusted peer, X-Real-IP", "203.0.113.7:1", []string{"X-Real-IP", "198.51.100.1"}, "", "203.0.113.7/32"},
		{"untrusted private peer", "192.168.1.5:1", []string{forwarded, "198.51.100.1"}, "", "192.168.1.5/32"},

		{"one proxy", "10.1.1.1:1", []string{forwarded, "198.51.100.1"}, "198.51.100.1", "198.51.100.1/32"},
		{"one proxy, mapped", "[::ffff:10.1.1.1]:1", []string{forwarded, "198.51.100.1"}, "198.51.100.1", "198.51.100.1/32"},
		{"one proxy, IPv6", "[2001:db8:ffff::1]:1", []string{forwarded, "2001:db8:1:2:3::4"}, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"},
		{"two proxies", "10.1.1.1:1", []string{forwarded, "198.51.100.1, 10.2.2.2"}, "198.51.100.1", "198.51.100.1/32"},
		{"spoofed on the left", "10.1.1.1:1", []string{forwarded, "1.1.1.1, 198.51.100.1"}, "198.51.100.1", "198.51.100.1/32"},
		{"spoofed trusted hop on the left", "10.1.1.1:1", []string{forwarded, "8.8.8.8, 10.9.9.9, 198.51.100.1, 10.2.2.2"}, "198.51.100.1", "198.51.100.1/32"},
		{"spoofed garbage on the left", "10.1.1.1:1", []string{forwarded, "<script>,,, 198.51.100.1"}, "198.51.100.1", "198.51.100.1/32"},
		{"over two lines", "10.1.1.1:1", []string{forwarded, "1.1.1.1", forwarded, "198.51.100.1,10.2.2.2"}, "198.51.100.1", "198.51.100.1/32"},
		{"other headers beside it", "10.1.1.1:1", []string{forwarded, "198.51.100.1", "X-Real-IP", "1.1.1.1", "Forwarded", "for=1.1.1.1"}, "198.51.100.1", "198.51.100.1/32"},
		{"only the other headers", "10.1.1.1:1", []string{"X-Real-IP", "1.1.1.1", "Forwarded", "for=1.1.1.1"}, "", "10.1.1.1/32"},

		{"with a port", "10.1.1.1:1", []string{forwarded, "198.51.100.1:4711"}, "198.51.100.1", "198.51.100.1/32"},
		{"IPv6 with a port", "10.1.1.1:1", []string{forwarded, "[2001:db8::7]:4711"}, "2001:db8::7", "2001:db8::/64"},
		{"IPv6 in brackets", "10.1.1.1:1", []string{forwarded, "[2001:db8::7]"}, "2001:db8::7", "2001:db8::/64"},
		{"mapped", "10.1.1.1:1", []string{forwarded, "::ffff:198.51.100.1"}, "198.51.100.1", "198.51.100.1/32"},
		{"mapped, trusted", "10.1.1.1:1", []string{forwarded, "198.51.100.1, ::ffff:10.2.2.2"}, "198.51.100.1", "198.51.100.1/32"},
		{"a private browser", "10.1.1.1:1", []string{forwarded, "192.168.1.5"}, "", "192.168.1.5/32"},
		{"carrier NAT", "10.1.1.1:1", []string{forwarded, "100.64.3.4"}, "", "100.64.3.4/32"},

		{"no header", "10.1.1.1:1", nil, "", "10.1.1.1/32"},
		{"an empty one", "10.1.1.1:1", []string{forwarded, ""}, "", "10.1.1.1/32"},
		{"garbage", "10.1.1.1:1", []string{forwarded, "unknown"}, "", "10.1.1.1/32"},
		{"an obfuscated name", "10.1.1.1:1", []string{forwarded, "198.51.100.1, _hidden"}, "", "10.1.1.1/32"},
		{"a trailing comma", "10.1.1.1:1", []string{forwarded, "198.51.100.1,"}, "", "10.1.1.1/32"},
		{"an address with more", "10.1.1.1:1", []string{forwarded, "198.51.100.1 x"}, "", "10.1.1.1/32"},
		{"octal", "10.1.1.1:1", []string{forwarded, "0198.051.0100.01"}, "", "10.1.1.1/32"},
		{"a number", "10.1.1.1:1", []string{forwarded, "3325256705"}, "", "10.1.1.1/32"},
		{"a network", "10.1.1.1:1", []string{forwarded, "198.51.100.0/24"}, "", "10.1.1.1/32"},

		{"all trusted", "10.1.1.1:1", []string{forwarded, "10.3.3.3, 10.2.2.2"}, "", "10.3.3.3/32"},
		{"as many hops as are read", "10.1.1.1:1", []string{forwarded, "198.51.100.1" + strings.Repeat(", 10.2.2.2", 31)}, "198.51.100.1", "198.51.100.1/32"},
		{"unspecified address", "10.1.1.1:1", []string{forwarded, "0.0.0.0"}, "", "10.1.1.1/32"},
		{"multicast address", "10.1.1.1:1", []string{forwarded, "ff02::1"}, "", "10.1.1.1/32"},
		{"half a port", "10.1.1.1:1", []string{forwarded, "198.51.100.1:"}, "", "10.1.1.1/32"},
		{"too many hops", "10.1.1.1:1", []string{forwarded, "198.51.100.1" + strings.Repeat(", 10.2.2.2", 32)}, "", "10.1.1.1/32"},
		{"too many trusted hops", "10.1.1.1:1", []string{forwarded, strings.Repeat("10.2.2.2, ", 999) + "10.2.2.2"}, "", "10.1.1.1/32"},
		{"far left does not matter", "10.1.1.1:1", []string{forwarded, strings.Repeat("x,", 999) + "198.51.100.1"}, "198.51.100.1", "198.51.100.1/32"},
	}
}

func TestClientAddr(t *testing.T) {
	// The address is known but not globally routable: it is not displayed, and not
	// unverified.
	known := []string{"straight, with a zone", "straight, private network", "a private browser", "carrier NAT"}
	for _, c := range addressCases() {
		t.Run(c.name, func(t *testing.T) {
			got := NewProxies(trustedPrefixes(t), slog.New(slog.DiscardHandler)).Addr(requestFrom(c.peer, c.headers...))
			if text := addrText(got.Display); text != c.display {
				t.Errorf("displayed as %q, want %q", text, c.display)
			}
			if want := c.display == "" && !slices.Contains(known, c.name); got.Unverified != want {
				t.Errorf("unverified %v, want %v", got.Unverified, want)
			}
			rateKey := ""
			if got.RateKey.IsValid() {
				rateKey = got.RateKey.String()
			}
			if rateKey != c.rateKey {
				t.Errorf("rate key %q, want %q", rateKey, c.rateKey)
			}
		})
	}
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func TestClientAddr_NoTrustedProxies(t *testing.T) {
	p := NewProxies(nil, slog.New(slog.DiscardHandler))
	for _, peer := range []string{"127.0.0.1:1", "10.1.1.1:1", "[::1]:1", "203.0.113.7:1"} {
		if got := p.Addr(requestFrom(peer, forwarded, "198.51.100.1")); got.Display.IsValid() {
			t.Errorf("%s: displayed as %v", peer, got.Display)
		}
	}
}

// Only globally routable addresses are displayed (IANA's special-purpose registries).
// The documentation ranges count as global, because tests use them.
func TestClientAddr_GlobalOnly(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "203.0.113.7": true, "198.51.100.1": true, "192.0.2.1": true, "1.0.0.0": true, "223.255.255.255": true,
		"2001:4860:4860::8888": true, "2001:db8::1": true, "2400:cb00::1": true,
		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "100.127.255.255": false, "127.0.0.1": false,
		"169.254.169.254": false, "172.16.0.1": false, "172.31.255.255": false, "192.0.0.1": false, "192.168.0.1": false,
		"198.18.0.1": false, "198.19.255.255": false, "224.0.0.1": false, "239.1.1.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"100.63.255.255": true, "100.128.0.0": true, "172.32.0.1": true, "198.17.255.255": true, "198.20.0.0": true, "11.0.0.0": true,
		"::": false, "::1": false, "fe80::1": false, "fec0::1": false, "fc00::1": false, "fd12::1": false, "ff02::1": false,
		"100::1": false, "64:ff9b:1::1": false,
		"2001:2::1":  false, // benchmarks (RFC 5180), like 198.18.0.0/15
		"5f00::1":    false, // segment routing (RFC 9602)
		"2001:10::1": false, // ORCHID, deprecated (RFC 4843)
	} {
		if got := globalOnly(netip.MustParseAddr(text)).IsValid(); got != want {
			t.Errorf("%s is displayed: %v, want %v", text, got, want)
		}
	}
	if globalOnly(netip.Addr{}).IsValid() {
		t.Error("a missing address is displayed")
	}
}

func TestClientAddr_UntrustedHeaderLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	p := NewProxies(trustedPrefixes(t), slog.New(slog.NewTextHandler(&log, nil)))
	p.Addr(requestFrom("203.0.113.7:1"))
	p.Addr(requestFrom("10.1.1.1:1", forwarded, "198.51.100.1"))
	if log.Len() > 0 {
		t.Errorf("logged without a reason: %s", &log)
	}
	for range 5 {
		p.Addr(requestFrom("203.0.113.7:1", forwarded, "198.51.100.1"))
		p.Addr(requestFrom("203.0.113.8:1", "Forwarded", "for=198.51.100.1"))
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "LOGINHUB_TRUSTED_PROXIES") {
		t.Errorf("logged %d times: %s", n, &log)
	}
}

// All users behind a proxy that sends no usable header share one address. Its warning is
// independent of the one about an untrusted header.
func TestClientAddr_SilentProxyLoggedOnce(t *testing.T) {
	for name, headers := range map[string][]string{
		"none": nil, "empty": {forwarded, ""}, "garbage": {forwarded, "198.51.100.1, unknown"}, "another header": {"X-Real-Ip", "198.51.100.1"},
		"too many hops": {forwarded, "198.51.100.1" + strings.Repeat(", 10.2.2.2", 32)},
	} {
		var log bytes.Buffer
		p := NewProxies(trustedPrefixes(t), slog.New(slog.NewTextHandler(&log, nil)))
		p.Addr(requestFrom("10.1.1.1:1", forwarded, "198.51.100.1"))
		p.Addr(requestFrom("203.0.113.7:1"))
		if log.Len() > 0 {
			t.Errorf("%s: logged without a reason: %s", name, &log)
		}
		p.Addr(requestFrom("203.0.113.7:1", forwarded, "198.51.100.1"))
		log.Reset()
		for range 3 {
			p.Addr(requestFrom("10.1.1.1:1", headers...))
			p.Addr(requestFrom("10.1.1.2:1"))
		}
		text := log.String()
		if strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") || !strings.Contains(text, "LOGINHUB_TRUSTED_PROXIES") ||
			!strings.Contains(text, "peer=10.1.1.1") {
			t.Errorf("%s: logged %q", name, text)
		}
	}
}

func TestClientAddr_SameFamily(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"203.0.113.7", "203.0.113.7", "same"},
		{"203.0.113.7", "203.0.113.8", "other"},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "same"}, // one subscriber's /64
		{"2001:db8:1:2::1", "2001:db8:1:3::1", "other"},
		{"203.0.113.7", "2001:db8::7", ""},
		{"203.0.113.7", "", ""},
		{"", "203.0.113.7", ""},
		{"", "", ""},
	} {
		var addrs [2]netip.Addr
		for i, text := range []string{c.a, c.b} {
			if text != "" {
				addrs[i] = netip.MustParseAddr(text)
			}
		}
		got := ""
		if same := SameAddress(addrs[0], addrs[1]); same != nil {
			got = map[bool]string{true: "same", false: "other"}[*same]
		}
		if got != c.want {
			t.Errorf("%s and %s: %q, want %q", c.a, c.b, got, c.want)
		}
	}
}
