package main_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

// assertion returns an assertion for the user, with a name to clean and a picture to drop.
func assertion(company *hubtest.AppIssuer, ticket, user string) string {
	return company.Assert(ticket, user, map[string]any{"name": "小红\u202e", "picture": "http://plain.example/1"})
}

// phoneCall makes a phone's call with that provider and code.
func phoneCall(ctx context.Context, url string, ticket *hubtest.Ticket, action, provider, code string) (*hubtest.Response, error) {
	return hubtest.Request(ctx, "POST", ticket.URL(url, action), map[string]string{"provider": provider, "code": code})
}

func TestAssertion_Login(t *testing.T) {
	t.Parallel()
	company := hubtest.StartAppIssuer(t)
	_, nodes := cluster(t, 2, append(company.Settings, "QR=myapp://login?t={ticket}")...)
	ctx, a, b := hubtest.Context(t, 20*time.Second), nodes[0].URL, nodes[1].URL
	ticket, other := hubtest.MustCreateTicket(t, ctx, a), hubtest.MustCreateTicket(t, ctx, a)
	if ticket.QRURL != "myapp://login?t="+ticket.ID {
		t.Errorf("qr_url %s", ticket.QRURL)
	}
	scan := assertion(company, ticket.ID, "u-1")
	got, err := phoneCall(ctx, b, ticket, "scan", "app", scan)
	hubtest.AssertRefusal(t, "scan", got, err, 200, "")
	for what, c := range map[string]struct {
		ticket *hubtest.Ticket
		code   string
	}{"the same again on another node": {ticket, scan}, "another ticket's": {other, assertion(company, ticket.ID, "u-1")},
		"another issuer's": {ticket, assertion(hubtest.StartAppIssuer(t), ticket.ID, "u-1")}, "the sandbox's": {ticket, "sandbox:u-1:1"}} {
		got, err := phoneCall(ctx, a, c.ticket, "confirm", "app", c.code)
		hubtest.AssertRefusal(t, what, got, err, 422, "code_invalid")
	}
	got, err = phoneCall(ctx, a, ticket, "confirm", "sandbox", "sandbox:u-1:2")
	hubtest.AssertRefusal(t, "the sandbox is still offered", got, err, 400, "invalid_request")
	got, err = phoneCall(ctx, a, ticket, "confirm", "app", assertion(company, ticket.ID, "u-1"))
	hubtest.AssertRefusal(t, "confirm", got, err, 200, "")
	claims, _, err := verifyToken(ctx, a, mustToken(t, ctx, b, ticket))
	if err != nil || claims["sub"] != "app:u-1" || claims["nickname"] != "小红" || claims["picture"] != nil || claims["appid"] != nil {
		t.Errorf("claims %v %v", claims, err)
	}
}

// TestStart_ProvidersUnreachable: the node starts without WeChat and without the app's keys, what
// needs neither works, and the log reports each failure when it is needed.
func TestStart_ProvidersUnreachable(t *testing.T) {
	t.Parallel()
	nowhere := "http://127.0.0.1:" + hubtest.FreePort(t)
	node := hubtest.StartNode(t, program, "WECHAT_APP_ID="+appID, "WECHAT_APP_SECRET="+appSecret, "WECHAT_API_URL="+nowhere, "QR=wxacode",
		"APP_JWKS_URL="+nowhere+"/jwks", "APP_ISSUER="+hubtest.AppIssuerName)
	ctx := hubtest.Context(t, 20*time.Second)
	ticket := hubtest.MustCreateTicket(t, ctx, node.URL)
	pngAt(t, node.URL+ticket.QRImage)
	for provider, code := range map[string]string{"wechat": "0123456789abcdef", "app": assertion(hubtest.StartAppIssuer(t), ticket.ID, "u-1")} {
		a, err := phoneCall(ctx, node.URL, ticket, "scan", provider, code)
		hubtest.AssertRefusal(t, provider, a, err, 503, "provider_unavailable")
		if a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", provider)
		}
	}
	for _, text := range []string{"stable_token", "jscode2session", "keys cannot be fetched"} {
		waitLog(t, node, 1, text)
	}
}

func TestClients_OwnMiniPrograms(t *testing.T) {
	t.Parallel()
	const otherID, otherKey = "wx2222222222222222", "other-secret-0123456789abcdef"
	company := hubtest.StartAppIssuer(t)
	clients := hubtest.WriteFile(t, "clients.yaml", `clients:
  - id: first
    origins: [`+ourOrigin+`]
  - id: second
    origins: [`+ourOrigin+`]
    qr: wxacode
    wechat: {app_id: `+otherID+`, app_secret_file: `+hubtest.WriteFile(t, "secret", otherKey+"\n")+`, page: pages/login/login}
  - id: third
    origins: [`+ourOrigin+`]
    qr: "third://login/{ticket}"
    app: {jwks_url: "`+company.URL+`", issuer: "`+hubtest.AppIssuerName+`"}
    providers: [app]
`)
	w, settings := startWeChat(t)
	w.Register(wechattest.App{ID: otherID, Secret: otherKey})
	node := hubtest.StartNode(t, program, append(settings, "CLIENTS="+clients)...)
	ctx := hubtest.Context(t, 20*time.Second)
	create := func(client string) *hubtest.Ticket {
		return hubtest.MustCreateTicket(t, ctx, node.URL, map[string]string{"client_id": client})
	}
	confirm := func(ticket *hubtest.Ticket, provider, code string, status int, refusal string) {
		t.Helper()
		a, err := phoneCall(ctx, node.URL, ticket, "confirm", provider, code)
		hubtest.AssertRefusal(t, provider, a, err, status, refusal)
	}
	for id, app := range map[string][2]string{"first": {appID, otherID}, "second": {otherID, appID}} {
		ticket := create(id)
		confirm(ticket, "wechat", w.Code(app[1], "alice"), 422, "code_invalid")
		confirm(ticket, "wechat", w.Code(app[0], "alice"), 200, "")
		if err := checkToken(ctx, node.URL, mustToken(t, ctx, node.URL, ticket), "wechat:"+app[0]+":"+w.OpenID(app[0], "alice")); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	second := create("second")
	if second.QRImage != "/api/login/tickets/"+second.ID+"/qr.png?client_id=second" {
		t.Errorf("qr_image %s", second.QRImage)
	}
	if pngAt(t, node.URL+second.QRImage); len(w.Scenes()) != 1 {
		t.Errorf("%d codes", len(w.Scenes()))
	}
	landing, err := hubtest.Request(ctx, "GET", node.URL+"/s/"+second.ID, nil, "User-Agent", "iPhone")
	if err != nil || !bytes.Contains(landing.Body, []byte("appid="+otherID)) || !bytes.Contains(landing.Body, []byte("pages/login/login")) {
		t.Errorf("landing: %s %v", landing.Body, err)
	}
	third := create("third")
	if third.QRURL != "third://login/"+third.ID {
		t.Errorf("qr_url %s", third.QRURL)
	}
	confirm(third, "wechat", w.Code(appID, "alice"), 400, "invalid_request")
	confirm(third, "app", assertion(company, third.ID, "u-1"), 200, "")
	first := create("first")
	confirm(first, "app", assertion(company, first.ID, "u-1"), 400, "invalid_request")
	if strings.Contains(node.Stop(t), otherKey) {
		t.Error("the log contains a secret")
	}
}
