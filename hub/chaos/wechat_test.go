package chaos_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

// wechat is an imitation of WeChat that can stop and start again at the same address,
// and the nodes that use it.
type wechat struct {
	addr  string
	nodes []*hubtest.Node
	front func() string // URL of nginx in front of the nodes

	mu      sync.Mutex // guards the fields below
	current *wechattest.Server
	codes   []issuedCode
}

// issuedCode is a code and the server that issued it.
type issuedCode struct {
	by   *wechattest.Server
	code string
}

const appID = "wx0123456789abcdef"

// startWechat starts the imitation and three nodes.
func startWechat(t *testing.T, settings ...string) *wechat {
	t.Helper()
	w := &wechat{addr: "127.0.0.1:" + hubtest.FreePort(t)}
	w.start()
	t.Cleanup(func() { w.current.Close() })
	w.nodes = startNodes(t, 3, hubtest.StartRedis(t).URL, append([]string{"WECHAT_APP_ID=" + appID, "WECHAT_APP_SECRET=not a secret",
		"WECHAT_API_URL=http://" + w.addr}, settings...)...)
	w.front = front(t, w.nodes...)
	return w
}

// start starts the imitation, also again after stop.
func (w *wechat) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = wechattest.New(wechattest.Options{Addr: w.addr})
	w.current.Register(wechattest.App{ID: appID, Secret: "not a secret"})
}

// stop ends the imitation: connections are refused.
func (w *wechat) stop() { w.server().Close() }

func (w *wechat) server() *wechattest.Server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

// newPhone implements scenario.newPhone.
func (w *wechat) newPhone(user string) (*hubtest.Phone, string) {
	phone := hubtest.NewPhone(user)
	phone.Login = func(string) (provider, code string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		code = w.current.Code(appID, user)
		w.codes = append(w.codes, issuedCode{w.current, code})
		return "wechat", code
	}
	return phone, "wechat:" + appID + ":" + w.server().OpenID(appID, user)
}

// assertCodesUsedOnce checks that no code was exchanged twice: the hub never repeats an
// exchange.
func (w *wechat) assertCodesUsedOnce(t *testing.T) {
	t.Helper()
	for _, c := range w.codes {
		if n := c.by.CallsFor(c.code); n > 1 {
			t.Errorf("a code was exchanged %d times", n)
		}
	}
}

func TestWeChat_Failing(t *testing.T) {
	t.Parallel()
	w := startWechat(t)
	fail := func(f wechattest.Fault) func() { return func() { w.server().FailAlways(f) } }
	mend := func() { w.server().ClearFaults() }
	defer hubtest.AssertNoLeak(t, w.nodes, hubtest.MeasureUsage(t, w.nodes))
	for name, way := range map[string][2]func(){
		"connections are refused":     {w.stop, w.start},
		"it answers with HTML":        {fail(wechattest.Fault{Page: wechattest.HTMLPage}), mend},
		"long: a gateway answers 502": {fail(wechattest.Fault{Page: wechattest.BadGatewayPage}), mend},
		"it hangs up":                 {fail(wechattest.Fault{Break: wechattest.HangUp}), mend},
		"long: it is too busy":        {fail(wechattest.Fault{Errcode: -1}), mend},
	} {
		if strings.HasPrefix(name, "long: ") && !long() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			flaps := fault{interval: 500 * time.Millisecond, minTimes: 2, inject: func(t *testing.T, ctx context.Context) {
				way[0]()
				w.assertPhonesRefused(t, 3*time.Second)
				pause(ctx, 500*time.Millisecond)
				way[1]()
			}}
			complete(t, scenario{nodes: w.nodes, entry: w.front, newPhone: w.newPhone, leaksLater: true}.run(t, logins(t), flaps))
		})
	}
	w.assertCodesUsedOnce(t)
}

// assertPhonesRefused checks what users see while WeChat is out of order: a phone is
// refused within the limit, with Retry-After. Pages still get tickets, sockets and
// polls.
func (w *wechat) assertPhonesRefused(t *testing.T, limit time.Duration) {
	t.Helper()
	ctx, cancel := hubtest.WithTimeout(30 * time.Second)
	defer cancel()
	ticket := w.assertPagesServed(t)
	if ticket == nil {
		return
	}
	phone, _ := w.newPhone("turned away")
	begun := time.Now()
	a, err := phone.Do(ctx, w.nodes[1].URL, ticket.ID, "confirm", nil)
	if err != nil {
		t.Errorf("confirm: %v", err)
	} else if a.Status != http.StatusServiceUnavailable || a.Code != "provider_unavailable" || a.Header.Get("Retry-After") == "" {
		t.Errorf("confirm: %d %s, Retry-After %q", a.Status, a.Code, a.Header.Get("Retry-After"))
	}
	if took := time.Since(begun); took > limit {
		t.Errorf("the phone was answered after %v", took)
	}
}

// assertPagesServed creates a ticket and opens its page by both transports.
func (w *wechat) assertPagesServed(t *testing.T) *hubtest.Ticket {
	t.Helper()
	ctx, cancel := hubtest.WithTimeout(5 * time.Second)
	defer cancel()
	ticket, err := hubtest.CreateTicket(ctx, w.nodes[0].URL, nil)
	if err != nil {
		t.Errorf("make: %v", err)
		return nil
	}
	socket, err := ticket.Dial(ctx, w.nodes[len(w.nodes)-1].URL)
	if err != nil {
		t.Errorf("socket: %v", err)
		return nil
	}
	defer socket.Conn.CloseNow()
	if _, err := socket.Until(ctx, "pending"); err != nil {
		t.Error(err)
	}
	if v, err := ticket.Poll(ctx, w.nodes[0].URL, 0, 1); err != nil || v == nil || v.State != "pending" {
		t.Errorf("poll: %+v %v", v, err)
	}
	return ticket
}

// TestWeChat_Hangs: calls to WeChat hang until they time out, and more phones than a node
// makes calls do not give up. Pages, and logins by another provider, go on.
func TestWeChat_Hangs(t *testing.T) {
	t.Parallel()
	own := hubtest.StartAppIssuer(t)
	w := startWechat(t, append(own.Settings, "TICKET_TTL=10m")...)
	before := hubtest.MeasureUsage(t, w.nodes)
	w.server().FailAlways(wechattest.Fault{Delay: 20 * time.Second})
	const phones, calls = 320, 256
	node := w.nodes[0]
	ctx, enough := hubtest.WithTimeout(5 * time.Minute)
	defer enough()
	var hanging sync.WaitGroup
	for i := range phones {
		ticket, err := hubtest.CreateTicket(ctx, node.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		hanging.Go(func() { w.insist(t, ctx, ticket, fmt.Sprint("slow-", i)) })
	}
	hangs := func() { // and never more calls than that
		hubtest.Eventually(t, time.Minute, "WeChat has as many calls as a node makes, and hangs", func() bool {
			n, err := node.Stacks("loginhub/wechat.")
			if n > calls {
				t.Errorf("%d calls at once", n)
			}
			return err == nil && n == calls
		})
	}
	hangs()
	now, err := node.Usage()
	// Each call needs one goroutine for the request, one that reads its connection and
	// two for the connection to WeChat. Requests beyond the limit need none to WeChat.
	// The measurement takes a few more.
	if most := before[0].Goroutines + 4*calls + 2*(phones-calls) + 16; err != nil || now.Goroutines > most {
		t.Errorf("%v; expected at most %d goroutines: %v", now, most, err)
	}
	w.assertPagesServed(t)
	newPhone := func(user string) (*hubtest.Phone, string) {
		phone := hubtest.NewPhone(user)
		phone.Login = func(ticket string) (provider, code string) { return "app", own.Assert(ticket, user, nil) }
		return phone, "app:" + user
	}
	s := scenario{nodes: w.nodes[:1], newPhone: newPhone, leaksLater: true}.run(t, logins(t), fault{})
	complete(t, s)
	if s.Errors > 0 {
		t.Errorf("phones with the company's app saw %d errors", s.Errors)
	}
	hangs() // still at the limit
	enough()
	hanging.Wait()
	w.server().ClearFaults()
	complete(t, scenario{nodes: w.nodes, entry: w.front, newPhone: w.newPhone, leaksLater: true}.run(t, 40, fault{}))
	hubtest.AssertNoLeak(t, w.nodes, before)
	w.assertCodesUsedOnce(t)
}

// insist repeats a user's confirm until ctx ends. The phone must be asked to try again
// each time.
func (w *wechat) insist(t *testing.T, ctx context.Context, ticket *hubtest.Ticket, user string) {
	phone, _ := w.newPhone(user)
	for ctx.Err() == nil {
		a, err := phone.Do(ctx, w.nodes[0].URL, ticket.ID, "confirm", nil)
		if err == nil && (a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "") {
			t.Errorf("confirm: %+v", a)
			return
		}
		pause(ctx, 500*time.Millisecond)
	}
}
