package main_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

// weChatFaults are all faults of WeChat, with the phone's answer. retry is the smallest Retry-After
// in seconds, 0 for none.
var weChatFaults = map[string]struct {
	fault  wechattest.Fault
	status int
	code   string
	retry  int
}{
	"system error":             {wechattest.Fault{Errcode: -1}, 503, "provider_unavailable", 1},
	"an unknown code":          {wechattest.Fault{Errcode: 40029}, 422, "code_invalid", 0},
	"a used code":              {wechattest.Fault{Errcode: 40163}, 422, "code_invalid", 0},
	"a blocked user":           {wechattest.Fault{Errcode: 40226}, 403, "user_blocked", 0},
	"a wrong appid":            {wechattest.Fault{Errcode: 40013}, 502, "provider_misconfigured", 0},
	"a wrong secret":           {wechattest.Fault{Errcode: 40125}, 502, "provider_misconfigured", 0},
	"a frozen secret":          {wechattest.Fault{Errcode: 40243}, 502, "provider_misconfigured", 0},
	"not on the IP allowlist":  {wechattest.Fault{Errcode: 40164}, 502, "provider_misconfigured", 0},
	"a quota per minute":       {wechattest.Fault{Errcode: 45011}, 503, "provider_unavailable", 60},
	"a quota per day":          {wechattest.Fault{Errcode: 45009}, 503, "provider_unavailable", 60},
	"a number as text":         {wechattest.Fault{Errcode: 40226, StringErrcode: true}, 403, "user_blocked", 0},
	"an unknown number":        {wechattest.Fault{Errcode: 99999}, 503, "provider_unavailable", 1},
	"an empty body":            {wechattest.Fault{Page: wechattest.EmptyPage}, 503, "provider_unavailable", 1},
	"an HTML page":             {wechattest.Fault{Page: wechattest.HTMLPage}, 503, "provider_unavailable", 1},
	"a gateway's error page":   {wechattest.Fault{Page: wechattest.BadGatewayPage}, 503, "provider_unavailable", 1},
	"half of the JSON":         {wechattest.Fault{Break: wechattest.Truncated}, 503, "provider_unavailable", 1},
	"a truncated body":         {wechattest.Fault{Break: wechattest.CutOff}, 503, "provider_unavailable", 1},
	"a closed connection":      {wechattest.Fault{Break: wechattest.HangUp}, 503, "provider_unavailable", 1},
	"a reset connection":       {wechattest.Fault{Break: wechattest.Reset}, 503, "provider_unavailable", 1},
	"a request text in errmsg": {wechattest.Fault{Errcode: -1, Errmsg: "<script>" + appSecret}, 503, "provider_unavailable", 1},
}

// weChatUser is a phone with the mini-program.
type weChatUser struct {
	name string
	w    *wechattest.Server
}

func (u weChatUser) subject() string { return "wechat:" + appID + ":" + u.w.OpenID(appID, u.name) }

// do makes a call with its own code, and demands that WeChat received that code `exchanges` times.
func (u weChatUser) do(ctx context.Context, url, id, action string, exchanges int) (*hubtest.Response, error) {
	code := u.w.Code(appID, u.name)
	a, err := hubtest.NewPhone(u.name).Do(ctx, url, id, action, map[string]any{"provider": "wechat", "code": code})
	if n := u.w.CallsFor(code); err == nil && n != exchanges {
		return a, fmt.Errorf("%s: %d exchanges of one code, wanted %d", action, n, exchanges)
	}
	return a, err
}

// mustCall makes a call that must return 200.
func (u weChatUser) mustCall(ctx context.Context, url, id, action string) error {
	a, err := u.do(ctx, url, id, action, 1)
	return checkRefusal(a, err, 200, "")
}

func TestWeChat_Login(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	_, nodes := cluster(t, 2, settings...)
	ctx := testContext(t, 20*time.Second)
	u := weChatUser{"alice", w}
	for _, oddity := range []wechattest.Fault{{}, {ZeroErrcode: true}, {ZeroErrcode: true, StringErrcode: true}, {NoUnionID: true}} {
		w.FailAlways(oddity)
		p := mustOpenWaiter(t, ctx, nodes[0].URL, nodes[1].URL)
		for i, action := range []string{"scan", "confirm"} {
			if err := u.mustCall(ctx, nodes[i].URL, p.ID, action); err != nil {
				t.Fatal(err)
			}
		}
		v, err := p.waitToken(ctx, nodes[0].URL, u.subject())
		if err != nil {
			t.Fatal(err)
		}
		claims, _, err := verifyToken(ctx, nodes[0].URL, v.Token)
		if err != nil {
			t.Fatal(err)
		}
		union := any(w.UnionID(appID, "alice"))
		if oddity.NoUnionID {
			union = nil
		}
		if claims["appid"] != appID || claims["openid"] != w.OpenID(appID, "alice") || claims["unionid"] != union || fmt.Sprint(claims["amr"]) != "[wechat]" {
			t.Errorf("claims %v", claims)
		}
		if err := p.ackAndClose(ctx, v.Seq); err != nil {
			t.Error(err)
		}
	}
	ticket := mustMake(t, ctx, nodes[0].URL)
	calls := w.Calls()
	a, err := hubtest.NewPhone("alice").Do(ctx, nodes[0].URL, ticket.ID, "scan", nil)
	wantRefusal(t, "the sandbox beside WeChat", a, err, 400, "invalid_request")
	if w.Calls() != calls {
		t.Error("WeChat received the sandbox's code")
	}
}

func TestWeChat_Faults(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	_, nodes := cluster(t, 1, settings...)
	ctx, n := testContext(t, 40*time.Second), nodes[0]
	u := weChatUser{"bob", w}
	for name, f := range weChatFaults {
		for _, action := range []string{"scan", "confirm", "reject"} {
			p := mustOpenWaiter(t, ctx, n.URL, n.URL)
			w.Fail(f.fault)
			a, err := u.do(ctx, n.URL, p.ID, action, 1)
			wantRefusal(t, name+" at the "+action, a, err, f.status, f.code)
			if err == nil {
				if after, _ := strconv.Atoi(a.Header.Get("Retry-After")); after < f.retry || f.retry == 0 && after != 0 {
					t.Errorf("%s: Retry-After %d, wanted at least %d", name, after, f.retry)
				}
			}
			// With a fresh code the login continues normally.
			if err := u.mustCall(ctx, n.URL, p.ID, "confirm"); err != nil {
				t.Fatalf("after %s: %v", name, err)
			}
			if v, err := p.waitToken(ctx, n.URL, u.subject()); err != nil || v.Seq != 2 {
				t.Errorf("after %s: %+v %v", name, v, err)
			}
		}
	}
}

func TestWeChat_TimeoutAndDisconnect(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	_, nodes := cluster(t, 1, settings...)
	ctx, n := testContext(t, 30*time.Second), nodes[0]
	u := weChatUser{"carol", w}
	silent := make(chan error, 1)
	ticket := mustMake(t, ctx, n.URL)
	w.Fail(wechattest.Fault{Hold: make(chan struct{})})
	began := time.Now()
	go func() {
		a, err := u.do(ctx, n.URL, ticket.ID, "scan", 1)
		silent <- checkRefusal(a, err, 503, "provider_unavailable")
	}()
	if err := w.AwaitCalls(ctx, 1); err != nil {
		t.Fatal(err)
	}

	// Meanwhile another phone confirms, and disconnects before WeChat answers.
	p := mustOpenWaiter(t, ctx, n.URL, n.URL)
	answer := make(chan struct{})
	w.Fail(wechattest.Fault{Hold: answer})
	impatient, hangUp := context.WithCancel(ctx)
	left := make(chan error, 1)
	go func() {
		_, err := u.do(impatient, n.URL, p.ID, "confirm", 1)
		left <- err
	}()
	if err := w.AwaitCalls(ctx, 2); err != nil {
		t.Fatal(err)
	}
	hangUp()
	if err := <-left; err == nil {
		t.Error("the phone has not disconnected")
	}
	close(answer)
	if _, err := p.waitToken(ctx, n.URL, u.subject()); err != nil {
		t.Errorf("the user's confirm is not stored: %v", err)
	}
	if err := <-silent; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the phone waited %v", took)
	}
}

func TestWeChat_ConfirmAfterDeadline(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	redis, nodes := cluster(t, 1, append(settings, "TICKET_TTL=1s", "CONFIRM_TTL=1s")...)
	ctx, n := testContext(t, 20*time.Second), nodes[0]
	u := weChatUser{"slow", w}
	for _, action := range []string{"scan", "confirm", "reject"} {
		ticket := mustMake(t, ctx, n.URL) // without a waiter no node stores the expiry
		answer := make(chan struct{})
		calls := w.Calls()
		w.Fail(wechattest.Fault{Hold: answer})
		result := make(chan error, 1)
		go func() {
			a, err := u.do(ctx, n.URL, ticket.ID, action, 1)
			result <- checkRefusal(a, err, 410, "ticket_expired")
		}()
		if err := w.AwaitCalls(ctx, calls+1); err != nil {
			t.Fatal(err)
		}
		due, err := ticketDeadline(ctx, redis, ticket.ID)
		if err != nil {
			t.Fatal(err)
		}
		sleepUntil(ctx, due)
		close(answer)
		if err := <-result; err != nil {
			t.Errorf("%s: %v", action, err)
		}
		if v, err := ticket.Poll(ctx, n.URL, 0, 0); err != nil || v.State != "expired" || v.Seq != 2 || v.Token != "" {
			t.Errorf("the view is %+v %v", v, err)
		}
	}
}

func TestWeChat_CalledOnlyIfUseful(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	_, nodes := cluster(t, 1, append(settings, "TICKET_TTL=2s")...)
	ctx, n := testContext(t, 30*time.Second), nodes[0]
	u, other := weChatUser{"dave", w}, weChatUser{"erin", w}
	expect := func(what string, ticket *hubtest.Ticket, by weChatUser, action string, exchanges, status int, code string) {
		t.Helper()
		a, err := by.do(ctx, n.URL, ticket.ID, action, exchanges)
		wantRefusal(t, what+", "+action, a, err, status, code)
	}
	late, rejected := mustMake(t, ctx, n.URL), mustMake(t, ctx, n.URL)
	expect("pending", rejected, u, "scan", 1, 200, "")
	expect("scanned, another", rejected, other, "confirm", 1, 409, "already_scanned")
	expect("scanned", rejected, u, "reject", 1, 200, "")
	expect("rejected", rejected, u, "scan", 0, 409, "ticket_closed")
	expect("rejected", rejected, u, "confirm", 0, 409, "ticket_closed")
	expect("rejected", rejected, u, "reject", 1, 200, "")
	expect("rejected, another", rejected, other, "reject", 1, 409, "ticket_closed")
	confirmed := mustMake(t, ctx, n.URL)
	expect("pending", confirmed, u, "confirm", 1, 200, "")
	expect("confirmed", confirmed, u, "scan", 0, 409, "ticket_closed")
	expect("confirmed", confirmed, u, "reject", 0, 409, "ticket_closed")
	expect("confirmed", confirmed, u, "confirm", 1, 200, "")
	expect("confirmed, another", confirmed, other, "confirm", 1, 409, "ticket_closed")
	unknown := &hubtest.Ticket{ID: "AAAAAAAAAAAAAAAAAAAAAA"}
	v := &hubtest.View{}
	for v != nil && v.State != "expired" {
		var err error
		if v, err = late.Poll(ctx, n.URL, v.Seq, 10); err != nil {
			t.Fatal(err)
		}
	}
	for _, action := range []string{"scan", "confirm", "reject"} {
		expect("unknown", unknown, u, action, 0, 404, "ticket_not_found")
		expect("expired", late, u, action, 0, 410, "ticket_expired")
	}
	// A malformed call causes no request to WeChat.
	calls := w.Calls()
	for _, body := range []string{`{"provider":"wechat"}`, `{"provider":"wechat","code":"` + string(make([]byte, 5000)) + `"}`,
		`{"provider":"wechat","code":"x","user":{"avatar_url":"http://x"}}`, `{"provider":"wechat","code":7}`} {
		a, err := hubtest.Request(ctx, http.MethodPost, late.URL(n.URL, "scan"), body)
		wantRefusal(t, "malformed", a, err, 400, "invalid_request")
	}
	if w.Calls() != calls {
		t.Error("malformed calls caused requests to WeChat")
	}
}

func TestWeChat_RaceSpendsCodesOnce(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	_, nodes := cluster(t, 2, settings...)
	ctx := testContext(t, 20*time.Second)
	for range 5 {
		p := mustOpenWaiter(t, ctx, nodes[0].URL, nodes[1].URL)
		var winners []weChatUser
		var mu sync.Mutex
		parallel(t, 20, 20, func(i int) error {
			u := weChatUser{fmt.Sprint("racer-", i), w}
			code := w.Code(appID, u.name)
			a, err := hubtest.NewPhone(u.name).Do(ctx, nodes[i%2].URL, p.ID, "confirm", map[string]any{"provider": "wechat", "code": code})
			if err != nil {
				return err
			}
			if n := w.CallsFor(code); n > 1 {
				return fmt.Errorf("%d exchanges of one code", n)
			}
			if a.Status == 200 {
				mu.Lock()
				defer mu.Unlock()
				winners = append(winners, u)
				return nil
			}
			return checkRefusal(a, nil, 409, "ticket_closed")
		})
		if len(winners) != 1 {
			t.Fatalf("winners %v", winners)
		}
		if _, err := p.waitToken(ctx, nodes[0].URL, winners[0].subject()); err != nil {
			t.Error(err)
		}
	}
}

func TestWeChat_UnionIDRequired(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	clients := filepath.Join(t.TempDir(), "clients.yaml")
	file := "clients:\n  - id: union\n    subject: unionid\n    providers: [wechat]\n  - id: open\n"
	if err := os.WriteFile(clients, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	_, nodes := cluster(t, 1, append(settings, "CLIENTS="+clients)...)
	ctx, n := testContext(t, 20*time.Second), nodes[0]
	u := weChatUser{"frank", w}
	make := func(client string) *waiter {
		ticket, err := hubtest.CreateTicket(ctx, n.URL, map[string]string{"client_id": client})
		if err != nil {
			t.Fatal(err)
		}
		return &waiter{Ticket: ticket}
	}
	p := make("union")
	for _, action := range []string{"scan", "confirm"} {
		w.Fail(wechattest.Fault{NoUnionID: true})
		a, err := u.do(ctx, n.URL, p.ID, action, 1)
		wantRefusal(t, action, a, err, 403, "identity_incomplete")
	}
	for client, subject := range map[string]string{"union": "wechat:unionid:" + w.UnionID(appID, "frank"), "open": u.subject()} {
		p := make(client)
		if err := p.attach(ctx, n.URL, "pending"); err != nil {
			t.Fatal(err)
		}
		if err := u.mustCall(ctx, n.URL, p.ID, "confirm"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.waitToken(ctx, n.URL, subject); err != nil {
			t.Error(err)
		}
		p.socket.Conn.CloseNow()
	}
}
