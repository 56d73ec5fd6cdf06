package chaos_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// mixedClients are the site of the logins, one that is switched off and on, and one that
// uses OpenID Connect.
const mixedClients = `
clients:
  - {id: default, origins: [http://login.test]}
  - {id: other, origins: [http://login.test]}
  - {id: site, redirect_uris: ["http://127.0.0.1/cb"], grants: [authorization_code, refresh_token]}
`

var defaultClient = map[string]string{"client_id": "default"}

// mixedFleet is a fleet with nodes of two releases.
type mixedFleet struct {
	*fleet
	keys string // path of the keys file
}

// startMixedFleet starts all nodes with the program. They share a keys file.
func startMixedFleet(t *testing.T, program string) *mixedFleet {
	t.Helper()
	m := &mixedFleet{keys: hubtest.WriteFile(t, "keys", hubtest.Key)}
	m.fleet = startFleetOf(t, program, "KEYS=", "KEYS_FILE="+m.keys, "CLIENTS="+hubtest.WriteFile(t, "clients.yaml", mixedClients))
	return m
}

// keyIDs returns the ids of the keys of that type (OKP, RSA) that the node publishes,
// newest first, separated by spaces; "" if it does not answer.
func (m *mixedFleet) keyIDs(t *testing.T, n *hubtest.Node, kty string) string {
	t.Helper()
	ctx, cancel := hubtest.WithTimeout(5 * time.Second)
	defer cancel()
	a, err := hubtest.Request(ctx, "GET", n.URL+"/.well-known/jwks.json", nil)
	if err != nil {
		return ""
	}
	var set struct{ Keys []struct{ Kty, Kid string } }
	check(t, a.Decode(200, &set))
	var ids []string
	for _, k := range set.Keys {
		if k.Kty == kty {
			ids = append(ids, k.Kid)
		}
	}
	return strings.Join(ids, " ")
}

// setKeys writes the keys file, and waits until every node publishes the keys of these ids.
// With ids "" it waits until all publish the same ones, as many as keys, and returns them.
func (m *mixedFleet) setKeys(t *testing.T, ids string, keys ...string) string {
	t.Helper()
	check(t, os.WriteFile(m.keys, []byte(strings.Join(keys, "\n")), 0o600))
	for _, n := range m.nodes {
		check(t, n.Signal(syscall.SIGHUP))
		hubtest.Eventually(t, 10*time.Second, n.URL+" publishes the changed keys", func() bool {
			got := m.keyIDs(t, n, "OKP")
			if ids == "" && len(strings.Fields(got)) == len(keys) {
				ids = got
			}
			return got != "" && got == ids
		})
	}
	return ids
}

// addKey appends a key and then moves it to the front, as the runbook says. It returns its
// id.
func (m *mixedFleet) addKey(t *testing.T, ctx context.Context, first string) (second string) {
	t.Helper()
	both := strings.Fields(m.setKeys(t, "", hubtest.Key, hubtest.OtherKey))
	if len(both) != 2 || both[0] != first {
		t.Errorf("the nodes publish %v after %s was given another key", both, first)
		return ""
	}
	for _, n := range m.nodes { // in the runbook's five minutes one node makes an RSA key for the new key
		hubtest.Eventually(t, 20*time.Second, "the nodes publish another RSA key", func() bool {
			return len(strings.Fields(m.keyIDs(t, n, "RSA"))) == 2
		})
	}
	pause(ctx, 3*time.Second) // an RSA key signs 2.5 s after it was made
	slices.Reverse(both)
	m.setKeys(t, strings.Join(both, " "), hubtest.OtherKey, hubtest.Key)
	return both[0]
}

// switchSite switches a site off and on at one node. The other must follow.
func (m *mixedFleet) switchSite(t *testing.T, ctx context.Context, at, other *hubtest.Node) {
	t.Helper()
	for _, status := range []int{403, 201} {
		a, err := hubtest.Request(ctx, "PUT", at.Admin+"/clients/other/login", map[string]bool{"enabled": status == 201})
		if err != nil || a.Status != 204 {
			t.Errorf("switch: %+v %v", a, err)
		}
		hubtest.Eventually(t, 5*time.Second, "the other node has the switch", func() bool {
			a, err := hubtest.Request(ctx, "POST", other.URL+"/api/login/tickets", map[string]string{"client_id": "other"})
			return err == nil && a.Status == status
		})
	}
}

// comparePushedToken logs in with the page on one node and the phone on another. The token
// must be pushed by a message, and be the same from every node.
func (m *mixedFleet) comparePushedToken(t *testing.T, ctx context.Context, page, phone *hubtest.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // before the sweep
	defer cancel()
	ticket, err := hubtest.CreateTicket(ctx, phone.URL, defaultClient)
	if err != nil {
		t.Error(err)
		return
	}
	socket, err := ticket.Dial(ctx, page.URL)
	if err != nil {
		t.Error(err)
		return
	}
	defer socket.Conn.CloseNow()
	user := hubtest.NewPhone("mixed")
	check(t, hubtest.CallOK(ctx, user, phone.URL, ticket.ID, "scan"))
	check(t, hubtest.CallOK(ctx, user, phone.URL, ticket.ID, "confirm"))
	v, err := socket.Until(ctx, "confirmed")
	if err != nil {
		t.Errorf("no push: %v", err)
		return
	}
	for _, n := range m.nodes {
		if again, err := ticket.Poll(ctx, n.URL, 0, 0); err != nil || again.Token != v.Token || v.Token == "" {
			t.Errorf("the token differs: %+v %v, pushed was %s", again, err, v.Token)
		}
	}
	if a, err := ticket.Ack(ctx, phone.URL, v.Seq); err != nil || a.Status != 204 {
		t.Errorf("ack: %+v %v", a, err)
	}
}

var requestMeta = regexp.MustCompile(`<meta name="loginhub-request" content="([^"]+)">`)

// logInAtSite makes an OpenID login. Each step is on another node than the one before, and
// code and refresh token are redeemed on a node that did not issue them, once.
func (m *mixedFleet) logInAtSite(t *testing.T, ctx context.Context, a, b *hubtest.Node) {
	t.Helper()
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{"client_id": {"site"}, "redirect_uri": {"http://127.0.0.1/cb"}, "response_type": {"code"}, "scope": {"openid offline_access"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	page, err := hubtest.Request(ctx, "GET", a.URL+"/oauth2/authorize?"+query.Encode(), nil)
	if err != nil || requestMeta.FindSubmatch(page.Body) == nil {
		t.Errorf("authorize: %+v %v", page, err)
		return
	}
	cookie, _, _ := strings.Cut(page.Header.Get("Set-Cookie"), ";")
	ticket, err := hubtest.CreateTicket(ctx, b.URL, map[string]string{"request": string(requestMeta.FindSubmatch(page.Body)[1])}, "Cookie", cookie)
	if err != nil {
		t.Error(err)
		return
	}
	user := hubtest.NewPhone("mixed")
	check(t, hubtest.CallOK(ctx, user, a.URL, ticket.ID, "scan"))
	check(t, hubtest.CallOK(ctx, user, b.URL, ticket.ID, "confirm"))
	var view struct {
		RedirectTo string `json:"redirect_to"`
	}
	answer, err := ticket.PollResponse(ctx, a.URL, 0, 0)
	if err == nil {
		err = answer.Decode(200, &view)
	}
	to, parseErr := url.Parse(view.RedirectTo)
	if err != nil || parseErr != nil {
		t.Error(err, parseErr)
		return
	}
	code := url.Values{"grant_type": {"authorization_code"}, "code": to.Query()["code"], "redirect_uri": query["redirect_uri"], "code_verifier": {verifier}}
	refresh := url.Values{"grant_type": {"refresh_token"}}
	for _, step := range []struct {
		form url.Values
		at   *hubtest.Node
	}{{code, b}, {refresh, a}, {refresh, b}} {
		var tokens struct {
			ID      string `json:"id_token"`
			Refresh string `json:"refresh_token"`
		}
		if err := redeem(ctx, step.at, step.form, 200, &tokens); err != nil || tokens.ID == "" || tokens.Refresh == "" {
			t.Errorf("%s: %v", step.form.Get("grant_type"), err)
			return
		}
		refresh.Set("refresh_token", tokens.Refresh)
	}
	check(t, redeem(ctx, a, code, 400, &struct{}{}))
}

// redeem asks the node for tokens of the public client site.
func redeem(ctx context.Context, at *hubtest.Node, form url.Values, status int, tokens any) error {
	form.Set("client_id", "site")
	a, err := hubtest.Request(ctx, "POST", at.URL+"/oauth2/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if err != nil {
		return err
	}
	return a.Decode(status, tokens)
}
