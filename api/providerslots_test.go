package api_test

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
	"loginhub/hub/ticket"
)

// mostCalls is how many calls to one provider are under way at once.
const mostCalls = 256

// slow is a provider that names "quick" at once, and nobody else at all.
func slow() *fakeProvider {
	return &fakeProvider{say: func(ctx context.Context, name string) (ticket.Identity, error) {
		if name == "quick" {
			return ticket.Identity{Provider: "wechat", AppID: "wx1", Subject: name}, nil
		}
		<-ctx.Done()
		return ticket.Identity{}, fmt.Errorf("%w: %w", ticket.ErrProviderUnavailable, ctx.Err())
	}}
}

// hang has as many phones as there are places wait for the provider called
// wechat; the caller may wait for their end.
func hang(t *testing.T, s *testServer, p *page) *sync.WaitGroup {
	t.Helper()
	all, ctx := &sync.WaitGroup{}, s.soon(t)
	for range mostCalls {
		body := (&phone{s, "wechat", "slow"}).body()
		all.Go(func() { s.send(ctx, "POST", p.path("scan"), body) })
	}
	t.Cleanup(all.Wait) // nobody is left behind where the test ends early
	synctest.Wait()
	return all
}

// fakeCodes makes mini-program codes, or hangs.
type fakeCodes struct {
	asked atomic.Int64
	hangs bool
}

func (p *fakeCodes) Code(ctx context.Context, _ ticket.ID) ([]byte, error) {
	p.asked.Add(1)
	if p.hangs {
		<-ctx.Done()
		return nil, fmt.Errorf("%w: %w", ticket.ErrProviderUnavailable, ctx.Err())
	}
	var b bytes.Buffer
	err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8)))
	return b.Bytes(), err
}

func TestProviderSlots_Bounded(t *testing.T) {
	o := slow()
	runSynctest(t, options{providers: map[string]api.Provider{"wechat": o}}, func(t *testing.T, s *testServer) {
		p := s.make(t, nil)
		all := hang(t, s, p)
		a := (&phone{s, "wechat", "quick"}).do(t, p, "scan")
		a.problem(t, 503, "provider_unavailable")
		retryAfter(t, a, "1")
		if o.calls() != mostCalls {
			t.Errorf("%d calls under way", o.calls())
		}
		all.Wait()
		(&phone{s, "wechat", "quick"}).may(t, p, "scan")
	})
}

func TestProviderSlots_PerProvider(t *testing.T) {
	wechat, own := slow(), slow()
	app := &fakeProvider{say: func(_ context.Context, name string) (ticket.Identity, error) {
		return ticket.Identity{Provider: "app", Subject: name}, nil
	}}
	codes := &fakeCodes{}
	site := func(wechat api.Provider) api.LoginMethods {
		return api.LoginMethods{Providers: map[string]api.Provider{"wechat": wechat, "app": app}, MiniProgramCodes: codes}
	}
	clients := []*ticket.Client{demo(), {ID: "same", LabelEN: "Same", LabelZH: "同"}, {ID: "shop", LabelEN: "Shop", LabelZH: "店"}}
	runSynctest(t, options{clients: clients, providers: site(wechat).Providers, api: func(c *api.Config) {
		c.Reloadable.MiniProgramCodes = codes
		c.Reloadable.LoginMethods = map[string]api.LoginMethods{"same": site(wechat), "shop": site(own)}
	}}, func(t *testing.T, s *testServer) {
		p := s.make(t, map[string]string{"client_id": "demo"})
		all := hang(t, s, p)
		(&phone{s, "wechat", "quick"}).do(t, p, "confirm").problem(t, 503, "provider_unavailable")
		// Another client of the same mini-program has no places of its own.
		same := s.make(t, map[string]string{"client_id": "same"})
		retryAfter(t, (&phone{s, "wechat", "quick"}).do(t, same, "confirm"), "1")
		same.stands(t, "pending", 1)

		// The own app goes on, so does another mini-program, so do the pictures.
		(&phone{s, "app", "quick"}).may(t, p, "confirm")
		(&phone{s, "wechat", "quick"}).may(t, s.make(t, map[string]string{"client_id": "shop"}), "confirm")
		q := s.make(t, map[string]string{"client_id": "demo"})
		if a := s.ask(t, "GET", q.path("qr.png"), nil); a.status != http.StatusOK || codes.asked.Load() != 1 {
			t.Errorf("picture: %d after %d calls", a.status, codes.asked.Load())
		}
		all.Wait()
	})
}

func TestProviderSlots_Wxacode(t *testing.T) {
	codes := &fakeCodes{hangs: true}
	runSynctest(t, options{api: func(c *api.Config) { c.Reloadable.MiniProgramCodes = codes }}, func(t *testing.T, s *testServer) {
		var all sync.WaitGroup
		ctx := s.soon(t)
		t.Cleanup(all.Wait)
		for range mostCalls {
			p := s.make(t, nil)
			all.Go(func() { s.send(ctx, "GET", p.path("qr.png"), nil) })
		}
		synctest.Wait()
		p := s.make(t, nil)
		if a := s.ask(t, "GET", p.path("qr.png"), nil); a.status != http.StatusOK { // the link is drawn
			t.Errorf("picture: %d", a.status)
		}
		if n := codes.asked.Load(); n != mostCalls {
			t.Errorf("%d calls under way", n)
		}
		s.phone("ann").may(t, p, "confirm")
	})
}
