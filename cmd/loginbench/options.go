package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"
)

type optionsScenario struct {
	Rounds int    `default:"3" help:"How often each option is measured, in turns; the medians count."`
	Count  int    `default:"3000" help:"Whole logins with each option and round."`
	GeoIP  string `name:"geoip" help:"MMDB file with an entry of 203.0.113.9: then LOGINHUB_GEOIP_FILE is measured too." placeholder:"PATH"`
}

// option is a setting whose cost is measured.
type option struct {
	name string
	on   *cluster
	// whole runs a login and returns the time from the confirm to the token.
	whole func(ctx context.Context, i int) (time.Duration, error)
}

// relative are the figures that are also reported in proportion to plain's.
var relative = map[string]bool{"hub CPU": true, "Redis CPU": true, "Redis commands per login": true, "hub allocations per login": true}

// measure runs whole logins with each option in turns, and compares them with plain ones.
// Options of clients share nodes; each option of nodes has a node and a Redis of its own.
func (c *optionsScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	dir, err := os.MkdirTemp("", "loginbench-options-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	delivered := make(chan struct{}, c.Count)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case delivered <- struct{}{}:
		default: // a repeated one
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	settings, err := optionClients(dir, receiver.URL)
	if err != nil {
		return nil, err
	}
	start := func(name string, more ...string) (*cluster, error) {
		return b.start(ctx, b.nodes(1), time.Hour, append(append(more, "LOGINHUB_AUDIT_FILE="+filepath.Join(dir, name+".log")), settings...)...)
	}
	shared, err := start("shared")
	if err != nil {
		return nil, err
	}
	defer shared.stop()
	chained, err := start("chained", "LOGINHUB_AUDIT_CHAIN=true")
	if err != nil {
		return nil, err
	}
	defer chained.stop()
	all := append(clientOptions(shared, delivered), option{"audit: chain", chained, chained.withOption(optionLogin{client: "plain"})})
	if c.GeoIP != "" {
		located, err := start("located", "LOGINHUB_GEOIP_FILE="+c.GeoIP, "LOGINHUB_TRUSTED_PROXIES=127.0.0.0/8")
		if err != nil {
			return nil, err
		}
		defer located.stop()
		for _, n := range located.nodes {
			n.target.header = "X-Forwarded-For: 203.0.113.9\r\n"
		}
		all = append(all, option{"geoip_file", located, located.withOption(optionLogin{client: "plain"})})
	}
	return c.inTurns(ctx, b, all)
}

// inTurns measures the options, the first of which is plain.
func (c *optionsScenario) inTurns(ctx context.Context, b *bench, all []option) (results []result, err error) {
	values := make([][]result, len(all))
	for range c.Rounds {
		for i, o := range all {
			r, err := wholeLogins(ctx, b, o.on, c.Count, o.whole)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", o.name, err)
			}
			values[i] = append(values[i], r)
		}
	}
	for i, o := range all {
		r := medians(o.name, values[i])
		for n, plain := range medians(o.name, values[0]).Figures {
			if i > 0 && relative[plain.Name] && plain.Value > 0 {
				r.add(figure{plain.Name + ", of plain's", r.Figures[n].Value / plain.Value, "times"})
			}
		}
		results = append(results, r)
	}
	return results, nil
}

// optionSecret is the secret of the client with delivery: code.
const optionSecret = "loginbench-secret-of-the-back-end"

// optionClients writes a client for each option and returns the nodes' settings.
func optionClients(dir, receiver string) ([]string, error) {
	clients := fmt.Sprintf(`clients:
  - {id: plain}
  - {id: code, delivery: code, secret_file: %[1]s/secret}
  - {id: living, living_code: 2s}
  - {id: matching, number_matching: true}
  - {id: unusual, number_matching: auto}
  - {id: events, events: {url: %[2]q, secret_file: %[1]s/events}}
  - {id: %[3]s, redirect_uris: [%[4]s], grants: [authorization_code], id_token_alg: ES256}
`, dir, receiver, oauthClient, redirectURI)
	key := make([]byte, 32)
	rand.Read(key)
	for name, text := range map[string]string{"secret": optionSecret, "events": "whsec_" + base64.StdEncoding.EncodeToString(key), "clients.yaml": clients} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return []string{"LOGINHUB_CLIENTS=" + filepath.Join(dir, "clients.yaml"), "LOGINHUB_PUBLIC_URL=http://localhost"}, nil
}

// clientOptions returns plain and the options of clients. delivered gets an element for each event.
func clientOptions(s *cluster, delivered <-chan struct{}) []option {
	pageKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // never fails (crypto/ecdsa, Go 1.26)
	return []option{
		{"plain", s, s.withOption(optionLogin{client: "plain"})},
		{"delivery: code, with the exchange", s, s.withOption(optionLogin{client: "code"})},
		{"jwk: the token as a JWE", s, s.withOption(optionLogin{client: "plain", pageKey: pageKey})},
		{"living_code", s, s.withOption(optionLogin{client: "living"})},
		{"number_matching", s, s.withOption(optionLogin{client: "matching"})},
		{"number_matching: auto, with a new browser", s, s.withOption(optionLogin{client: "unusual"})},
		{"events, with their delivery", s, s.withOption(optionLogin{client: "events", delivered: delivered})},
		{"authorization code", s, s.codeLogin},
		{"authorization code, with DPoP", s, func(ctx context.Context, i int) (time.Duration, error) {
			return s.authorizationCode(ctx, i, func() (string, error) { return dpopProof("http://localhost/oauth2/token") })
		}},
	}
}
