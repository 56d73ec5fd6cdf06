package api_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"loginhub/api"
	"loginhub/api/token"
	"loginhub/hub"
	"loginhub/hub/hubtest"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// TestMain fails a run that leaves goroutines behind.
func TestMain(m *testing.M) {
	// The Redis client's dialler looks once a second whether it has been closed.
	goleak.VerifyTestMain(suite{m}, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// What the stands of all tests are called.
const (
	public      = "https://login.example.com"
	site        = "https://www.example.com" // the only origin of the client demo
	ticketsPath = "/api/login/tickets"
)

// stepTimeout is for what must happen and takes no time worth naming.
const stepTimeout = 20 * time.Second

// options of a stand; the zero value is one client, demo, and the sandbox.
type options struct {
	clients   []*ticket.Client
	providers map[string]api.Provider
	api       func(*api.Config)               // the last word
	hub       func(*hub.Config)               // the last word
	redis     string                          // "" is embedded
	unready   bool                            // do not wait until the node is ready
	wrap      func(http.Handler) http.Handler // stands between the listener and the edge
	// pipes in place of TCP: for a bubble of testing/synctest, where time
	// passes as soon as everybody waits.
	pipes bool
}

// testServer is one node within the test: a hub on a Redis of its own, and the HTTP
// edge behind a listener.
type testServer struct {
	url     string
	host    string // what to dial
	hub     *hub.Hub
	server  *api.Server
	signer  *token.Signer
	client  *http.Client
	dial    func(ctx context.Context) (net.Conn, error)
	log     *logBuffer
	timeout time.Duration // for one step

	mu              sync.Mutex
	forbiddenInLogs []string // secrets, codes and tokens that went over the wire
	specViolations  []error  // answers that break the contract
}

// demo is the usual client.
func demo() *ticket.Client {
	return &ticket.Client{ID: "demo", LabelEN: "Demo", LabelZH: "演示", Origins: []string{site}}
}

func start(t testing.TB, o options) *testServer {
	t.Helper()
	if o.redis == "" {
		o.redis = redisstore.Embedded
	}
	store, err := redisstore.Open(o.redis)
	must(t, err)
	masters, err := token.ParseMasterKeys(hubtest.Key + "," + hubtest.OtherKey)
	must(t, err)
	var keys []ticket.Key
	for _, m := range masters {
		keys = append(keys, ticket.Key{ID: m.ID(), Seal: m.Seal(), Match: m.Match()})
	}
	ring, err := ticket.NewKeyring(keys)
	must(t, err)
	s := &testServer{log: &logBuffer{}, timeout: stepTimeout}
	if o.pipes {
		s.timeout = time.Hour // which is no time at all
	}
	s.signer, err = token.NewSigner(masters)
	must(t, err)
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))

	h := hub.Config{Store: store, Mailbox: store, Reloadable: hub.Reloadable{Keys: ring, Signer: s.signer}, Issuer: public, Log: log, MaxWaiters: 1000,
		TicketTTL: 2 * time.Minute, ConfirmTTL: time.Minute, ResultTTL: time.Minute, TokenTTL: 5 * time.Minute}
	if o.pipes {
		h.Store = &limitedStore{store, make(chan struct{}, 8)}
	}
	if o.hub != nil {
		o.hub(&h)
	}
	s.hub = hub.New(h)
	if o.clients == nil {
		o.clients = []*ticket.Client{demo()}
	}
	if o.providers == nil {
		o.providers = map[string]api.Provider{"sandbox": api.NewSandbox()}
	}
	a := api.Config{Hub: s.hub, Reloadable: api.Reloadable{Signer: s.signer, Clients: o.clients, Providers: o.providers}, PublicURL: public, Log: log}
	if o.api != nil {
		o.api(&a)
	}
	s.server, err = api.New(a)
	must(t, err)
	s.serve(t, store, o)
	return s
}

// serve starts everything, and at the end of the test takes it down and reads
// the log.
func (s *testServer) serve(t testing.TB, store *redisstore.Store, o options) {
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
	life, end := context.WithCancel(context.Background())
	var jobs sync.WaitGroup
	jobs.Go(func() { s.hub.Run(life) })
	jobs.Go(func() { server.Serve(listener) })
	t.Cleanup(func() {
		server.Close()
		end()
		jobs.Wait()
		s.client.CloseIdleConnections()
		store.Close()
		s.checkLogs(t)
	})
	if !o.unready {
		hubtest.Eventually(t, stepTimeout, "node is ready", func() bool { return s.hub.Ready() == nil })
	}
}

func (s *testServer) listen(t testing.TB, pipes bool) net.Listener {
	t.Helper()
	if pipes {
		d := hubtest.NewPipeListener()
		s.host, s.dial = "door", d.Dial
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

// forbidInLogs notes what must never stand in a log.
func (s *testServer) forbidInLogs(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		if len(text) > 7 {
			s.forbiddenInLogs = append(s.forbiddenInLogs, text)
		}
	}
}

// checkLogs fails the test whose node has logged what nobody may know, or has
// answered what its contract does not say.
func (s *testServer) checkLogs(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.log.String()
	for _, text := range s.forbiddenInLogs {
		if strings.Contains(all, text) {
			t.Errorf("the log holds %q", text)
		}
	}
	for _, err := range s.specViolations {
		t.Errorf("against openapi.yaml: %v", err)
	}
}

// limitedStore keeps the client library's pool of connections from filling up in a
// bubble: who waits for one there borrows a timer that the whole process shares,
// and a bubble's timer outside of it is fatal.
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

// logBuffer is what the node has logged.
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

// runSynctest runs a story in which time passes as soon as everybody waits.
func runSynctest(t *testing.T, o options, story func(t *testing.T, s *testServer)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o.pipes = true
		story(t, start(t, o))
	})
}

// advance lets time pass in a bubble, and everybody do what it brings.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// stepContext is a context for one step of a test.
func (s *testServer) stepContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	t.Cleanup(cancel)
	return ctx
}
