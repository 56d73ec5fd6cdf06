package apitest_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// device is a device without a browser, of the client "cli".
type device struct {
	s      *openIDSite
	client string
	code   map[string]any // the answer to it
}

// newDevice asks for a device code.
func (s *openIDSite) newDevice(t *testing.T, id string, headers ...string) *device {
	t.Helper()
	d := &device{s, id, s.post(t, "/oauth2/device_authorization", url.Values{"client_id": {id}, "scope": {"openid"}}, headers...).ok(t, http.StatusOK)}
	s.forbidInLogs(d.text("device_code"), d.text("user_code"))
	return d
}

func (d *device) text(field string) string { return fmt.Sprint(d.code[field]) }

// page returns the browser's side of the device's ticket.
func (d *device) page() *browser {
	return &browser{s: d.s.testServer, id: path.Base(d.text("verification_uri_complete")), secret: d.text("device_code")}
}

// form returns the token request.
func (d *device) form() url.Values {
	return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {d.client}, "device_code": {d.text("device_code")}}
}

func (d *device) poll(t *testing.T, headers ...string) *answer {
	t.Helper()
	return d.s.exchange(t, d.form(), headers...)
}

// hold starts a poll and returns its answer later.
func (d *device) hold(ctx context.Context) <-chan *answer {
	held := make(chan *answer, 1)
	go func() {
		a, err := d.s.send(ctx, "POST", "/oauth2/token", d.form().Encode(), "Content-Type", "application/x-www-form-urlencoded")
		if err != nil {
			a = &answer{body: []byte(err.Error())}
		}
		held <- a
	}()
	return held
}

// deviceTest runs a test in which time passes at once.
func deviceTest(t *testing.T, o options, test func(t *testing.T, s *openIDSite)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o.pipes = true
		test(t, startOpenID(t, o))
	})
}

func TestDevice_Login(t *testing.T) {
	deviceTest(t, options{}, func(t *testing.T, s *openIDSite) {
		d := s.newDevice(t, "cli", "User-Agent", "loginhub (Linux)")
		p := d.page()
		fields(t, d.code, "device_code", "user_code", "verification_uri", "verification_uri_complete", "expires_in", "interval")
		if d.text("verification_uri") != public+"/device" || d.text("verification_uri_complete") != public+"/s/"+p.id || d.code["expires_in"] != 600.0 || d.code["interval"] != 5.0 {
			t.Errorf("code %v", d.code)
		}
		if strings.Contains(fmt.Sprint(s.states.held), d.text("user_code")) {
			t.Error("the user code is stored in clear")
		}
		held := d.hold(s.stepContext(t))
		synctest.Wait()
		scan := s.phone("alice").mustDo(t, p, "scan")["login"].(map[string]any)
		if scan["device"] != true || scan["browser"] != "loginhub" || scan["os"] != "Linux" || scan["hosts"] != nil {
			t.Errorf("the phone shows %v", scan)
		}
		begin := time.Now()
		s.phone("alice").mustDo(t, p, "confirm")
		if v := p.view(t); v["token"] != nil || v["redirect_to"] != nil || v["form_post"] != nil {
			t.Errorf("the view is %v", v)
		}
		tokens := (<-held).ok(t, http.StatusOK)
		if waited := time.Since(begin); waited > time.Second {
			t.Errorf("the token came after %v", waited)
		}
		if id := payloadOf(t, tokens["id_token"]); id["sub"] != "sandbox:alice" || id["aud"] != "cli" || id["iss"] != public {
			t.Errorf("ID token %v", id)
		}
		d.poll(t).requireOAuth(t, "a second time", 400, "invalid_grant")
		if sid := fmt.Sprint(payloadOf(t, tokens["access_token"])["sid"]); s.states.held["ended:"+sid] == nil {
			t.Error("a second redemption leaves the access token valid")
		}
	})
}

func payloadOf(t *testing.T, token any) map[string]any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(fmt.Sprint(token)+"..", ".")[1])
	must(t, err)
	return object(t, payload)
}

func TestDevice_Polls(t *testing.T) {
	deviceTest(t, options{}, func(t *testing.T, s *openIDSite) {
		d := s.newDevice(t, "cli")
		timed := func(what string, want time.Duration, code string, headers ...string) {
			t.Helper()
			begin := time.Now()
			d.poll(t, headers...).requireOAuth(t, what, 400, code)
			if took := time.Since(begin).Round(time.Second); took != want {
				t.Errorf("%s: answered after %v, want %v", what, took, want)
			}
		}
		timed("held", 8*time.Second, "authorization_pending")
		timed("at once again", 8*time.Second, "authorization_pending")
		for i := range 12 { // the interval begins with the last accepted poll: a pace of two seconds is never locked out
			code := "authorization_pending"
			if i%2 == 1 {
				code = "slow_down"
			}
			timed(fmt.Sprintf("every two seconds, %d", i), 0, code, "Prefer", `respond-async, wait="0"`)
			advance(2 * time.Second)
		}
		advance(5 * time.Second)
		timed("preferred", 3*time.Second, "authorization_pending", "Prefer", "wait=3")
		advance(5 * time.Second)
		timed("no longer than 8 s", 8*time.Second, "authorization_pending", "Prefer", "wait=60")
		s.exchange(t, d.form(), basic("cli", "")...).requireOAuth(t, "Basic without a secret", 401, "invalid_client")
		timed("after it", 8*time.Second, "authorization_pending")
		held := d.hold(s.stepContext(t))
		advance(time.Second)
		d.poll(t).requireOAuth(t, "beside a held one", 400, "slow_down")
		s.phone("alice").mustDo(t, d.page(), "reject")
		(<-held).requireOAuth(t, "declined", 400, "access_denied")
		timed("declined before", 0, "access_denied")

		d = s.newDevice(t, "cli")
		advance(10*time.Minute - 2*time.Second)
		timed("expires", 2*time.Second, "expired_token")
		timed("expired", 0, "expired_token")
		// A confirmed login waits for its device for a minute, and a minute more.
		d = s.newDevice(t, "cli")
		s.phone("alice").mustDo(t, d.page(), "confirm")
		advance(119 * time.Second)
		d.poll(t).ok(t, http.StatusOK)

		d = s.newDevice(t, "cli")
		s.phone("alice").mustDo(t, d.page(), "confirm")
		must(t, s.server.EndUser(s.stepContext(t), "cli", "sandbox:alice", ""))
		d.poll(t).requireOAuth(t, "ended by the operator", 400, "invalid_grant")
	})
}

// TestDevice_ClientGone: a poll whose client has gone spends nothing, and a code has one
// held poll: the latest.
func TestDevice_ClientGone(t *testing.T) {
	deviceTest(t, options{}, func(t *testing.T, s *openIDSite) {
		d := s.newDevice(t, "cli")
		ctx, leave := context.WithCancel(s.stepContext(t))
		gone := d.hold(ctx)
		synctest.Wait()
		leave()
		<-gone
		synctest.Wait()
		s.phone("alice").mustDo(t, d.page(), "confirm")
		synctest.Wait()
		d.poll(t).ok(t, http.StatusOK)

		d = s.newDevice(t, "cli")
		first := d.hold(s.stepContext(t))
		advance(5 * time.Second)
		second, begin := d.hold(s.stepContext(t)), time.Now()
		(<-first).requireOAuth(t, "replaced", 400, "authorization_pending")
		if waited := time.Since(begin); waited > 0 {
			t.Errorf("two polls were held for %v", waited)
		}
		s.phone("alice").mustDo(t, d.page(), "confirm")
		(<-second).ok(t, http.StatusOK)
	})
}

// unnotified is a store that reads, and notifies no node.
type unnotified struct{ hub.Store }

func (s unnotified) Attach(ctx context.Context, node string, ids ...ticket.ID) ([]ticket.Stored, error) {
	if node != "" {
		return nil, errDown
	}
	return s.Store.Attach(ctx, node, ids...)
}

// TestDevice_NodeInTrouble: a device whose poll cannot be held goes on polling.
func TestDevice_NodeInTrouble(t *testing.T) {
	deviceTest(t, options{hub: func(c *hub.Config) { c.Store = unnotified{c.Store} }}, func(t *testing.T, s *openIDSite) {
		d := s.newDevice(t, "cli")
		d.poll(t).requireOAuth(t, "not held", 400, "authorization_pending")
		s.phone("alice").mustDo(t, d.page(), "confirm")
		d.poll(t).ok(t, http.StatusOK)
	})
}

// TestDevice_NotInterchangeable: a code works at its client and its grant alone, and a
// refused one is not spent.
func TestDevice_NotInterchangeable(t *testing.T) {
	deviceTest(t, options{clients: []*client.Client{
		{ID: "tv", RedirectURIs: []string{rpCallback}, Grants: []string{client.GrantCode, client.GrantDevice}, IDTokenAlg: client.AlgEdDSA},
		{ID: "near", Grants: []string{client.GrantDevice}, IDTokenAlg: client.AlgEdDSA, AddressMismatch: client.MismatchRefuse}}}, func(t *testing.T, s *openIDSite) {
		d := s.newDevice(t, "cli")
		plain := s.createTicket(t, map[string]any{"client_id": "demo"})
		s.phone("alice").mustDo(t, d.page(), "confirm")
		s.phone("alice").mustDo(t, plain, "confirm")
		code := s.login(t).Get("code")
		request, cookie := s.open(t, query("client_id", "tv"))
		both := s.createTicket(t, map[string]any{"request": request}, "Cookie", cookie)
		s.phone("alice").mustDo(t, both, "confirm")
		with := func(changes ...string) url.Values {
			form := d.form()
			for i := 0; i < len(changes); i += 2 {
				form.Set(changes[i], changes[i+1])
			}
			return form
		}
		for what, c := range map[string]struct {
			form    url.Values
			headers []string
			code    string
		}{
			"another client":             {with("client_id", "tv"), nil, "invalid_grant"},
			"client without the grant":   {with("client_id", "spa"), nil, "unauthorized_client"},
			"secret of a browser":        {with("device_code", plain.secret), nil, "invalid_grant"},
			"secret of a site's browser": {with("client_id", "tv", "device_code", both.secret), nil, "invalid_grant"},
			"authorization code":         {with("device_code", code), nil, "invalid_grant"},
			"unknown":                    {with("device_code", strings.Repeat("A", 43)), nil, "invalid_grant"},
			"ticket":                     {with("device_code", d.page().id), nil, "invalid_grant"},
			"missing":                    {with("device_code", ""), nil, "invalid_request"},
			"as an authorization code":   {codeForm(d.text("device_code")), basic("rp", rpSecret), "invalid_grant"},
			"the same, as a code's form": {codeForm(d.page().id + "." + d.text("device_code")), basic("rp", rpSecret), "invalid_grant"},
		} {
			s.exchange(t, c.form, c.headers...).requireOAuth(t, what, 400, c.code)
		}
		d.poll(t).ok(t, http.StatusOK)
		for what, form := range map[string]url.Values{"no grant": {"client_id": {"spa"}}, "scope": {"client_id": {"cli"}, "scope": {"\n"}}} {
			if a := s.post(t, "/oauth2/device_authorization", form); a.status != 400 {
				t.Errorf("%s: %d", what, a.status)
			}
		}
		s.post(t, "/oauth2/device_authorization", url.Values{"client_id": {"rp"}}).requireOAuth(t, "no secret", 401, "invalid_client")
		s.post(t, "/oauth2/device_authorization", url.Values{"client_id": {"near"}}, forwarded, "203.0.113.1").requireOAuth(t, "an unverified address", 403, "access_denied")
	})
}

// TestDevice_NumberMatching: a person who was sent the code by somebody else does not see
// the device's number.
func TestDevice_NumberMatching(t *testing.T) {
	deviceTest(t, options{clients: []*client.Client{{ID: "tv", Grants: []string{client.GrantDevice}, Origins: []string{site}, IDTokenAlg: client.AlgEdDSA, NumberMatching: true},
		{ID: "plain", Grants: []string{client.GrantDevice}, IDTokenAlg: client.AlgEdDSA, NumberMatching: true, NumbersByDefault: true}}}, func(t *testing.T, s *openIDSite) {
		d := s.newDevice(t, "tv")
		s.phone("alice").do(t, d.page(), "confirm").problem(t, 409, "scan_required")
		if login := s.phone("alice").mustDo(t, d.page(), "scan")["login"].(map[string]any); login["hosts"] != nil {
			t.Errorf("a device has the hosts %v", login["hosts"])
		}
		s.phone("alice").do(t, d.page(), "confirm").problem(t, 400, "invalid_request")
		s.phone("alice").mustDo(t, d.page(), "confirm", "match", d.text("match_code"))
		d.poll(t).ok(t, http.StatusOK)
		// A standard client cannot show a number that the operator has not asked for.
		s.phone("alice").mustDo(t, s.newDevice(t, "plain").page(), "confirm")
	})
}

// typeCode sends the form of /device.
func (s *openIDSite) typeCode(t *testing.T, code string, headers ...string) *answer {
	t.Helper()
	headers = withDefaults(headers, "Content-Type", "application/x-www-form-urlencoded", "Origin", public)
	a, err := s.send(s.stepContext(t), "POST", "/device", url.Values{"user_code": {code}}.Encode(), headers...)
	must(t, err)
	return a
}

// TestDevice_UserCode: a typed code leads to the consent page, which asks as for every
// other login. What does not lead there looks the same, whatever the reason.
func TestDevice_UserCode(t *testing.T) {
	deviceTest(t, options{}, func(t *testing.T, s *openIDSite) {
		d := s.newDevice(t, "cli")
		for _, typed := range []string{d.text("user_code"), " " + strings.ToLower(strings.ReplaceAll(d.text("user_code"), "-", "  "))} {
			if a := s.typeCode(t, typed); a.status != 303 || a.header.Get("Location") != "/s/"+d.page().id {
				t.Errorf("%q: %d to %q", typed, a.status, a.header.Get("Location"))
			}
		}
		if a := s.typeCode(t, d.text("user_code"), "Origin", "https://evil.example"); a.status != 403 {
			t.Errorf("from another site: %d", a.status)
		}
		d.page().requireState(t, "pending", 1)
		// A computer gets the QR code for the phone; the code of a login page is there already.
		for agent, want := range map[string]bool{"Mozilla/5.0 (X11; Linux x86_64)": true, "Mozilla/5.0 (iPhone; Mobile)": false} {
			for p, device := range map[*browser]bool{d.page(): true, s.createTicket(t, map[string]any{"client_id": "demo"}): false} {
				page, err := s.send(s.stepContext(t), "GET", "/s/"+p.id, nil, "User-Agent", agent)
				must(t, err)
				if got := strings.Contains(string(page.body), p.path("qr.svg")); page.status != 200 || got != (want && device) {
					t.Errorf("%s, device %v: %d, QR code %v", agent, device, page.status, got)
				}
			}
		}
		for range 6 { // right codes do not count
			if a := s.typeCode(t, d.text("user_code")); a.status != 303 {
				t.Errorf("again: %d", a.status)
			}
		}
		expired := s.newDevice(t, "cli").text("user_code")
		advance(9 * time.Minute)
		d = s.newDevice(t, "cli")
		s.phone("alice").mustDo(t, d.page(), "confirm")
		used := d.text("user_code")
		advance(time.Minute)
		body := ""
		for _, typed := range []string{used, expired, "BBBB-BBBB", "B", "AAAA-AAAA"} {
			a := s.typeCode(t, typed)
			text := strings.ReplaceAll(string(a.body), typed, "")
			if a.status != 400 || body != "" && text != body || !strings.Contains(text, `role="alert"`) {
				t.Errorf("%q: %d %s", typed, a.status, a.body)
			}
			body = text
		}
		good := s.newDevice(t, "cli").text("user_code")
		if a := s.typeCode(t, good); a.status != 429 || a.header.Get("Retry-After") == "" {
			t.Errorf("the sixth: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
		}
		advance(time.Minute)
		if a := s.typeCode(t, good); a.status != 303 {
			t.Errorf("a minute later: %d", a.status)
		}
		page, err := s.send(s.stepContext(t), "GET", "/device?user_code=%3Cscript%3E", nil)
		must(t, err)
		if page.status != 200 || strings.Contains(string(page.body), "<script>") || page.header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("page %d %v", page.status, page.header)
		}
	})
}

// TestDevice_Limits: floods of codes, and guesses of them, are bounded.
func TestDevice_Limits(t *testing.T) {
	o := withRateLimit(1)
	o.clients = []*client.Client{{ID: "tv", Grants: []string{client.GrantDevice}, IDTokenAlg: client.AlgEdDSA}}
	deviceTest(t, behindProxy(o), func(t *testing.T, s *openIDSite) {
		flood := func(what string, most int, call func(i int) int) {
			t.Helper()
			for i := range most + 1 {
				if status := call(i); (status == http.StatusTooManyRequests) != (i == most) {
					t.Fatalf("%s: %d at %d of %d", what, status, i, most)
				}
			}
		}
		ask := func(addr string) int {
			return s.post(t, "/oauth2/device_authorization", url.Values{"client_id": {"cli"}}, forwarded, addr).status
		}
		guess := func(addr string) int { return s.typeCode(t, "BBBB-BBBB", forwarded, addr).status }
		flood("an address", 60, func(int) int { return ask("203.0.113.1") })
		flood("an IPv6 /48", 480, func(i int) int { return ask(fmt.Sprintf("2001:db8:1:%x::1", i)) })
		flood("guesses of an address", 5, func(int) int { return guess("203.0.113.1") })
		flood("guesses of an IPv6 /48", 40, func(i int) int { return guess(fmt.Sprintf("2001:db8:1:%x::1", i)) })
	})
}
