package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"loginhub/hub/client"
)

// livingConfig is a configuration in which a client can have a living code.
func livingConfig() Config {
	c := withWechat
	c.PublicURL, c.QR, c.TicketTTL, c.RecordVersion = "https://login.example.com", "link", 2*time.Minute, 2
	return c
}

func TestLivingCode_Settings(t *testing.T) {
	got, err := loadClients(writeClients(t, "clients: [{id: a, living_code: 2s}, {id: b, living_code: 5s, living_code_window: 10s}, {id: c}]"), livingConfig())
	if err != nil || got[0].LivingCode != 2*time.Second || got[0].FrameWindow() != client.DefaultLivingCodeWindow || got[1].FrameWindow() != 10*time.Second || got[2].LivingCode != 0 {
		t.Errorf("%+v %v", got, err)
	}
	row := fmt.Sprintf("| `living_code_window` | `%v` |", client.DefaultLivingCodeWindow)
	if text, err := os.ReadFile("../../deploy/CONFIGURATION.md"); err != nil || !strings.Contains(string(text), row) {
		t.Errorf("deploy/CONFIGURATION.md has no row %s: %v", row, err)
	}
	account := "providers: [{kind: wechat_mp, id: mp, app_id: wx2, app_secret_env: MP_SECRET, token_env: MP_TOKEN}]\n"
	t.Setenv("MP_SECRET", "0123456789abcdef")
	t.Setenv("MP_TOKEN", "token0123")
	for fields, want := range map[string]string{
		"living_code: 0s":                               "whole seconds",
		"living_code: 31s":                              "whole seconds",
		"living_code: 1500ms":                           "whole seconds",
		"living_code: -2s":                              "whole seconds",
		"living_code: fast":                             "whole seconds",
		"living_code_window: 20s":                       "set living_code too",
		"living_code: 2s, living_code_window: 3s":       "two steps",
		"living_code: 30s":                              "living_code_window \"20s\": whole seconds, at least two steps",
		"living_code: 2s, living_code_window: 121s":     "LOGINHUB_TICKET_TTL",
		"living_code: 2s, qr: wxacode":                  "draws the QR code",
		"living_code: 2s, qr: mp":                       "draws the QR code",
		"living_code: 2s, qr: 'corp://go?t={ticket}'":   "use qr: link",
		"living_code: 2s, providers: [mp]":              "official account",
		"living_code: 2s, grants: [device_code]":        "device_code",
		"living_code: 2s, origins: ['http://10.0.0.7']": "WebCrypto",
	} {
		if _, err := loadClients(writeClients(t, account+"clients: [{id: a, "+fields+"}]"), livingConfig()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "living_code") {
			t.Errorf("%s: %v, want %q", fields, err, want)
		}
	}
	for name, change := range map[string]func(*Config){"LOGINHUB_RECORD_VERSION": func(c *Config) { c.RecordVersion = 1 },
		"WebCrypto": func(c *Config) { c.PublicURL = "http://192.168.1.5:8080" }, "qr: wxacode": func(c *Config) { c.QR = "wxacode" }} {
		c := livingConfig()
		change(&c)
		if _, err := loadClients(writeClients(t, "clients: [{id: a, living_code: 2s}]"), c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, fields := range []string{"providers: [mp, wechat]", "qr: 'https://login.example.com/s/{ticket}'", "origins: ['http://localhost:3000']"} {
		if _, err := loadClients(writeClients(t, account+"clients: [{id: a, living_code: 2s, "+fields+"}]"), livingConfig()); err != nil {
			t.Errorf("%s: %v", fields, err)
		}
	}
}
