package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// TestClients_Events: which addresses and secrets are accepted, and what a refusal says. It
// never contains the secret.
func TestClients_Events(t *testing.T) {
	secret := func(n int) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n)))
	}
	const https = "url: 'https://10.0.0.7/hook?x=1'"
	for name, c := range map[string]struct {
		entry, secret string // %s in entry is the secret's file
		secrets       int    // accepted
		want          []string
	}{
		"https":             {https + ", secret_file: %s", secret(24) + "\n", 1, nil},
		"loopback":          {"url: 'http://[::1]:8080/', secret_file: %s", secret(64), 1, nil},
		"rotation":          {https + ", secret_file: %s", secret(32) + "\r\n" + secret(24) + "\r\n", 2, nil},
		"http":              {"url: http://10.0.0.7/, secret_file: %s", secret(32), 0, []string{"url", "10.0.0.7", "https", "loopback"}},
		"no url":            {"secret_file: %s", secret(32), 0, []string{"url", "absolute"}},
		"credentials":       {"url: https://a:b@h/, secret_file: %s", secret(32), 0, []string{"url", "without user"}},
		"fragment":          {"url: 'https://h/#x', secret_file: %s", secret(32), 0, []string{"url", "fragment"}},
		"no secret":         {https, "", 0, []string{"secret_file or secret_env"}},
		"two secrets":       {https + ", secret_file: %s, secret_env: X", secret(32), 0, []string{"one of them"}},
		"our variable":      {https + ", secret_env: LOGINHUB_X", "", 0, []string{"LOGINHUB_X"}},
		"no variable":       {https + ", secret_env: NO_SUCH_VARIABLE", "", 0, []string{"NO_SUCH_VARIABLE"}},
		"no file":           {https + ", secret_file: /no/such", "", 0, []string{"/no/such"}},
		"empty":             {https + ", secret_file: %s", "\n", 0, []string{"empty"}},
		"no prefix":         {https + ", secret_file: %s", secret(32)[6:], 0, []string{"secret 1", "whsec_", "openssl rand -base64 32"}},
		"no base64":         {https + ", secret_file: %s", secret(32) + "\nwhsec_kkkk-_", 0, []string{"secret 2", "base64", "openssl"}},
		"short":             {https + ", secret_file: %s", secret(23), 0, []string{"23 bytes", "24 to 64", "openssl"}},
		"long":              {https + ", secret_file: %s", secret(65), 0, []string{"65 bytes", "24 to 64"}},
		"three":             {https + ", secret_file: %s", strings.Repeat(secret(32)+"\n", 3), 0, []string{"secret 3", "at most 2"}},
		"an unknown option": {https + ", secret: x", "", 0, []string{"secret", "secret_file"}},
	} {
		t.Run(name, func(t *testing.T) {
			entry := c.entry
			if strings.Contains(entry, "%s") {
				entry = fmt.Sprintf(entry, writeClients(t, c.secret))
			}
			got, err := loadClients(writeClients(t, "clients:\n  - id: demo\n    events: {"+entry+"}\n"), withWechat)
			if c.want == nil {
				if err != nil || len(got[0].Events.Secrets) != c.secrets {
					t.Fatalf("%v: %+v", err, got)
				}
				return
			}
			if err == nil {
				t.Fatalf("accepted: %+v", got[0].Events)
			}
			for _, part := range append(c.want, "line ") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "a2tr") {
				t.Errorf("the secret is in: %v", err)
			}
		})
	}
}
