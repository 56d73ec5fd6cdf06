package apitest_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// startDisputes is a server whose clients "app" and "plain" send messages, and whose client
// "code" delivers by code too. logouts receives the logout tokens of "app".
func startDisputes(t *testing.T) (s *openIDSite, logouts chan string) {
	t.Helper()
	logouts = make(chan string, 4)
	site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { logouts <- r.FormValue("logout_token") }))
	t.Cleanup(site.Close)
	notice := &client.LoginNotice{TemplateID: "t"}
	app := client.Client{ID: "app", Secret: hashOf(rpSecret), RedirectURIs: []string{rpCallback}, Grants: []string{client.GrantCode, client.GrantRefresh}, OfflineAccess: true,
		IDTokenAlg: client.AlgES256, LoginNotice: notice, BackchannelLogoutURI: site.URL}
	s = startOpenID(t, options{providers: map[string]provider.Exchanger{"sandbox": sandboxProvider(), "wechat": errorProvider()}, clients: []*client.Client{&app, {ID: "plain", LoginNotice: notice},
		{ID: "code", LoginNotice: notice, Delivery: client.DeliveryCode, Secret: hashOf(rpSecret)}}})
	t.Cleanup(s.server.Close)
	return s, logouts
}

// confirmed returns a ticket of the client that ann has confirmed.
func (s *openIDSite) confirmed(t *testing.T, site string) *browser {
	t.Helper()
	p := s.createTicket(t, map[string]any{"client_id": site})
	s.phone("ann").mustDo(t, p, "confirm")
	return p
}

// TestDispute_Ticket: only who confirmed can dispute, for a day. No node delivers the token then.
func TestDispute_Ticket(t *testing.T) {
	s, _ := startDisputes(t)
	ann, p := s.phone("ann"), s.createTicket(t, map[string]any{"client_id": "plain"})
	ann.do(t, p, "dispute").problem(t, 404, "ticket_not_found") // not confirmed
	ann.mustDo(t, p, "scan")
	ann.do(t, p, "dispute").problem(t, 404, "ticket_not_found")
	ann.mustDo(t, p, "confirm")
	ann.do(t, s.confirmed(t, "demo"), "dispute").problem(t, 404, "ticket_not_found") // a client without messages
	s.phone("bob").do(t, p, "dispute").problem(t, 409, "ticket_closed")
	for name, code := range map[string]string{"blocked": "403 user_blocked", "incomplete": "403 identity_incomplete", "misconfigured": "502 provider_misconfigured", "unavailable": "503 provider_unavailable"} {
		status, _ := strconv.Atoi(code[:3])
		(&phone{s.testServer, "wechat", name}).do(t, p, "dispute").problem(t, status, code[4:])
	}
	used := ann.body()
	s.ask(t, "POST", s.confirmed(t, "plain").path("dispute"), used).ok(t, 200)
	s.ask(t, "POST", p.path("dispute"), used).problem(t, 422, "code_invalid")
	s.ask(t, "POST", p.path("dispute"), map[string]any{"provider": "sandbox"}).problem(t, 400, "invalid_request")
	if p.requireState(t, "confirmed", 3)["token"] == nil {
		t.Error("no token after refused disputes")
	}
	for range 2 {
		if a := s.ask(t, "POST", p.path("dispute"), ann.body(), "Origin", site); a.ok(t, 200)["state"] != "disputed" || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%v %s", a.header, a.body)
		}
		if v := p.requireState(t, "rejected", 4); v["reason"] != "user" || v["token"] != nil {
			t.Errorf("view %v", v)
		}
	}
	ann.do(t, p, "confirm").problem(t, 409, "ticket_closed")
	if n := strings.Count(s.log.String(), "audit.event=disputed audit.ticket="+p.id[:6]); n != 2 {
		t.Errorf("%d audit lines in %s", n, s.log)
	}
	late := s.confirmed(t, "plain")
	if left := time.Until(s.states.until["login:"+late.id]); left < 24*time.Hour-time.Minute || left > 24*time.Hour {
		t.Errorf("kept for %v", left)
	}
	s.states.failure = ticket.ErrStoreUnavailable
	body := ann.body()
	s.ask(t, "POST", late.path("dispute"), body).problem(t, 503, "store_unavailable")
	s.states.failure = nil
	s.states.until["login:"+late.id] = time.Now()
	s.ask(t, "POST", late.path("dispute"), body).problem(t, 404, "ticket_not_found")
	s.ask(t, "POST", s.confirmed(t, "plain").path("dispute"), body).ok(t, 200) // the code was not exchanged
}

// TestDispute_KeptLogin: what is kept has no name, and a confirm that cannot keep it is not acknowledged.
func TestDispute_KeptLogin(t *testing.T) {
	s, _ := startDisputes(t)
	p := s.createTicket(t, map[string]any{"client_id": "plain"})
	s.states.failure = ticket.ErrStoreUnavailable
	s.phone("ann").do(t, p, "confirm", "user", map[string]any{"nickname": "Annabel"}).problem(t, 503, "store_unavailable")
	s.states.failure = nil
	s.phone("ann").mustDo(t, p, "confirm")
	if kept := string(s.states.held["login:"+p.id]); !strings.Contains(kept, `"subject":"ann"`) || strings.Contains(kept, "Annabel") {
		t.Errorf("kept: %s", kept)
	}
}

// TestDispute_OpenID: tokens of the login end, a code that waits cannot be redeemed, and the site
// gets one logout token.
func TestDispute_OpenID(t *testing.T) {
	s, logouts := startDisputes(t)
	alice, scope := s.phone("alice"), []string{"client_id", "app", "scope", "openid offline_access"}
	redeemed, waiting, other := s.login(t, scope...).Get("code"), s.login(t, scope...).Get("code"), s.login(t, scope...).Get("code")
	page := func(code string) *browser { return &browser{s: s.testServer, id: strings.Split(code, ".")[0]} }
	all, kept := s.redeem(t, "app", codeForm(redeemed)), s.redeem(t, "app", codeForm(other))
	for range 2 {
		alice.mustDo(t, page(redeemed), "dispute")
	}
	claims, logout := payload(t, all.ID), payload(t, <-logouts)
	if logout["sid"] != claims["sid"] || logout["sub"] != claims["sub"] || logout["aud"] != "app" {
		t.Errorf("logout token %v", logout)
	}
	s.exchange(t, refreshForm(all.Refresh), basic("app", rpSecret)...).requireOAuth(t, "refresh", 400, "invalid_grant")
	if s.userinfo(t, all.Access).status != 401 || s.userinfo(t, kept.Access).status != 200 {
		t.Error("the access token is valid, or that of another login is not")
	}
	alice.mustDo(t, page(waiting), "dispute")
	s.exchange(t, codeForm(waiting), basic("app", rpSecret)...).requireOAuth(t, "waiting code", 400, "invalid_grant")
	<-logouts
	// Without OpenID the site knows the login by its user.
	s.phone("ann").mustDo(t, s.confirmed(t, "app"), "dispute")
	if logout = payload(t, <-logouts); logout["sid"] != nil || logout["sub"] != "sandbox:ann" {
		t.Errorf("logout token %v", logout)
	}
	s.redeem(t, "app", refreshForm(kept.Refresh))
	if len(logouts) != 0 {
		t.Error("another logout token")
	}
}

// TestDispute_Exchange: a code whose page has ended is worth nothing.
func TestDispute_Exchange(t *testing.T) {
	s, _ := startDisputes(t)
	p := s.confirmed(t, "code")
	code := p.view(t)["code"]
	p.ack(t, 2).noContent(t)
	s.phone("ann").mustDo(t, p, "dispute")
	s.redeemCode(t, "code", code).problem(t, 409, "ticket_closed")
}
