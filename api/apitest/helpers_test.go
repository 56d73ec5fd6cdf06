package apitest_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"loginhub/api/apitest"
	"loginhub/hub/hubtest"
	"loginhub/hub/provider"
)

// browser is the browser's side of one ticket.
type browser struct {
	s                 *testServer
	id, secret, match string
	created           map[string]any
}

// createTicket creates a ticket.
func (s *testServer) createTicket(t testing.TB, body any, headers ...string) *browser {
	t.Helper()
	m := s.ask(t, "POST", ticketsPath, body, headers...).ok(t, http.StatusCreated)
	p := &browser{s: s, created: m}
	p.id, _ = m["ticket"].(string)
	p.secret, _ = m["secret"].(string)
	p.match, _ = m["match_code"].(string)
	s.forbidInLogs(p.secret)
	return p
}

// path returns the path of an endpoint of the ticket.
func (p *browser) path(endpoint string) string { return ticketsPath + "/" + p.id + "/" + endpoint }

// bearer returns the header with the secret.
func (p *browser) bearer() []string { return []string{"Authorization", "Bearer " + p.secret} }

// poll polls with a query like "after=1&wait=0".
func (p *browser) poll(t testing.TB, query string, headers ...string) *answer {
	t.Helper()
	return p.s.ask(t, "GET", p.path("poll")+"?"+query, nil, append(p.bearer(), headers...)...)
}

// view returns the current view.
func (p *browser) view(t testing.TB) map[string]any {
	t.Helper()
	v := p.poll(t, "wait=0").ok(t, http.StatusOK)
	p.forbidToken(v)
	return v
}

// forbidToken adds the token of a view to the texts that no log may hold.
func (p *browser) forbidToken(v map[string]any) {
	if text, ok := v["token"].(string); ok {
		p.s.forbidInLogs(text)
	}
}

// requireState checks the state and version of the ticket and returns its view.
func (p *browser) requireState(t testing.TB, state string, seq float64) map[string]any {
	t.Helper()
	v := p.view(t)
	if v["state"] != state || v["seq"] != seq {
		t.Errorf("the ticket is %v with seq %v, want %s %v", v["state"], v["seq"], state, seq)
	}
	return v
}

func (p *browser) ack(t testing.TB, seq any, headers ...string) *answer {
	t.Helper()
	return p.s.ask(t, "POST", p.path("ack"), map[string]any{"seq": seq}, append(p.bearer(), headers...)...)
}

func (p *browser) cancel(t testing.TB, headers ...string) *answer {
	t.Helper()
	return p.s.ask(t, "POST", p.path("cancel"), nil, append(p.bearer(), headers...)...)
}

// wsConn is the browser's open WebSocket.
type wsConn struct {
	page *browser
	conn *websocket.Conn
}

// dial opens the WebSocket, which must succeed.
func (p *browser) dial(t testing.TB, headers ...string) *wsConn {
	t.Helper()
	socket, err := hubtest.DialSocket(p.s.stepContext(t), p.s.client, p.s.url+p.path("ws"), []string{"loginhub.v1", "loginhub.secret." + p.secret}, headers...)
	must(t, err)
	t.Cleanup(func() { socket.Conn.CloseNow() })
	if err := contract.Check(apitest.Exchange{Method: "GET", Path: p.path("ws"), Status: socket.HTTP.StatusCode, Header: socket.HTTP.Header}); err != nil {
		t.Error(err) // the hub writes this answer to the connection, so the middleware does not see it
	}
	if socket.Conn.Subprotocol() != "loginhub.v1" {
		t.Errorf("subprotocol %q", socket.Conn.Subprotocol())
	}
	if strings.Contains(fmt.Sprint(socket.HTTP.Header), p.secret) {
		t.Error("the handshake's answer repeats the secret")
	}
	return &wsConn{page: p, conn: socket.Conn}
}

// next returns the next view.
func (l *wsConn) next(t testing.TB) map[string]any {
	t.Helper()
	kind, text, err := l.conn.Read(l.page.s.stepContext(t))
	must(t, err)
	if kind != websocket.MessageText {
		t.Errorf("a view as %v", kind)
	}
	if err := contract.CheckView(text); err != nil {
		t.Errorf("against openapi.yaml: %v", err)
	}
	v := object(t, text)
	l.page.forbidToken(v)
	return v
}

// expect returns the next view, which must have this state and version.
func (l *wsConn) expect(t testing.TB, state string, seq float64) map[string]any {
	t.Helper()
	v := l.next(t)
	if v["state"] != state || v["seq"] != seq {
		t.Fatalf("view %v, want %s with seq %v", v, state, seq)
	}
	return v
}

func (l *wsConn) send(t testing.TB, text string) {
	t.Helper()
	must(t, l.conn.Write(l.page.s.stepContext(t), websocket.MessageText, []byte(text)))
}

// requireClose requires that the next frame is a close with this code.
func (l *wsConn) requireClose(t testing.TB, code websocket.StatusCode) {
	t.Helper()
	_, text, err := l.conn.Read(l.page.s.stepContext(t))
	if err == nil {
		t.Fatalf("%s instead of a close", text)
	}
	if got := websocket.CloseStatus(err); got != code {
		t.Errorf("closed with %d, want %d (%v)", got, code, err)
	}
	if err := contract.CheckClose(int(code)); err != nil {
		t.Error(err)
	}
}

// requireCloseLater requires a close with this code, possibly after other messages.
func (l *wsConn) requireCloseLater(t testing.TB, code websocket.StatusCode) {
	t.Helper()
	for {
		_, _, err := l.conn.Read(l.page.s.stepContext(t))
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); got != code {
			t.Errorf("closed with %d, want %d (%v)", got, code, err)
		}
		return
	}
}

// phone is the phone of one user.
type phone struct {
	s        *testServer
	provider string
	name     string
}

var codes atomic.Int64

// phone returns the phone of the sandbox's user of that name.
func (s *testServer) phone(name string) *phone { return &phone{s, "sandbox", name} }

// code returns a new code.
func (f *phone) code() string {
	code := fmt.Sprintf("%s:%s:code%06d", f.provider, f.name, codes.Add(1))
	f.s.forbidInLogs(code)
	return code
}

// do sends a scan, confirm or reject; more lists further fields.
func (f *phone) do(t testing.TB, p *browser, action string, more ...any) *answer {
	t.Helper()
	return f.s.ask(t, "POST", p.path(action), f.body(more...))
}

func (f *phone) body(more ...any) map[string]any {
	body := map[string]any{"provider": f.provider, "code": f.code()}
	for i := 0; i+1 < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return body
}

// mustDo is do for a call that must succeed.
func (f *phone) mustDo(t testing.TB, p *browser, action string, more ...any) map[string]any {
	t.Helper()
	return f.do(t, p, action, more...).ok(t, http.StatusOK)
}

// fakeProvider knows the given users and records the codes that it gets. Codes have the
// sandbox's form: "PROVIDER:NAME:…".
type fakeProvider struct {
	users    map[string]provider.Identity
	exchange func(ctx context.Context, name string) (provider.Identity, error) // used instead of users if it is set

	mu      sync.Mutex
	codes   []string
	refusal error // of Authorize, if it is a website
}

func (o *fakeProvider) Exchange(ctx context.Context, p provider.Credential) (provider.Identity, error) {
	code := p.Code
	o.mu.Lock()
	o.codes = append(o.codes, code)
	o.mu.Unlock()
	name := strings.SplitN(code+"::", ":", 3)[1]
	if o.exchange != nil {
		by, err := o.exchange(ctx, name)
		return withForm(by), err
	}
	by, ok := o.users[name]
	if !ok {
		return provider.Identity{}, provider.ErrCodeInvalid
	}
	return withForm(by), nil
}

// withForm adds the token's form, which only those of wechat and wechat_web share.
func withForm(by provider.Identity) provider.Identity {
	by.Token = &provider.TokenForm{AMR: by.Provider, Prefix: by.Provider}
	if strings.HasPrefix(by.Provider, "wechat") {
		by.Token.Prefix, by.Token.UnionPrefix, by.Token.OpenID = "wechat", "wechat:unionid", true
	}
	return by
}

// refuse sets the error of Authorize.
func (o *fakeProvider) refuse(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refusal = err
}

// calls returns the number of calls.
func (o *fakeProvider) calls() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.codes)
}
