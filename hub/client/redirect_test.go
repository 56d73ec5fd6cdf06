package client_test

import (
	"testing"

	"loginhub/hub/client"
)

// The registered URIs of each client, and URIs that are compared with them (RFC 9700,
// section 4.1).
func TestAllowsRedirect(t *testing.T) {
	for _, c := range []struct {
		registered []string
		secret     bool
		allowed    []string
		refused    []string
	}{
		{registered: []string{"https://rp.example/cb", "https://rp.example/cb?tenant=1"},
			allowed: []string{"https://rp.example/cb", "https://rp.example/cb?tenant=1"},
			refused: []string{"", "/cb", "//rp.example/cb", "rp.example/cb", "https://rp.example", "https://rp.example/", "https://rp.example/cb/",
				"https://rp.example/CB", "https://RP.example/cb", "HTTPS://rp.example/cb", "http://rp.example/cb", "https://rp.example:443/cb",
				"https://rp.example:8443/cb", "https://rp.example./cb", "https://www.rp.example/cb", "https://rp.example.evil.example/cb",
				"https://evil.example/https://rp.example/cb", "https://rp.example@evil.example/cb", "https://evil.example@rp.example/cb",
				"https://rp.example:pw@evil.example/cb", "https://rp.example%40evil.example/cb", "https://rp.example\\@evil.example/cb",
				"https://evil.example\\.rp.example/cb", "https://rp.example/cb#", "https://rp.example/cb#x", "https://evil.example#https://rp.example/cb",
				"https://rp.example/cb?", "https://rp.example/cb?x=1", "https://rp.example/cb?tenant=2", "https://rp.example/cb?tenant=1&next=//evil.example",
				"https://rp.example/cb/../evil", "https://rp.example/./cb", "https://rp.example//cb", "https://rp.example/%63b", "https://rp.example/cb%2f..%2fevil",
				"https://rp.example/cb%00", "https://rp.example/cb\x00", "https://rp.example/cb ", " https://rp.example/cb", "https://rp.example/cb\n",
				"https://rp.example/cb;x", "https://*.example/cb", "https://rp.ехample/cb", "https://xn--rp-xyz.example/cb", "https:/rp.example/cb",
				"https:rp.example/cb", "javascript:alert(1)//rp.example/cb", "data:text/html,x", "https://127.0.0.1/cb", "https://rp。example/cb"}},
		{registered: []string{"http://127.0.0.1/cb", "http://[::1]:80/cb", "http://localhost:3000/cb", "com.example.app:/cb"},
			allowed: []string{"http://127.0.0.1:49152/cb", "http://127.0.0.1/cb", "http://[::1]:5/cb", "http://localhost:65535/cb", "com.example.app:/cb"},
			refused: []string{"http://127.0.0.2/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:080/cb", "http://127.0.0.1:x/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:1/cb2",
				"http://127.0.0.1:1@evil.example/cb", "http://127.0.0.1.evil.example:1/cb", "http://u@127.0.0.1:1/cb", "https://127.0.0.1:1/cb",
				"http://0.0.0.0/cb", "http://[::ffff:127.0.0.1]/cb", "http://LOCALHOST:1/cb", "http://localhost.:1/cb", "http://2130706433/cb",
				"http://127.0.0.1:1/cb#x", "http://127.0.0.1:1/cb?x", "com.example.app:/cb2", "com.example.app://cb"}},
		{registered: []string{"http://127.0.0.1:3000/cb", "http://127.0.0.1/free"}, secret: true,
			allowed: []string{"http://127.0.0.1:3000/cb", "http://127.0.0.1:4000/free"},
			refused: []string{"http://127.0.0.1:3001/cb", "http://127.0.0.1/cb"}},
	} {
		site := client.Client{RedirectURIs: c.registered}
		if c.secret {
			site.Secret = []byte{1}
		}
		for _, uri := range c.allowed {
			if !site.AllowsRedirect(uri) {
				t.Errorf("%q is refused for %q", uri, c.registered)
			}
		}
		for _, uri := range c.refused {
			if site.AllowsRedirect(uri) {
				t.Errorf("%q is allowed for %q", uri, c.registered)
			}
		}
	}
}
