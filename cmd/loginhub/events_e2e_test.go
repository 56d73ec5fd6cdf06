package main_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"loginhub/api/geoip/geoiptest"
	"loginhub/hub/hubtest"
)

// Secrets of the tests' sites.
const (
	eventSecret    = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	newEventSecret = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
)

// cloudEvent is an event as a site reads it.
type cloudEvent struct {
	SpecVersion, ID, Source, Type, Subject, DataContentType string
	Time                                                    time.Time
	Data                                                    map[string]any
}

// site is a site's webhook, at /CLIENT. It verifies every call with the library of
// Standard Webhooks.
type site struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex
	got    map[string][]cloudEvent // accepted and refused, by client
	stamps []string                // webhook-timestamp of each call
	// answers are the statuses of a client's first calls; then 204. 0 never answers.
	answers map[string][]int
}

func startSite(t testing.TB, answers map[string][]int) *site {
	s := &site{t: t, got: map[string][]cloudEvent{}, answers: answers}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client := strings.TrimPrefix(r.URL.Path, "/")
	body, err := io.ReadAll(r.Body)
	var e cloudEvent
	if err == nil {
		err = errors.Join(json.Unmarshal(body, &e), checkEvent(r.Header, body))
	}
	for _, secret := range []string{eventSecret, newEventSecret} {
		hook, failed := webhooks.NewWebhook(secret)
		if failed == nil && err == nil && (secret == eventSecret || client == "rotated") {
			failed = hook.Verify(body, r.Header)
		}
		if failed != nil {
			err = failed
		}
	}
	if err != nil || r.Method != http.MethodPost || r.Header.Get("webhook-id") != e.ID {
		s.t.Errorf("%s %s %v: %s: %v", r.Method, r.URL, r.Header, body, err)
	}
	s.mu.Lock()
	n := len(s.got[client])
	s.got[client] = append(s.got[client], e)
	s.stamps = append(s.stamps, r.Header.Get("webhook-timestamp"))
	status := http.StatusNoContent
	if n < len(s.answers[client]) {
		status = s.answers[client][n]
	}
	s.mu.Unlock()
	if status == 0 {
		<-r.Context().Done()
		return
	}
	w.Header().Set("Location", "/elsewhere")
	w.WriteHeader(status)
}

// events returns the client's events so far.
func (s *site) events(client string) []cloudEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got[client])
}

// types returns the sorted types and reasons of the client's events.
func (s *site) types(client string) (all []string) {
	for _, e := range s.events(client) {
		reason, _ := e.Data["reason"].(string)
		all = append(all, strings.TrimSuffix(e.Type+" "+reason, " "))
	}
	slices.Sort(all)
	return all
}

// await waits until the client has had exactly these events.
func (s *site) await(client string, limit time.Duration, want ...string) {
	s.t.Helper()
	hubtest.Eventually(s.t, limit, fmt.Sprintf("%s has %q", client, want), func() bool { return len(s.types(client)) >= len(want) })
	if got := s.types(client); !slices.Equal(got, want) {
		s.t.Errorf("%s has %q, want %q", client, got, want)
	}
}

// clientsFile returns the setting with these clients, whose events go to the site; more has
// further options of a client.
func (s *site) clientsFile(more map[string]string, clients ...string) string {
	text := "clients:\n"
	for _, id := range clients {
		secret := eventSecret + "\n"
		if id == "rotated" {
			secret = newEventSecret + "\n" + secret
		}
		text += fmt.Sprintf("  - {id: %s, origins: [\"https://%s.example\"], events: {url: \"%s/%s\", secret_file: %s}%s}\n", id, id, s.URL, id, hubtest.WriteFile(s.t, "secret", secret), more[id])
	}
	return "CLIENTS=" + hubtest.WriteFile(s.t, "clients.yaml", text)
}

// newTicket makes a ticket of the client, from an address in Shanghai.
func newTicket(t testing.TB, ctx context.Context, url, client string) *hubtest.Ticket {
	t.Helper()
	p, err := hubtest.CreateTicket(ctx, url, map[string]string{"client_id": client}, "X-Forwarded-For", "203.0.113.7", "Origin", "https://"+client+".example",
		"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func eventPhone(name, address string) *hubtest.Phone {
	phone := hubtest.NewPhone(name)
	phone.Headers = []string{"X-Forwarded-For", address}
	return phone
}

// TestEvents_Delivered: two nodes deliver each event of a login once, signed and complete.
// A site that hangs, fails, redirects or is gone delays no other; it gets the first repeat
// within ten seconds, with the same id and a new signature.
func TestEvents_Delivered(t *testing.T) {
	t.Parallel()
	s := startSite(t, map[string][]int{"hangs": {0, 0, 0, 0}, "fails": {500}, "redirects": {307}, "gone": {410}})
	places := filepath.Join(t.TempDir(), "city.mmdb")
	writePlaces(t, places, time.Now(), geoiptest.Places())
	_, nodes := cluster(t, 2, "TRUSTED_PROXIES=127.0.0.1/32", "GEOIP_FILE="+places, s.clientsFile(map[string]string{
		"numbers": ", number_matching: true", "refuses": ", address_mismatch: refuse", "rotated": ", address_mismatch: warn"},
		"plain", "rotated", "numbers", "refuses", "far", "hangs", "fails", "redirects", "gone"))
	ctx := hubtest.Context(t, 60*time.Second)
	at := func(i int) string { return nodes[i%2].URL }
	alice, bob := eventPhone("alice", "203.0.113.9"), eventPhone("bob", "198.51.100.9")
	for i, client := range []string{"hangs", "fails", "redirects", "gone", "plain", "rotated"} {
		p := newTicket(t, ctx, at(i), client)
		mustCall(t, ctx, alice, at(i+1), p.ID, "scan", "scan")
		if client == "plain" {
			a, err := bob.Do(ctx, at(i), p.ID, "scan", nil)
			hubtest.AssertRefusal(t, "another user's scan", a, err, 409, "already_scanned")
		}
		mustCall(t, ctx, alice, at(i), p.ID, "confirm", "confirm")
		mustCall(t, ctx, alice, at(i+1), p.ID, "confirm")
	}
	s.await("plain", 10*time.Second, "login.confirmed", "login.suspicious already_scanned")
	s.await("rotated", 10*time.Second, "login.confirmed", "login.suspicious address_mismatch")

	p := newTicket(t, ctx, at(0), "numbers")
	mustCall(t, ctx, alice, at(1), p.ID, "scan")
	a, err := alice.Do(ctx, at(0), p.ID, "confirm", map[string]any{"match": wrongNumber(p.MatchCode)})
	hubtest.AssertRefusal(t, "a wrong number", a, err, 403, "match_failed")
	mustCall(t, ctx, alice, at(1), newTicket(t, ctx, at(0), "numbers").ID, "scan", "reject")
	mustCall(t, ctx, bob, at(1), newTicket(t, ctx, at(0), "far").ID, "scan")
	s.await("far", 10*time.Second, "login.suspicious far_away")
	s.await("numbers", 10*time.Second, "login.rejected user", "login.rejected wrong_number", "login.suspicious match_failed")

	a, err = alice.Do(ctx, at(1), newTicket(t, ctx, at(0), "refuses").ID, "scan", nil)
	if err != nil || a.Status == 200 {
		t.Errorf("a scan from another address: %+v %v", a, err)
	}
	s.await("refuses", 10*time.Second, "login.suspicious address_mismatch")

	first := slices.IndexFunc(s.events("plain"), func(e cloudEvent) bool { return e.Type == "login.confirmed" })
	checkConfirmed(t, s.events("plain")[first])

	repeated := []string{"login.confirmed", "login.confirmed"}
	s.await("fails", 10*time.Second, repeated...)
	s.await("redirects", 10*time.Second, repeated...)
	for _, client := range []string{"fails", "redirects"} {
		if all := s.events(client); all[0].ID != all[1].ID || fmt.Sprint(all[0]) != fmt.Sprint(all[1]) {
			t.Errorf("repeated with another content: %+v", all)
		}
	}
	s.mu.Lock()
	last := s.stamps[len(s.stamps)-1]
	if last == s.stamps[0] {
		t.Errorf("a repeat has the first timestamp, %s", last)
	}
	s.mu.Unlock()
	s.await("gone", time.Second, "login.confirmed")
	if all := s.events("elsewhere"); len(all) > 0 {
		t.Errorf("a redirect was followed: %+v", all)
	}
}

// wrongNumber returns a number that the page does not show.
func wrongNumber(shown string) string {
	if shown == "10" {
		return "11"
	}
	return "10"
}

// checkConfirmed checks an event of alice's login at the client plain.
func checkConfirmed(t *testing.T, e cloudEvent) {
	t.Helper()
	if e.SpecVersion != "1.0" || e.Source != "http://login.test" || e.Subject != "sandbox:alice" || e.DataContentType != "application/json" || time.Since(e.Time).Abs() > time.Minute {
		t.Errorf("envelope %+v", e)
	}
	d := e.Data
	for name, want := range map[string]any{"client_id": "plain", "sub": "sandbox:alice", "provider": "sandbox", "ip": "203.0.113.7", "phone_ip": "203.0.113.9", "place": "Shanghai, China", "country": "CN",
		"browser": "Chrome 150", "os": "Windows", "host": "plain.example", "amr": []any{"sandbox"}, "jti": d["ticket"]} {
		if fmt.Sprint(d[name]) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", name, d[name], want)
		}
	}
	for _, name := range []string{"requested_at", "confirmed_at"} {
		text, _ := d[name].(string)
		if at, err := time.Parse(time.RFC3339, text); err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("%s is %v", name, d[name])
		}
	}
	if d["reason"] != nil {
		t.Errorf("reason %v", d["reason"])
	}
}

// TestEvents_NodeKilled: a node dies at each point of a confirm. The event comes once from
// another node if the change was made, and not otherwise.
func TestEvents_NodeKilled(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	redis := hubtest.StartRedis(t)
	clients := s.clientsFile(nil, "before", "after", "answered")
	other := hubtest.StartNode(t, program, "REDIS_URL="+redis.URL, clients)
	ctx := hubtest.Context(t, 60*time.Second)
	tickets := map[string]*hubtest.Ticket{}
	for _, client := range []string{"before", "after", "answered"} {
		p, err := hubtest.CreateTicket(ctx, other.URL, map[string]string{"client_id": client})
		if err != nil {
			t.Fatal(err)
		}
		tickets[client] = p
		phone := hubtest.NewPhone("alice")
		mustCall(t, ctx, phone, other.URL, p.ID, "scan")
		var dying atomic.Pointer[hubtest.Node]
		killed := make(chan struct{})
		kill := sync.OnceFunc(func() {
			dying.Load().Kill()
			close(killed)
		})
		url := hubtest.StartRestrictedRedis(t, redis, func(command []string) string {
			if n := dying.Load(); client == "answered" || n == nil || len(command) != 13 || command[3] != "loginhub:{"+p.ID+"}" { // change.lua
				return ""
			}
			kill()
			if client == "before" {
				return "ERR the node is dead"
			}
			return ""
		})
		n := hubtest.StartNode(t, program, "REDIS_URL="+url, clients)
		dying.Store(n)
		a, err := phone.Do(ctx, n.URL, p.ID, "confirm", nil)
		if client == "answered" {
			hubtest.AssertRefusal(t, client, a, err, 200, "")
			kill()
		} else if err == nil {
			t.Errorf("%s: the killed node answers %+v", client, a)
		}
		<-killed
	}
	s.await("answered", 20*time.Second, "login.confirmed")
	s.await("after", 20*time.Second, "login.confirmed")
	mustCall(t, ctx, hubtest.NewPhone("alice"), other.URL, tickets["before"].ID, "reject")
	s.await("before", 20*time.Second, "login.rejected user")
	hubtest.Eventually(t, 20*time.Second, "nothing waits", func() bool {
		return len(redis.Client.Keys(ctx, "loginhub:outbox:*:entries").Val()) == 0
	})
	for client := range tickets {
		ids := map[string]bool{} // a node may die after the delivery and before it says so
		for _, e := range s.events(client) {
			ids[e.ID] = true
		}
		if len(ids) != 1 {
			t.Errorf("%s had the events %v", client, ids)
		}
	}
	if disk := redis.Disk(t, ctx); strings.Contains(disk, "sandbox:alice") || strings.Contains(disk, eventSecret[6:]) {
		t.Error("Redis has personal data or the secret in clear")
	}
}

// TestEvents_LogoutTokenSurvives: a node that has answered a dispute dies before the site takes
// the logout token. Another node delivers it.
func TestEvents_LogoutTokenSurvives(t *testing.T) {
	t.Parallel()
	s, redis := startSite(t, nil), hubtest.StartRedis(t)
	var up atomic.Bool
	tokens := make(chan string, 9)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		tokens <- r.FormValue("logout_token")
	}))
	t.Cleanup(site.Close)
	clients := s.clientsFile(map[string]string{"app": `, redirect_uris: ["https://app.example/cb"], id_token_alg: EdDSA, backchannel_logout_uri: "` + site.URL + `"`}, "app")
	ctx, phone := hubtest.Context(t, 60*time.Second), hubtest.NewPhone("alice")
	one := hubtest.StartNode(t, program, "REDIS_URL="+redis.URL, clients)
	p := newTicket(t, ctx, one.URL, "app")
	mustCall(t, ctx, phone, one.URL, p.ID, "confirm", "dispute")
	hubtest.Eventually(t, 20*time.Second, "the site refuses one", func() bool { return len(tokens) > 0 })
	one.Kill()
	up.Store(true)
	for len(tokens) > 0 {
		<-tokens
	}
	hubtest.StartNode(t, program, "REDIS_URL="+redis.URL, clients)
	select {
	case text := <-tokens:
		claims, err := base64.RawURLEncoding.DecodeString(strings.Split(text+"..", ".")[1])
		if err != nil || !strings.Contains(string(claims), `"sub":"sandbox:alice"`) || !strings.Contains(string(claims), `"aud":"app"`) {
			t.Errorf("logout token %s %v", claims, err)
		}
	case <-ctx.Done():
		t.Error("no logout token")
	}
}

// TestEvents_Commands counts the commands of a login for its events: none without events,
// three once a reload has switched them on.
func TestEvents_Commands(t *testing.T) {
	t.Parallel()
	s := startSite(t, nil)
	file := hubtest.WriteFile(t, "clients.yaml", "clients: [{id: plain}]")
	redis, nodes := cluster(t, 1, "CLIENTS="+file)
	ctx := hubtest.Context(t, 30*time.Second)
	login := func(events int) []string {
		stop := redis.Monitor(t)
		p := hubtest.MustCreateTicket(t, ctx, nodes[0].URL)
		before := len(s.events("plain"))
		mustCall(t, ctx, hubtest.NewPhone("alice"), nodes[0].URL, p.ID, "confirm")
		hubtest.Eventually(t, 10*time.Second, "delivered", func() bool {
			return len(s.events("plain")) == before+events && len(redis.Client.Keys(ctx, "loginhub:outbox:*:entries").Val()) == 0
		})
		all := ticketCommands(stop(), "loginhub:outbox:")
		return slices.DeleteFunc(all, func(line string) bool {
			return strings.Contains(line, `"keys"`) || events > 0 && !strings.Contains(line, p.ID) // of this test; the node looks into its queue
		})
	}
	if commands := login(0); len(commands) != 0 {
		t.Errorf("without events:\n%s", strings.Join(commands, "\n"))
	}
	_, path, _ := strings.Cut(s.clientsFile(nil, "plain"), "=")
	if err := os.WriteFile(file, []byte(readFile(t, path)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitLog(t, nodes[0], 1, reloadDone)
	login(1) // loads the script
	if commands := login(1); len(commands) != 3 {
		t.Errorf("%d commands, want 3:\n%s", len(commands), strings.Join(commands, "\n"))
	}
}
