package main

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// lanCandidate is a private IPv4 address of this machine.
type lanCandidate struct {
	addr    netip.Addr
	device  string
	virtual bool // of a VPN, a container or a virtual machine, by all appearance
	route   bool // of the default route
}

// virtualDevices are beginnings of device names on Linux, macOS and Windows, in
// lower case. A bridge that an operator made, as br0, is none of them.
var virtualDevices = []string{"docker", "podman", "br-", "veth", "virbr", "vmnet", "vboxnet", "virtualbox", "vmware", "bridge1",
	"cni", "flannel", "cali", "cilium", "kube", "lxc", "lxd", "dummy", "ifb", "tun", "tap", "utun", "wg", "ipsec", "ppp",
	"tailscale", "zt", "nebula", "nordlynx", "proton", "mullvad", "awdl", "llw"}

// lanAddress is this machine's address in its network, if the listener can be
// reached there; otherwise the loopback.
func lanAddress(listening netip.Addr) netip.Addr {
	if !listening.IsUnspecified() {
		return listening.Unmap()
	}
	return chooseLAN(lanCandidates())
}

// chooseLAN prefers real devices, then the default route, which alone may be a
// VPN's.
func chooseLAN(all []lanCandidate) netip.Addr {
	rank := func(c lanCandidate) int {
		n := 0
		if c.virtual {
			n += 2
		}
		if !c.route {
			n++
		}
		return n
	}
	if len(all) == 0 {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return slices.MinFunc(all, func(a, b lanCandidate) int { return cmp.Compare(rank(a), rank(b)) }).addr
}

// lanCandidates are in the system's order.
func lanCandidates() (all []lanCandidate) {
	devices, err := net.Interfaces()
	if err != nil {
		return nil
	}
	route := routeAddress()
	for _, d := range devices {
		addrs, err := d.Addrs()
		if err != nil || d.Flags&net.FlagUp == 0 || d.Flags&net.FlagLoopback != 0 {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsPrivate() {
				all = append(all, lanCandidate{p.Addr(), d.Name, isVirtual(d.Name, d.Flags), p.Addr() == route})
			}
		}
	}
	return all
}

func isVirtual(device string, flags net.Flags) bool {
	device = strings.ToLower(device)
	named := slices.ContainsFunc(virtualDevices, func(begins string) bool { return strings.HasPrefix(device, begins) })
	return named || flags&net.FlagPointToPoint != 0
}

// routeAddress is this machine's address on the default route. UDP's connect sends
// nothing.
func routeAddress() netip.Addr {
	c, err := net.Dial("udp4", "192.0.2.1:9") // TEST-NET-1 (RFC 5737)
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	at, _ := netip.ParseAddrPort(c.LocalAddr().String())
	return at.Addr()
}
