package apitest_test

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"loginhub/api"
	"loginhub/hub/provider"
)

// accountEvents are the events of an account whose signature is "good". An event has the
// ticket that ann has scanned, as plain text.
type accountEvents struct{}

func (accountEvents) Receive(ctx context.Context, n provider.Notification, scanned func(context.Context, provider.Scan) provider.Prompt) (provider.Answer, error) {
	switch {
	case n.Query.Get("signature") != "good":
		return provider.Answer{}, provider.ErrEventInvalid
	case n.Method == http.MethodGet:
		return provider.Answer{Type: "text/plain; charset=utf-8", Body: []byte(n.Query.Get("echostr"))}, nil
	}
	prompt := scanned(ctx, provider.Scan{Ticket: string(n.Body), User: func(context.Context) (provider.Identity, error) {
		return withForm(provider.Identity{Provider: "account", Subject: "ann"}), nil
	}})
	return provider.Answer{Type: "text/xml; charset=utf-8", Body: []byte(prompt.Link + prompt.Refusal)}, nil
}

func accountProvider() *provider.Provider {
	return &provider.Provider{ID: "account", Kind: provider.Kind{Name: "account", Token: provider.TokenForm{AMR: "account", Prefix: "account"}}, Access: provider.Access{Events: accountEvents{}}}
}

// TestEvents_Scan: an event scans, and the link of its answer leads to the consent page
// once, for its own ticket.
func TestEvents_Scan(t *testing.T) {
	t.Parallel()
	v, without := startWebLogin(t, 2*time.Minute, func(c *api.Config) {
		c.Reloadable.Listed, c.Reloadable.Clients[0].AddressMismatch = []*provider.Provider{accountProvider()}, ""
	}), start(t, options{})
	for _, path := range []string{"/api/wechat/events", "/api/wechat/events/account"} {
		p, q, phone := v.page(t), v.page(t), v.tab(phoneAgent)
		for _, method := range []string{"GET", "POST"} {
			without.ask(t, method, path, nil).problem(t, 404, "not_found")
			v.ask(t, method, path+"?signature=forged", nil).problem(t, 403, "event_invalid")
		}
		v.ask(t, "GET", "/api/wechat/events/other?signature=good", nil).problem(t, 404, "not_found")
		if a := v.ask(t, "GET", path+"?signature=good&echostr=e", nil); a.status != 200 || string(a.body) != "e" {
			t.Errorf("echo: %d %s", a.status, a.body)
		}
		post := func(body string) *answer {
			return v.ask(t, "POST", path+"?signature=good", body, "Content-Type", "text/xml")
		}
		post(strings.Repeat("x", 16<<10+1)).problem(t, 413, "too_large")
		v.raw(t, "POST "+path+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n").problem(t, 400, "invalid_request")
		none, _ := unknownTicket()
		if a := post(none); a.status != 200 || string(a.body) != "ticket_not_found" {
			t.Errorf("unknown ticket: %d %s", a.status, a.body)
		}
		a := post(p.id)
		token, ok := bytes.CutPrefix(a.body, []byte(public+"/s/"+p.id+"#t="))
		if a.status != 200 || !ok {
			t.Fatalf("%d %s", a.status, a.body)
		}
		p.requireState(t, "scanned", 2)
		open := func(id, token string, headers ...string) *answer {
			return phone.do(t, "POST", "/s/"+id+"/open", url.Values{"token": {token}}, headers...)
		}
		open(p.id, string(token), "Origin", "https://evil.example").requirePage(t, 403, "state_foreign")
		open(p.id, "other").requirePage(t, 403, "state_invalid")
		open(q.id, string(token)).requirePage(t, 403, "state_invalid")
		v.vault.failure = errDown
		open(p.id, string(token)).requirePage(t, 503, "store_unavailable")
		v.vault.failure = nil
		if a := open(p.id, string(token)); a.status != 303 || a.header.Get("Location") != "/s/"+p.id+"/consent" {
			t.Errorf("%d to %q: %s", a.status, a.header.Get("Location"), a.body)
		}
		open(p.id, string(token)).requirePage(t, 403, "state_invalid")
		phone.screen(t, p, "consent")
	}
}
