package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// The client of the OpenID logins, which is public, and its redirect URI.
const (
	oauthClient = "bench"
	redirectURI = "http://127.0.0.1/callback"
	formType    = "application/x-www-form-urlencoded"
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"
)

type oauthScenario struct {
	Rounds int    `default:"3" help:"How often each kind is measured, in turns; the medians count."`
	Count  int    `default:"5000" help:"Whole logins of each kind and round."`
	Alg    string `default:"RS256" enum:"RS256,ES256,EdDSA" help:"Algorithm of the ID tokens."`
}

// measure runs whole logins of three kinds in turns on the same nodes: plain, with the
// token pushed to the page; the authorization code flow of OpenID Connect; and the
// device grant with a held poll.
func (c *oauthScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	s, err := b.startOAuth(ctx, b.nodes(1), c.Alg)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	kinds := []struct {
		name  string
		whole func(context.Context, int) (time.Duration, error)
	}{
		{"plain login", s.plainLogin}, {"authorization code", s.codeLogin}, {"device grant", s.deviceLogin},
	}
	values := make([][]result, len(kinds))
	for range c.Rounds {
		for i, kind := range kinds {
			r, err := wholeLogins(ctx, b, s, c.Count, kind.whole)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", kind.name, err)
			}
			values[i] = append(values[i], r)
		}
	}
	var all []result
	for i, kind := range kinds {
		all = append(all, medians(kind.name, values[i]))
	}
	return all, nil
}

// wholeLogins measures count logins. whole returns the time from the confirm to the token.
func wholeLogins(ctx context.Context, b *bench, s *cluster, count int, whole func(context.Context, int) (time.Duration, error)) (r result, err error) {
	took := make([]time.Duration, count)
	mallocs := s.sum(ctx, "go_memstats_mallocs_total", false)
	begin := s.mark()
	err = each(ctx, count, b.AtOnce, func(ctx context.Context, i int) (err error) {
		took[i], err = whole(ctx, i)
		return err
	})
	if err != nil {
		return r, err
	}
	u, n := s.since(begin), float64(count)
	mallocs = s.sum(ctx, "go_memstats_mallocs_total", false) - mallocs
	r = result{Nodes: len(s.nodes)}
	r.add(figure{"logins", n / u.Seconds, "/s"})
	r.add(u.per(n/1000, 1, "CPU-s/1,000 logins")...)
	r.add(latencies("confirm sent to token", took)...)
	if u.Counted {
		r.add(figure{"scripts per login", float64(u.Commands) / n, ""}, figure{"Redis commands per login", float64(u.All) / n, ""})
	}
	r.add(figure{"hub allocations per login", mallocs / n, "objects"})
	return r, nil
}

// medians returns the medians of each figure over the rounds.
func medians(name string, rounds []result) result {
	r := result{Scenario: name, Nodes: rounds[0].Nodes, Pages: rounds[0].Pages}
	for i, f := range rounds[0].Figures {
		var all []float64
		for _, round := range rounds {
			all = append(all, round.Figures[i].Value)
		}
		r.add(figure{f.Name, median(all), f.Unit})
	}
	return r
}

// startOAuth is start with a client that uses OpenID Connect.
func (b *bench) startOAuth(ctx context.Context, nodes int, alg string) (*cluster, error) {
	dir, err := os.MkdirTemp("", "loginbench-clients-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // the nodes have read it when they are ready
	file := filepath.Join(dir, "clients.yaml")
	text := fmt.Sprintf("clients:\n  - id: %s\n    redirect_uris: [%s]\n    grants: [authorization_code, device_code]\n    id_token_alg: %s\n", oauthClient, redirectURI, alg)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return b.start(ctx, nodes, time.Hour, "LOGINHUB_CLIENTS="+file)
}

func (s *cluster) plainLogin(ctx context.Context, i int) (time.Duration, error) {
	l, err := s.whole(ctx, i)
	return l.pushed.Sub(l.sent), err
}

// requestMeta matches the sealed request in an authorize page.
var requestMeta = regexp.MustCompile(`<meta name="loginhub-request" content="([^"]+)"`)

// codeLogin is a whole login of a site with the authorization code flow and PKCE.
func (s *cluster) codeLogin(ctx context.Context, i int) (time.Duration, error) {
	return s.authorizationCode(ctx, i, func() (string, error) { return "", nil })
}

// authorizationCode is codeLogin with further header lines of the request for the token.
func (s *cluster) authorizationCode(ctx context.Context, i int, header func() (string, error)) (time.Duration, error) {
	l, at := s.newLogin(i)
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	ask := url.Values{"response_type": {"code"}, "client_id": {oauthClient}, "redirect_uri": {redirectURI}, "scope": {"openid"}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	resp, page, _, err := at.exchange(ctx, "/oauth2/authorize?"+ask.Encode(), "", "", "")
	if err != nil {
		return 0, err
	}
	request := requestMeta.FindSubmatch(page)
	if request == nil {
		return 0, fmt.Errorf("authorize: %d without a request: %.200s", resp.StatusCode, page)
	}
	cookies := ""
	for _, c := range resp.Cookies() {
		cookies = "Cookie: " + c.Name + "=" + c.Value + "\r\n"
	}
	if l.page, err = newPage(ctx, at, cookies, `{"request":"`+string(request[1])+`"}`); err != nil {
		return 0, err
	}
	if err := l.scan(ctx); err != nil {
		return 0, err
	}
	if err := l.confirm(ctx); err != nil {
		l.page.drop()
		return 0, err
	}
	to, err := url.Parse(l.got.RedirectTo)
	if err != nil {
		return 0, err
	}
	lines, err := header()
	if err != nil {
		return 0, err
	}
	got, err := redeem(ctx, l.phone, lines, url.Values{"grant_type": {"authorization_code"}, "client_id": {oauthClient}, "redirect_uri": {redirectURI},
		"code": {to.Query().Get("code")}, "code_verifier": {verifier}})
	l.page.drop() // its browser has left for the site
	return got.Sub(l.sent), err
}

// deviceLogin is a whole login with the device grant. Its poll is held.
func (s *cluster) deviceLogin(ctx context.Context, i int) (time.Duration, error) {
	l, at := s.newLogin(i)
	device, err := l.startDevice(ctx, at)
	if err != nil {
		return 0, err
	}
	type answer struct {
		at  time.Time
		err error
	}
	polled := make(chan answer, 1)
	go func() {
		got, err := redeem(ctx, at, "", url.Values{"grant_type": {deviceGrant}, "client_id": {oauthClient}, "device_code": {device}})
		polled <- answer{got, err}
	}()
	if _, err = l.tell(ctx, "scan"); err == nil {
		l.sent, err = l.tell(ctx, "confirm")
	}
	got := <-polled
	if err == nil {
		err = got.err
	}
	return got.at.Sub(l.sent), err
}

// startDevice asks for a device code, and takes the ticket from the link of its QR
// code as a phone does.
func (l *login) startDevice(ctx context.Context, at *target) (deviceCode string, err error) {
	resp, body, _, err := at.exchange(ctx, "/oauth2/device_authorization", "", formType, url.Values{"client_id": {oauthClient}, "scope": {"openid"}}.Encode())
	if err != nil {
		return "", err
	}
	var code struct {
		DeviceCode string `json:"device_code"`
		Complete   string `json:"verification_uri_complete"`
	}
	if err := json.Unmarshal(body, &code); err != nil || resp.StatusCode != 200 {
		return "", fmt.Errorf("device authorization: %d %.200s", resp.StatusCode, body)
	}
	l.page = &page{target: at, Ticket: path.Base(code.Complete)}
	return code.DeviceCode, nil
}

// redeem asks the token endpoint once and returns when the tokens arrived.
func redeem(ctx context.Context, at *target, header string, form url.Values) (time.Time, error) {
	resp, body, _, err := at.exchange(ctx, "/oauth2/token", header, formType, form.Encode())
	if err == nil && (resp.StatusCode != 200 || !strings.Contains(string(body), `"id_token"`)) {
		err = fmt.Errorf("token: %d %.200s", resp.StatusCode, body)
	}
	return time.Now(), err
}
