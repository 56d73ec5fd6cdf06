package request

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"loginhub/api/ratelimit"
)

// Proxies finds the address that a request comes from. It uses the forwarding
// header of a trusted proxy only, because anyone can send one.
type Proxies struct {
	trusted           []netip.Prefix
	log               *slog.Logger
	warnUntrustedOnce sync.Once // an untrusted peer sent a forwarding header
	warnNoXFFOnce     sync.Once // a trusted proxy sent no usable X-Forwarded-For
	WarnHiddenOnce    sync.Once // address_mismatch: refuse ended a call because of either
}

func NewProxies(trusted []netip.Prefix, log *slog.Logger) *Proxies {
	return &Proxies{trusted: trusted, log: log}
}

// Addr is the address that a request comes from, for each use of it.
type Addr struct {
	// Display is the address to show to a person. It is the zero Addr unless it
	// is certainly the browser's or phone's own.
	Display netip.Addr
	// AuditAddr is display, or an address of a private network; for the audit
	// log.
	AuditAddr netip.Addr
	// RateKey is the key of the rate limits: one IPv4 address, or one IPv6 /64.
	RateKey netip.Prefix
	// Unverified means that the address is unknown although it could be known.
	// Either an untrusted peer sent a forwarding header (a proxy that is not
	// configured, or a browser that hides its address), or a trusted proxy sent
	// no usable one. A client with address_mismatch: refuse refuses such a
	// request.
	Unverified bool
}

// maxHops bounds how many entries of X-Forwarded-For are read.
const maxHops = 32

// Addr returns the address that r comes from. It warns once of each kind
// of misconfigured proxy.
func (p *Proxies) Addr(r *http.Request) Addr {
	peer := netip.Addr{}
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = ap.Addr().Unmap().WithZone("")
	}
	if !p.isTrusted(peer) {
		for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"} {
			if r.Header.Get(name) == "" {
				continue
			}
			p.warnUntrustedOnce.Do(func() {
				p.log.WarnContext(r.Context(), "an untrusted peer sent a forwarding header, so the addresses of browsers are unknown; "+
					"if the peer is your proxy, add it to LOGINHUB_TRUSTED_PROXIES; if your proxy names the peer by the PROXY protocol, have it remove the header", "peer", peer, "header", name)
			})
			return Addr{RateKey: ratelimit.Key(peer), Unverified: true}
		}
		return Addr{Display: globalOnly(peer), AuditAddr: peer, RateKey: ratelimit.Key(peer), Unverified: !peer.IsValid()}
	}
	client, ok := p.forwarded(r.Header.Values("X-Forwarded-For"))
	if !ok {
		p.warnNoXFFOnce.Do(func() {
			p.log.WarnContext(r.Context(), "a trusted proxy sent no usable X-Forwarded-For, so all its users share its address and its limits; "+
				"configure the proxy to set X-Forwarded-For to its peer's address; if it does, that address is in LOGINHUB_TRUSTED_PROXIES itself: remove from there what is not a proxy", "peer", peer)
		})
		return Addr{RateKey: ratelimit.Key(cmp.Or(client, peer)), Unverified: true}
	}
	return Addr{Display: globalOnly(client), AuditAddr: client, RateKey: ratelimit.Key(client)}
}

// forwarded reads the chain from the right to the first hop that is not
// trusted. Anyone can have written what is left of it. The result is false if
// there is no such hop. If all hops are trusted, it still returns the first one
// as the key of the limits: it is a machine of the operator.
func (p *Proxies) forwarded(headers []string) (netip.Addr, bool) {
	hops := strings.Split(strings.Join(headers, ","), ",")
	var last netip.Addr
	for i := len(hops) - 1; i >= 0; i-- {
		addr, ok := parseHop(strings.TrimSpace(hops[i]))
		if !ok || len(hops)-i > maxHops {
			return netip.Addr{}, false
		}
		if last = addr; !p.isTrusted(addr) {
			return addr, true
		}
	}
	return last, false
}

// parseHop reads one entry: an address, or an address with a port, which some
// Proxies write. It refuses addresses that no machine has.
func parseHop(entry string) (netip.Addr, bool) {
	bare := entry
	if strings.HasPrefix(entry, "[") && strings.HasSuffix(entry, "]") {
		bare = entry[1 : len(entry)-1]
	}
	addr, err := netip.ParseAddr(bare)
	if err != nil {
		ap, err := netip.ParseAddrPort(entry)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = ap.Addr()
	}
	addr = addr.Unmap().WithZone("")
	return addr, !addr.IsUnspecified() && !addr.IsMulticast()
}

// isTrusted reports whether addr is a configured proxy.
func (p *Proxies) isTrusted(addr netip.Addr) bool {
	for _, prefix := range p.trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// nonGlobalPrefixes are unicast ranges that are not globally routable and that
// package netip does not report (IANA special-purpose address registries). The
// documentation ranges are missing on purpose: they occur only in examples.
var nonGlobalPrefixes = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carrier NAT
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), // benchmarks
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001:2::/48"),  // benchmarks
	netip.MustParsePrefix("2001:10::/28"), // overlays, not routed
	netip.MustParsePrefix("5f00::/16"),    // segment routing
	netip.MustParsePrefix("fec0::/10"),
}

// globalOnly returns the address if it is globally routable, otherwise the zero
// Addr: a private address has no meaning for the person who reads it.
func globalOnly(addr netip.Addr) netip.Addr {
	if !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return netip.Addr{}
	}
	for _, prefix := range nonGlobalPrefixes {
		if prefix.Contains(addr) {
			return netip.Addr{}
		}
	}
	return addr
}

// SameAddress compares two display addresses; nil if they cannot be compared.
// Within one IPv6 /64 it returns true, because the phone and the PC of one
// household have different addresses.
func SameAddress(a, b netip.Addr) *bool {
	if !a.IsValid() || !b.IsValid() || a.Is4() != b.Is4() {
		return nil
	}
	same := ratelimit.Key(a) == ratelimit.Key(b)
	return &same
}
