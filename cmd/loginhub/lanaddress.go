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
	virtual bool // probably of a VPN, a container or a virtual machine
	route   bool // has the default route
}

// virtualDevices are prefixes of device names on Linux, macOS and Windows, in lower
// case. They do not include bridges of an operator, such as br0.
var virtualDevices = []string{"docker", "podman", "br-", "veth", "virbr", "vmnet", "vboxnet", "virtualbox", "vmware", "bridge1",
	"cni", "flannel", "cali", "cilium", "kube", "lxc", "lxd", "dummy", "ifb", "tun", "tap", "utun", "wg", "ipsec", "ppp",
	"tailscale", "zt", "nebula", "nordlynx", "proton", "mullvad", "awdl", "llw"}

// lanAddress returns this machine's address in the local network if the listener is
// reachable there, otherwise the loopback address.
func lanAddress(listening netip.Addr) netip.Addr {
	if !listening.IsUnspecified() {
		return listening.Unmap()
	}
	return chooseLAN(lanCandidates())
}

// chooseLAN prefers physical devices, then the default route. The default route alone
// may be a VPN's.
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

// lanCandidates returns the private addresses in the system's order.
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

// routeAddress returns this machine's address on the default route. Connecting a UDP
// socket sends no packet.
func routeAddress() netip.Addr {
	c, err := net.Dial("udp4", "192.0.2.1:9") // TEST-NET-1 (RFC 5737)
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	at, _ := netip.ParseAddrPort(c.LocalAddr().String())
	return at.Addr()
}
