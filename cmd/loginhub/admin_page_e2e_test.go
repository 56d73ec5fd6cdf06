package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// shownStatus is what the tests read of GET /admin/status.
type shownStatus struct {
	Access string
	Nodes  []struct {
		ID, State            string
		Self                 bool
		Sockets, Logins, Age int
	}
	Clients []struct {
		ID      string
		Enabled bool
	}
	Refused []struct {
		Method, Route, Code, Client, Address string
		Status, Times                        int
	}
	Config []struct{ Key, Value, Source string }
}

func adminStatus(t *testing.T, n *hubtest.Node, headers ...string) (s shownStatus) {
	t.Helper()
	a, err := hubtest.Request(loginContext(t), "GET", n.Admin+"/admin/status", nil, headers...)
	if err != nil || a.Decode(200, &s) != nil || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("status: %+v %v", a, err)
	}
	return s
}

// TestAdminPage_Status: any node shows all nodes; refused calls and settings only to operators.
func TestAdminPage_Status(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef0123456789abcdef"
	bearer := []string{"Authorization", "Bearer " + token}
	redis := hubtest.StartRedis(t)
	clients := hubtest.WriteFile(t, "clients.yaml", "clients: [{id: shop, origins: ['https://shop.test']}]")
	settings := []string{"REDIS_URL=" + redis.URL, "CLIENTS=" + clients, "ADMIN_TOKEN=" + token}
	one, two := startMetered(t, settings...), startMetered(t, settings...)
	ctx := loginContext(t)
	if err := login(ctx, "ann", one.URL, two.URL); err != nil {
		t.Fatal(err)
	}
	waiting := mustOpenWaiter(t, ctx, two.URL, two.URL)
	for range 2 {
		a, err := hubtest.Request(ctx, "POST", one.URL+"/api/login/tickets", nil, "Origin", "https://evil.test")
		hubtest.AssertRefusal(t, "a foreign origin", a, err, 403, "origin_not_allowed")
	}
	a, err := hubtest.NewPhone("bob").Do(ctx, one.URL, waiting.ID, "scan", map[string]any{"code": "nonsense"})
	hubtest.AssertRefusal(t, "a bad code", a, err, 422, "code_invalid")
	if _, err := hubtest.Request(ctx, "GET", one.URL+"/wp-login.php", nil); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*hubtest.Node{one, two} {
		hubtest.Eventually(t, 15*time.Second, "both nodes are shown", func() bool {
			sockets, logins, ready := 0, 0, 0
			for _, shown := range adminStatus(t, n).Nodes {
				sockets, logins = sockets+shown.Sockets, logins+shown.Logins
				if shown.State == "ready" && shown.Age < 15 && shown.Self == (shown.ID == n.ID(t)) {
					ready++
				}
			}
			return sockets == 1 && logins == 1 && ready == 2
		})
	}
	closed, open := adminStatus(t, one), adminStatus(t, one, bearer...)
	if closed.Access != "token" || closed.Refused != nil || closed.Config != nil || fmt.Sprint(closed.Clients) != "[{shop true}]" {
		t.Errorf("without the token: %+v", closed)
	}
	if want := "[{POST /api/login/tickets/:ticket/scan code_invalid  127.0.0.1 422 1} {POST /api/login/tickets origin_not_allowed shop 127.0.0.1 403 2}]"; open.Access != "operator" || fmt.Sprint(open.Refused) != want {
		t.Errorf("with the token: %v %v, wanted %s", open.Access, open.Refused, want)
	}
	if text := fmt.Sprint(open.Config); !strings.Contains(text, "{admin_token '[set]' LOGINHUB_ADMIN_TOKEN}") || strings.Contains(text, token) || strings.Contains(text, hubtest.Key) {
		t.Errorf("the settings %s", text)
	}
	a, err = hubtest.Request(ctx, "GET", one.Admin+"/admin/status", nil, "Authorization", "Bearer x")
	hubtest.AssertRefusal(t, "a wrong token", a, err, 401, "admin_token_required")
	// A node that has stopped leaves the list.
	two.Kill()
	if err := redis.Client.Del(ctx, "loginhub:nodes").Err(); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, 15*time.Second, "one node is shown", func() bool { return len(adminStatus(t, one).Nodes) == 1 })
}

// TestAdminPage_Files: the page has no data; on another address than the loopback it shows none to
// everybody, unless there is a token.
func TestAdminPage_Files(t *testing.T) {
	t.Parallel()
	n := hubtest.StartNode(t, program, "ADMIN_LISTEN=0.0.0.0:"+hubtest.FreePort(t))
	for path, kind := range map[string]string{"/": "text/html; charset=utf-8", "/admin/admin.js": "text/javascript; charset=utf-8", "/admin/admin.css": "text/css; charset=utf-8", "/admin/logo.svg": "image/svg+xml", "/admin/x": ""} {
		a, err := hubtest.Request(loginContext(t), "GET", n.Admin+path, nil)
		if err != nil || (a.Status == 200) != (kind != "") || kind != "" && (a.Header.Get("Content-Type") != kind || !strings.HasPrefix(a.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; ")) {
			t.Errorf("%s: %v %v", path, a, err)
		}
	}
	for dest, want := range map[string]int{"document": 200, "iframe": 403, "image": 403} {
		link := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", dest}
		if page, data := askAdmin(t, n, "GET", "/", "", link), askAdmin(t, n, "GET", "/clients", "", link); page != want || data != 403 {
			t.Errorf("a link of another site, as %s: the page %d, data %d", dest, page, data)
		}
	}
	if s := adminStatus(t, n); s.Access != "closed" || s.Refused != nil || s.Config != nil || len(s.Nodes) != 1 {
		t.Errorf("the status %+v", s)
	}
	if status := n.Get("/assets/admin/admin.js"); status != http.StatusNotFound {
		t.Errorf("the public listener has the admin page's script: %d", status)
	}
}
