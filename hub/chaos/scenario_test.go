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
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// program is the node under test; TestMain builds it.
var program string

// testsAtOnce is how many tests run in parallel. They mostly wait.
const testsAtOnce = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", testsAtOnce)
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

// conf is the shipped nginx configuration.
const conf = "../../deploy/nginx/loginhub.conf"

// usualLogins is how many logins a test makes during each fault. More of them show a
// fault that strikes rarely: `task chaos` makes thousands.
const usualLogins = 40

// logins returns how many logins to make: CHAOS_LOGINS, or usualLogins.
func logins(t *testing.T) int { return intFromEnv(t, "CHAOS_LOGINS", usualLogins) }

// once is the maxTimes of a fault that lasts for seconds: one injection, and in the long form
// as many as fit. On a slow machine the next injection would come before the pages have
// recovered from the last, again and again, and their tokens would wait for all of them.
func once() int {
	if long() {
		return 0
	}
	return 1
}

// long reports whether CHAOS_LOGINS asks for the long form.
func long() bool { return os.Getenv("CHAOS_LOGINS") != "" }

// intFromEnv returns the number in the environment variable, or usual.
func intFromEnv(t *testing.T, variable string, usual int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// scenario is the environment of a run.
type scenario struct {
	nodes []*hubtest.Node // checked for leaks; also the entry if there is no other
	entry func() string   // URL for pages; nil: the shipped nginx in front of the nodes, or the only node
	phone func() string   // URL for phones; nil: the same

	request any // body of the call that creates a ticket; nil: none, for the only client

	// newPhone returns a user's phone, and the subject that the token must have; nil:
	// the sandbox's.
	newPhone func(user string) (phone *hubtest.Phone, subject string)
	// thinkTime is the longest time that users think; 0: 300 ms, so that faults occur at
	// every step.
	thinkTime time.Duration
	// patience is how long every user waits before the scan.
	patience time.Duration
	// away is the share of pages that leave before the confirm and return up to three
	// seconds later.
	away float64
	// polls is the share of pages whose network breaks WebSockets; 0: a fifth; negative:
	// none.
	polls float64
	// rivals is the share of logins in which another user scans and confirms the same
	// code at the same time. At most one of the two may succeed, and the token must be
	// for that user. 0: a tenth, if Redis loses no data and the users are the sandbox's.
	rivals float64
	// With dataLoss, Redis may lose writes that it accepted (failover). A page may then
	// have a token although its phone got no answer, and another one after the phone has
	// confirmed again. With loginLoss, Redis may even lose confirms that were answered:
	// they are counted and do not fail the test.
	dataLoss, loginLoss bool
	// With wiped, each injection empties Redis. Only logins in progress then may end
	// without a token, and their pages must get an end.
	wiped bool

	// With leaksLater, the test itself checks for leaks, because other clients use the
	// nodes, or once after several runs.
	leaksLater bool

	from     func() string // client address, for a node that trusts this test as a proxy; nil: our own
	underWay *atomic.Int64 // logins that have a ticket and have not ended
}

// oneOf returns a function that chooses one of the nodes at random.
func oneOf(nodes ...*hubtest.Node) func() string {
	return func() string { return nodes[rand.IntN(len(nodes))].URL }
}

// front starts the shipped nginx in front of the nodes and returns its URL.
func front(t *testing.T, nodes ...*hubtest.Node) func() string {
	t.Helper()
	var hosts []string
	for _, n := range nodes {
		hosts = append(hosts, strings.TrimPrefix(n.URL, "http://"))
	}
	url := hubtest.StartNginx(t, conf, hosts, nil)
	return func() string { return url }
}

func (w *scenario) defaults(t *testing.T) {
	t.Helper()
	switch {
	case w.entry != nil:
	case len(w.nodes) == 1:
		w.entry = oneOf(w.nodes...)
	default:
		w.entry = front(t, w.nodes...)
	}
	if w.phone == nil {
		w.phone = w.entry
	}
	if w.thinkTime == 0 {
		w.thinkTime = 300 * time.Millisecond
	}
	if w.underWay == nil {
		w.underWay = &atomic.Int64{}
	}
	if w.polls == 0 {
		w.polls = 0.2
	}
	if w.rivals == 0 && w.newPhone == nil && !w.dataLoss && !w.wiped {
		w.rivals = 0.1
	}
	if w.newPhone == nil {
		w.newPhone = func(user string) (*hubtest.Phone, string) { return hubtest.NewPhone(user), "sandbox:" + user }
	}
}

// atOnce is how many users of a run log in at the same time.
const atOnce = 20

// run makes logins, atOnce concurrent ones, until total have begun and the fault is
// over. It fails if the fault was not injected often enough during logins, if logins
// were lost, or if a node leaks.
func (w scenario) run(t *testing.T, total int, f fault) *stats {
	t.Helper()
	w.defaults(t)
	if !w.leaksLater {
		defer hubtest.AssertNoLeak(t, w.nodes, hubtest.MeasureUsage(t, w.nodes))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute+time.Duration(total)*200*time.Millisecond)
	defer cancel()
	c := &run{wanted: total}
	var all sync.WaitGroup
	all.Go(func() { c.injectFault(t, ctx, w, f) })
	for person := range atOnce {
		all.Go(func() {
			for user, ok := c.next(person); ok && ctx.Err() == nil; user, ok = c.next(person) {
				c.end(w.login(ctx, user))
			}
		})
	}
	all.Wait()
	s := c.sum(t, w, f)
	s.assert(t, w)
	return s
}

// login makes one user's login: a page, and a phone that scans and confirms after short
// pauses.
func (w scenario) login(ctx context.Context, user string) (o outcome) {
	page := &hubtest.Page{Entry: w.entry, Request: w.request, Blocked: rand.Float64() < w.polls}
	if w.from != nil {
		page.Headers = []string{"X-Forwarded-For", w.from()}
	}
	if page.CreateTicket(ctx) != nil {
		o.Begun = 1
		return o
	}
	w.underWay.Add(1)
	defer w.underWay.Add(-1)
	o.from = page.CreatedAt
	waiting, enough := context.WithTimeout(ctx, 100*time.Second)
	defer enough()
	var held sync.WaitGroup
	hold := func(ctx context.Context) { held.Go(func() { page.Wait(ctx) }) }
	present, leave := context.WithCancel(waiting)
	defer leave()
	hold(present)
	var race sync.WaitGroup
	rival := person{err: hubtest.ErrRefused}
	if rand.Float64() < w.rivals {
		race.Go(func() { rival = w.confirm(ctx, user+"-rival", page, func() {}) })
	}
	away := rand.Float64() < w.away
	winner := w.confirm(ctx, user, page, func() {
		if away {
			leave()
			held.Wait()
		}
	})
	o.Errors = winner.errors
	back := time.Time{}
	if away {
		pause(ctx, rand.N(3*time.Second))
		back = time.Now()
		hold(waiting)
	}
	race.Wait()
	if rival.err == nil {
		o.WrongUser = number(winner.err == nil) // both were answered with success
		winner = rival
	}
	switch {
	case winner.err != nil:
		winner.confirmedAt = time.Time{}
	case away:
		winner.confirmedAt = back
	}
	if errors.Is(winner.err, hubtest.ErrRefused) {
		o.Refused = 1
		if !w.wiped && !w.dataLoss { // otherwise the page must get its end from the hub
			enough() // no confirm will follow
		}
	}
	held.Wait()
	o.to = time.Now()
	o.count(page, winner.subject, winner.confirmedAt)
	o.end = page.End
	if o.Lost > 0 {
		o.trace = fmt.Sprintf("ticket %s ended as %q\n\tpage:  %s\n\tphone: %s", page.Ticket.ID, page.End,
			strings.Join(page.Trace, "\n\t       "), strings.Join(winner.phone.Trace, "\n\t       "))
	}
	return o
}

// person is a user who scanned and confirmed a code, or tried to.
type person struct {
	phone       *hubtest.Phone
	subject     string    // that the token must have
	confirmedAt time.Time // when the confirm was sent, or answered if it was repeated
	errors      int       // that the user saw
	err         error
}

// confirm scans and confirms a page's code. It calls scanned after the scan.
func (w scenario) confirm(ctx context.Context, user string, page *hubtest.Page, scanned func()) (p person) {
	p.phone, p.subject = w.newPhone(user)
	p.phone.Headers = page.Headers
	pause(ctx, w.patience+rand.N(w.thinkTime))
	p.errors, p.err = p.phone.Retry(ctx, w.phone, page.Ticket.ID, "scan")
	scanned()
	if p.err != nil {
		return p
	}
	pause(ctx, rand.N(w.thinkTime))
	p.confirmedAt = time.Now()
	seen, err := p.phone.Retry(ctx, w.phone, page.Ticket.ID, "confirm")
	if seen > 0 {
		p.confirmedAt = time.Now()
	}
	p.errors, p.err = p.errors+seen, err
	return p
}

// claims are those of a token. Other tests check its signature.
type claims struct {
	Sub string `json:"sub"`
	Iat int64  `json:"iat"`
	Exp int64  `json:"exp"`
}

// claimsOf returns the claims of a token, or none if it is not one.
func claimsOf(token string) (c claims) {
	if parts := strings.Split(token, "."); len(parts) == 3 {
		if body, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			json.Unmarshal(body, &c)
		}
	}
	return c
}

func subjectOf(token string) string { return claimsOf(token).Sub }

// wrapProgram returns a program that starts another after a line of shell.
func wrapProgram(t *testing.T, line, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wrapped")
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\n%s\nexec %s \"$@\"\n", line, program), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// startNodes starts nodes on the Redis at url: CHAOS_NODES, or usual.
func startNodes(t *testing.T, usual int, url string, settings ...string) []*hubtest.Node {
	t.Helper()
	return startNodeCount(t, intFromEnv(t, "CHAOS_NODES", usual), url, settings...)
}

// startNodeCount starts count nodes on the Redis at url.
func startNodeCount(t *testing.T, count int, url string, settings ...string) (nodes []*hubtest.Node) {
	t.Helper()
	for range count {
		nodes = append(nodes, startNode(t, url, settings...))
	}
	return nodes
}

// startNode starts a node on the Redis at url, with an admin listener.
func startNode(t *testing.T, url string, settings ...string) *hubtest.Node {
	t.Helper()
	return startNodeAs(t, program, url, settings...)
}

// startNodeAs is startNode with another program.
func startNodeAs(t *testing.T, program, url string, settings ...string) *hubtest.Node {
	t.Helper()
	return hubtest.StartNode(t, program, append([]string{
		"REDIS_URL=" + url, "ADMIN_LISTEN=127.0.0.1:" + hubtest.FreePort(t)}, settings...)...)
}
