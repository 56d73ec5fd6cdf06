package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"loginhub/hub/client"
)

func FuzzClientsFile(f *testing.F) {
	for _, seed := range []string{"", "clients:", "clients: [{}]", "clients:\n  - id: demo\n    label: {zh: 演示, en: Demo}\n    origins: [https://www.example.com]\n    providers: [wechat]\n    subject: openid\n    number_matching: true\n    token_ttl: 5m\n    address_mismatch: warn\n",
		"clients: [{id: a}, {id: a}]", "clients: &a [*a]", "a: &a [x,x]\nb: &b [*a,*a]\nclients: *b", "clients: [{id: a, origins: ['https://a;b']}]", "clients: [{id: a, origins: ['https://\"a']}]",
		"clients: [{id: a, origins: ['app://-', 'https://例子.测试', 'https://[::FFFF:1.2.3.4]:0443']}]",
		"clients:\n - <<: {id: x}\n", "\xff", "clients: [{id: a, token_ttl: 1e9h}]", "? {a: b}\n: c"} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, "clients.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := loadClients(path, withWechat)
		if err != nil {
			if !strings.Contains(err.Error(), path) {
				t.Errorf("the error does not name the file: %v", err)
			}
			return
		}
		seen := map[string]bool{}
		for _, c := range all {
			if !clientID.MatchString(c.ID) || seen[c.ID] || c.TokenTTL < 0 {
				t.Errorf("accepted: %+v", c)
			}
			seen[c.ID] = true
			for _, o := range c.Origins {
				if strings.HasPrefix(o, "http") && o != strings.ToLower(o) || strings.ContainsAny(o, " \t\r\n\"<>*") || strings.Count(o, "/") != 2 {
					t.Errorf("origin %q", o)
				}
			}
			switch c.AddressMismatch {
			case "", client.MismatchIgnore, client.MismatchWarn, client.MismatchRefuse:
			default:
				t.Errorf("address_mismatch %q", c.AddressMismatch)
			}
		}
	})
}

func FuzzForwardingCIDR(f *testing.F) {
	for _, seed := range []string{"", "10.0.0.0/8", "10.1.2.3", "::1", "fe80::1%eth0", "10.0.0.0/33", "::ffff:10.0.0.0/104", " , ", "0.0.0.0/0", "::/0", "::ffff:0:0/96", "::ffff:10.0.0.0/8"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := prefixes(strings.Split(text, ","))
		if err != nil {
			return
		}
		for _, p := range all {
			if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Bits() == 0 {
				t.Errorf("%q: %v", text, p)
			}
		}
	})
}

func FuzzLocalURL(f *testing.F) {
	for _, seed := range []string{"http://localhost", "http://127.0.0.1:8080", "http://a.test", "http://login.example.com", "http://[::1]", "http://[::ffff:8.8.8.8]", "http://.test", "http://test"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		public, err := publicURL(text)
		if err == nil && strings.Contains(text, ".example.com") && !strings.Contains(text, "test") && !strings.Contains(text, "local") && !strings.Contains(text, "internal") && isLocalURL(public) {
			t.Errorf("%q counts as local", public)
		}
	})
}
