package apitest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"loginhub/api"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// User-Agents of the imaginary app Corp, of an app that the client does not take, and of a
// phone's own browser.
const (
	corpAgent  = "Mozilla/5.0 (Linux; Android 15) Mobile CorpApp/7"
	otherAgent = "Mozilla/5.0 (Linux; Android 15) Mobile OtherApp/7"
	phoneAgent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile Safari/604.1"
)

func appKind(name, agent string) provider.Kind {
	return provider.Kind{Name: strings.ToLower(name), Label: provider.Label{ZH: name + "应用", EN: name}, Token: provider.TokenForm{AMR: "corp", Prefix: "corp", UnionPrefix: "corp:union"},
		InAgent: func(a string) bool { return strings.Contains(a, agent) }}
}

// startConsent starts a server whose client takes Corp, in its app and at its page, and
// staff, at its page.
func startConsent(t *testing.T) *webLogin {
	users := &fakeProvider{exchange: func(_ context.Context, name string) (provider.Identity, error) {
		if name == "guest" {
			return provider.Identity{}, provider.ErrUserBlocked
		}
		return provider.Identity{Provider: "corp", Subject: name}, nil
	}}
	corp := &provider.Provider{ID: "corp", Kind: appKind("Corp", "CorpApp/"), Access: provider.Access{InApp: website{users}, Redirect: website{&fakeProvider{exchange: users.exchange}}}}
	corp.DesktopPage = true
	staff := &provider.Provider{ID: "staff", Kind: provider.Kind{Name: "oidc", Label: provider.Label{ZH: "员工", EN: "Staff"}}, Access: provider.Access{Redirect: website{errorProvider()}}}
	v := startWebLogin(t, 2*time.Minute, func(c *api.Config) {
		c.Reloadable.Listed, c.Reloadable.Kinds = []*provider.Provider{corp, staff}, []provider.Kind{corp.Kind, appKind("Other", "OtherApp/")}
		c.Reloadable.Clients[0].LinkLogin, c.Reloadable.Clients[0].NumberMatching = true, true
		c.Reloadable.Clients[0].AddressMismatch = client.MismatchWarn
		c.Places = openPlaces(t)
	})
	v.users = users
	return v
}

// tab is a phone's browser with cookies.
type tab struct {
	*webLogin
	agent   string
	cookies map[string]string
}

func (v *webLogin) tab(agent string) *tab { return &tab{v, agent, map[string]string{}} }

// do sends a request as a navigation. headers replace the default ones.
func (b *tab) do(t *testing.T, method, path string, form url.Values, headers ...string) *answer {
	t.Helper()
	var all []string
	for name, value := range b.cookies {
		all = append(all, name+"="+value)
	}
	headers = withDefaults(headers, "User-Agent", b.agent, "Cookie", strings.Join(all, "; "), "X-Forwarded-For", "203.0.113.9")
	var body any
	if form != nil {
		body, headers = form.Encode(), withDefaults(headers, "Content-Type", "application/x-www-form-urlencoded", "Origin", public)
	}
	a, err := b.send(b.stepContext(t), method, path, body, headers...)
	must(t, err)
	for _, line := range a.header["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		must(t, err)
		if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || !strings.HasPrefix(c.Name, "__Host-") {
			t.Errorf("cookie %s", line)
		}
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return a
}

// open opens the link of a code and returns the state with which the browser was sent to
// the provider.
func (b *tab) open(t *testing.T, path string) (state string) {
	t.Helper()
	a := b.do(t, "GET", path, nil)
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != 303 || to.Host != "open.test" {
		t.Fatalf("%s: %d to %v: %s", path, a.status, to, a.body)
	}
	return to.Query().Get("state")
}

// consent opens the link, logs in, and returns the token of the consent page.
func (b *tab) consent(t *testing.T, p *browser, user string) (csrf string) {
	t.Helper()
	a := b.do(t, "GET", "/api/connect/corp/callback?state="+b.open(t, "/s/"+p.id)+"&code=corp:"+user, nil)
	if a.status != 303 || a.header.Get("Location") != "/s/"+p.id+"/consent" {
		t.Fatalf("callback: %d to %q: %s", a.status, a.header.Get("Location"), a.body)
	}
	return string(regexp.MustCompile(`name="csrf" value="(\w+)"`).FindSubmatch(b.screen(t, p, "consent"))[1])
}

// screen requires that the consent page shows a screen.
func (b *tab) screen(t *testing.T, p *browser, screen string) []byte {
	t.Helper()
	a := b.do(t, "GET", "/s/"+p.id+"/consent", nil, "Accept-Language", "zh-CN,zh;q=0.9")
	if a.status != 200 || !bytes.Contains(a.body, []byte(`data-screen="`+screen+`"`)) {
		t.Fatalf("%d, want the screen %s: %s", a.status, screen, a.body)
	}
	return a.body
}

func TestConsent_Decides(t *testing.T) {
	t.Parallel()
	v := startConsent(t)
	for _, c := range []struct{ action, match, screen, state string }{
		{"confirm", "right", "confirmed", "confirmed"},
		{"confirm", "wrong", "mismatch", "rejected"},
		{"confirm", "", "consent", "scanned"},
		{"reject", "", "rejected", "rejected"},
	} {
		p, phone := v.page(t), v.tab(corpAgent)
		csrf := phone.consent(t, p, "ann")
		p.requireState(t, "scanned", 2) // logging in confirms nothing
		page := phone.screen(t, p, "consent")
		for _, text := range []string{"演示", "203.0.113.7", "<bdi>中国 上海</bdi>", `data-same="false"`, `data-far="false"`, "将以你的Corp应用账号登录", p.match, "与你的手机不在同一网络"} {
			if !bytes.Contains(page, []byte(text)) {
				t.Errorf("the page does not have %q: %s", text, page)
			}
		}
		numbers := regexp.MustCompile(`name="match" value="(\d\d)"`).FindAllSubmatch(page, -1)
		match := map[string]string{"right": p.match, "wrong": string(numbers[0][1])}[c.match]
		if c.match == "wrong" && match == p.match {
			match = string(numbers[1][1])
		}
		a := phone.do(t, "POST", "/s/"+p.id+"/"+c.action, url.Values{"csrf": {csrf}, "match": {match}}, "Accept-Language", "zh-TW")
		if a.status != 303 || a.header.Get("Location") != "/s/"+p.id+"/consent?lang=zh-TW" {
			t.Errorf("%d to %q: %s", a.status, a.header.Get("Location"), a.body)
		}
		phone.screen(t, p, c.screen)
		if view := p.view(t); view["state"] != c.state {
			t.Errorf("%v: %v", c, view)
		}
	}
	p, ann, bob := v.page(t), v.tab(corpAgent), v.tab(corpAgent)
	ann.consent(t, p, "ann")
	if a := ann.do(t, "GET", "/s/"+p.id, nil); a.header.Get("Location") != "/s/"+p.id+"/consent" {
		t.Errorf("opened again: %d %s", a.status, a.body)
	}
	bob.do(t, "GET", "/api/connect/corp/callback?state="+bob.open(t, "/s/"+p.id)+"&code=corp:bob", nil).requirePage(t, 409, "already_scanned")
	far := ann.do(t, "GET", "/s/"+p.id+"/consent?lang=en", nil, "X-Forwarded-For", "198.51.100.9", "Accept-Language", "zh-CN")
	for _, text := range []string{"<bdi>Shanghai, China</bdi>", `data-far="true"`, `class="warning strong" id="risk" role="alert">By its IP address that computer is far from your phone.`} {
		if !bytes.Contains(far.body, []byte(text)) {
			t.Errorf("the page does not have %q: %s", text, far.body)
		}
	}
	p.cancel(t).ok(t, 200)
	ann.screen(t, p, "cancelled")
	bob.do(t, "GET", "/s/"+p.id, nil).requirePage(t, 409, "ticket_closed")
	english := ann.do(t, "GET", "/s/"+p.id+"/consent?lang=en", nil, "Accept-Language", "zh-CN")
	if !bytes.Contains(english.body, []byte(`<html lang="en" dir="ltr">`)) || !bytes.Contains(english.body, []byte("The computer cancelled")) {
		t.Errorf("in English: %s", english.body)
	}
}

// TestConsent_Attacks: a link confirms nothing, and what one browser has is of no use to
// another, to another ticket or to another site.
func TestConsent_Attacks(t *testing.T) {
	t.Parallel()
	v := startConsent(t)
	p, q, victim, attacker := v.page(t), v.page(t), v.tab(corpAgent), v.tab(corpAgent)
	state := attacker.open(t, "/s/"+p.id)
	for _, code := range []string{"&code=corp:victim", "&error=access_denied", ""} { // the attacker's state in the victim's browser
		victim.do(t, "GET", "/api/connect/corp/callback?state="+state+code, nil).requirePage(t, 403, "state_foreign")
	}
	attacker.do(t, "GET", "/api/connect/corp/callback?state="+state+"&code=corp:guest", nil).requirePage(t, 403, "user_blocked") // the state was not spent
	if a := attacker.do(t, "GET", "/api/connect/corp/callback?state="+attacker.open(t, "/s/"+p.id)+"&error=access_denied", nil); a.status != 200 {
		t.Errorf("declined: %d", a.status)
	}
	p.requireState(t, "pending", 1)
	csrf := victim.consent(t, p, "victim")
	other := attacker.consent(t, q, "attacker")
	good := url.Values{"csrf": {csrf}, "match": {p.match}}
	names := slices.Collect(maps.Keys(victim.cookies))
	for what, c := range map[string]struct {
		form    url.Values
		headers []string
	}{
		"without the cookie":        {good, []string{"Cookie", "x=y"}},
		"another ticket's cookie":   {url.Values{"csrf": {other}, "match": {p.match}}, []string{"Cookie", names[0] + "=" + slices.Collect(maps.Values(attacker.cookies))[0]}},
		"without the token":         {url.Values{"match": {p.match}}, nil},
		"another page's token":      {url.Values{"csrf": {other}, "match": {p.match}}, nil},
		"a form of another site":    {good, []string{"Origin", "https://evil.example"}},
		"a form in a sandbox frame": {good, []string{"Origin", "null"}},
	} {
		for _, action := range []string{"confirm", "reject"} {
			a := victim.do(t, "POST", "/s/"+p.id+"/"+action, c.form, c.headers...)
			if a.requirePage(t, 403, "state_foreign"); t.Failed() {
				t.Fatalf("%s: %s", what, action)
			}
		}
	}
	if a := victim.do(t, "GET", "/s/"+p.id+"/confirm?csrf="+csrf+"&match="+p.match, nil); a.status != 405 {
		t.Errorf("a link that confirms: %d", a.status)
	}
	attacker.do(t, "GET", "/s/"+p.id+"/consent", nil).requirePage(t, 403, "state_foreign")
	p.requireState(t, "scanned", 2)
	if page := victim.do(t, "GET", "/s/"+p.id+"/consent", nil); !strings.Contains(page.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
		strings.Contains(string(page.body), "<script>") || page.header.Get("Referrer-Policy") != "same-origin" {
		t.Errorf("headers %v", page.header)
	}
	if a := victim.do(t, "POST", "/s/"+p.id+"/confirm", good, "Origin", public); a.status != 303 {
		t.Errorf("the victim's own tap: %d", a.status)
	}
	p.requireState(t, "confirmed", 3)
}

// TestConsent_Refuses: what the operator and the store do between the consent page and its
// buttons. Nothing of it spends the scan.
func TestConsent_Refuses(t *testing.T) {
	t.Parallel()
	v := startConsent(t)
	p, q, phone := v.page(t), v.page(t), v.tab(corpAgent)
	csrf := phone.consent(t, p, "ann")
	press := func(p *browser, action, match string) *answer {
		return phone.do(t, "POST", "/s/"+p.id+"/"+action, url.Values{"csrf": {csrf}, "match": {match}})
	}
	press(p, "confirm", "123").requirePage(t, 400, "invalid_request")
	for code, c := range map[string]struct {
		status int
		change func(*client.Client)
	}{
		"invalid_request":      {400, func(c *client.Client) { c.Providers = []string{"staff"} }},
		"address_mismatch":     {403, func(c *client.Client) { c.AddressMismatch = client.MismatchRefuse }},
		"identity_incomplete":  {403, func(c *client.Client) { c.Subject = provider.SubjectUnionID }},
		"identity_unknown":     {403, func(c *client.Client) { c.SubjectMap = knowsNobody(t) }},
		"provider_unavailable": {503, func(c *client.Client) { c.SubjectMap = "http://127.0.0.1:" + hubtest.FreePort(t) }},
	} {
		v.reload(c.change)
		press(p, "confirm", p.match).requirePage(t, c.status, code)
	}
	v.reload(func(*client.Client) {})
	for _, action := range []string{"confirm", "reject"} {
		v.audit.full.Store(true)
		press(p, action, p.match).requirePage(t, 503, "overloaded")
		v.audit.full.Store(false)
		v.down.Store(true)
		press(p, action, p.match).requirePage(t, 503, "store_unavailable")
		phone.do(t, "GET", "/s/"+p.id+"/consent", nil).requirePage(t, 503, "store_unavailable")
		v.down.Store(false)
	}
	for name, value := range phone.cookies { // a Redis that failed over has lost the scan
		text, err := base64.RawURLEncoding.DecodeString(value)
		must(t, err)
		name = strings.Replace(name, ticket.ID(p.id).Short(), ticket.ID(q.id).Short(), 1)
		phone.cookies[name] = base64.RawURLEncoding.EncodeToString(bytes.ReplaceAll(text, []byte(p.id), []byte(q.id)))
	}
	press(q, "confirm", q.match).requirePage(t, 409, "scan_required")
	p.requireState(t, "scanned", 2)
	must(t, v.hub.SetEnabled(v.stepContext(t), "demo", false, operator))
	press(p, "confirm", p.match).requirePage(t, 403, "login_disabled")
}

// TestLanding_Refuses: a link that cannot lead to a login says why, with a slash at its end
// too.
func TestLanding_Refuses(t *testing.T) {
	t.Parallel()
	v := startConsent(t)
	p, cancelled, phone := v.page(t), v.page(t), v.tab(corpAgent)
	cancelled.cancel(t).ok(t, 200)
	expired, err := v.hub.Create(v.stepContext(t), ticket.Request{Client: &client.Client{ID: "demo"}, Grant: &ticket.Grant{Type: ticket.GrantDevice, Issuer: public, TTL: time.Second}})
	must(t, err)
	for _, slash := range []string{"", "/"} {
		get := func(id string) *answer { return phone.do(t, "GET", "/s/"+id+slash, nil) }
		phone.open(t, "/s/"+p.id+slash)
		get(cancelled.id).requirePage(t, 409, "ticket_closed")
		hubtest.Eventually(t, stepTimeout, "the ticket expires", func() bool { return get(string(expired.Ticket.ID)).status != 303 })
		get(string(expired.Ticket.ID)).requirePage(t, 410, "ticket_expired")
		v.users.refuse(provider.ErrProviderMisconfigured)
		get(p.id).requirePage(t, 502, "provider_misconfigured")
		v.users.refuse(provider.ErrProviderUnavailable)
		get(p.id).requirePage(t, 503, "provider_unavailable")
		v.users.refuse(nil)
		v.down.Store(true)
		get(p.id).requirePage(t, 503, "store_unavailable")
		v.down.Store(false)
	}
	must(t, v.hub.SetEnabled(v.stepContext(t), "demo", false, operator))
	for _, slash := range []string{"", "/"} {
		phone.do(t, "GET", "/s/"+p.id+slash, nil).requirePage(t, 403, "login_disabled")
	}
}

// TestLanding_ByApp: what the code's link does in each app.
func TestLanding_ByApp(t *testing.T) {
	t.Parallel()
	v := startConsent(t)
	p := v.page(t)
	if got := p.created["scan_with"]; len(got.([]any)) != 2 || got.([]any)[0] != "corp" {
		t.Errorf("scan_with %v", got)
	}
	v.tab(corpAgent).open(t, "/s/"+p.id)
	v.tab(phoneAgent).open(t, "/s/"+p.id+"?by=staff")
	for agent, want := range map[string]struct{ has, lacks string }{
		phoneAgent: {"/s/" + p.id + "?by=staff", "?by=corp"}, // Corp's page shows a QR code
		otherAgent: {"Other应用不能登录这个网站", "?by="},
	} {
		a := v.tab(agent).do(t, "GET", "/s/"+p.id+"?lang=zh", nil)
		if a.status != 200 || !bytes.Contains(a.body, []byte(want.has)) || bytes.Contains(a.body, []byte(want.lacks)) || !bytes.Contains(a.body, []byte("Corp应用")) {
			t.Errorf("%s: %d %s", agent, a.status, a.body)
		}
	}
	if a := v.tab(corpAgent).do(t, "HEAD", "/s/"+p.id, nil); a.status != 200 || a.header.Get("Set-Cookie") != "" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	plain := v.createTicket(t, map[string]string{"client_id": "plain"}) // takes none of them
	if a := v.tab(corpAgent).do(t, "GET", "/s/"+plain.id+"?by=staff", nil); a.status != 200 || bytes.Contains(a.body, []byte("?by=")) {
		t.Errorf("a client without links: %d %s", a.status, a.body)
	}
	none, _ := unknownTicket()
	v.tab(corpAgent).do(t, "GET", "/s/"+none, nil).requirePage(t, 404, "ticket_not_found")
}
