package chaos_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// program is the node under test; TestMain builds it.
var program string

func TestMain(m *testing.M) {
	path, remove, err := hubtest.Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = path
	code := m.Run()
	remove()
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
	Second     int // another identity than the phone's, or another token: must be 0
	Refused    int // the phone was refused for good: its ticket was gone or over
	Errors     int // what people at the phones saw and tried again
}

func (s *tally) String() string {
	return fmt.Sprintf("made %d, told %d, delivered %d, acked %d, duplicated %d, lost %d, second identity %d, refused %d, errors at phones %d",
		s.Made, s.Told, s.Delivered, s.Acked, s.Duplicated, s.Lost, s.Second, s.Refused, s.Errors)
}

// world is what a run goes against.
type world struct {
	entry func() string // for pages
	phone func() string // for phones; nil: the same
}

// oneOf takes one of the nodes at random, as a load balancer without stickiness.
func oneOf(nodes ...*hubtest.Node) func() string {
	return func() string { return nodes[rand.IntN(len(nodes))].URL }
}

// run runs so many logins, so many at once, with the fault going on beside them.
// The fault starts with the logins, and its context ends with the last of them.
func (w world) run(t *testing.T, total, atOnce int, fault func(ctx context.Context)) *tally {
	t.Helper()
	if w.phone == nil {
		w.phone = w.entry
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
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
	if sum.Lost > 0 || sum.Second > 0 {
		t.Errorf("lost or false logins: %s", sum)
	}
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
	s.Refused += o.Refused
	s.Errors += o.Errors
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
	held.Go(func() { page.Wait(waiting) })
	phone := hubtest.NewPhone(user)
	var err error
	for _, action := range []string{"scan", "confirm"} {
		think(ctx)
		var seen int
		seen, err = phone.Insist(ctx, w.phone, page.Ticket.ID, action)
		s.Errors += seen
		if err != nil {
			break
		}
	}
	if err == nil {
		s.Told = 1
	} else if errors.Is(err, hubtest.ErrGivenUp) {
		s.Refused = 1
		enough() // nobody will confirm it any more
	}
	held.Wait()
	s.count(page, user)
	return s
}

func (s *tally) count(page *hubtest.Page, user string) {
	if page.Token != "" {
		s.Delivered = 1
		s.Duplicated = page.Deliveries - 1
		if subject(page.Token) != "sandbox:"+user || page.Conflict != "" {
			s.Second = 1
		}
	} else {
		s.Lost = s.Told
	}
	if page.Acked {
		s.Acked = 1
	}
}

// think is the time that a person takes: up to 300 ms, so that faults fall into
// every gap.
func think(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(rand.N(300 * time.Millisecond)):
	}
}

// subject reads a token's sub; its signature is tested elsewhere.
func subject(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "not a token"
	}
	var claims struct {
		Sub string `json:"sub"`
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &claims) != nil {
		return "not a token"
	}
	return claims.Sub
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
		nodes = append(nodes, hubtest.StartNode(t, program, append([]string{"REDIS_URL=" + url}, settings...)...))
	}
	return nodes
}
