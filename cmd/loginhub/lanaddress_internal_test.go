package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestLAN_RealDevice(t *testing.T) {
	at := func(addr, device string, flags net.Flags, route bool) lanCandidate {
		return lanCandidate{netip.MustParseAddr(addr), device, isVirtual(device, flags), route}
	}
	docker, bridge := at("172.17.0.1", "docker0", 0, false), at("172.18.0.1", "br-1c2d3e4f", 0, false)
	wifi, wire := at("192.168.1.7", "wlp3s0", 0, false), at("10.0.0.7", "eth0", 0, false)
	routed := at("10.0.0.7", "enp0s31f6", 0, true)
	for name, c := range map[string]struct {
		all  []lanCandidate
		want string
	}{
		"none":                     {nil, "127.0.0.1"},
		"docker first":             {[]lanCandidate{docker, bridge, wifi}, "192.168.1.7"},
		"a VPN's default route":    {[]lanCandidate{at("10.8.0.2", "tun0", net.FlagPointToPoint, true), wifi}, "192.168.1.7"},
		"WireGuard":                {[]lanCandidate{at("10.66.0.2", "wg0", 0, true), wire}, "10.0.0.7"},
		"a macOS VPN":              {[]lanCandidate{at("10.9.0.2", "utun4", 0, true), at("192.168.1.8", "en0", 0, false)}, "192.168.1.8"},
		"a company VPN, ppp":       {[]lanCandidate{at("10.9.0.2", "corp0", net.FlagPointToPoint, true), wifi}, "192.168.1.7"},
		"Windows":                  {[]lanCandidate{at("172.28.0.1", "vEthernet (WSL)", 0, false), at("192.168.1.9", "Wi-Fi", 0, true)}, "192.168.1.9"},
		"two, one routed":          {[]lanCandidate{wifi, routed}, "10.0.0.7"},
		"two, none routed":         {[]lanCandidate{wifi, wire}, "192.168.1.7"},
		"an operator's own bridge": {[]lanCandidate{docker, at("192.168.1.2", "br0", 0, true)}, "192.168.1.2"},
		"nothing better":           {[]lanCandidate{docker}, "172.17.0.1"},
	} {
		if got := chooseLAN(c.all); got.String() != c.want {
			t.Errorf("%s: %v, wanted %s", name, got, c.want)
		}
	}
	for _, c := range lanCandidates() {
		if !c.addr.Is4() || !c.addr.IsPrivate() || c.device == "" {
			t.Errorf("%+v", c)
		}
	}
}

func TestBanner_Addresses(t *testing.T) {
	for name, c := range map[string]struct {
		link        string
		want, never string
	}{
		"another address": {"http://192.168.1.7:8081", "its page is at http://192.168.1.7:8081\n", "cannot"},
		"no address":      {"http://127.0.0.1:8081", "A phone cannot open the code's link, http://127.0.0.1:8081", "same network"},
	} {
		var printed bytes.Buffer
		mustParseSettings(t).printBanner(&printed, endpoints{local: "http://localhost:8081", link: c.link})
		for _, want := range []string{c.want, "LOGINHUB_PUBLIC_URL=http://ADDRESS:8081\n"} {
			if !strings.Contains(printed.String(), want) {
				t.Errorf("%s: %q is missing in %s", name, want, &printed)
			}
		}
		if strings.Contains(printed.String(), c.never) {
			t.Errorf("%s: %q in %s", name, c.never, &printed)
		}
	}
}

// TestBanner_ProductionSettings: the banner lists the settings of README.md's production node.
func TestBanner_ProductionSettings(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "## What a production node needs")
	section, _, _ := strings.Cut(rest, "\n## ")
	var want, got []string
	for _, m := range regexp.MustCompile(`(?m)^(LOGINHUB_\w+)=`).FindAllStringSubmatch(section, -1) {
		want = append(want, m[1])
	}
	for _, line := range mustParseSettings(t).missingSettings() {
		got = append(got, line[0])
	}
	config := writeConfig(t, "redis_url: embedded\nsandbox: true\nclients: [{id: demo}]\n")
	if set := fmt.Sprint(mustParseSettings(t, "CONFIG="+config).missingSettings()); strings.Contains(set, "REDIS") || strings.Contains(set, "WECHAT") || strings.Contains(set, "CLIENTS") {
		t.Errorf("the banner asks for what the file sets: %s", set)
	}
	if slices.Sort(want); len(want) < 7 || !slices.Equal(want, slices.Sorted(slices.Values(got))) {
		t.Errorf("the banner lists %v, README.md %v", got, want)
	}
}
