package apitest_test

import (
	"slices"
	"strings"
	"testing"

	"loginhub/api"
	"loginhub/hub/client"
	"loginhub/hub/provider"
)

func TestHeaders_HSTS(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{public: "max-age=31536000", "http://localhost:8080": ""} {
		s := start(t, options{api: func(c *api.Config) { c.PublicURL = url }})
		for _, path := range []string{"/", "/healthz", ticketsPath + "/x/poll", "/nowhere"} {
			if got := s.ask(t, "GET", path, nil).header.Get("Strict-Transport-Security"); got != want {
				t.Errorf("%s%s: %q", url, path, got)
			}
		}
	}
}

func TestHeaders_PermissionsPolicy(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	id, _ := unknownTicket()
	for _, path := range []string{"/", "/s/" + id, "/s/x", "/?client_id=x"} {
		got := s.ask(t, "GET", path, nil).header.Get("Permissions-Policy")
		if strings.Contains(got, "bluetooth") { // browsers do not know it, and say so in their console
			t.Errorf("%s: %q", path, got)
		}
		for _, feature := range []string{"camera", "microphone", "geolocation", "payment", "usb", "clipboard-read"} {
			if !strings.Contains(got, feature+"=()") {
				t.Errorf("%s: %s is not disabled: %q", path, feature, got)
			}
		}
	}
}

func TestHeaders_PictureHosts(t *testing.T) {
	t.Parallel()
	few, none := demo(), demo()
	few.ID, few.Providers = "few", []string{"b"}
	none.ID, none.Providers = "none", []string{"c"}
	s := start(t, options{clients: []*client.Client{demo(), few, none}, api: func(c *api.Config) {
		for id, hosts := range map[string][]string{"a": {"a.example", "b.example"}, "b": {"*.pictures.example", "b.example"}, "c": nil} {
			c.Reloadable.Listed = append(c.Reloadable.Listed, &provider.Provider{ID: id, Kind: provider.Kind{Name: id, PictureHosts: hosts}})
		}
	}})
	for id, want := range map[string][]string{"demo": {"*.pictures.example", "a.example", "b.example"}, "few": {"*.pictures.example", "b.example"}, "none": nil} {
		sources, hosts := []string{"'self'", "data:"}, []any(nil)
		for _, host := range want {
			sources, hosts = append(sources, "https://"+host), append(hosts, host)
		}
		if got := cspOf(t, s.ask(t, "GET", "/?client_id="+id, nil))["img-src"]; !slices.Equal(got, sources) {
			t.Errorf("%s: img-src %v, want %v", id, got, sources)
		}
		if got, _ := s.createTicket(t, map[string]string{"client_id": id}).created["picture_hosts"].([]any); !slices.Equal(got, hosts) {
			t.Errorf("%s: picture_hosts %v, want %v", id, got, hosts)
		}
	}
	id, _ := unknownTicket()
	if got := cspOf(t, s.ask(t, "GET", "/s/"+id, nil))["img-src"]; !slices.Equal(got, []string{"'self'", "data:"}) {
		t.Errorf("the phone's page: img-src %v", got)
	}
}

func TestHeaders_FrameAncestors(t *testing.T) {
	t.Parallel()
	odd := &client.Client{ID: "odd", Origins: []string{"https://a;script-src*", "https://b.example:8443", "https://b.example:8443", "https://[2001:db8::1]", extension, "tauri://a b", "app://-"}}
	s := start(t, options{clients: []*client.Client{demo(), odd}})
	id, _ := unknownTicket()
	for path, want := range map[string][]string{
		"/":               {"'self'", site},
		"/?client_id=odd": {"'self'", "https://b.example:8443", extension, "app://-"},
		"/s/" + id:        {"'none'"},
		"/s/x":            {"'none'"},
		"/?client_id=x":   {"'none'"},
	} {
		a := s.ask(t, "GET", path, nil)
		if got := cspOf(t, a)["frame-ancestors"]; !slices.Equal(got, want) {
			t.Errorf("%s allows framing by %v, want %v", path, got, want)
		}
		if deny := a.header.Get("X-Frame-Options") == "DENY"; deny != (want[0] == "'none'") {
			t.Errorf("%s: X-Frame-Options %q", path, a.header.Get("X-Frame-Options"))
		}
	}
}

func TestHeaders_NoCookies(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil, "Origin", site)
	for _, a := range []*answer{s.ask(t, "GET", "/", nil), p.poll(t, "wait=0", "Origin", site), s.phone("ann").do(t, p, "confirm"), p.ack(t, 2)} {
		if a.header.Get("Set-Cookie") != "" || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%v", a.header)
		}
	}
}

// Login CSRF and ticket fixation: an attacker would need another browser to hold the
// secret of the attacker's ticket. No link, form or cookie can put it there.
func TestHeaders_CrossSite(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	for what, a := range map[string]*answer{
		"a link with the secret":       s.ask(t, "GET", p.path("poll")+"?secret="+p.secret, nil, "Cookie", "secret="+p.secret),
		"a form with the secret":       s.ask(t, "POST", p.path("ack"), "secret="+p.secret, "Content-Type", "application/x-www-form-urlencoded"),
		"a form that looks like JSON":  s.ask(t, "POST", ticketsPath, `{"client_id":"demo","x":"="}`, "Content-Type", "text/plain", "Origin", evil),
		"the evil site's own fetch":    p.poll(t, "wait=0", "Origin", evil),
		"a page without an origin":     p.poll(t, "wait=0", "Origin", "null"),
		"the login page with a ticket": s.ask(t, "GET", "/?ticket="+p.id+"&secret="+p.secret, nil),
	} {
		if a.status < 400 && !strings.Contains(string(a.body), "<html") || strings.Contains(string(a.body), p.secret) || strings.Contains(string(a.body), p.id) {
			t.Errorf("%s: %d %.200s", what, a.status, a.body)
		}
	}
	p.requireState(t, "pending", 1)
}
