package hub_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/provider"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

func TestMain(m *testing.M) {
	// The idle connections of the test client are not leaks of the hub.
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		os.Exit(code)
	}))
}

// mailboxSpy intercepts the messages between Redis and the node's mailbox.
type mailboxSpy struct {
	hub.Mailbox
	delay      time.Duration // of probes
	mu         sync.Mutex
	intercept  func(next func([]byte), m []byte) // nil: pass through
	subscribed int                               // number of subscriptions
}

func (e *mailboxSpy) Listen(ctx context.Context, node string, subscribed func(), mail func([]byte)) error {
	return e.Mailbox.Listen(ctx, node, func() {
		e.mu.Lock()
		e.subscribed++
		e.mu.Unlock()
		subscribed()
	}, func(m []byte) {
		e.mu.Lock()
		between := e.intercept
		e.mu.Unlock()
		if between != nil {
			between(mail, m)
			return
		}
		mail(m)
	})
}

// Probe is delayed as with a real Redis: a probe must not arrive at the same instant of
// the fake clock at which it was sent and is checked.
func (e *mailboxSpy) Probe(ctx context.Context, node, nonce string) (masters int, err error) {
	time.Sleep(e.delay)
	defer time.Sleep(e.delay) // the probe itself arrives earlier
	return e.Mailbox.Probe(ctx, node, nonce)
}

func (e *mailboxSpy) set(mail func(next func([]byte), m []byte)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.intercept = mail
}

func (e *mailboxSpy) subscriptions() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.subscribed
}

// testNode is one node in the test process.
type testNode struct {
	*hub.Hub
	phones  *hub.Hub // another node on the same store, which only confirms
	mailbox *mailboxSpy
	client  *client.Client
	sockets sync.WaitGroup
}

type options struct {
	probeDelay time.Duration             // delay of probes, in synctest
	url        string                    // of Redis; "": embedded
	wrap       func(hub.Store) hub.Store // wraps the store
	tweak      func(*hub.Config)         // changes the configuration
}

func start(t testing.TB, o options) *testNode {
	t.Helper()
	if o.url == "" {
		o.url = redisstore.Embedded
	}
	store, err := redisstore.Open(o.url)
	if err != nil {
		t.Fatal(err)
	}
	keys := newNodeKeys(t)
	s := &testNode{mailbox: &mailboxSpy{Mailbox: store, delay: o.probeDelay}, client: &client.Client{ID: "demo"}}
	c := hubtest.HubConfig(store, keys.ring, keys.signer)
	c.Mailbox = s.mailbox
	if o.wrap != nil {
		c.Store = o.wrap(store)
	}
	if o.tweak != nil {
		o.tweak(&c)
	}
	t.Cleanup(func() {
		s.sockets.Wait()
		store.Close()
	})
	s.Hub, s.phones = hubtest.NewHub(t, c), hub.New(c)
	hubtest.Eventually(t, 10*time.Second, "node is ready", func() bool { return s.Ready() == nil })
	return s
}

// dial opens a browser's socket.
func (s *testNode) dial(ctx context.Context, id ticket.ID) (*hubtest.Socket, error) {
	return hubtest.DialSocket(ctx, &http.Client{Transport: hubtest.DirectTransport{Ctx: ctx, Go: s.sockets.Go, Handle: func(w http.ResponseWriter, r *http.Request) error {
		return s.Socket(w, r, id, anyBrowser)
	}}}, "ws://node/", []string{hub.Protocol})
}

// anyBrowser is a browser that is always authorized.
var anyBrowser = hub.Browser{Authorize: func(ticket.Ticket) error { return nil }}

func (s *testNode) create(t testing.TB) ticket.ID {
	t.Helper()
	m, err := s.Create(context.Background(), ticket.Request{Client: s.client})
	if err != nil {
		t.Fatal(err)
	}
	return m.Ticket.ID
}

// polled is the answer to a long poll.
type polled struct {
	view ticket.View
	news bool
	err  error
	took time.Duration
}

// poll starts a long poll for another version than the first.
func (s *testNode) poll(id ticket.ID, wait time.Duration) <-chan polled {
	answer, begun := make(chan polled, 1), time.Now()
	go func() {
		v, news, err := s.Poll(context.Background(), id, 1, wait, anyBrowser)
		answer <- polled{v, news, err, time.Since(begun)}
	}()
	return answer
}

// open opens a browser's socket, which must get the first version.
func (s *testNode) open(t testing.TB, ctx context.Context, id ticket.ID) *hubtest.Socket {
	t.Helper()
	socket, err := s.dial(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Conn.CloseNow() })
	if v, err := socket.Next(ctx); err != nil || v.State != "pending" || v.Seq != 1 {
		t.Fatalf("first view %+v %v", v, err)
	}
	return socket
}

// confirm confirms the ticket in one step, on the other node: this one gets a message.
func (s *testNode) confirm(t testing.TB, id ticket.ID) {
	t.Helper()
	p := s.phoneCall(id, "a")
	p.Action = ticket.Confirm
	if _, err := runCall(context.Background(), s.phones, p, s.client); err != nil {
		t.Fatal(err)
	}
}

// testCall is a phone's call, with the name of its user.
type testCall struct {
	hub.PhoneCall
	name string
}

// phoneCall returns a call of the user with that name.
func (s *testNode) phoneCall(id ticket.ID, name string) testCall {
	return testCall{hub.PhoneCall{Ticket: id}, name}
}

// sandboxUser returns the sandbox's user with that name.
func sandboxUser(name string) provider.Identity {
	return provider.Identity{Provider: "sandbox", Subject: name, Token: &provider.TokenForm{AMR: "sandbox", Prefix: "sandbox"}}
}

// runCall runs both phases of a call and ends it.
func runCall(ctx context.Context, h *hub.Hub, p testCall, client *client.Client) (ticket.Ticket, error) {
	call, err := h.Begin(ctx, p.PhoneCall)
	if err == nil {
		err = call.Precheck()
	}
	by := sandboxUser(p.name)
	if err == nil {
		err = call.Apply(ctx, by, client)
	}
	call.End(by, "", err)
	return call.Current(), err
}

func (s *testNode) Scan(ctx context.Context, p testCall) (ticket.Ticket, error) {
	p.Action = ticket.Scan
	return runCall(ctx, s.Hub, p, s.client)
}

func (s *testNode) Confirm(ctx context.Context, p testCall) (ticket.Ticket, error) {
	p.Action = ticket.Confirm
	return runCall(ctx, s.Hub, p, s.client)
}

func (s *testNode) Reject(ctx context.Context, p testCall) (ticket.Ticket, error) {
	p.Action = ticket.Reject
	return runCall(ctx, s.Hub, p, s.client)
}

// checkToken checks a view that must carry the token.
func checkToken(v ticket.View, err error) error {
	if err != nil {
		return err
	}
	if v.State != ticket.Confirmed || v.Token == "" {
		return fmt.Errorf("view %+v has no token", v)
	}
	return nil
}
