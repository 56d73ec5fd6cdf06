package api

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// proxies finds the address that a request comes from. Only a trusted proxy's
// forwarding header counts, because anyone can send one.
type proxies struct {
	trusted           []netip.Prefix
	log               *slog.Logger
	warnUntrustedOnce sync.Once // of a peer that is not trusted
	warnNoXFFOnce     sync.Once // of a proxy that does not say for whom it asks
	warnHiddenOnce    sync.Once // of the first call that address_mismatch: refuse ended because of either
}

func newProxies(trusted []netip.Prefix, log *slog.Logger) *proxies {
	return &proxies{trusted: trusted, log: log}
}

// origin of a request, as observed.
type clientAddr struct {
	// display is the address to show to a person; the zero Addr where it is not
	// known for certain to be the browser's or phone's own.
	display netip.Addr
	// auditAddr is shown, or an address of a private network; for the audit.
	auditAddr netip.Addr
	// rateKey is what limits are counted by: one IPv4 address, one IPv6 /64.
	rateKey netip.Prefix
	// unverified is set if the address cannot be known although it could be: an
	// untrusted peer sent a forwarding header (a proxy that is not named, or a
	// browser that hides its address), or a trusted proxy sent no usable one.
	// A client with address_mismatch: refuse is not served then.
	unverified bool
}

// maxHops bounds how much of a forwarded chain is read.
const maxHops = 32

func (p *proxies) clientAddr(r *http.Request) clientAddr {
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
				p.log.Warn("a peer that is not trusted sends a forwarding header, so the addresses of browsers are not known; "+
					"if it is your proxy, set LOGINHUB_TRUSTED_PROXIES", "peer", peer, "header", name)
			})
			return clientAddr{rateKey: rateKey(peer), unverified: true}
		}
		return clientAddr{display: globalOnly(peer), auditAddr: peer, rateKey: rateKey(peer), unverified: !peer.IsValid()}
	}
	client, ok := p.forwarded(r.Header.Values("X-Forwarded-For"))
	if !ok {
		p.warnNoXFFOnce.Do(func() {
			p.log.Warn("a trusted proxy sends no usable X-Forwarded-For, so all its users share its address and its limits, and their own is not known; "+
				"have it set X-Forwarded-For to the address that it sees, or name in LOGINHUB_TRUSTED_PROXIES only what is a proxy", "peer", peer)
		})
		return clientAddr{rateKey: rateKey(cmp.Or(client, peer)), unverified: true}
	}
	return clientAddr{display: globalOnly(client), auditAddr: client, rateKey: rateKey(client)}
}

// forwarded reads the chain from the right to the first hop that is not trusted:
// anybody can have written what is left of it. The result is false if there is no
// such hop. A chain of trusted hops alone still gives its first one, which the
// limits are counted by: it is a machine of the operator's.
func (p *proxies) forwarded(headers []string) (netip.Addr, bool) {
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

// parseHop reads one entry: an address, or one with a port, as some proxies write. An
// address that no machine has is none.
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

func (p *proxies) isTrusted(addr netip.Addr) bool {
	for _, prefix := range p.trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// nonGlobalPrefixes are unicast ranges that are not globally routable and that package
// netip does not tell apart (IANA special-purpose registries). The documentation
// ranges are left out: they occur in examples and nowhere else.
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

// globalOnly is the address where it is globally routable, otherwise none: a
// private one says nothing to the person who reads it.
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

// rateKey is what one subscriber holds: an IPv4 address, or an IPv6 /64.
func rateKey(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all of those share one bucket
	}
	return prefix
}

// sameAddress compares two shown addresses; nil where it cannot be told. Within
// one IPv6 /64 the phone and the PC of one household have different addresses.
func sameAddress(a, b netip.Addr) *bool {
	if !a.IsValid() || !b.IsValid() || a.Is4() != b.Is4() {
		return nil
	}
	same := rateKey(a) == rateKey(b)
	return &same
}
