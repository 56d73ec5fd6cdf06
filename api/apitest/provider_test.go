package apitest_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// startCounting starts a server with a provider that counts its calls, and one that the
// client does not allow.
func startCounting(t *testing.T) (s *testServer, o, other *fakeProvider) {
	t.Helper()
	o = &fakeProvider{users: map[string]provider.Identity{"ann": {Provider: "wechat", Realm: "wx1", Subject: "o-ann"},
		"bob": {Provider: "wechat", Realm: "wx1", Subject: "o-bob"}}}
	other = &fakeProvider{}
	site := demo()
	site.Providers = []string{"wechat"}
	return start(t, options{clients: []*client.Client{site}, providers: map[string]provider.Exchanger{"wechat": o, "app": other}}), o, other
}

func TestProvider_CalledOnce(t *testing.T) {
	t.Parallel()
	s, o, _ := startCounting(t)
	ann, bob := &phone{s, "wechat", "ann"}, &phone{s, "wechat", "bob"}
	precheckFails := map[string]string{"confirmed": "scan reject", "consumed": "scan reject", "rejected": "scan confirm"}
	for _, state := range []string{"pending", "scanned", "confirmed", "consumed", "rejected"} {
		for _, action := range []string{"scan", "confirm", "reject"} {
			for _, f := range []*phone{ann, bob} {
				p := s.createTicket(t, nil)
				for _, step := range map[string][]string{"scanned": {"scan"}, "confirmed": {"confirm"}, "consumed": {"confirm"}, "rejected": {"reject"}}[state] {
					ann.mustDo(t, p, step)
				}
				if state == "consumed" {
					p.ack(t, 2).noContent(t)
				}
				want := 1
				if strings.Contains(precheckFails[state], action) {
					want = 0
				}
				before := o.calls()
				f.do(t, p, action)
				if got := o.calls() - before; got != want {
					t.Errorf("%s, %s by %s: %d calls, want %d", state, action, f.name, got, want)
				}
			}
		}
	}
}

func TestProvider_MalformedRequest(t *testing.T) {
	t.Parallel()
	s, o, _ := startCounting(t)
	p := s.createTicket(t, nil)
	ann := &phone{s, "wechat", "ann"}
	ann.do(t, p, "scan", "user", map[string]any{"nickname": strings.Repeat("x", 65)}).problem(t, 400, "invalid_request")
	ann.do(t, p, "confirm", "match", "x").problem(t, 400, "invalid_request")
	ann.do(t, p, "reject", "code", strings.Repeat("x", 4097)).problem(t, 400, "invalid_request")
	if o.calls() != 0 {
		t.Errorf("%d calls", o.calls())
	}
}

func TestProvider_NotAllowed(t *testing.T) {
	t.Parallel()
	s, _, other := startCounting(t)
	p := s.createTicket(t, nil)
	for _, action := range []string{"scan", "confirm", "reject"} {
		detail := (&phone{s, "app", "ann"}).do(t, p, action).problem(t, 400, "invalid_request")
		if !strings.Contains(detail, "provider") {
			t.Errorf("detail %q does not name the provider", detail)
		}
	}
	if other.calls() != 0 {
		t.Errorf("%d calls", other.calls())
	}
	p.requireState(t, "pending", 1)
}

func TestProvider_RaceOneExchange(t *testing.T) {
	t.Parallel()
	s, o, _ := startCounting(t)
	p := s.createTicket(t, nil)
	const phones = 30
	var all sync.WaitGroup
	won := make(chan string, phones)
	ctx := s.stepContext(t)
	for i := range phones {
		f := &phone{s, "wechat", []string{"ann", "bob"}[i%2]}
		body := f.body()
		all.Go(func() {
			a, err := s.send(ctx, "POST", p.path("confirm"), body)
			switch {
			case err != nil:
				t.Error(err)
			case a.status == http.StatusOK:
				won <- f.name
			case a.status != 409:
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	close(won)
	claims := verifyToken(t, s, p.requireState(t, "confirmed", 2)["token"])
	for name := range won {
		if claims["openid"] != "o-"+name {
			t.Errorf("%s got confirmed, but the token is for %v", name, claims["openid"])
		}
	}
	seen := map[string]bool{}
	for _, code := range o.codes {
		if seen[code] {
			t.Errorf("%s was exchanged twice", code)
		}
		seen[code] = true
	}
}

// A used code cannot be used again, so the call is finished although the phone has
// disconnected.
func TestProvider_PhoneDisconnects(t *testing.T) {
	t.Parallel()
	asked, noticed := make(chan struct{}), make(chan struct{})
	o := &fakeProvider{exchange: func(ctx context.Context, name string) (provider.Identity, error) {
		close(asked)
		<-noticed
		return provider.Identity{Provider: "wechat", Realm: "wx1", Subject: name}, ctx.Err()
	}}
	watch := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/confirm") {
				context.AfterFunc(r.Context(), func() { close(noticed) })
			}
			next.ServeHTTP(w, r)
		})
	}
	s := start(t, options{providers: map[string]provider.Exchanger{"wechat": o}, wrap: watch})
	p := s.createTicket(t, nil)
	l := p.dial(t)
	l.expect(t, "pending", 1)
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.send(ctx, "POST", p.path("confirm"), (&phone{s, "wechat", "ann"}).body())
	}()
	<-asked
	hangUp()
	<-gone
	l.expect(t, "confirmed", 2)
}

func TestProvider_Timeout(t *testing.T) {
	o := &fakeProvider{exchange: func(ctx context.Context, _ string) (provider.Identity, error) {
		<-ctx.Done()
		return provider.Identity{}, fmt.Errorf("exchange: %w", ctx.Err())
	}}
	runSynctest(t, options{providers: map[string]provider.Exchanger{"wechat": o}}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		begun := time.Now()
		a := (&phone{s, "wechat", "ann"}).do(t, p, "confirm")
		a.problem(t, 503, "provider_unavailable") // "provider busy, timed out or out of quota"
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("the phone waited %v", took)
		}
		p.requireState(t, "pending", 1)
	})
}

func TestSandbox_CodeOnce(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for code, good := range map[string]bool{
		"sandbox:ann:1": true, "sandbox:小明:x:y:z": true, "sandbox:Ann Lee: ": true,
		"sandbox:ann:": false, "sandbox::1": false, "sandbox:ann": false, "sandbox:": false, "ann:1": false, "Sandbox:ann:2": false,
		"sandbox:a\u202enn:1": false, "sandbox:ann\n:1": false, "sandbox:" + strings.Repeat("n", 65) + ":1": false,
	} {
		body := map[string]string{"provider": "sandbox", "code": code}
		a := s.ask(t, "POST", s.createTicket(t, nil).path("scan"), body)
		if !good {
			a.problem(t, 422, "code_invalid")
			continue
		}
		a.ok(t, http.StatusOK)
		s.ask(t, "POST", s.createTicket(t, nil).path("scan"), body).problem(t, 422, "code_invalid")
	}
}

func TestProvider_InvalidID(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("u", 20000)
	o := &fakeProvider{users: map[string]provider.Identity{
		"unionid": {Provider: "wechat", Realm: "wx1", Subject: "ann", Union: long},
		"appid":   {Provider: "wechat", Realm: long, Subject: "ann"},
		"openid":  {Provider: "wechat", Realm: "wx1", Subject: long},
	}}
	s := start(t, options{providers: map[string]provider.Exchanger{"wechat": o}})
	p := s.createTicket(t, nil)
	for name := range o.users {
		for _, action := range []string{"scan", "confirm", "reject"} {
			(&phone{s, "wechat", name}).do(t, p, action).problem(t, 403, "identity_incomplete")
		}
	}
	p.requireState(t, "pending", 1)
}

// TestProviders_OfPhones: an app takes the id of its kind.
func TestProviders_OfPhones(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	if a := s.ask(t, "GET", "/api/login/providers", nil); a.status != 200 || strings.TrimSpace(string(a.body)) != `{"providers":[{"id":"sandbox","kind":"sandbox"}]}` {
		t.Errorf("%d %s", a.status, a.body)
	}
}
