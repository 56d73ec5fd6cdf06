package apitest_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"loginhub/api"
	"loginhub/api/gate"
	"loginhub/api/qr"
	"loginhub/api/token"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/provider"
	"loginhub/hub/provider/sandbox"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
	"loginhub/hub/trace"
)

// TestMain fails a run that leaks goroutines.
func TestMain(m *testing.M) {
	// The dialler of the Redis client checks once a second whether its pool is closed.
	goleak.VerifyTestMain(suite{m}, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// Values that all tests use.
const (
	public       = "https://login.example.com"
	site         = "https://www.example.com" // the only origin of the client demo
	ticketsPath  = "/api/login/tickets"
	exchangePath = "/api/login/exchange"
)

// stepTimeout bounds one step of a test. A passing step takes far less.
const stepTimeout = 20 * time.Second

// options configure a testServer. The zero value has the client demo and the sandbox.
type options struct {
	clients   []*client.Client
	providers map[string]provider.Exchanger
	api       func(*api.Config)               // changes the configuration last
	hub       func(*hub.Config)               // changes the configuration last
	redis     string                          // "" is embedded
	unready   bool                            // do not wait until the node is ready
	wrap      func(http.Handler) http.Handler // a handler around the server; nil for none
	// pipes replaces TCP with in-memory pipes, for testing/synctest: its clock advances
	// when all goroutines are blocked.
	pipes bool
}

// testServer is one node in the test process: a hub with a Redis of its own, and the
// HTTP server in front of it.
type testServer struct {
	url       string
	host      string // the address to dial
	hub       *hub.Hub
	server    *api.Server
	signer    *token.Signer
	client    *http.Client
	dial      func(ctx context.Context) (net.Conn, error)
	log       *logBuffer
	timeout   time.Duration // for one step
	rendering *qr.RenderLimiter

	mu              sync.Mutex
	forbiddenInLogs []string // secrets, codes and tokens that were sent
	specViolations  []error  // answers that break the wire contract
}

// demo returns the default client.
func demo() *client.Client {
	return &client.Client{ID: "demo", LabelEN: "Demo", LabelZH: "演示", Origins: []string{site}}
}

func start(t testing.TB, o options) *testServer {
	t.Helper()
	if o.redis == "" {
		o.redis = redisstore.Embedded
	}
	store, err := redisstore.Open(o.redis)
	must(t, err)
	s := &testServer{log: &logBuffer{}, timeout: stepTimeout, rendering: qr.NewRenderLimiter(runtime.GOMAXPROCS(0))}
	if o.pipes {
		s.timeout = time.Hour // synctest's clock passes it at once
	}
	t.Cleanup(func() {
		store.Close()
		s.checkLogs(t)
	})
	ring, masters := hubtest.NewKeyring(t, hubtest.Key+","+hubtest.OtherKey)
	s.signer, err = token.NewSigner(masters, nil)
	must(t, err)
	log := slog.New(trace.LogHandler(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})))

	h := hubtest.HubConfig(store, ring, s.signer)
	h.Log = log
	if o.pipes {
		h.Store = &limitedStore{store, make(chan struct{}, 8)}
	}
	if o.hub != nil {
		o.hub(&h)
	}
	s.hub = hubtest.NewHub(t, h)
	if o.clients == nil {
		o.clients = []*client.Client{demo()}
	}
	if o.providers == nil {
		o.providers = map[string]provider.Exchanger{"sandbox": sandboxProvider()}
	}
	a := api.Config{Hub: s.hub, Reloadable: gate.Reloadable{Signer: s.signer, Clients: o.clients, Providers: o.providers}, PublicURL: public, Version: "1.2.3", Log: log, RenderLimiter: s.rendering}
	a.Outbox, a.OutboxMetrics, a.Remember = newOutbox(t, store), noOutboxMetrics{}, 10*time.Minute
	if o.api != nil {
		o.api(&a)
	}
	s.server, err = api.New(a)
	must(t, err)
	s.serve(t, o)
	return s
}

// serve starts the HTTP server, which stops at the end of the test.
func (s *testServer) serve(t testing.TB, o options) {
	t.Helper()
	listener := s.listen(t, o.pipes)
	edge := contract.Middleware(s.server, func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.specViolations = append(s.specViolations, err)
	})
	if o.wrap != nil {
		edge = o.wrap(edge)
	}
	server := &http.Server{Handler: edge, ErrorLog: slog.NewLogLogger(slog.NewTextHandler(s.log, nil), slog.LevelDebug)}
	s.client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx) }}}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(listener) })
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
		s.client.CloseIdleConnections()
	})
	if !o.unready {
		hubtest.Eventually(t, stepTimeout, "node is ready", func() bool { return s.hub.Ready() == nil })
	}
}

func (s *testServer) listen(t testing.TB, pipes bool) net.Listener {
	t.Helper()
	if pipes {
		d := hubtest.NewPipeListener()
		s.host, s.dial = "pipe", d.Dial
		s.url = "http://" + s.host
		return d
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.host = l.Addr().String()
	s.dial = func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", s.host) }
	s.url = "http://" + s.host
	return l
}

// forbidInLogs adds texts that no log may contain.
func (s *testServer) forbidInLogs(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		if len(text) > 7 {
			s.forbiddenInLogs = append(s.forbiddenInLogs, text)
		}
	}
}

// checkLogs fails the test if the node has logged a forbidden text or has broken the
// wire contract.
func (s *testServer) checkLogs(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.log.String()
	for _, text := range s.forbiddenInLogs {
		if strings.Contains(all, text) {
			t.Errorf("the log contains %q", text)
		}
	}
	for _, err := range s.specViolations {
		t.Errorf("against openapi.yaml: %v", err)
	}
}

// limitedStore limits concurrent calls, so that the Redis client never waits for a free
// connection. The client waits on a process-wide timer, which is fatal within synctest.
type limitedStore struct {
	hub.Store
	slots chan struct{}
}

func (g *limitedStore) pass() func() {
	g.slots <- struct{}{}
	return func() { <-g.slots }
}

func (g *limitedStore) Create(ctx context.Context, id ticket.ID, sealed []byte, deadline time.Time, life time.Duration) (bool, error) {
	defer g.pass()()
	return g.Store.Create(ctx, id, sealed, deadline, life)
}

func (g *limitedStore) Attach(ctx context.Context, node string, ids ...ticket.ID) ([]ticket.Stored, error) {
	defer g.pass()()
	return g.Store.Attach(ctx, node, ids...)
}

func (g *limitedStore) Change(ctx context.Context, changes ...ticket.Change) ([]ticket.Outcome, error) {
	defer g.pass()()
	return g.Store.Change(ctx, changes...)
}

// logBuffer holds the node's log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *logBuffer) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *logBuffer) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// runSynctest runs a test with testing/synctest: the clock advances only when all
// goroutines are blocked.
func runSynctest(t *testing.T, o options, test func(t *testing.T, s *testServer)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o.pipes = true
		test(t, start(t, o))
	})
}

// advance moves synctest's clock and waits until all goroutines are blocked again.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// stepContext returns a context for one step of a test.
func (s *testServer) stepContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	t.Cleanup(cancel)
	return ctx
}

// sandboxProvider returns the exchange of codes of the sandbox.
func sandboxProvider() provider.Exchanger {
	p, err := sandbox.Kind().Open(sandbox.Kind().Read(&provider.Fields{}), provider.Env{ID: "sandbox"})
	if err != nil {
		panic(err)
	}
	return p.Code
}
