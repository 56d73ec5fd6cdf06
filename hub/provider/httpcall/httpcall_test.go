package httpcall_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
)

const secret = "very-secret-code"

// counted is a provider.CallMetrics.
type counted struct{ results []provider.CallResult }

func (c *counted) Start(string, []provider.CallResult) {}
func (c *counted) Observe(_ context.Context, _ string, r provider.CallResult, _ time.Duration) {
	c.results = append(c.results, r)
}

// serve starts a server and returns its client.
func serve(t *testing.T, metrics provider.CallMetrics, handler http.HandlerFunc) *httpcall.Client {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := httpcall.New(httpcall.Host{Service: "acme", Base: base, Metrics: metrics,
		Reactions: map[string]httpcall.Reaction{"7": httpcall.Code, "8": httpcall.Config, "9": httpcall.Quota, "10": httpcall.Stale, "11": httpcall.Incomplete},
		Failure:   httpcall.Failure("code", "text")})
	t.Cleanup(c.Close)
	return c
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func endless(w http.ResponseWriter, _ *http.Request) {
	for err := error(nil); err == nil; {
		_, err = io.WriteString(w, strings.Repeat(" ", 64<<10))
	}
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere?"+secret)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// TestClient_Answers: each answer has its error, its metric, and neither repeats nor
// reveals the code.
func TestClient_Answers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		err     error
		retry   time.Duration
		result  string
	}{
		"success":            {answer(200, `{"id":"li"}`), nil, 0, "ok ok"},
		"a refused code":     {answer(400, `{"code":7,"text":"`+secret+`"}`), provider.ErrCodeInvalid, 0, "7 code"},
		"a code as text":     {answer(200, `{"code":"8"}`), provider.ErrProviderMisconfigured, 0, "8 config"},
		"a quota":            {answer(200, `{"code":9}`), provider.ErrProviderUnavailable, time.Minute, "9 quota"},
		"a stale token":      {answer(200, `{"code":10}`), httpcall.ErrStale, 2 * time.Second, "10 stale"},
		"no member":          {answer(200, `{"code":11}`), provider.ErrIdentityIncomplete, 0, "11 incomplete"},
		"an unknown code":    {answer(200, `{"code":"`+secret+`"}`), provider.ErrProviderUnavailable, 2 * time.Second, "other busy"},
		"an unreadable code": {answer(200, `{"code":{},"id":"li"}`), provider.ErrProviderUnavailable, 2 * time.Second, "other busy"},
		"a redirect":         {answer(302, ""), provider.ErrProviderUnavailable, 2 * time.Second, "none busy"},
		"a proxy's page":     {answer(200, "<html>"), provider.ErrProviderUnavailable, 2 * time.Second, "none busy"},
		"a bad gateway":      {answer(502, "<html>"), provider.ErrProviderUnavailable, 2 * time.Second, "none busy"},
		"an empty answer":    {answer(200, ""), provider.ErrProviderUnavailable, 2 * time.Second, "none busy"},
		"endless":            {endless, provider.ErrProviderUnavailable, 2 * time.Second, "none busy"},
		"a wrong type":       {answer(200, `{"id":{}}`), provider.ErrProviderUnavailable, 2 * time.Second, "none busy"},
		"a lost connection":  {hangUp, provider.ErrProviderUnavailable, 2 * time.Second, "none busy"},
		"a provider's delay": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, context.DeadlineExceeded, 2 * time.Second, "timeout busy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			var metrics counted
			client := serve(t, &metrics, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/login" {
					return
				}
				if calls.Add(1); r.FormValue("code") != secret {
					t.Error("the code is missing")
				}
				c.handler(w, r)
			})
			if err := client.Do(t.Context(), httpcall.Call{Name: "first"}); err != nil { // net/http would repeat on its kept connection
				t.Fatal(err)
			}
			var into struct{ ID string }
			start := time.Now()
			err := client.Do(t.Context(), httpcall.Call{Name: "login", Path: "/login", Query: url.Values{"code": {secret}}, Hidden: []string{secret}, Into: &into})
			if !errors.Is(err, c.err) || (err == nil) != (into.ID == "li") {
				t.Errorf("%v, %q", err, into.ID)
			}
			var retry *provider.RetryError
			if errors.As(err, &retry); retry != nil && retry.After != c.retry || retry == nil && c.retry != 0 {
				t.Errorf("%#v, wanted a retry after %v", err, c.retry)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the code is in %v", err)
			}
			last := metrics.results[len(metrics.results)-1]
			if last.Code+" "+last.Reaction != c.result || calls.Load() != 1 {
				t.Errorf("%v after %d calls", last, calls.Load())
			}
			if took := time.Since(start); took > httpcall.Limit+3*time.Second || took > httpcall.Limit-time.Second && c.err != context.DeadlineExceeded {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// memory is a provider.SharedStore.
type memory struct {
	sync.Map
	now   atomic.Int64
	loads atomic.Int32
}

func (m *memory) Now() time.Time { return time.Unix(m.now.Load(), 0) }
func (m *memory) Load(_ context.Context, name string) ([]byte, error) {
	m.loads.Add(1)
	v, _ := m.Map.Load(name)
	b, _ := v.([]byte)
	return b, nil
}
func (m *memory) Save(_ context.Context, name string, value []byte, _ time.Duration) error {
	m.Store(name, value)
	return nil
}
func (m *memory) SetNX(_ context.Context, name string, _ time.Duration) (bool, error) {
	_, taken := m.LoadOrStore(name, true)
	return !taken, nil
}

// TestToken_Shared: two nodes fetch one token, and the next one early or if the provider
// has refused it. A token that is still valid survives a provider that fails.
func TestToken_Shared(t *testing.T) {
	t.Parallel()
	var store memory
	var fetched atomic.Int32
	var broken atomic.Bool
	node := func() *httpcall.Token {
		return httpcall.NewToken(httpcall.TokenSource{Name: "acme:token", Store: &store, Fetch: func(context.Context) (string, time.Duration, error) {
			if broken.Load() {
				return "", 0, provider.ErrProviderUnavailable
			}
			return fmt.Sprint("token", fetched.Add(1)), 2 * time.Hour, nil
		}})
	}
	a, b := node(), node()
	want := func(token string) {
		t.Helper()
		var all sync.WaitGroup
		for range 20 {
			for _, n := range []*httpcall.Token{a, b} {
				all.Go(func() {
					if got, err := n.Get(t.Context()); got != token || err != nil {
						t.Errorf("%s %v, wanted %s", got, err, token)
					}
				})
			}
		}
		all.Wait()
	}
	want("token1")
	loads := store.loads.Load()
	want("token1")
	if store.loads.Load() != loads {
		t.Error("a node that has the token asks the store")
	}
	a.Drop("token1")
	if got, err := a.Get(t.Context()); got != "token2" || err != nil {
		t.Errorf("after a refusal: %s %v", got, err)
	}
	b.Drop("token1")
	want("token2")
	store.now.Store(116 * 60) // four minutes before the end
	broken.Store(true)
	want("token2")
	broken.Store(false)
	store.Delete("acme:token:renew")
	if got, _ := a.Get(t.Context()); got != "token3" {
		t.Errorf("near its end: %s", got)
	}
	store.now.Store(4 * 60 * 60)
	broken.Store(true)
	store.Delete("acme:token:renew")
	if got, err := b.Get(t.Context()); got != "" || !errors.Is(err, provider.ErrProviderUnavailable) {
		t.Errorf("after its end: %s %v", got, err)
	}
}

func TestBase_Fields(t *testing.T) {
	t.Parallel()
	const path = "/oauth2/auth"
	for value, want := range map[string]string{
		"":                                  "https://acme.test/oauth2/auth",
		"http://127.0.0.1:8080":             "http://127.0.0.1:8080/oauth2/auth",
		"http://127.0.0.1:8080/":            "http://127.0.0.1:8080/oauth2/auth",
		"https://proxy.test/acme":           "https://proxy.test/acme/oauth2/auth",
		"https://proxy.test/oauth2/auth":    "https://proxy.test/oauth2/auth", // the page itself
		"https://user:password@proxy.test/": "",
		"https://proxy.test/?a=password":    "",
		"ftp://proxy.test":                  "",
		"proxy.test":                        "",
	} {
		f := &provider.Fields{Values: map[string]string{"api_url": value}}
		got := httpcall.Page(httpcall.Base(f, "api_url", "https://acme.test"), path).String()
		if err := f.Err(); (err == nil) != (want != "") || err == nil && got != want || err != nil && strings.Contains(err.Error(), "password") {
			t.Errorf("%q: %s %v", value, got, err)
		}
	}
}
