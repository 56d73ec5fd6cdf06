package providertest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/provider"
)

// Callback is the callback URL of Visit, and its host.
const (
	Callback = "https://login.example.com/api/connect/it/callback"
	Host     = "login.example.com"
)

// Open serves an imitation and opens the provider "it" of a kind. In the fields, URL
// is replaced by the imitation's URL. Secrets are fields, or all of them are fields …_file
// that have the content of the file.
func Open(t testing.TB, kind provider.Kind, imitation http.Handler, fields map[string]string) (*provider.Provider, provider.Config) {
	t.Helper()
	server := httptest.NewServer(imitation)
	t.Cleanup(server.Close)
	values := map[string]string{}
	for name, value := range fields {
		values[name] = strings.ReplaceAll(value, "URL", server.URL)
	}
	f := &provider.Fields{ID: "it", Values: values}
	for name := range values {
		if strings.HasSuffix(name, "_file") {
			f.ReadSecret = func(_, content string) (string, error) { return content, nil }
		}
	}
	c := kind.Read(f)
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	p, err := kind.Open(c, provider.Env{ID: "it", PublicURL: "https://" + Host, Audience: "https://" + Host,
		Store: &store{values: map[string][]byte{}}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

// state is that of Visit.
const state = "Abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"

// Visit sends a browser to the page, on which the user agrees, and returns what the
// browser brings back in param.
func Visit(t testing.TB, r provider.Redirector, param, user string) provider.Credential {
	t.Helper()
	visit := provider.Visit{Callback: Callback, State: state, Verifier: strings.Repeat("v", 43), Lang: "zh"}
	page, err := r.Authorize(t.Context(), visit)
	if err != nil || !strings.HasPrefix(page, r.Origin()+"/") {
		t.Fatalf("authorize: %s %v", page, err)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(page, url.Values{"decision": {"allow"}, "user": {user}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	back, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(back.String(), Callback+"?") || back.Query().Get("state") != state {
		t.Fatalf("the page %s answers %d to %v: %s", page, resp.StatusCode, back, text)
	}
	visit.Issuer = back.Query().Get("iss")
	return provider.Credential{Code: back.Query().Get(param), Visit: visit}
}

// store is a provider.SharedStore in memory.
type store struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (s *store) Now() time.Time { return time.Now() }

func (s *store) Load(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[name], nil
}

func (s *store) Save(_ context.Context, name string, value []byte, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[name] = value
	return nil
}

func (s *store) SetNX(_ context.Context, name string, _ time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, taken := s.values[name]
	s.values[name] = []byte{}
	return !taken, nil
}

// FaultCase is a fault of one call, and the error in which the login must end.
type FaultCase struct {
	Path  string // of the call
	Fault Fault
	Want  error // nil: the user is logged in nevertheless
}

// CheckFaults logs in at a page once for each case. The code is exchanged at most once,
// at the path exchange. No error contains it, or one of the secrets.
func CheckFaults(t *testing.T, r provider.Redirector, param string, traffic *Traffic, exchange string, secrets []string, cases map[string]FaultCase) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			credential := Visit(t, r, param, "li")
			before := traffic.Calls(exchange)
			traffic.Fail(c.Path, c.Fault)
			defer traffic.Forget()
			ctx := t.Context()
			if c.Fault.Hang {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
				defer cancel()
			}
			_, err := r.Exchange(ctx, credential)
			if !errors.Is(err, c.Want) {
				t.Errorf("%v, wanted %v", err, c.Want)
			}
			if n := traffic.Calls(exchange) - before; n > 1 {
				t.Errorf("the code was exchanged %d times", n)
			}
			for _, secret := range append(secrets, credential.Code) {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("a secret is in %v", err)
				}
			}
		})
	}
}
