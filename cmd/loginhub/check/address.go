package check

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"

	"loginhub/hub/provider"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// spoofedAddr is an address for documentation (RFC 5737), which no machine has. A hub
// that records it trusts any X-Forwarded-For.
var spoofedAddr = netip.MustParseAddr("198.51.100.77")

// checkAddresses reads the record of a ticket that was created through the proxy, and
// checks the browser's address in it. Opening the record needs the nodes' keys.
func (e *checker) checkAddresses(ctx context.Context, store *redisstore.Store, id ticket.ID) {
	const what, hint = "addresses", "LOGINHUB_TRUSTED_PROXIES must name the proxy and nothing else, and the proxy must overwrite X-Forwarded-For; "
	if e.set.Embedded {
		e.add(provider.Warn, what, "not known: the tickets of an embedded store cannot be read from outside")
		return
	}
	seen, err := e.recordedAddress(ctx, store, id)
	if err != nil {
		e.add(provider.Fail, what, "%v; the nodes behind %s must have the same LOGINHUB_REDIS_URL and LOGINHUB_KEYS as these settings", err, e.set.PublicURL)
		return
	}
	liar, err := e.createTicket(ctx, "X-Forwarded-For", spoofedAddr.String())
	if err == nil {
		var believed netip.Addr
		if believed, err = e.recordedAddress(ctx, store, liar.Ticket); believed == spoofedAddr {
			e.add(provider.Fail, what, "the hub trusts any X-Forwarded-For that a browser sends; %s%s", hint, proxyHint)
			return
		}
	}
	if err != nil {
		e.add(provider.Warn, what, "not known: %v", err)
		return
	}
	switch {
	case !seen.IsValid() && len(e.set.Proxies) == 0:
		e.add(provider.Warn, what, "the hub shows no address, and LOGINHUB_TRUSTED_PROXIES is not set: if there is a proxy, name it; if not, this machine's address is private")
	case !seen.IsValid():
		e.add(provider.Warn, what, "the hub shows no address: this machine's address is private, or the proxy is not in LOGINHUB_TRUSTED_PROXIES (then a node has logged its address as not trusted); run this from outside to know")
	case slices.ContainsFunc(e.set.Proxies, func(p netip.Prefix) bool { return p.Contains(seen) }):
		e.add(provider.Fail, what, "the hub sees %s, a proxy of LOGINHUB_TRUSTED_PROXIES, and not this machine; %s%s", seen, hint, proxyHint)
	case e.isPublicAddress(ctx, seen):
		e.add(provider.Warn, what, "the hub sees %s, which is the public URL's own address: right only if this is that machine; otherwise %s%s", seen, hint, proxyHint)
	default:
		e.add(provider.OK, what, "the hub sees this machine as %s (compare), and does not trust a forged one", seen)
	}
}

// recordedAddress returns the address in the ticket's record; the zero Addr if there
// is none.
func (e *checker) recordedAddress(ctx context.Context, store *redisstore.Store, id ticket.ID) (netip.Addr, error) {
	found, err := store.Attach(ctx, "", id)
	if err != nil {
		return netip.Addr{}, timeoutError(err)
	}
	if found[0].Sealed == nil {
		return netip.Addr{}, errors.New("the ticket is not in this Redis")
	}
	t, err := e.set.Records.Open(id, found[0].Sealed)
	return t.Address, err
}

// isPublicAddress reports whether the public URL's host name resolves to that
// address.
func (e *checker) isPublicAddress(ctx context.Context, seen netip.Addr) bool {
	u, err := url.Parse(e.set.PublicURL)
	if err != nil {
		return false
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	return err == nil && slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == seen })
}
