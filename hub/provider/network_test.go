package provider_test

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"loginhub/hub/provider"
)

func TestNetworkCode(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	plain, secure := httptest.NewServer(hang), httptest.NewUnstartedServer(hang)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	client := &http.Client{Timeout: time.Second}
	for url, want := range map[string]string{
		"http://" + free.Addr().String():               "connect",
		"http://no-such-name.invalid":                  "dns",
		secure.URL:                                     "tls", // an unknown authority
		strings.Replace(plain.URL, "http", "https", 1): "tls", // no TLS at all
		plain.URL:     "timeout",
		"unknown://x": "none",
	} {
		_, err := client.Get(url)
		if got := provider.NetworkCode(err); got != want {
			t.Errorf("%s: %v is %s, wanted %s", url, err, got, want)
		}
	}
}
