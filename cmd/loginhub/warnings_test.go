package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loginhub/api/geoip/geoiptest"
)

func TestCertificate_Warnings(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		from, until time.Time
		label, host string
		wantText    string // "" for no warning
	}{
		"good":                   {now.Add(-30 * day), now.Add(60 * day), "public", "login.example.com", ""},
		"expired":                {now.Add(-90 * day), now.Add(-time.Second), "public", "login.example.com", "has expired at 2026-05-31T23:59:59Z"},
		"not yet valid":          {now.Add(time.Hour), now.Add(60 * day), "public", "login.example.com", "is not valid before 2026-06-01T01:00:00Z"},
		"last two weeks":         {now.Add(-80 * day), now.Add(13 * day), "public", "login.example.com", "expires at 2026-06-14"},
		"a short lifetime":       {now.Add(-1 * day), now.Add(5 * day), "public", "login.example.com", ""},
		"its last fifth":         {now.Add(-5 * day), now.Add(1 * day), "public", "login.example.com", "expires at 2026-06-02"},
		"another host":           {now.Add(-30 * day), now.Add(60 * day), "public", "other.example.com", "is not for the host of LOGINHUB_PUBLIC_URL"},
		"redis_client, any host": {now.Add(-30 * day), now.Add(60 * day), "redis_client", "other.example.com", ""},
		"redis_client, expired":  {now.Add(-30 * day), now.Add(-day), "redis_client", "other.example.com", "has expired"},
	} {
		one := namedCertificate{c.label, "LOGINHUB_X", "/x.pem", &x509.Certificate{NotBefore: c.from, NotAfter: c.until,
			Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{c.host}}}
		text := one.warning(now, "https://login.example.com")
		if (c.wantText == "") != (text == "") || !strings.Contains(text, c.wantText) || text != "" && !strings.Contains(text, "/x.pem") {
			t.Errorf("%s: %q, wanted %q", name, text, c.wantText)
		}
	}
}

func TestWarnings_UnlikelySettings(t *testing.T) {
	for file, line := range map[string]string{"compose.yaml": "stop_grace_period: " + shortestGrace.String(), "systemd/loginhub.service": "TimeoutStopSec=30s"} {
		if text, err := os.ReadFile("../../deploy/" + file); err != nil || !strings.Contains(string(text), line) {
			t.Errorf("deploy/%s does not have %s, which the warning names: %v", file, line, err)
		}
	}
	places := func(age time.Duration) string {
		path := filepath.Join(t.TempDir(), "city.mmdb")
		if err := geoiptest.Write(path, time.Now().Add(-age).Unix(), geoiptest.Places()); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for setting, wantText := range map[string]string{
		"RESULT_TTL=5s": "LOGINHUB_RESULT_TTL is 5s, and a page that loses its connection may need 57s", "RESULT_TTL=57s": "",
		"CONFIRM_TTL=10s": "LOGINHUB_CONFIRM_TTL is 10s", "TICKET_TTL=3s": "LOGINHUB_TICKET_TTL is 3s", "TICKET_TTL=11s": "",
		"DRAIN=16s": "LOGINHUB_DRAIN is 16s, so a stop takes up to", "LOG=info": "",
		"ADMIN_LISTEN=:9090": "LOGINHUB_ADMIN_LISTEN is :9090, which other machines may reach", "ADMIN_LISTEN=10.0.0.1:9090": "LOGINHUB_ADMIN_TOKEN_FILE",
		"ADMIN_LISTEN=localhost:9090": "", "ADMIN_LISTEN=[::1]:9090": "", "ADMIN_LISTEN=": "", "ADMIN_LISTEN=:9090 ADMIN_TOKEN=0123456789abcdef0123456789abcdef": "",
		"LISTEN=127.0.0.1:8080 TRUSTED_PROXIES=10.0.0.7/32":             "LOGINHUB_LISTEN is 127.0.0.1:8080, which only this machine reaches",
		"LISTEN=127.0.0.1:8080 TRUSTED_PROXIES=10.0.0.7/32,127.0.0.0/8": "", "LISTEN=:8080 TRUSTED_PROXIES=10.0.0.7/32": "",
		"AUDIT_FILE=/nonexistent/audit.log": "the folder /nonexistent does not exist", "AUDIT_FILE=" + t.TempDir() + "/audit.log": "",
		"GEOIP_FILE=" + places(oldPlaces-time.Hour): "", "GEOIP_FILE=" + places(oldPlaces+time.Hour): "LOGINHUB_GEOIP_FILE: the database was made on",
		"CLIENTS=" + writeClients(t, "clients: [{id: a, origins: ['http://a.test'], token_encryption: require}]"):         "browsers make no key at http://a.test",
		"CLIENTS=" + writeClients(t, "clients: [{id: a, origins: ['http://localhost:3000'], token_encryption: require}]"): "",
		"CLIENTS=" + writeClients(t, "clients: [{id: a}]"):                                                                "client a: it has no origins",
		"CLIENTS=" + writeClients(t, "clients: [{id: a, grants: [device_code]}]"):                                         "",
		"CLIENTS=" + writeClients(t, "clients: [{id: a, origins: ['https://a.test']}]"):                                   "",
	} {
		all := strings.Join(mustParseSettings(t, strings.Fields(setting)...).warnings(time.Now()), "\n")
		if (wantText == "") != (all == "") || !strings.Contains(all, wantText) {
			t.Errorf("%s: %q, wanted %q", setting, all, wantText)
		}
	}
}

// TestSecret_Cleaned: blanks and line breaks around a secret are removed, everywhere. A value that
// cannot be a secret is refused with a reason, and not repeated.
func TestSecret_Cleaned(t *testing.T) {
	const hidden = "hunter2"
	wechat := func(value string) []string {
		return withSettings(production, "WECHAT_APP_SECRET="+value)
	}
	file := func(value string) []string {
		return withSettings(production, "WECHAT_APP_SECRET=", "WECHAT_APP_SECRET_FILE="+writeClients(t, value))
	}
	var want providerKey
	for _, value := range []string{hidden, hidden + "\n", hidden + "\r\n", " " + hidden + "\t", "\ufeff" + hidden + "\n"} {
		for _, given := range [][]string{wechat(value), file(value)} {
			if s := mustParseSettings(t, given...); s.WechatAppSecret != hidden {
				t.Errorf("%q is %q", value, s.WechatAppSecret)
			}
		}
		t.Setenv("SITE_SECRET", value)
		s := mustParseSettings(t, withSettings(production, "CLIENTS="+writeClients(t, "clients: [{id: a, wechat: {app_id: wx1, app_secret_env: SITE_SECRET}}]"))...)
		got := s.clientCredentials["a"].providers[0].key
		if value == hidden {
			want = got
		}
		if got != want {
			t.Errorf("a client's %q is not cleaned", value)
		}
	}
	for value, wantText := range map[string]string{
		`"` + hidden + `"`: "quotation marks", "'" + hidden + "'": "quotation marks", hidden + "\n" + hidden: "line break",
	} {
		for _, given := range [][]string{wechat(value), file(value)} {
			_, err := parseSettings(t, given...)
			if err == nil || !strings.Contains(err.Error(), wantText) || strings.Contains(err.Error(), hidden) {
				t.Errorf("%q: %v", value, err)
			}
		}
	}
	url := "redis://:hunter2\n@127.0.0.1:6379/0" // as Kubernetes expands a password
	if _, err := parseSettings(t, withSettings(production, "REDIS_URL="+url)...); err == nil || !strings.Contains(err.Error(), "`echo`") || strings.Contains(err.Error(), hidden) {
		t.Errorf("a line break in the Redis URL: %v", err)
	}
	if s := mustParseSettings(t, withSettings(production, "REDIS_URL=redis://:hunter2@127.0.0.1:6379/0\n", "KEYS="+goodKey+"\r\n", "WECHAT_APP_ID=wx1\n", "RATE_LIMIT=7\n")...); s.RedisURL != "redis://:hunter2@127.0.0.1:6379/0" || s.WechatAppID != "wx1" || s.RateLimit != 7 {
		t.Errorf("parsed %q %q %d", s.RedisURL, s.WechatAppID, s.RateLimit)
	}
	wide := func(text string) string {
		out := "\xff\xfe"
		for i := range len(text) {
			out += text[i:i+1] + "\x00"
		}
		return out
	}
	for _, text := range []string{wide(goodKey), wide(goodKey)[2:], "\xfe\xff\x00A"} {
		_, err := parseSettings(t, withSettings(production, "KEYS=", "KEYS_FILE="+writeClients(t, text))...)
		if err == nil || !strings.Contains(err.Error(), "LOGINHUB_KEYS_FILE") || !strings.Contains(err.Error(), "UTF-16") {
			t.Errorf("keys in UTF-16: %v", err)
		}
	}
	if _, err := parseSettings(t, "CLIENTS="+writeClients(t, wide("clients: [{id: a}]"))); err == nil || !strings.Contains(err.Error(), "UTF-16") {
		t.Errorf("clients in UTF-16: %v", err)
	}
	if s := mustParseSettings(t, withSettings(production, "KEYS=", "KEYS_FILE="+writeClients(t, "\ufeff"+goodKey+"\r\n"+otherKey+"\r\n"))...); len(s.masters) != 2 {
		t.Errorf("%d keys of a file with a byte order mark", len(s.masters))
	}
}

func TestClients_EmptyFile(t *testing.T) {
	for text, wantText := range map[string]string{
		"": "the file is empty", "\n\n": "the file is empty", "# none yet\n": "holds only comments", "---\n": "no clients in the file",
		"clients:\n": "no clients in the file", "clients: []\n": "no clients in the file", "{}": "no clients in the file",
		"clients: [{id: a}]\n---\nclients: [{id: b}]\n": "a second document",
	} {
		path := writeClients(t, text)
		_, err := parseSettings(t, "CLIENTS="+path)
		if err == nil || !strings.Contains(err.Error(), wantText) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "EOF") {
			t.Errorf("%q: %v, wanted %q", text, err, wantText)
		}
	}
}

func TestListen_Malformed(t *testing.T) {
	for given, wantText := range map[string]string{
		"LISTEN=18421": "write HOST:PORT or :PORT, for example :18421", "ADMIN_LISTEN=19090": ":19090", "LISTEN=localhost": "HOST:PORT",
		"LISTEN=http://127.0.0.1:8080": "HOST:PORT", "LISTEN=:808080": "HOST:PORT", "LISTEN=127.0.0.1:": "HOST:PORT", "LISTEN=:no-such-name": "HOST:PORT",
	} {
		_, err := parseSettings(t, given)
		if err == nil || !strings.Contains(err.Error(), wantText) {
			t.Errorf("%s: %v", given, err)
		}
	}
}
