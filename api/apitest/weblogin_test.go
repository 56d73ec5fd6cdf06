package apitest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/api"
	"loginhub/api/gate"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/provider"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// websiteProvider returns the provider of a website login; errorProvider answers for its
// codes.
func websiteProvider(users *fakeProvider) *provider.Provider {
	kind := provider.Kind{Name: "wechat_web", StartPath: "/api/wechat/qrconnect", CallbackPath: "/api/wechat/callback"}
	return &provider.Provider{ID: "wechat_web", Kind: kind, Access: provider.Access{Redirect: website{users}}}
}

type website struct{ *fakeProvider }

func (w website) Authorize(_ context.Context, v provider.Visit) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return "https://open.test/?" + url.Values{"redirect_uri": {v.Callback}, "state": {v.State}, "lang": {v.Lang}}.Encode(), w.refusal
}

func (website) Origin() string { return "https://open.test" }

// webLogin is a server whose login page offers WeChat, and a browser on that page.
type webLogin struct {
	*testServer
	vault      *memStateStore
	audit      *fullAudit
	users      *fakeProvider
	down       *atomic.Bool // Redis does not answer
	reloadable gate.Reloadable
	cookie     string
	start      string // the path of the start
	back       string // the path of the callback
}

// reload changes the client demo of the running server.
func (v *webLogin) reload(change func(*client.Client)) {
	r, site := v.reloadable, *v.reloadable.Clients[0]
	change(&site)
	r.Clients = append([]*client.Client{&site}, r.Clients[1:]...)
	v.server.Reload(r)
}

// eachWebLogin runs a test with both routes of a website login.
func eachWebLogin(t *testing.T, ttl time.Duration, test func(t *testing.T, v *webLogin)) {
	t.Parallel()
	for start, back := range map[string]string{"/api/wechat/qrconnect": "/api/wechat/callback", "/api/connect/wechat_web": "/api/connect/wechat_web/callback"} {
		t.Run(start, func(t *testing.T) {
			t.Parallel()
			v := startWebLogin(t, ttl, nil)
			v.start, v.back = start, back
			test(t, v)
		})
	}
}

func startWebLogin(t *testing.T, ttl time.Duration, change func(*api.Config)) *webLogin {
	v := &webLogin{vault: &memStateStore{held: map[string][]byte{}}, audit: &fullAudit{}, users: errorProvider(), down: &atomic.Bool{}, start: "/api/wechat/qrconnect", back: "/api/wechat/callback"}
	site := demo()
	site.Origins = append(site.Origins, public)
	site.AddressMismatch = client.MismatchRefuse
	v.testServer = start(t, options{clients: []*client.Client{site, {ID: "plain", Origins: []string{public}, Providers: []string{"sandbox"}}},
		hub: func(c *hub.Config) {
			c.TicketTTL, c.ConfirmTTL = ttl, ttl
			v.audit.Handler, c.Audit, c.AuditRequired = c.Log.Handler(), v.audit, true
			c.KillSwitches, c.Reloadable.Clients = c.Store.(*redisstore.Store), []string{"demo", "plain"}
			c.Store = brokenStore{c.Store, v.down}
		},
		api: func(c *api.Config) {
			c.Reloadable.Listed, c.StateStore = []*provider.Provider{websiteProvider(v.users)}, v.vault
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			if change != nil {
				change(c)
			}
			v.reloadable = c.Reloadable
		}})
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return v
}

func (v *webLogin) page(t *testing.T) *browser {
	t.Helper()
	hubtest.Eventually(t, stepTimeout, "the switches are read", func() bool { return v.hub.CheckEnabled("demo") == nil })
	return v.createTicket(t, map[string]string{"client_id": "demo"}, "X-Forwarded-For", "203.0.113.7")
}

// withDefaults returns the headers with those of usual that they do not name.
func withDefaults(headers []string, usual ...string) []string {
	for i := 0; i < len(usual); i += 2 {
		if !slices.Contains(headers, usual[i]) {
			headers = append(headers, usual[i], usual[i+1])
		}
	}
	return headers
}

// postForm sends the page's form; headers replace the default ones.
func (v *webLogin) postForm(t *testing.T, form string, headers ...string) *answer {
	t.Helper()
	a, err := v.send(v.stepContext(t), "POST", v.start, form,
		withDefaults(headers, "Content-Type", "application/x-www-form-urlencoded", "Origin", public)...)
	must(t, err)
	return a
}

// startLogin sends a valid form and returns the state of the redirect.
func (v *webLogin) startLogin(t *testing.T, p *browser) (state string) {
	t.Helper()
	a := v.postForm(t, "ticket="+p.id+"&secret="+p.secret)
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != http.StatusSeeOther || to.Host != "open.test" {
		t.Fatalf("%d to %q: %s", a.status, a.header.Get("Location"), a.body)
	}
	v.cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	return to.Query().Get("state")
}

// callback returns from WeChat as the user of that name.
func (v *webLogin) callback(t *testing.T, state, name string, headers ...string) *answer {
	t.Helper()
	a, err := v.send(v.stepContext(t), "GET", v.back+"?state="+state+"&code=wechat_web:"+name+":1", nil,
		withDefaults(headers, "Cookie", v.cookie, "X-Forwarded-For", "203.0.113.7")...)
	must(t, err)
	return a
}

// requirePage requires an HTML error page with this status and code.
func (a *answer) requirePage(t *testing.T, status int, code string) {
	t.Helper()
	if a.status != status || !bytes.Contains(a.body, fmt.Appendf(nil, "data-code=%q", code)) {
		t.Errorf("%d, want an HTML page of %d %s: %.300s", a.status, status, code, a.body)
	}
}

func TestWebLogin_StartErrors(t *testing.T) {
	eachWebLogin(t, 2*time.Minute, func(t *testing.T, v *webLogin) {
		p := v.page(t)
		good := "ticket=" + p.id + "&secret=" + p.secret
		none, other := unknownTicket()
		v.startLogin(t, p)
		v.postForm(t, good+"&secret=x").problem(t, 400, "invalid_request")
		plain := v.createTicket(t, map[string]string{"client_id": "plain"})
		v.postForm(t, "ticket="+plain.id+"&secret="+plain.secret).problem(t, 400, "invalid_request")
		for _, form := range []string{"ticket=" + p.id + "&secret=" + other, "ticket=" + p.id} { // before the origin
			v.postForm(t, form, "Origin", "https://evil.example").problem(t, 401, "invalid_secret")
		}
		v.postForm(t, "ticket=%zz").problem(t, 400, "invalid_request")
		v.postForm(t, good, "Origin", "https://evil.example").problem(t, 403, "origin_not_allowed")
		v.postForm(t, "ticket="+none+"&secret="+other).problem(t, 404, "ticket_not_found")
		v.postForm(t, good+"&x="+strings.Repeat("x", 17<<10)).problem(t, 413, "too_large")
		v.postForm(t, "{}", "Content-Type", "application/json").problem(t, 415, "unsupported_media_type")
		v.postForm(t, good, "Accept", "text/html", "Origin", "https://evil.example").requirePage(t, 403, "origin_not_allowed")
		v.users.refuse(provider.ErrProviderMisconfigured)
		v.postForm(t, good).problem(t, 502, "provider_misconfigured")
		v.users.refuse(provider.ErrProviderUnavailable)
		retryAfter(t, v.postForm(t, good), "1")
		v.postForm(t, good).problem(t, 503, "provider_unavailable")
		v.ask(t, "POST", p.path("scan"), v.phone("ann").body(), forwarded, "203.0.113.7").ok(t, 200)
		v.postForm(t, good).problem(t, 409, "already_scanned")
		v.phone("ann").mustDo(t, p, "reject")
		v.postForm(t, good).problem(t, 409, "ticket_closed")
		q := v.page(t)
		must(t, v.hub.SetEnabled(v.stepContext(t), "demo", false, operator))
		v.postForm(t, "ticket="+q.id+"&secret="+q.secret).problem(t, 403, "login_disabled")

		down := start(t, options{redis: "redis://127.0.0.1:" + hubtest.FreePort(t) + "/0", unready: true})
		a, err := down.send(down.stepContext(t), "POST", v.start, "ticket="+none+"&secret="+other,
			"Content-Type", "application/x-www-form-urlencoded", "Origin", public)
		must(t, err)
		a.problem(t, 503, "store_unavailable")
	})
}

func TestWebLoginCallback_Errors(t *testing.T) {
	eachWebLogin(t, 2*time.Minute, func(t *testing.T, v *webLogin) {
		p := v.page(t)
		v.callback(t, strings.Repeat("A", 43), "ann").requirePage(t, 403, "state_invalid")
		state := v.startLogin(t, p)
		v.callback(t, state, "ann", "Cookie", "").requirePage(t, 403, "state_foreign")
		v.callback(t, state, "ann", "Cookie", v.cookie[:len(v.cookie)-1]).requirePage(t, 403, "state_foreign")
		mine := v.back
		v.back = "/api/connect/other/callback"
		v.callback(t, state, "ann").requirePage(t, 403, "state_invalid")
		v.back = mine
		v.callback(t, state, "ann&code=twice").requirePage(t, 403, "state_invalid")
		v.callback(t, state, "blocked").requirePage(t, 403, "user_blocked") // nothing was spent
		v.callback(t, state, "ann").requirePage(t, 403, "state_invalid")    // now it is
		for word, code := range map[string]string{"login_required": "422 code_invalid", "temporarily_unavailable": "503 provider_unavailable", "invalid_scope": "502 provider_misconfigured"} {
			status, name, _ := strings.Cut(code, " ")
			a := v.callback(t, v.startLogin(t, p), "ann&error="+word+"&x=")
			if a.requirePage(t, a.status, name); fmt.Sprint(a.status) != status {
				t.Errorf("%s: %d", word, a.status)
			}
		}
		for name, code := range map[string]string{"code": "422 code_invalid", "blocked": "403 user_blocked", "misconfigured": "502 provider_misconfigured",
			"unavailable": "503 provider_unavailable", "later": "503 provider_unavailable", "bug": "500 internal_error", "incomplete": "403 identity_incomplete", "guest": "403 guest_user"} {
			var status int
			var word string
			if _, err := fmt.Sscan(code, &status, &word); err != nil {
				t.Fatal(err)
			}
			v.callback(t, v.startLogin(t, p), name).requirePage(t, status, word)
		}
		v.callback(t, v.startLogin(t, p), "ann", "X-Forwarded-For", "203.0.113.8").requirePage(t, 403, "address_mismatch")

		v.reload(func(c *client.Client) { c.SubjectMap = knowsNobody(t) })
		v.callback(t, v.startLogin(t, p), "ann").requirePage(t, 403, "identity_unknown")
		v.reload(func(*client.Client) {})

		p.requireState(t, "pending", 1)
		none, _ := unknownTicket()
		state = v.startLogin(t, p)
		v.vault.edit = func(b []byte) ([]byte, error) { return bytes.Replace(b, []byte(p.id), []byte(none), 1), nil }
		v.callback(t, state, "ann").requirePage(t, 404, "ticket_not_found")
		state = v.startLogin(t, p)
		v.vault.edit = func(b []byte) ([]byte, error) { return bytes.Replace(b, []byte(`"demo"`), []byte(`"plain"`), 1), nil }
		v.callback(t, state, "ann").requirePage(t, 400, "invalid_request")
		state = v.startLogin(t, p)
		v.vault.edit = func([]byte) ([]byte, error) { return nil, ticket.ErrStoreUnavailable }
		v.callback(t, state, "ann").requirePage(t, 503, "store_unavailable")
		v.vault.edit = nil

		first, second, third := v.startLogin(t, p), "", v.page(t)
		firstCookie := v.cookie
		second = v.startLogin(t, p)
		if a := v.callback(t, second, "ann"); a.status != http.StatusOK || !bytes.Contains(a.body, []byte("<html")) {
			t.Fatalf("%d %s", a.status, a.body)
		}
		p.requireState(t, "confirmed", 2)
		v.cookie = firstCookie
		v.callback(t, first, "bob").requirePage(t, 409, "ticket_closed")
		state = v.startLogin(t, third)
		v.ask(t, "POST", third.path("scan"), v.phone("cat").body("user", nil), forwarded, "203.0.113.7").ok(t, 200)
		v.callback(t, state, "ann").requirePage(t, 409, "already_scanned")
		state = v.startLogin(t, v.page(t))
		must(t, v.hub.SetEnabled(v.stepContext(t), "demo", false, operator))
		v.callback(t, state, "ann").requirePage(t, 403, "login_disabled")
	})
}

// TestWebLogin_OneCallbackWins: the state is valid once, also for concurrent callbacks.
func TestWebLogin_OneCallbackWins(t *testing.T) {
	t.Parallel()
	v := startWebLogin(t, 2*time.Minute, nil)
	p := v.page(t)
	state := v.startLogin(t, p)
	v.vault.edit = func(b []byte) ([]byte, error) {
		clear(v.vault.held) // another callback takes the state between this one's read and its own take
		return b, nil
	}
	v.callback(t, state, "ann").requirePage(t, 403, "state_invalid")
	v.vault.edit = nil
	p.requireState(t, "pending", 1)
	v.callback(t, v.startLogin(t, p), "ann")
	p.requireState(t, "confirmed", 2)
	declined := v.page(t)
	v.callback(t, v.startLogin(t, declined), "ann&error=access_denied&x=")
	declined.requireState(t, "pending", 1) // declined, or refused by the provider
}

// TestWebLogin_Continue: a browser in which no other window waits goes on to the site.
func TestWebLogin_Continue(t *testing.T) {
	t.Parallel()
	v := startWebLogin(t, 2*time.Minute, nil)
	v.page(t)
	for mode, want := range map[string]string{"": "", ticket.ModeFormPost: `action="https://rp.test/cb"`} {
		created, err := v.hub.Create(v.stepContext(t), ticket.Request{Client: &client.Client{ID: "demo"},
			Address: netip.MustParseAddr("203.0.113.7"), Grant: &ticket.Grant{Type: ticket.GrantCode, Issuer: public, RedirectURI: "https://rp.test/cb", State: "s", ResponseMode: mode}})
		must(t, err)
		a := v.postForm(t, "ticket="+string(created.Ticket.ID)+"&secret="+created.Secret.Reveal()+"&continue=1")
		to, err := url.Parse(a.header.Get("Location"))
		must(t, err)
		v.cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
		a = v.callback(t, to.Query().Get("state"), "ann")
		to, err = url.Parse(a.header.Get("Location"))
		must(t, err)
		if mode == "" && (a.status != 303 || to.Host != "rp.test" || len(to.Query().Get("code")) != ticket.CodeLength || to.Query().Get("state") != "s") {
			t.Errorf("%d to %s", a.status, to)
		}
		if mode != "" && (a.status != 200 || !bytes.Contains(a.body, []byte(want)) || !strings.Contains(a.header.Get("Content-Security-Policy"), "form-action 'self' https:")) {
			t.Errorf("%d %s %s", a.status, a.header, a.body)
		}
	}
}

func TestWebLogin_StateExpires(t *testing.T) {
	eachWebLogin(t, 3*time.Second, func(t *testing.T, v *webLogin) {
		p := v.page(t)
		state := v.startLogin(t, p)
		hubtest.Eventually(t, stepTimeout, "the ticket expires", func() bool { return p.view(t)["state"] == "expired" })
		v.callback(t, state, "ann").requirePage(t, 410, "ticket_expired")
		v.postForm(t, "ticket="+p.id+"&secret="+p.secret).problem(t, 410, "ticket_expired")
	})
}

// The value stores its own expiry: Redis may keep it longer, or restore it.
func TestWebLogin_StateOwnExpiry(t *testing.T) {
	t.Parallel()
	v := startWebLogin(t, time.Minute, nil)
	for left, status := range map[time.Duration]int{0: 403, -time.Second: 403, time.Minute: 200} {
		state := v.startLogin(t, v.page(t))
		until := v.vault.Now().Add(left).Format(time.RFC3339Nano)
		v.vault.edit = func(value []byte) ([]byte, error) {
			var kept map[string]any
			must(t, json.Unmarshal(value, &kept))
			end, err := time.Parse(time.RFC3339Nano, kept["until"].(string))
			must(t, err)
			if life := end.Sub(v.vault.Now()); life > 10*time.Minute || life < 9*time.Minute {
				t.Errorf("a state is valid for %v", life)
			}
			kept["until"] = until
			return json.Marshal(kept)
		}
		a := v.callback(t, state, "ann")
		if status == 200 && a.status != 200 {
			t.Errorf("%v before its expiry: %d %s", left, a.status, a.body)
		}
		if status == 403 {
			a.requirePage(t, 403, "state_invalid")
		}
	}
}
