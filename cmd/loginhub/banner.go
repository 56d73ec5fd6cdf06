package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"loginhub/hub/client"
)

// endpoints are the URLs under which a node is reached, and its clients.
type endpoints struct {
	local   string   // the login page on this machine
	link    string   // what the QR code's link begins with
	issuer  string   // of the tokens
	origins []string // of the hub's own page
	clients []*client.Client
}

// endpoints returns the URLs of the node that listens at addr. A public URL is the
// only one. Without it, the node runs on a developer's machine: a phone needs the
// machine's address in the local network, and the page may be opened under any of the
// machine's names.
func (s *settings) endpoints(addr net.Addr) endpoints {
	w := endpoints{link: s.publicOrigin, issuer: s.publicOrigin, local: s.publicOrigin, clients: s.clients}
	w.origins = []string{s.publicOrigin}
	if s.publicOrigin == "" {
		at := netip.MustParseAddrPort(addr.String())
		lan := lanAddress(at.Addr())
		port := at.Port()
		w.local = fmt.Sprintf("http://localhost:%d", port)
		w.link = fmt.Sprintf("http://%s", netip.AddrPortFrom(lan, port))
		w.issuer = w.local
		if !s.embedded() {
			w.issuer = defaultPublicURL // several nodes, one issuer
		}
		w.origins = []string{w.local, fmt.Sprintf("http://127.0.0.1:%d", port), fmt.Sprintf("http://[::1]:%d", port), w.link, defaultPublicURL}
	}
	if w.clients == nil {
		w.clients = []*client.Client{{ID: "default", LabelZH: "登录演示", LabelEN: "Login demo", Origins: w.origins}}
	}
	return w
}

// printBanner prints the first instructions for a new user. It prints nothing if
// neither the embedded Redis nor the sandbox is used, as in production.
func (s *settings) printBanner(out io.Writer, w endpoints) {
	var b strings.Builder
	if !s.embedded() && !s.sandbox() {
		return
	}
	fmt.Fprintf(&b, "\n  loginhub %s\n\n  Open   %s\n", version(), w.local)
	if w.link != w.local {
		if isLoopbackURL(w.link) {
			fmt.Fprintf(&b, "         A phone cannot open the code's link, %s: this node has no address in\n"+
				"         a local network. Set one:\n", w.link)
		} else {
			fmt.Fprintf(&b, "         and scan with a phone in the same network; its page is at %s\n", w.link)
			b.WriteString("         If the phone does not reach that, set this machine's address in its network:\n")
		}
		fmt.Fprintf(&b, "         LOGINHUB_PUBLIC_URL=http://ADDRESS:%s\n", w.link[strings.LastIndex(w.link, ":")+1:])
	}
	b.WriteString("\n")
	if s.sandbox() {
		b.WriteString("  This is a sandbox: there is no WeChat, and anyone can log in as anyone.\n")
	}
	if s.embedded() {
		b.WriteString("  Tickets are kept in this process and lost when it stops.\n")
	}
	if missing := s.missingSettings(); len(missing) > 0 {
		b.WriteString("\n  For production set\n\n")
		for _, line := range missing {
			fmt.Fprintf(&b, "    %-34s%s\n", line[0], line[1])
		}
	}
	b.WriteString("\n  All settings: loginhub --help      Stop: Ctrl-C\n\n")
	fmt.Fprint(out, b.String())
}

// missingSettings returns the settings that production needs and that are not set,
// with a hint for each.
func (s *settings) missingSettings() (lines [][2]string) {
	for _, setting := range []struct {
		isSet      bool
		name, hint string
	}{
		{s.PublicURL != "", "LOGINHUB_PUBLIC_URL", "https://login.example.com"},
		{!s.embedded() || s.RedisURL != "", "LOGINHUB_REDIS_URL", "redis://loginhub:PASSWORD@HOST:6379/0"},
		{s.Keys != "", "LOGINHUB_KEYS_FILE", "a file with what `loginhub keygen` prints, the same on every node"},
		{!s.sandbox() || s.Sandbox, "LOGINHUB_WECHAT_APP_ID", "your mini-program's AppID"},
		{!s.sandbox() || s.Sandbox, "LOGINHUB_WECHAT_APP_SECRET_FILE", "a file with your mini-program's AppSecret"},
		{s.clients != nil, "LOGINHUB_CLIENTS", "the file of your sites"},
		{len(s.TrustedProxies) > 0 || s.TLSCert != "", "LOGINHUB_TRUSTED_PROXIES", "your proxy's own address: 10.0.0.7/32"},
	} {
		if !setting.isSet {
			lines = append(lines, [2]string{setting.name, setting.hint})
		}
	}
	return lines
}

// storeKind names the kind of Redis that keeps the tickets.
func (s *settings) storeKind() string {
	u, err := url.Parse(s.redisURL())
	switch {
	case s.embedded():
		return "embedded"
	case err == nil && u.Query().Has("master_name"):
		return "sentinel"
	case err == nil && u.Query().Get("cluster") == "true":
		return "cluster"
	}
	return "redis"
}

// providers returns the ids of the providers of the deployment and of all clients.
func (s *settings) providers() []string {
	if s.sandbox() {
		return []string{developmentKind().Name}
	}
	var ids []string
	for _, c := range s.allCredentials() {
		ids = append(ids, c.ids()...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
