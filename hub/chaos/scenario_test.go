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
func logins(t *testing.T, usual int) int { return intFromEnv(t, "CHAOS_LOGINS", usual) }

// intFromEnv is the number in the environment's variable, or the usual one.
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

// scenario is what a run goes against.
type scenario struct {
	nodes []*hubtest.Node // whose levels must come back; the entry, where there is no other
	entry func() string   // for pages; nil: the shipped nginx before the nodes, or the only node
	phone func() string   // for phones; nil: the same

	// newPhone makes a user's phone, and says as whom the token must be; nil: the
	// sandbox's.
	newPhone func(user string) (phone *hubtest.Phone, subject string)
	// thinkTime is how long people think at the most; 0: 300 ms, so that faults fall
	// into every gap.
	thinkTime time.Duration
	// away is the share of pages that are not there while their phones confirm,
	// and come back up to three seconds later.
	away float64
	// polls is the share of pages whose network breaks WebSockets; 0: a fifth; below: none.
	polls float64
	// rivals is the share of logins in which somebody else scans and confirms the same
	// code at the same time: one of the two may be told so, and the token must be his.
	// 0: a tenth, where Redis keeps what it has and the users are the sandbox's.
	rivals float64
	// In forgetful worlds Redis itself forgets what it had taken (a failover). A
	// page may then have a token that its phone was not told of, and another one
	// when the phone confirms again. In lossy ones it forgets even what the phone
	// was told: that is counted and does not fail.
	dataLoss, loginLoss bool
	// In wiped ones each strike empties Redis: logins that were under way then, and
	// only those, may end without a token. Their pages must hear so.
	wiped bool

	// In crowded worlds others come and go at the nodes beside the logins: there is no
	// level to come back to until they have left, which is for the test to check.
	extraWaiters bool

	from     func() string // the address that a user comes from, for a node that trusts us with it; nil: ours
	underWay *atomic.Int64 // logins that have a ticket and have not ended
}

// oneOf takes one of the nodes at random.
func oneOf(nodes ...*hubtest.Node) func() string {
	return func() string { return nodes[rand.IntN(len(nodes))].URL }
}

// front is the entry to the nodes through the nginx that we ship.
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

// run begins logins, so many at once, until so many have been begun and the fault,
// which goes on beside them, is over. It fails where the fault did not strike as
// often as it must while logins were under way, where logins were lost, and where
// a node does not come back to its level after all.
func (w scenario) run(t *testing.T, total, atOnce int, f fault) *stats {
	t.Helper()
	w.defaults(t)
	before := hubtest.MeasureUsage(t, w.nodes)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute+time.Duration(total)*200*time.Millisecond)
	defer cancel()
	c := &run{wanted: total}
	var all sync.WaitGroup
	all.Go(func() { c.injectFault(ctx, w, f) })
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
	if !w.extraWaiters {
		hubtest.AssertNoLeak(t, w.nodes, before)
	}
	return s
}

// login is one user's: a page, and a phone that scans and confirms after short
// thoughts.
func (w scenario) login(ctx context.Context, user string) (o outcome) {
	page := &hubtest.Page{Entry: w.entry, Blocked: rand.Float64() < w.polls}
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
	phone, subject := w.newPhone(user)
	phone.Headers = page.Headers
	var race sync.WaitGroup
	defer race.Wait()
	var rival error = hubtest.ErrRefused
	rivalSubject, rivalTold := "", time.Time{}
	if rand.Float64() < w.rivals {
		race.Go(func() { rivalSubject, rivalTold, rival = w.compete(ctx, user, page) })
	}
	pause(ctx, rand.N(w.thinkTime))
	err := o.retry(ctx, w, phone, page, "scan")
	away := rand.Float64() < w.away
	if away {
		leave()
		held.Wait()
	}
	told, back := time.Now(), time.Time{}
	if err == nil {
		pause(ctx, rand.N(w.thinkTime))
		told = time.Now()
		before := o.Errors
		err = o.retry(ctx, w, phone, page, "confirm")
		if o.Errors > before {
			told = time.Now()
		}
	}
	if away {
		pause(ctx, rand.N(3*time.Second))
		back = time.Now()
		told = back
		hold(waiting)
	}
	race.Wait()
	switch {
	case rival == nil && err == nil:
		o.WrongUser = 1 // both were told
	case rival == nil:
		subject, err = rivalSubject, nil
		if told = rivalTold; away {
			told = back
		}
	case err != nil:
		told = time.Time{}
	}
	if errors.Is(err, hubtest.ErrRefused) {
		o.Refused = 1
		if !w.wiped && !w.dataLoss { // there the page must hear of its end by itself
			enough() // nobody will confirm it any more
		}
	}
	held.Wait()
	o.to = time.Now()
	o.count(page, subject, told)
	o.end = page.End
	if o.Lost > 0 {
		o.trace = fmt.Sprintf("ticket %s ended as %q\n\tpage:  %s\n\tphone: %s", page.Ticket.ID, page.End,
			strings.Join(page.Trace, "\n\t       "), strings.Join(phone.Trace, "\n\t       "))
	}
	return o
}

// compete is somebody else's scan and confirm of a page's code. told is when the
// confirm was sent, or where it was tried again answered.
func (w scenario) compete(ctx context.Context, user string, page *hubtest.Page) (subject string, told time.Time, err error) {
	phone, subject := w.newPhone(user + "-rival")
	phone.Headers = page.Headers
	pause(ctx, rand.N(w.thinkTime))
	if _, err = phone.Retry(ctx, w.phone, page.Ticket.ID, "scan"); err != nil {
		return subject, told, err
	}
	told = time.Now()
	seen, err := phone.Retry(ctx, w.phone, page.Ticket.ID, "confirm")
	if seen > 0 {
		told = time.Now()
	}
	return subject, told, err
}

func (s *stats) retry(ctx context.Context, w scenario, phone *hubtest.Phone, page *hubtest.Page, action string) error {
	seen, err := phone.Retry(ctx, w.phone, page.Ticket.ID, action)
	s.Errors += seen
	return err
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

// wrapProgram is a program that starts another one after a line of shell.
func wrapProgram(t *testing.T, line, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wrapped")
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\n%s\nexec %s \"$@\"\n", line, program), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// startNodes starts nodes on the Redis at url: so many, or what CHAOS_NODES says.
func startNodes(t *testing.T, usual int, url string, settings ...string) []*hubtest.Node {
	t.Helper()
	return startNodeCount(t, intFromEnv(t, "CHAOS_NODES", usual), url, settings...)
}

// startNodeCount starts so many nodes on the Redis at url.
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
	return hubtest.StartNode(t, program, append([]string{
		"REDIS_URL=" + url, "ADMIN_LISTEN=127.0.0.1:" + hubtest.FreePort(t)}, settings...)...)
}
