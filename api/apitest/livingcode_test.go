package apitest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"loginhub/api"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// frame returns a frame of the ticket's living code, as its page draws it.
func (p *browser) frame(t testing.TB, number int64) string {
	t.Helper()
	text, _ := p.created["frame_key"].(string)
	key, err := base64.RawURLEncoding.DecodeString(text)
	must(t, err)
	return ticket.Frame(key, number)
}

// TestLiving_Attack: what somebody has kept of a code, or made up, reaches no provider and
// changes nothing; what the camera has just read passes.
func TestLiving_Attack(t *testing.T) {
	o := &fakeProvider{exchange: func(_ context.Context, name string) (provider.Identity, error) {
		return provider.Identity{Provider: "p", Subject: name}, nil
	}}
	living := &client.Client{ID: "living", Origins: []string{site}, LivingCode: 2 * time.Second, LivingCodeWindow: 10 * time.Second}
	to := options{clients: []*client.Client{living, demo()}, providers: map[string]provider.Exchanger{"p": o}}
	runSynctest(t, to, func(t *testing.T, s *testServer) {
		ann := &phone{s, "p", "ann"}
		page := func() *browser { return s.createTicket(t, map[string]string{"client_id": "living"}) }
		p, other := page(), page()
		if p.created["frame_step"] != 2.0 || p.created["frame_window"] != 10.0 || len(p.created["frame_key"].(string)) != 43 {
			t.Errorf("%v", p.created)
		}
		screenshot := p.frame(t, 0)
		advance(12*time.Second + 500*time.Millisecond) // its step and the window are over
		mac := strings.TrimPrefix(p.frame(t, 6), "6")
		for name, frame := range map[string]any{"screenshot": screenshot, "another ticket's": other.frame(t, 6), "of the future": p.frame(t, 8), "with another number": "5" + mac,
			"forged": "6.AAAAAAAAAAA", "none": "", "null": nil, "long": strings.Repeat("6", 5000)} {
			for _, action := range []string{"scan", "confirm"} {
				detail := ann.do(t, p, action, "frame", frame).problem(t, 409, "code_stale")
				if !strings.Contains(detail, "Scan the code again") {
					t.Errorf("%s %s: %s", action, name, detail)
				}
			}
		}
		ann.do(t, p, "scan", "frame", 6).problem(t, 400, "invalid_request")
		ann.do(t, p, "scan").problem(t, 409, "code_stale") // a phone that does not know frames
		if o.calls() != 0 || !strings.Contains(s.log.String(), "code_stale") {
			t.Errorf("the provider was called %d times, or the audit has no code_stale", o.calls())
		}
		p.requireState(t, "pending", 1)

		ann.mustDo(t, p, "scan", "frame", p.frame(t, 5))
		advance(30 * time.Second)
		ann.mustDo(t, p, "scan", "frame", screenshot) // the same answer again, and no frame to confirm
		ann.mustDo(t, p, "confirm")
		ann.mustDo(t, p, "confirm", "frame", "x")

		p = page()
		ann.mustDo(t, p, "confirm", "frame", p.frame(t, 0)) // in one step
		p = page()
		ann.mustDo(t, p, "reject") // ends a login, so it needs no frame
		p = s.createTicket(t, map[string]string{"client_id": "demo"})
		if p.created["frame_key"] != nil {
			t.Error("a client without a living code has a frame key")
		}
		ann.mustDo(t, p, "scan", "frame", "x")
	})
}

// TestLiving_Link: a link that is opened in an app needs its frame then. The provider's page
// may take its time after that.
func TestLiving_Link(t *testing.T) {
	t.Parallel()
	v := startConsent(t)
	v.reload(func(c *client.Client) { c.LivingCode, c.LivingCodeWindow = time.Second, 2*time.Second })
	p, phone := v.page(t), v.tab(corpAgent)
	for _, query := range []string{"", "?f=0.AAAAAAAAAAA", "?f=" + url.QueryEscape(`0."><script>`)} {
		phone.do(t, "GET", "/s/"+p.id+query, nil).requirePage(t, 409, "code_stale")
	}
	state := phone.open(t, "/s/"+p.id+"?f="+p.frame(t, 0))
	// The frame grows old while the user is at the provider.
	made := p.ticket(t)
	hubtest.Eventually(t, stepTimeout, "the frame is old", func() bool {
		return v.hub.Keys().CheckFrame(made, p.frame(t, 0), time.Now(), 2*time.Second) != nil
	})
	if a := phone.do(t, "GET", "/api/connect/corp/callback?state="+state+"&code=corp:ann", nil); a.status != 303 {
		t.Errorf("back from the provider: %d %s", a.status, a.body)
	}
	p.requireState(t, "scanned", 2)

	// The page with the ways to go on carries the frame.
	p, phone = v.page(t), v.tab(phoneAgent)
	if a := phone.do(t, "GET", "/s/"+p.id+"?f="+p.frame(t, 0), nil); !bytes.Contains(a.body, []byte("?by=staff&amp;f="+p.frame(t, 0))) {
		t.Errorf("%d %s", a.status, a.body)
	}
	phone.do(t, "GET", "/s/"+p.id+"?by=staff", nil).requirePage(t, 409, "code_stale")
	phone.open(t, "/s/"+p.id+"?by=staff&f="+p.frame(t, 0))
}

// ticket returns the ticket of the browser, as the hub reads it.
func (p *browser) ticket(t *testing.T) ticket.Ticket {
	t.Helper()
	found, err := p.s.hub.Get(p.s.stepContext(t), ticket.ID(p.id))
	must(t, err)
	return found
}

// TestLiving_OtherWays: a code that an account has drawn for somebody else's ticket scans
// nothing, and the waiting browser's own login at a provider's page needs no frame.
func TestLiving_OtherWays(t *testing.T) {
	t.Parallel()
	v := startWebLogin(t, 2*time.Minute, func(c *api.Config) {
		c.Reloadable.Listed = append(c.Reloadable.Listed, accountProvider())
		c.Reloadable.LaunchURL, c.Reloadable.LaunchBy = "app://go?query=scene%3D{ticket}&env=x", "sandbox"
		c.Reloadable.Clients[0].LivingCode = time.Second
	})
	p := v.page(t)
	if got, want := p.created["launch_url"], "app://go?query=scene%3D"+p.id+"%26f%3D{frame}&env=x"; got != want {
		t.Errorf("launch_url %v, want %s", got, want)
	}
	if a := v.ask(t, "POST", "/api/wechat/events?signature=good", p.id, "Content-Type", "text/xml"); string(a.body) != "code_stale" {
		t.Errorf("%d %s", a.status, a.body)
	}
	p.requireState(t, "pending", 1)
	state := v.startLogin(t, p)
	v.callback(t, state, "ann")
	p.requireState(t, "confirmed", 2)
}
