package main_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

const companyIssuer = "https://sso.example.com"

// assertionIssuer is a company's back end that signs assertions for its users.
type assertionIssuer struct {
	url    string
	signer jose.Signer
}

func newAssertionIssuer(t *testing.T) *assertionIssuer {
	t.Helper()
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "k1"}}})
	}))
	t.Cleanup(s.Close)
	return &assertionIssuer{s.URL, signer}
}

func (b *assertionIssuer) assert(t *testing.T, ticket, user string) string {
	t.Helper()
	now := time.Now()
	text, err := jwt.Signed(b.signer).Claims(map[string]any{"iss": companyIssuer, "aud": ourOrigin, "sub": user, "jti": rand.Text(),
		"ticket": ticket, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "name": "小红\u202e", "picture": "http://plain.example/1"}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// phoneCall makes a phone's call with that provider and code.
func phoneCall(ctx context.Context, t *testing.T, node *hubtest.Node, ticket *hubtest.Ticket, action, provider, code string) *hubtest.Response {
	t.Helper()
	a, err := hubtest.Request(ctx, "POST", ticket.URL(node.URL, action), map[string]string{"provider": provider, "code": code})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAssertion_Login(t *testing.T) {
	t.Parallel()
	company := newAssertionIssuer(t)
	redis := hubtest.StartRedis(t)
	set := []string{"REDIS_URL=" + redis.URL, "APP_JWKS_URL=" + company.url, "APP_ISSUER=" + companyIssuer, "QR=myapp://login?t={ticket}"}
	a, b := hubtest.StartNode(t, program, set...), hubtest.StartNode(t, program, set...)
	ctx := loginContext(t)
	ticket, other := makeTicket(ctx, t, a, nil), makeTicket(ctx, t, a, nil)
	if ticket.QRURL != "myapp://login?t="+ticket.ID {
		t.Errorf("qr_url %s", ticket.QRURL)
	}
	page := dialSocket(ctx, t, ticket, a)
	scan := company.assert(t, ticket.ID, "u-1")
	if got := phoneCall(ctx, t, b, ticket, "scan", "app", scan); got.Status != 200 {
		t.Fatalf("scan: %d %s", got.Status, got.Body)
	}
	for what, c := range map[string]struct {
		ticket *hubtest.Ticket
		code   string
	}{"the same again on another node": {ticket, scan}, "another ticket's": {other, company.assert(t, ticket.ID, "u-1")},
		"another issuer's": {ticket, newAssertionIssuer(t).assert(t, ticket.ID, "u-1")}, "the sandbox's": {ticket, "sandbox:u-1:1"}} {
		if got := phoneCall(ctx, t, a, c.ticket, "confirm", "app", c.code); got.Status != 422 || got.Code != "code_invalid" {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
	}
	if got := phoneCall(ctx, t, a, ticket, "confirm", "sandbox", "sandbox:u-1:2"); got.Status != 400 {
		t.Errorf("the sandbox is still offered: %d", got.Status)
	}
	if got := phoneCall(ctx, t, a, ticket, "confirm", "app", company.assert(t, ticket.ID, "u-1")); got.Status != 200 {
		t.Fatalf("confirm: %d %s", got.Status, got.Body)
	}
	v, err := page.Until(ctx, "confirmed")
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(t, v.Token)
	if claims["sub"] != "app:u-1" || claims["nickname"] != "小红" || claims["picture"] != nil || claims["appid"] != nil {
		t.Errorf("claims %v", claims)
	}
	if log := a.Log() + b.Log(); strings.Contains(log, scan) {
		t.Error("a log contains the assertion")
	}
}

func TestAssertion_KeysUnavailable(t *testing.T) {
	t.Parallel()
	company := newAssertionIssuer(t)
	node := hubtest.StartNode(t, program, "APP_JWKS_URL=http://127.0.0.1:"+hubtest.FreePort(t)+"/jwks", "APP_ISSUER="+companyIssuer)
	ctx := loginContext(t)
	ticket := makeTicket(ctx, t, node, nil)
	got := phoneCall(ctx, t, node, ticket, "scan", "app", company.assert(t, ticket.ID, "u-1"))
	if got.Status != 503 || got.Code != "provider_unavailable" {
		t.Errorf("%d %s\n%s", got.Status, got.Body, node.Log())
	}
	hubtest.Eventually(t, 10*time.Second, "the log reports the keys", func() bool { return strings.Contains(node.Log(), "keys cannot be fetched") })
}

// TestStart_WeChatUnreachable: the node starts without WeChat, everything that does not need WeChat
// works, and the log reports the failure when WeChat is needed.
func TestStart_WeChatUnreachable(t *testing.T) {
	t.Parallel()
	nowhere := "http://127.0.0.1:" + hubtest.FreePort(t)
	node := hubtest.StartNode(t, program, "WECHAT_APP_ID="+programID, "WECHAT_APP_SECRET="+programKey, "WECHAT_API_URL="+nowhere, "QR=wxacode")
	ctx := loginContext(t)
	ticket := makeTicket(ctx, t, node, nil)
	if got, err := hubtest.Request(ctx, "GET", node.URL+ticket.QRImage, nil); err != nil || got.Status != 200 {
		t.Errorf("qr: %+v %v", got, err)
	}
	got := phoneCall(ctx, t, node, ticket, "scan", "wechat", "0123456789abcdef")
	if got.Status != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s\n%s", got.Status, got.Body, node.Log())
	}
	hubtest.Eventually(t, 10*time.Second, "the log reports both failed requests", func() bool {
		return strings.Contains(node.Log(), "stable_token") && strings.Contains(node.Log(), "jscode2session")
	})
}

func TestClients_OwnMiniPrograms(t *testing.T) {
	t.Parallel()
	w := newWeChat(t)
	const otherID, otherKey = "wx2222222222222222", "other-secret-0123456789abcdef"
	w.Register(wechattest.App{ID: otherID, Secret: otherKey})
	company := newAssertionIssuer(t)
	clients := writeTestFile(t, "clients.yaml", `clients:
  - id: first
    origins: [`+ourOrigin+`]
  - id: second
    origins: [`+ourOrigin+`]
    qr: wxacode
    wechat: {app_id: `+otherID+`, app_secret_file: `+writeTestFile(t, "secret", otherKey+"\n")+`, page: pages/login/login}
  - id: third
    origins: [`+ourOrigin+`]
    qr: "third://login/{ticket}"
    app: {jwks_url: "`+company.url+`", issuer: "`+companyIssuer+`"}
    providers: [app]
`)
	node := hubtest.StartNode(t, program, withWeChat(w, "CLIENTS="+clients)...)
	ctx := loginContext(t)
	subs := map[string]string{}
	for id, app := range map[string]string{"first": programID, "second": otherID} {
		ticket := makeTicket(ctx, t, node, map[string]string{"client_id": id})
		strange := programID
		if app == programID {
			strange = otherID
		}
		if got := phoneCall(ctx, t, node, ticket, "confirm", "wechat", w.Code(strange, "alice")); got.Status != 422 {
			t.Errorf("%s accepts a code of the other mini-program: %d", id, got.Status)
		}
		if got := phoneCall(ctx, t, node, ticket, "confirm", "wechat", w.Code(app, "alice")); got.Status != 200 {
			t.Fatalf("%s: %d %s", id, got.Status, got.Body)
		}
		v, err := ticket.Poll(ctx, node.URL, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		subs[id], _ = claimsOf(t, v.Token)["sub"].(string)
	}
	if subs["first"] != "wechat:"+programID+":"+w.OpenID(programID, "alice") || subs["second"] != "wechat:"+otherID+":"+w.OpenID(otherID, "alice") {
		t.Errorf("subjects %v", subs)
	}
	second := makeTicket(ctx, t, node, map[string]string{"client_id": "second"})
	if second.QRImage != "/api/login/tickets/"+second.ID+"/qr.png?client_id=second" {
		t.Errorf("qr_image %s", second.QRImage)
	}
	if got, err := hubtest.Request(ctx, "GET", node.URL+second.QRImage, nil); err != nil || got.Status != 200 || len(w.Scenes()) != 1 {
		t.Errorf("%+v %v, %d codes", got, err, len(w.Scenes()))
	}
	landing, err := hubtest.Request(ctx, "GET", node.URL+"/s/"+second.ID, nil, "User-Agent", "iPhone")
	if err != nil || !bytes.Contains(landing.Body, []byte("appid="+otherID)) || !bytes.Contains(landing.Body, []byte("pages/login/login")) {
		t.Errorf("landing: %s %v", landing.Body, err)
	}
	third := makeTicket(ctx, t, node, map[string]string{"client_id": "third"})
	if third.QRURL != "third://login/"+third.ID {
		t.Errorf("qr_url %s", third.QRURL)
	}
	if got := phoneCall(ctx, t, node, third, "confirm", "wechat", w.Code(programID, "alice")); got.Status != 400 {
		t.Errorf("third accepts WeChat: %d", got.Status)
	}
	if got := phoneCall(ctx, t, node, third, "confirm", "app", company.assert(t, third.ID, "u-1")); got.Status != 200 {
		t.Errorf("third: %d %s", got.Status, got.Body)
	}
	first := makeTicket(ctx, t, node, map[string]string{"client_id": "first"})
	if got := phoneCall(ctx, t, node, first, "confirm", "app", company.assert(t, first.ID, "u-1")); got.Status != 400 {
		t.Errorf("first accepts the third's app: %d", got.Status)
	}
	if strings.Contains(node.Log(), otherKey) {
		t.Error("the log contains a secret")
	}
}

func TestClients_OwnConfigErrors(t *testing.T) {
	t.Parallel()
	entry := "clients:\n  - id: demo\n    origins: [" + ourOrigin + "]\n"
	wechatOn := []string{"WECHAT_APP_ID=" + programID, "WECHAT_APP_SECRET=" + programKey}
	for what, c := range map[string]struct {
		clients  string
		set      []string
		wantText []string
	}{
		"an inline secret":             {entry + "    wechat:\n      app_id: wx1\n      app_secret: hunter22hunter22\n", nil, []string{"line 6", "app_secret_env"}},
		"no secret":                    {entry + "    wechat: {app_id: wx1}\n", nil, []string{"line 2", "app_secret_file"}},
		"an unset variable":            {entry + "    wechat: {app_id: wx1, app_secret_env: NO_SUCH_SECRET}\n", nil, []string{"line 2", "NO_SUCH_SECRET"}},
		"a missing file":               {entry + "    wechat_web: {app_id: wx1, app_secret_file: /no/such/file}\n", nil, []string{"wechat_web", "/no/such/file"}},
		"jwks_url over http":           {entry + "    app: {jwks_url: 'http://sso.example.com/', issuer: x}\n", nil, []string{"jwks_url", "https"}},
		"an unknown QR kind":           {entry + "    qr: sun\n", wechatOn, []string{"line 2", "wxacode"}},
		"a misspelt field":             {entry + "    app: {jwks: x}\n", nil, []string{"line 4", "jwks_url"}},
		"a provider not configured":    {entry + "    providers: [wechat_web]\n", wechatOn, []string{"wechat_web", "there is wechat"}},
		"no public URL":                {"", []string{"APP_JWKS_URL=https://x.example/", "APP_ISSUER=x"}, []string{"LOGINHUB_PUBLIC_URL"}},
		"an app without issuer":        {"", []string{"APP_JWKS_URL=https://x.example/"}, []string{"LOGINHUB_APP_ISSUER"}},
		"a website without secret":     {"", []string{"WECHAT_WEB_APP_ID=wx1"}, []string{"LOGINHUB_WECHAT_WEB_APP_SECRET"}},
		"wxacode without WeChat":       {"", []string{"QR=wxacode"}, []string{"LOGINHUB_QR"}},
		"a template without {ticket}":  {"", []string{"QR=https://x.example/"}, []string{"{ticket}"}},
		"an invalid verification file": {"", []string{"WECHAT_VERIFY_FILE=../x:y"}, []string{"LOGINHUB_WECHAT_VERIFY_FILE"}},
		"a missing logo":               {"", []string{"QR_LOGO=/no/such/logo.png"}, []string{"LOGINHUB_QR_LOGO"}},
		"a page with a slash":          {"", []string{"WECHAT_PAGE=/pages/x"}, []string{"LOGINHUB_WECHAT_PAGE"}},
	} {
		set := append([]string{"LISTEN=127.0.0.1:0", "ADMIN_LISTEN="}, c.set...)
		if c.clients != "" {
			set = append(set, "CLIENTS="+writeTestFile(t, "clients.yaml", c.clients))
		}
		printed, code := hubtest.Run(t, program, nil, set...)
		if code != 2 || strings.Contains(printed, "hunter22") {
			t.Errorf("%s: code %d: %s", what, code, printed)
		}
		for _, text := range c.wantText {
			if !strings.Contains(printed, text) {
				t.Errorf("%s: %q is missing in: %s", what, text, printed)
			}
		}
	}
}

func TestQR_Logo(t *testing.T) {
	t.Parallel()
	red := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range 64 * 64 {
		red.Set(i%64, i/64, color.RGBA{255, 0, 0, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, red); err != nil {
		t.Fatal(err)
	}
	node := hubtest.StartNode(t, program, "QR_LOGO="+writeTestFile(t, "logo.png", b.String()))
	ctx := loginContext(t)
	ticket := makeTicket(ctx, t, node, nil)
	svg, err := hubtest.Request(ctx, "GET", ticket.URL(node.URL, "qr.svg"), nil)
	if err != nil || !bytes.Contains(svg.Body, []byte("data:image/png;base64,")) {
		t.Errorf("svg: %.200s %v", svg.Body, err)
	}
	picture, err := hubtest.Request(ctx, "GET", ticket.URL(node.URL, "qr.png?size=500"), nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(picture.Body))
	if err != nil || m.Bounds().Dx() != 500 {
		t.Fatalf("png: %v", err)
	}
	if r, g, _, _ := m.At(250, 250).RGBA(); r != 0xffff || g != 0 {
		t.Errorf("the pixel in the middle is %v", m.At(250, 250))
	}
}

// TestRedis_CommandsOfOtherProviders counts the extra commands that the settings' help names.
func TestRedis_CommandsOfOtherProviders(t *testing.T) {
	t.Parallel()
	w, company := newWeChat(t), newAssertionIssuer(t)
	redis := hubtest.StartRedis(t)
	node := hubtest.StartNode(t, program, withWeChat(w, "REDIS_URL="+redis.URL, "APP_JWKS_URL="+company.url, "APP_ISSUER="+companyIssuer)...)
	ctx := loginContext(t)
	count := func(do func()) int {
		stop := redis.Monitor(t)
		do()
		var n atomic.Int64
		for _, line := range stop() {
			if !strings.Contains(line, "lua") && (strings.Contains(line, "loginhub:{") || strings.Contains(line, "loginhub:vault:")) {
				n.Add(1)
			}
		}
		return int(n.Load())
	}
	ticket := makeTicket(ctx, t, node, nil)
	tab := newBrowser(t, node)
	tab.do("GET", w.Allow(tab.startLogin(makeTicket(ctx, t, node, nil)), "bob"), nil)                // loads the script
	if n := count(func() { tab.do("GET", w.Allow(tab.startLogin(ticket), "alice"), nil) }); n != 5 { // read, save state; take state, read, change
		t.Errorf("a website login: %d commands", n)
	}
	other := makeTicket(ctx, t, node, nil)
	phoneCall(ctx, t, node, makeTicket(ctx, t, node, nil), "reject", "app", company.assert(t, "x", "u")) // loads the script
	if n := count(func() { phoneCall(ctx, t, node, other, "confirm", "app", company.assert(t, other.ID, "u-1")) }); n > 4 {
		t.Errorf("an assertion: %d commands", n)
	}
}
