package apitest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"loginhub/api"
	"loginhub/api/geoip"
	"loginhub/api/geoip/geoiptest"
	"loginhub/hub/client"
)

// startAuto starts a node whose client demo has number_matching: auto.
func startAuto(t *testing.T, o options) *testServer {
	site, plain := demo(), demo()
	site.AutoMatching, plain.ID = true, "plain"
	o.clients = []*client.Client{site, plain}
	return start(t, o)
}

// from are the headers that a trusted proxy adds to a request from that address.
func from(addr string) []string { return []string{"X-Forwarded-For", addr} }

// autoTicket creates a ticket as the hub's own page does, with the browser's cookie.
func (s *testServer) autoTicket(t *testing.T, cookie string, headers ...string) *browser {
	t.Helper()
	if cookie != "" {
		headers = append(headers, "Cookie", cookie)
	}
	return s.createTicket(t, map[string]string{"client_id": "demo"}, append(headers, "Origin", public)...)
}

// remember calls remember as the hub's own page, and returns the new cookie.
func (p *browser) remember(t *testing.T, cookie string) string {
	t.Helper()
	a := p.s.ask(t, "POST", p.path("remember"), nil, append(p.bearer(), "Origin", public, "Cookie", cookie)...)
	a.noContent(t)
	set, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	must(t, err)
	if set.Name != "__Host-loginhub-known" || !set.HttpOnly || !set.Secure || set.Path != "/" || set.SameSite != http.SameSiteLaxMode || set.MaxAge != 180*24*3600 || set.Domain != "" {
		t.Errorf("%+v", set)
	}
	p.s.forbidInLogs(set.Value)
	return set.Name + "=" + set.Value
}

// demanded scans and reports whether a number is demanded: by the phone's answer, the view
// on both transports and a confirm without one.
func (f *phone) demanded(t *testing.T, p *browser, headers ...string) bool {
	t.Helper()
	socket := p.dial(t)
	socket.expect(t, "pending", 1)
	if p.match != "" {
		t.Errorf("the number is %s before the scan", p.match)
	}
	scan := func() []string {
		return choices(t, f.s.ask(t, "POST", p.path("scan"), f.body(), headers...).ok(t, http.StatusOK))
	}
	all := scan()
	if again := scan(); strings.Join(again, " ") != strings.Join(all, " ") {
		t.Errorf("choices %v, then %v", all, again)
	}
	shown, _ := socket.expect(t, "scanned", 2)["match_code"].(string)
	if polled, _ := p.requireState(t, "scanned", 2)["match_code"].(string); polled != shown || (shown != "") != (len(all) > 0) {
		t.Errorf("the page shows %q and %q, the phone %v", shown, polled, all)
	}
	if shown == "" {
		f.mustDo(t, p, "confirm")
		return false
	}
	f.do(t, p, "confirm").problem(t, 400, "invalid_request")
	f.mustDo(t, p, "confirm", "match", shown)
	return true
}

// TestStepUp_KnownBrowser: a user who has logged in with this browser needs no number.
func TestStepUp_KnownBrowser(t *testing.T) {
	t.Parallel()
	s := startAuto(t, options{})
	ann, bob := s.phone("ann"), s.phone("bob")
	p := s.autoTicket(t, "")
	if !ann.demanded(t, p) || p.created["remember"] != true {
		t.Errorf("a new browser needs no number: %v", p.created)
	}
	cookie := p.remember(t, "")
	p.ack(t, 3).noContent(t)
	if p.remember(t, ""); !bob.demanded(t, s.autoTicket(t, cookie)) {
		t.Error("another user needs no number")
	}
	p = s.autoTicket(t, cookie)
	if ann.demanded(t, p) {
		t.Error("the user needs a number again")
	}
	// In one step; the same answer again.
	p = s.autoTicket(t, p.remember(t, cookie))
	bob.do(t, p, "confirm").problem(t, 409, "scan_required")
	p.requireState(t, "pending", 1)
	ann.mustDo(t, p, "confirm")
	ann.mustDo(t, p, "confirm")
	for name, c := range map[string][]string{
		"forged":         {"Origin", public, "Cookie", cookie + "x"},
		"twice":          {"Origin", public, "Cookie", cookie + "; " + cookie},
		"a site's page":  {"Origin", site, "Cookie", cookie},
		"no page at all": {"Cookie", cookie},
	} {
		p := s.createTicket(t, map[string]string{"client_id": "demo"}, c...)
		if ann.do(t, p, "confirm").problem(t, 409, "scan_required"); (p.created["remember"] == true) != (c[1] == public) {
			t.Errorf("%s: remember is %v", name, p.created["remember"])
		}
		if !ann.demanded(t, p) {
			t.Errorf("%s: no number", name)
		}
	}
	if log := s.log.String(); !strings.Contains(log, "audit.step_up=new_browser") {
		t.Errorf("the audit log does not say why:\n%s", log)
	}
}

// TestStepUp_Precheck: a one-step confirm that no user could make is refused before the
// provider is called.
func TestStepUp_Precheck(t *testing.T) {
	t.Parallel()
	s := startAuto(t, options{})
	p := s.autoTicket(t, "")
	ann := s.phone("ann")
	body := ann.body()
	for range 2 {
		s.ask(t, "POST", p.path("confirm"), body).problem(t, 409, "scan_required")
	}
	s.ask(t, "POST", p.path("scan"), body).ok(t, http.StatusOK) // the code was not spent
}

// TestStepUp_Addresses: an address that could be known and is not is unusual, one of a
// private network or an unknown country is not.
func TestStepUp_Addresses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "places.mmdb")
	must(t, geoiptest.Write(path, 1, geoiptest.Places()))
	places, err := geoip.Open(path)
	must(t, err)
	s := startAuto(t, options{api: func(c *api.Config) {
		c.TrustedProxies, c.Places = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, places
	}})
	ann := s.phone("ann")
	p := s.autoTicket(t, "", from("203.0.113.7")...)
	ann.demanded(t, p, from("198.51.100.1")...)
	cookie := p.remember(t, "")
	for name, c := range map[string]struct {
		pc, phone []string
		want      bool
	}{
		"one country":          {from("203.0.113.7"), from("203.0.113.200"), false},
		"two countries":        {from("203.0.113.7"), from("198.51.100.1"), true},
		"one unknown":          {from("203.0.113.7"), from("192.0.2.1"), false},
		"both private":         {from("10.1.2.3"), from("192.168.1.1"), false},
		"one private":          {from("10.1.2.3"), from("198.51.100.1"), false},
		"the browser's hidden": {nil, from("198.51.100.1"), true},
		"the phone's hidden":   {from("203.0.113.7"), nil, true},
	} {
		p, body := s.autoTicket(t, cookie, c.pc...), ann.body()
		for range 2 { // the code is not spent
			if c.want {
				s.ask(t, "POST", p.path("confirm"), body, c.phone...).problem(t, 409, "scan_required")
			}
		}
		if ann.demanded(t, p, c.phone...) != c.want {
			t.Errorf("%s: number demanded %t", name, !c.want)
		}
	}
	if log := s.log.String(); strings.Count(log, "audit.step_up=hidden_address") != 6 || strings.Count(log, "audit.step_up=country") != 4 {
		t.Errorf("the audit log:\n%s", log)
	}
}

// TestStepUp_SubjectMap: a one-step confirm that is refused asks the site nothing.
func TestStepUp_SubjectMap(t *testing.T) {
	t.Parallel()
	asked := 0
	mapping := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		io.WriteString(w, `{"sub":"employee-7"}`)
	}))
	t.Cleanup(mapping.Close)
	site := demo()
	site.AutoMatching, site.SubjectMap = true, mapping.URL
	s := start(t, options{clients: []*client.Client{site}})
	p := s.autoTicket(t, "")
	s.phone("ann").demanded(t, p)
	p = s.autoTicket(t, p.remember(t, ""))
	s.phone("bob").do(t, p, "confirm").problem(t, 409, "scan_required")
	if asked != 1 {
		t.Errorf("the site was asked %d times", asked)
	}
}

// TestStepUp_Remember: who may set the cookie, and when.
func TestStepUp_Remember(t *testing.T) {
	t.Parallel()
	s := startAuto(t, options{})
	p := s.autoTicket(t, "")
	own := append(p.bearer(), "Origin", public)
	call := func(p *browser, headers ...string) *answer {
		a := s.ask(t, "POST", p.path("remember"), nil, headers...)
		if a.header.Get("Set-Cookie") != "" || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%v", a.header)
		}
		return a
	}
	call(p, own...).problem(t, 409, "not_confirmed")
	s.phone("ann").demanded(t, p)
	call(p, "Origin", public).problem(t, 401, "invalid_secret")
	call(p, p.bearer()...).problem(t, 403, "origin_not_allowed")
	call(p, append(p.bearer(), "Origin", site)...).problem(t, 403, "origin_not_allowed")
	if a := s.ask(t, "OPTIONS", p.path("remember"), nil, "Origin", site); a.status != http.StatusMethodNotAllowed {
		t.Errorf("a preflight is answered with %d", a.status)
	}
	p.cancel(t).ok(t, http.StatusOK)
	call(p, own...).problem(t, 409, "not_confirmed")
	other := s.createTicket(t, map[string]string{"client_id": "plain"}, "Origin", public)
	s.phone("ann").mustDo(t, other, "confirm")
	call(other, append(other.bearer(), "Origin", public)...).problem(t, 404, "not_found")
}
