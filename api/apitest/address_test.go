package apitest_test

import (
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"loginhub/api"
	"loginhub/api/geoip"
	"loginhub/api/geoip/geoiptest"
	"loginhub/hub/client"
)

func trusting(text string) options {
	return options{api: func(c *api.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(text)} }}
}

const (
	forwarded = "X-Forwarded-For"
	chrome    = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
)

func TestScan_LoginInfo(t *testing.T) {
	// The pipes of runSynctest have no address, so the address fields are absent.
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		advance(1700 * time.Millisecond)
		asked := time.Now().UTC()
		p := s.createTicket(t, nil, "User-Agent", chrome)
		advance(2 * time.Second)
		m := s.phone("ann").mustDo(t, p, "scan")
		fields(t, m, "state", "expires_in", "login")
		login := m["login"].(map[string]any)
		fields(t, login, "client", "hosts", "browser", "os", "requested_at")
		for name, want := range map[string]any{"client": "Demo", "browser": "Chrome 150", "os": "Windows",
			"requested_at": asked.Truncate(time.Second).Format(time.RFC3339)} {
			if login[name] != want {
				t.Errorf("%s is %v, want %v", name, login[name], want)
			}
		}
		if text, _ := login["requested_at"].(string); !strings.HasSuffix(text, "Z") {
			t.Errorf("requested_at %q is not in UTC", text)
		}
	})
}

// openPlaces opens a GeoIP database with the places of package geoiptest, and with private networks, as an operator's
// own may have. No phone sees those.
func openPlaces(t *testing.T) *geoip.DB {
	t.Helper()
	path, places := filepath.Join(t.TempDir(), "city.mmdb"), geoiptest.Places()
	places["10.0.0.0/8"], places["192.168.0.0/16"] = places["198.51.100.0/25"], places["198.51.100.0/25"]
	err := geoiptest.Write(path, time.Now().Unix(), places)
	if err != nil {
		t.Fatal(err)
	}
	db, err := geoip.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestScan_Addresses(t *testing.T) {
	t.Parallel()
	trusted := trusting("127.0.0.0/8")
	s := start(t, options{api: func(c *api.Config) { trusted.api(c); c.Places = openPlaces(t) }})
	const shanghai, munich = "Shanghai, China", "Munich, Germany"
	for _, c := range []struct {
		name       string
		pc, phone  string // X-Forwarded-For; "" sends none
		ip, sameIP any    // nil: absent
		place, far any
	}{
		{"one network", "203.0.113.7", "203.0.113.7", "203.0.113.7", true, shanghai, nil},
		{"two networks", "203.0.113.7", "198.51.100.9", "203.0.113.7", false, shanghai, true},
		{"two cities nearby", "203.0.113.7", "203.0.113.130", "203.0.113.7", false, shanghai, nil},
		{"two cities of a country", "203.0.113.7", "203.0.113.200", "203.0.113.7", false, shanghai, true},
		{"two families", "203.0.113.7", "2001:db8::2", "203.0.113.7", nil, shanghai, nil},
		{"two families, far away", "2001:db8:cafe::2", "::ffff:203.0.113.7", "2001:db8:cafe::2", nil, munich, true},
		{"PC in a private network", "10.0.0.5", "203.0.113.7", nil, nil, nil, nil},
		{"phone in a private network", "203.0.113.7", "192.168.1.5", "203.0.113.7", nil, shanghai, nil},
		{"PC at an unknown place", "192.0.2.1", "198.51.100.9", "192.0.2.1", false, nil, nil},
		{"PC with a spoofed hop", "198.51.100.9, 203.0.113.7", "198.51.100.9", "203.0.113.7", false, shanghai, true},
		{"a PC without header", "", "203.0.113.7", nil, nil, nil, nil},
		{"a phone without header", "203.0.113.7", "", "203.0.113.7", nil, shanghai, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := func(value string) (pair []string) {
				if value != "" {
					pair = []string{forwarded, value}
				}
				return pair
			}
			p := s.createTicket(t, nil, header(c.pc)...)
			m := s.ask(t, "POST", p.path("scan"), s.phone("ann").body(), header(c.phone)...).ok(t, http.StatusOK)
			login := m["login"].(map[string]any)
			for name, want := range map[string]any{"ip": c.ip, "same_ip": c.sameIP, "place": c.place, "far_away": c.far} {
				got, there := login[name]
				if there != (want != nil) || got != want {
					t.Errorf("%s is %v (present: %v), want %v", name, got, there, want)
				}
			}
		})
	}
}

func TestScan_UntrustedHeaderHidesAddress(t *testing.T) {
	t.Parallel()
	s := start(t, trusting("10.0.0.0/8"))
	for range 2 {
		p := s.createTicket(t, nil, forwarded, "203.0.113.7")
		m := s.ask(t, "POST", p.path("scan"), s.phone("ann").body(), forwarded, "203.0.113.7").ok(t, http.StatusOK)
		fields(t, m["login"].(map[string]any), "client", "hosts", "browser", "os", "requested_at")
	}
	if n := strings.Count(s.log.String(), "LOGINHUB_TRUSTED_PROXIES"); n != 1 {
		t.Errorf("the setting is logged %d times", n)
	}
}

func TestScan_ClientLabelLanguage(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for accept, want := range map[string]string{"": "Demo", "en": "Demo", "de-DE,de;q=0.9": "Demo", "zh": "演示",
		"zh-CN,zh;q=0.9,en;q=0.8": "演示", "ZH-tw": "演示", "en,zh;q=0.9": "Demo"} {
		m := s.ask(t, "POST", s.createTicket(t, nil).path("scan"), s.phone("ann").body(), "Accept-Language", accept).ok(t, http.StatusOK)
		if got := m["login"].(map[string]any)["client"]; got != want {
			t.Errorf("Accept-Language %q: %v, want %s", accept, got, want)
		}
	}
}

func TestScan_UserAgentBounded(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for name, c := range map[string]struct{ agent, browser, system string }{
		"Firefox": {"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox 145", "Linux"},
		"Safari":  {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15", "Safari 18", "macOS"},
		"Edge":    {chrome + " Edg/150.0.0.0", "Edge 150", "Windows"},
		"none":    {"", "", ""},
		// Browsers whose header also names an engine or another browser.
		"Opera":     {chrome + " OPR/120.0.0.0", "Opera 120", "Windows"},
		"360":       {chrome + " QIHU 360SE", "Chrome 150", "Windows"},
		"QQ":        {chrome + " Core/1.94.202.400 QQBrowser/12.1.5496.400", "QQ Browser 12", "Windows"},
		"UC":        {"Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/55.0 UBrowser/6.2.4098.3 Safari/537.36", "UC Browser 6", "Windows"},
		"WeChat":    {chrome + " MicroMessenger/7.0.20.1781(0x6700143B) NetType/WIFI WindowsWechat QBCore/3.43 QQBrowser/9.0", "WeChat 7", "Windows"},
		"Samsung":   {"Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0 Mobile Safari/537.36", "Samsung Browser 26", "Android"},
		"Huawei":    {"Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile HuaweiBrowser/5.0.4.300", "Huawei Browser 5", "HarmonyOS"},
		"an iPad":   {"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "Safari 18", "iOS"},
		"Chrome OS": {"Mozilla/5.0 (X11; CrOS x86_64 16181.61.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0 Safari/537.36", "Chrome 150", "ChromeOS"},
		// Unknown names are not displayed, because an attacker could write a message
		// there.
		"English":             {"Approved by your IT desk/1.0", "", ""},
		"Chinese":             {"已通过安全检查，请放心确认/1.0", "", ""},
		"without a version":   {"Please confirm now", "", ""},
		"on a system":         {"Mozilla/5.0 (Windows NT 10.0) Approved by your IT desk/1.0", "", "Windows"},
		"beside an engine":    {chrome + " Approved by your IT desk/1.0", "", "Windows"},
		"as a system":         {"Mozilla/5.0 (已通过安全检查) Chrome/150.0 Safari/537.36", "Chrome 150", ""},
		"as a device":         {"Mozilla/5.0 (Linux; Android 14; Approved by your IT desk) Chrome/150.0 Mobile Safari/537.36", "Chrome 150", "Android"},
		"as a version":        {"Mozilla/5.0 (Windows NT 10.0) Chrome/请放心确认 Safari/537.36", "Chrome", "Windows"},
		"after a version":     {"Mozilla/5.0 (Windows NT 10.0) Firefox/145，请放心确认", "Firefox 145", "Windows"},
		"after a known token": {"MicroMessenger/approved by your IT desk", "WeChat", ""},
		"a telephone number":  {"Mozilla/5.0 (Windows NT 10.0) Chrome/4008123456 Safari/537.36", "Chrome", "Windows"},
		"a bot":               {"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			login := s.phone("ann").mustDo(t, s.createTicket(t, nil, "User-Agent", c.agent), "scan")["login"].(map[string]any)
			if login["browser"] != c.browser || login["os"] != c.system {
				t.Errorf("%v on %v, want %s on %s", login["browser"], login["os"], c.browser, c.system)
			}
		})
	}
	for _, agent := range []string{strings.Repeat("Chrome/", 2000), strings.Repeat("x", 8000), "Chrome/\u202e150", "\xff\xfe"} {
		login := s.phone("ann").mustDo(t, s.createTicket(t, nil, "User-Agent", agent), "scan")["login"].(map[string]any)
		for _, field := range []string{"browser", "os"} {
			if text, _ := login[field].(string); len([]rune(text)) > 48 || strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
				t.Errorf("%s of %d characters: %.60q", field, len([]rune(text)), text)
			}
		}
	}
}

func TestScan_Hosts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		origins []string
		hosts   any    // nil: absent
		from    string // Origin of the page
	}{
		"of the page":      {[]string{site, "https://b.example:8443"}, []any{"b.example:8443"}, "https://b.example:8443"},
		"of an app":        {[]string{site, "app://com.example"}, []any{"app://com.example"}, "app://com.example"},
		"of the hub's own": {[]string{site}, []any{strings.TrimPrefix(public, "https://")}, public},
		"one":              {[]string{site}, []any{"www.example.com"}, ""},
		"with a port":      {[]string{"http://localhost:3000"}, []any{"localhost:3000"}, ""},
		"each once":        {[]string{"http://a.example", "https://a.example", "https://b.example"}, []any{"a.example", "b.example"}, ""},
		"none":             {nil, nil, ""},
		"a few of many":    {[]string{"https://a", "https://b", "https://c", "https://d", "https://e"}, []any{"a", "b", "c", "d"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			site := demo()
			site.Origins = c.origins
			s := start(t, options{clients: []*client.Client{site}})
			var from []string
			if c.from != "" {
				from = []string{"Origin", c.from}
			}
			login := s.phone("ann").mustDo(t, s.createTicket(t, nil, from...), "scan")["login"].(map[string]any)
			if hosts, there := login["hosts"]; there != (c.hosts != nil) || there && !equal(hosts, c.hosts) {
				t.Errorf("hosts %v, want %v", hosts, c.hosts)
			}
		})
	}
}
