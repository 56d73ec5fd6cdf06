package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWarnings_PlainOrigins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clients.yaml")
	if err := os.WriteFile(path, []byte(`clients:
  - id: mixed
    origins: [https://www.example.com, http://shop.example.com, "http://localhost:3000", "http://127.0.0.1:3000", "http://[::1]:3000", "http://dev.localhost"]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for public, want := range map[string]bool{"https://login.example.com": true, "http://login.internal": false} {
		count := 0
		for _, text := range mustParseSettings(t, "CLIENTS="+path, "PUBLIC_URL="+public, "REDIS_URL=embedded", "SANDBOX=true").warnings(time.Now()) {
			if strings.Contains(text, "is not https") {
				if count++; !strings.Contains(text, "client mixed: the origin http://shop.example.com ") {
					t.Errorf("%s: %s", public, text)
				}
			}
		}
		if count != 0 != want || count > 1 {
			t.Errorf("%s: %d warnings", public, count)
		}
	}
}
