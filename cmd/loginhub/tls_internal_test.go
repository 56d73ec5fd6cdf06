package main

import (
	"strings"
	"testing"
)

func TestTLS_PublicHTTPRefused(t *testing.T) {
	for url, local := range map[string]bool{
		"http://login.example.com": false, "http://203.0.113.7": false, "http://localhost.example.com": false, "http://[2001:db8::1]:80": false,
		"http://local": false, "http://10.example.com": false,
		"http://localhost:8080": true, "http://a.localhost": true, "http://127.0.0.2": true, "http://[::1]": true, "http://192.168.1.7:8080": true,
		"http://10.1.2.3": true, "http://[fd00::1]": true, "http://hub.test": true, "http://printer.local": true, "http://hub.corp.internal": true,
		"http://LOCALHOST": true,
	} {
		_, err := parseSettings(t, withSettings(production, "PUBLIC_URL="+url)...)
		if local != (err == nil) || err != nil && !strings.Contains(err.Error(), "LOGINHUB_INSECURE_HTTP") {
			t.Errorf("%s: %v", url, err)
		}
		if _, err := parseSettings(t, withSettings(production, "PUBLIC_URL="+url, "INSECURE_HTTP=true")...); err != nil {
			t.Errorf("%s, forced: %v", url, err)
		}
	}
	for wantText, given := range map[string][]string{
		"LOGINHUB_TLS_KEY":  {"TLS_CERT=/nowhere/cert.pem"},
		"/nowhere/cert.pem": {"TLS_CERT=/nowhere/cert.pem", "TLS_KEY=/nowhere/key.pem"},
	} {
		if _, err := parseSettings(t, withSettings(production, given...)...); err == nil || !strings.Contains(err.Error(), wantText) {
			t.Errorf("%v: %v", given, err)
		}
	}
}
