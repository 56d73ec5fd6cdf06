package chaos_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// program is the node under test; TestMain builds it.
var program string

// atOnce is how many tests run beside each other: they mostly wait.
const atOnce = "5"

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", atOnce)
	path, remove, err := hubtest.Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = path
	code := m.Run()
	remove()
	removeSkewed()
	os.Exit(code)
}

// conf is the nginx configuration that we ship.
const conf = "../../deploy/nginx/loginhub.conf"

// logins is how many a test runs: some hundred, or what CHAOS_LOGINS says.
func logins(t *testing.T, usual int) int {
	t.Helper()
	text := os.Getenv("CHAOS_LOGINS")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("CHAOS_LOGINS: %v", err)
	}
	return n
}

// tally is what became of the logins of a run.
type tally struct {
	Made       int // tickets
	Told       int // confirmed to the phone
	Delivered  int // the page has the token
	Acked      int // and the hub knows
	Duplicated int // deliveries before the ack, beyond the first
	Lost       int // told, and never delivered: must be 0
	Second     int // an identity that is not the phone's: must be 0
	Other      int // another token of the same identity: must be 0 unless Redis forgets
	Refused    int // the phone was refused for good: its ticket was gone or over
	Errors     int // what people at the phones saw and tried again

	Waited []time.Duration // of each login: from the confirm, where it was tried again from its answer, to the token
}

func (s *tally) String() string {
	return fmt.Sprintf("made %d, told %d, delivered %d, acked %d, duplicated %d, lost %d, second identity %d, other token %d, refused %d, errors at phones %d; to the token median %v, longest %v",
		s.Made, s.Told, s.Delivered, s.Acked, s.Duplicated, s.Lost, s.Second, s.Other, s.Refused, s.Errors, s.waited(0.5), s.waited(1))
}

// waited is that share of all logins' way to the token.
func (s *tally) waited(share float64) time.Duration {
	if len(s.Waited) == 0 {
		return 0
	}
	slices.Sort(s.Waited)
	return s.Waited[int(share*float64(len(s.Waited)-1))].Round(time.Millisecond)
}

// world is what a run goes against.
type world struct {
	nodes []*hubtest.Node // whose levels must come back; the entry, where there is no other
	entry func() string   // for pages; nil: one of the nodes
	phone func() string   // for phones; nil: the same

	// owner makes a user's phone, and says as whom the token must be; nil: the
	// sandbox's.
	owner func(user string) (phone *hubtest.Phone, subject string)
	// thought is how long people think at the most; 0: 300 ms, so that faults fall
	// into every gap.
	thought time.Duration
	// away is the share of pages that are not there while their phones confirm,
	// and come back up to three seconds later.
	away float64
	// In forgetful worlds Redis itself forgets what it had taken (a failover). A
	// page may then have a token that its phone was not told of, and another one
	// when the phone confirms again. In lossy ones it forgets even what the phone
	// was told: that is counted and does not fail.
	forgetful, lossy bool
}

// oneOf takes one of the nodes at random, as a load balancer without stickiness.
func oneOf(nodes ...*hubtest.Node) func() string {
	return func() string { return nodes[rand.IntN(len(nodes))].URL }
}

func (w *world) defaults() {
	if w.entry == nil {
		w.entry = oneOf(w.nodes...)
	}
	if w.phone == nil {
		w.phone = w.entry
	}
	if w.thought == 0 {
		w.thought = 300 * time.Millisecond
	}
	if w.owner == nil {
		w.owner = func(user string) (*hubtest.Phone, string) { return hubtest.NewPhone(user), "sandbox:" + user }
	}
}

// run runs so many logins, so many at once, with the fault going on beside them.
// The fault starts with the logins, and its context ends with the last of them.
// After that every node must come back to its level.
func (w world) run(t *testing.T, total, atOnce int, fault func(ctx context.Context)) *tally {
	t.Helper()
	w.defaults()
	before := levels(t, w.nodes)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute+time.Duration(total)*200*time.Millisecond)
	defer cancel()
	var beside sync.WaitGroup
	beside.Go(func() { fault(ctx) })
	sum := &tally{}
	var mu sync.Mutex
	var all sync.WaitGroup
	turn := make(chan int)
	for range atOnce {
		all.Go(func() {
			for i := range turn {
				one := w.login(ctx, fmt.Sprintf("user-%d", i))
				mu.Lock()
				sum.add(one)
				mu.Unlock()
			}
		})
	}
	for i := range total {
		turn <- i
	}
	close(turn)
	all.Wait()
	cancel()
	beside.Wait()
	t.Log(sum)
	if sum.Lost > 0 && !w.lossy || sum.Other > 0 && !w.forgetful || sum.Second > 0 {
		t.Errorf("lost or false logins: %s", sum)
	}
	settled(t, w.nodes, before)
	return sum
}

func (s *tally) add(o tally) {
	s.Made += o.Made
	s.Told += o.Told
	s.Delivered += o.Delivered
	s.Acked += o.Acked
	s.Duplicated += o.Duplicated
	s.Lost += o.Lost
	s.Second += o.Second
	s.Other += o.Other
	s.Refused += o.Refused
	s.Errors += o.Errors
	s.Waited = append(s.Waited, o.Waited...)
}

// login is one user's: a page, and a phone that scans and confirms after short
// thoughts.
func (w world) login(ctx context.Context, user string) tally {
	var s tally
	page := &hubtest.Page{Entry: w.entry}
	if page.Make(ctx) != nil {
		return s
	}
	s.Made = 1
	waiting, enough := context.WithTimeout(ctx, 100*time.Second)
	defer enough()
	var held sync.WaitGroup
	hold := func(ctx context.Context) { held.Go(func() { page.Wait(ctx) }) }
	present, leave := context.WithCancel(waiting)
	hold(present)
	phone, subject := w.owner(user)
	pause(ctx, rand.N(w.thought))
	err := s.insist(ctx, w, phone, page, "scan")
	away := rand.Float64() < w.away
	if away {
		leave()
		held.Wait()
	}
	told := time.Now()
	if err == nil {
		pause(ctx, rand.N(w.thought))
		told = time.Now()
		before := s.Errors
		err = s.insist(ctx, w, phone, page, "confirm")
		if s.Errors > before {
			told = time.Now()
		}
	}
	if away {
		pause(ctx, rand.N(3*time.Second))
		told = time.Now()
		hold(waiting)
	}
	if err == nil {
		s.Told = 1
	} else if errors.Is(err, hubtest.ErrGivenUp) {
		s.Refused = 1
		enough() // nobody will confirm it any more
	}
	held.Wait()
	leave()
	s.count(page, subject, told)
	return s
}

func (s *tally) insist(ctx context.Context, w world, phone *hubtest.Phone, page *hubtest.Page, action string) error {
	seen, err := phone.Insist(ctx, w.phone, page.Ticket.ID, action)
	s.Errors += seen
	return err
}

func (s *tally) count(page *hubtest.Page, subject string, told time.Time) {
	if page.Token != "" {
		s.Delivered = 1
		s.Duplicated = page.Deliveries - 1
		s.Waited = []time.Duration{max(0, page.TokenAt.Sub(told))}
		if page.Conflict != "" {
			s.Other = 1
		}
		if subjectOf(page.Token) != subject || s.Other > 0 && subjectOf(page.Conflict) != subject {
			s.Second = 1
		}
	} else {
		s.Lost = s.Told
	}
	if page.Acked {
		s.Acked = 1
	}
}

// claims are those of a token; its signature is tested elsewhere.
type claims struct {
	Sub string `json:"sub"`
	Iat int64  `json:"iat"`
	Exp int64  `json:"exp"`
}

// claimsOf reads a token; none where it is not one.
func claimsOf(token string) (c claims) {
	if parts := strings.Split(token, "."); len(parts) == 3 {
		if body, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			json.Unmarshal(body, &c)
		}
	}
	return c
}

func subjectOf(token string) string { return claimsOf(token).Sub }

// wrapped is a program that starts another one after a line of shell.
func wrapped(t *testing.T, line, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wrapped")
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\n%s\nexec %s \"$@\"\n", line, program), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// again repeats f at that interval until ctx ends.
func again(ctx context.Context, every time.Duration, f func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// pause waits within a fault.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// complete checks that every login of a run came through: the fault was one that
// nobody need notice for long.
func complete(t *testing.T, s *tally, total int) {
	t.Helper()
	if s.Told != total || s.Delivered != total {
		t.Errorf("not every login came through: %s", s)
	}
}

// three starts three nodes on the Redis at url.
func three(t *testing.T, url string, settings ...string) []*hubtest.Node {
	t.Helper()
	var nodes []*hubtest.Node
	for range 3 {
		nodes = append(nodes, start(t, url, settings...))
	}
	return nodes
}

// start starts a node on the Redis at url, with an admin listener.
func start(t *testing.T, url string, settings ...string) *hubtest.Node {
	t.Helper()
	return hubtest.StartNode(t, program, append([]string{
		"REDIS_URL=" + url, "ADMIN_LISTEN=127.0.0.1:" + hubtest.FreePort(t)}, settings...)...)
}
