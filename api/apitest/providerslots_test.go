package apitest_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"loginhub/api"
	"loginhub/api/gate"
	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// maxCalls is the limit of concurrent calls to one provider.
const maxCalls = 256

// slowProvider returns a provider that answers for the user quick only.
func slowProvider() *fakeProvider {
	return &fakeProvider{exchange: func(ctx context.Context, name string) (provider.Identity, error) {
		if name == "quick" {
			return provider.Identity{Provider: "wechat", Realm: "wx1", Subject: name}, nil
		}
		<-ctx.Done()
		return provider.Identity{}, fmt.Errorf("%w: %w", provider.ErrProviderUnavailable, ctx.Err())
	}}
}

// fillSlots takes all slots of the provider wechat with calls that do not return. The
// caller may wait for their end.
func fillSlots(t *testing.T, s *testServer, p *browser) *sync.WaitGroup {
	t.Helper()
	all, ctx := &sync.WaitGroup{}, s.stepContext(t)
	for range maxCalls {
		body := (&phone{s, "wechat", "slow"}).body()
		all.Go(func() { s.send(ctx, "POST", p.path("scan"), body) })
	}
	t.Cleanup(all.Wait) // also if the test ends early
	synctest.Wait()
	return all
}

// fakeCodes makes mini-program codes, or codes with the text; with hangs it never answers.
type fakeCodes struct {
	calls atomic.Int64
	hangs bool
	text  string
}

func (p *fakeCodes) Code(ctx context.Context, _ string) (provider.Picture, error) {
	p.calls.Add(1)
	if p.hangs {
		<-ctx.Done()
		return provider.Picture{}, fmt.Errorf("%w: %w", provider.ErrProviderUnavailable, ctx.Err())
	}
	if p.text != "" {
		return provider.Picture{Text: p.text}, nil
	}
	var b bytes.Buffer
	err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8)))
	return provider.Picture{Image: b.Bytes()}, err
}

func TestProviderSlots_Bounded(t *testing.T) {
	o := slowProvider()
	runSynctest(t, options{providers: map[string]provider.Exchanger{"wechat": o}}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		all := fillSlots(t, s, p)
		a := (&phone{s, "wechat", "quick"}).do(t, p, "scan")
		a.problem(t, 503, "provider_unavailable")
		retryAfter(t, a, "1")
		if o.calls() != maxCalls {
			t.Errorf("%d calls under way", o.calls())
		}
		all.Wait()
		(&phone{s, "wechat", "quick"}).mustDo(t, p, "scan")
	})
}

func TestProviderSlots_PerProvider(t *testing.T) {
	wechat, own := slowProvider(), slowProvider()
	app := &fakeProvider{exchange: func(_ context.Context, name string) (provider.Identity, error) {
		return provider.Identity{Provider: "app", Subject: name}, nil
	}}
	codes := &fakeCodes{}
	site := func(wechat provider.Exchanger) gate.LoginMethods {
		return gate.LoginMethods{Providers: map[string]provider.Exchanger{"wechat": wechat, "app": app}, Pictures: codes}
	}
	clients := []*client.Client{demo(), {ID: "same", LabelEN: "Same", LabelZH: "同"}, {ID: "shop", LabelEN: "Shop", LabelZH: "店"}}
	runSynctest(t, options{clients: clients, providers: site(wechat).Providers, api: func(c *api.Config) {
		c.Reloadable.Pictures = codes
		c.Reloadable.LoginMethods = map[string]gate.LoginMethods{"same": site(wechat), "shop": site(own)}
	}}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, map[string]string{"client_id": "demo"})
		all := fillSlots(t, s, p)
		(&phone{s, "wechat", "quick"}).do(t, p, "confirm").problem(t, 503, "provider_unavailable")
		// Another client of the same mini-program shares the slots.
		same := s.createTicket(t, map[string]string{"client_id": "same"})
		retryAfter(t, (&phone{s, "wechat", "quick"}).do(t, same, "confirm"), "1")
		same.requireState(t, "pending", 1)

		// The own app, another mini-program and the pictures are not affected.
		(&phone{s, "app", "quick"}).mustDo(t, p, "confirm")
		(&phone{s, "wechat", "quick"}).mustDo(t, s.createTicket(t, map[string]string{"client_id": "shop"}), "confirm")
		q := s.createTicket(t, map[string]string{"client_id": "demo"})
		if a := s.ask(t, "GET", q.path("qr.png"), nil); a.status != http.StatusOK || codes.calls.Load() != 1 {
			t.Errorf("picture: %d after %d calls", a.status, codes.calls.Load())
		}
		all.Wait()
	})
}

func TestProviderSlots_Wxacode(t *testing.T) {
	codes := &fakeCodes{hangs: true}
	runSynctest(t, options{api: func(c *api.Config) { c.Reloadable.Pictures = codes }}, func(t *testing.T, s *testServer) {
		var all sync.WaitGroup
		ctx := s.stepContext(t)
		t.Cleanup(all.Wait)
		for range maxCalls {
			p := s.createTicket(t, nil)
			all.Go(func() { s.send(ctx, "GET", p.path("qr.png"), nil) })
		}
		synctest.Wait()
		p := s.createTicket(t, nil)
		if a := s.ask(t, "GET", p.path("qr.png"), nil); a.status != http.StatusOK { // the QR code of the link is drawn instead
			t.Errorf("picture: %d", a.status)
		}
		if n := codes.calls.Load(); n != maxCalls {
			t.Errorf("%d calls under way", n)
		}
		s.phone("ann").mustDo(t, p, "confirm")
	})
}
