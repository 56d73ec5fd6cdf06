package wechattest

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Options configures a Server. The zero value works.
type Options struct {
	// Addr is the listen address; empty means a free port of the loopback address.
	Addr string
	// Now is the clock for the expiry of codes; nil means time.Now.
	Now func() time.Time
}

// Server imitates WeChat. It is safe for concurrent use.
type Server struct {
	// URL is the base URL, without a trailing slash; fixed after New.
	URL string

	// Fixed after New.
	now     func() time.Time
	http    *http.Server
	served  chan struct{}      // closed when the listener is gone
	release context.CancelFunc // ends the context of every request

	handlers sync.WaitGroup

	traffic // has a lock of its own
	inbox   // has a lock of its own

	// Guarded by mu.
	mu          sync.Mutex
	closed      bool
	apps        map[string]App
	codes       map[string]*issued
	tokens      map[string]*stable  // of stable_token, by appid
	asked       map[string]webGrant // by access_token of a website's user
	attempts    map[string]*Attempt // by uuid
	scenes      []string            // of mini-program codes, in order
	forced      int
	sessionKeys []string
	sceneCodes  map[string]sceneCode  // of official accounts, by content
	followers   map[string]string     // users by appid and openid
	phoneCodes  map[string]*phoneCode // of getPhoneNumber
	inApp       string                // who looks at pages inside WeChat
}

// traffic counts the calls and decides their Faults.
type traffic struct {
	mu      sync.Mutex // guards all fields
	script  []Fault
	always  Fault
	calls   int
	perCode map[string]int
	perPath map[string]int
	arrival chan struct{} // closed and replaced at every call
	conns   int
}

// New makes a Server and starts it. It panics if it cannot listen.
func New(o Options) *Server {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		panic(fmt.Sprintf("wechattest: %v", err))
	}
	base, release := context.WithCancel(context.Background())
	s := &Server{
		URL:     "http://" + listener.Addr().String(),
		now:     o.Now,
		served:  make(chan struct{}),
		release: release,
		apps:    make(map[string]App),
		codes:   make(map[string]*issued),
		traffic: traffic{perCode: map[string]int{}, perPath: map[string]int{}, arrival: make(chan struct{})},
		tokens:  make(map[string]*stable),
		asked:   make(map[string]webGrant),
		inbox:   inbox{allowed: make(map[permission]int)},

		attempts:   make(map[string]*Attempt),
		sceneCodes: make(map[string]sceneCode),
		followers:  make(map[string]string),
		phoneCodes: make(map[string]*phoneCode),
		inApp:      "alice",
	}
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState:         s.countConn,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // connections break on purpose
	}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener)
	}()
	return s
}

// Close closes all connections, drops slow answers and waits for the handlers. It
// may be called again.
func (s *Server) Close() {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		s.release()
		_ = s.http.Close()
	}
	<-s.served
	s.handlers.Wait()
}

// Calls returns the number of exchanges, answered or not, successful or not.
func (s *traffic) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// CallsFor returns the number of exchanges with this code.
func (s *traffic) CallsFor(code string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.perCode[code]
}

// CallsTo returns the number of exchanges on this path.
func (s *traffic) CallsTo(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.perPath[path]
}

// AwaitCalls returns after n exchanges since the start. The last may still be in
// progress, held by a Fault.
func (s *traffic) AwaitCalls(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		calls, arrival := s.calls, s.arrival
		s.mu.Unlock()
		if calls >= n {
			return nil
		}
		select {
		case <-arrival:
		case <-ctx.Done():
			return fmt.Errorf("wechattest: waiting for call %d, had %d: %w", n, calls, ctx.Err())
		}
	}
}

// Conns returns the number of connections so far.
func (s *traffic) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// SessionKeys returns every session_key sent so far. Each begins with
// SessionKeyPrefix, so that tests can search for them.
func (s *Server) SessionKeys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sessionKeys)
}

func (s *traffic) countConn(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.mu.Lock()
		s.conns++
		s.mu.Unlock()
	}
}
