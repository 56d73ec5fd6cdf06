package main_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// tamperFixture is a victim and an attacker, each with a ticket and a socket, on a Redis that the
// attacker can read, write and publish to. Package ticket tries every kind of forgery; these tests
// show what browsers and phones get from a few.
type tamperFixture struct {
	*testing.T
	ctx              context.Context
	redis            *hubtest.Redis
	nodes            []*hubtest.Node
	victim, attacker *waiter
	good, bad        *hubtest.Phone
}

// newTamperFixture starts a fixture. The second node holds the sockets, and resyncs every half of
// RESULT_TTL.
func newTamperFixture(t *testing.T, result string) *tamperFixture {
	t.Helper()
	s := &tamperFixture{T: t, ctx: hubtest.Context(t, 40*time.Second), redis: hubtest.StartRedis(t),
		good: hubtest.NewPhone("victim"), bad: hubtest.NewPhone("mallory")}
	for range 2 {
		s.nodes = append(s.nodes, startMetered(t, "REDIS_URL="+s.redis.URL, "RESULT_TTL="+result))
	}
	s.victim = mustOpenWaiter(t, s.ctx, s.nodes[0].URL, s.nodes[1].URL)
	s.attacker = mustOpenWaiter(t, s.ctx, s.nodes[0].URL, s.nodes[1].URL)
	return s
}

// refusedSeals is the number of seals that the waiters' node has refused in records or messages
// (where). The metric is exact; log lines are rate-limited.
func (s *tamperFixture) refusedSeals(where string) (n float64) {
	s.Helper()
	for series, count := range scrape(s.T, s.nodes[1]) {
		if strings.HasPrefix(series, "loginhub_seal_failures_total{") && strings.Contains(series, `where="`+where+`"`) {
			n += count
		}
	}
	return n
}

func (s *tamperFixture) write(p *waiter, record string) {
	s.Helper()
	if err := s.redis.Client.HSet(s.ctx, ticketKey(p.ID), "rec", record).Err(); err != nil {
		s.Fatal(err)
	}
}

// call makes the calls of both phones, each for its own ticket.
func (s *tamperFixture) call(actions ...string) {
	s.Helper()
	mustCall(s.T, s.ctx, s.good, s.nodes[0].URL, s.victim.ID, actions...)
	mustCall(s.T, s.ctx, s.bad, s.nodes[0].URL, s.attacker.ID, actions...)
}

// finish demands that each socket is still open and gets its own token.
func (s *tamperFixture) finish() {
	s.Helper()
	for phone, p := range map[*hubtest.Phone]*waiter{s.good: s.victim, s.bad: s.attacker} {
		v, err := p.waitToken(s.ctx, s.nodes[0].URL, "sandbox:"+phone.Name)
		if err != nil {
			s.Fatal(err)
		}
		if err := p.ackAndClose(s.ctx, v.Seq); err != nil {
			s.Error(err)
		}
	}
}

// readRecord returns the ticket's sealed record: its version, its key's id, and the rest.
func readRecord(ctx context.Context, t testing.TB, redis *hubtest.Redis, id string) (version, kid, rest string) {
	t.Helper()
	record, err := redis.Client.HGet(ctx, ticketKey(id), "rec").Result()
	parts := strings.SplitN(record, ".", 3)
	if err != nil || len(parts) != 3 {
		t.Fatalf("record of %s: %q %v", id, record, err)
	}
	return parts[0], parts[1], parts[2]
}

// flip changes one bit of the byte at that place; a negative place counts from the end.
func flip(text string, at int) string {
	b := []byte(text)
	b[(at+len(b))%len(b)] ^= 1
	return string(b)
}

// forgeries returns records for p's ticket that no node has sealed, and of them those that a node
// cannot distinguish from records under a key that it lacks.
func (s *tamperFixture) forgeries(p, other *waiter) (own string, broken, unknown map[string]string) {
	version, kid, rest := readRecord(s.ctx, s, s.redis, p.ID)
	foreign := s.redis.Client.HGet(s.ctx, ticketKey(other.ID), "rec").Val()
	own = version + "." + kid + "." + rest
	broken = map[string]string{
		"the other ticket's":  foreign,
		"another first byte":  version + "." + kid + "." + flip(rest, 0),
		"another middle byte": version + "." + kid + "." + flip(rest, len(rest)/2),
		"another last byte":   flip(own, -1),
		"half":                own[:len(own)/2],
		"one byte more":       own + " ",
		"no text":             "",
		"garbage":             "\x00\xff\xfe garbage",
		"30 KiB":              own + strings.Repeat("x", 30<<10),
	}
	return own, broken, map[string]string{"a foreign key": version + ".bm9ib2R5aGFz." + rest, "a later version": "9999." + kid + "." + rest}
}

func TestTamper_Record(t *testing.T) {
	t.Parallel()
	s := newTamperFixture(t, "30s")
	for _, action := range []string{"", "scan", "confirm"} {
		if action != "" {
			s.call(action)
		}
		own, broken, unknown := s.forgeries(s.victim, s.attacker)
		for name, forged := range broken {
			s.wantRefused(action+", "+name, forged, 404, "ticket_not_found")
		}
		for name, forged := range unknown {
			s.wantRefused(action+", "+name, forged, 503, "store_unavailable")
		}
		s.write(s.victim, own)
	}
	waitLog(t, s.nodes[0], 1, `"level":"ERROR","msg":"record refused"`)
	s.finish()
}

// wantRefused stores the record and demands that every call gets this refusal, and that the record
// stays.
func (s *tamperFixture) wantRefused(what, forged string, status int, code string) {
	s.Helper()
	s.write(s.victim, forged)
	url, p := s.nodes[0].URL, s.victim
	for _, action := range []string{"scan", "confirm", "reject"} {
		a, err := s.good.Do(s.ctx, url, p.ID, action, nil)
		hubtest.AssertRefusal(s.T, what+": "+action, a, err, status, code)
	}
	a, err := p.PollResponse(s.ctx, s.nodes[1].URL, 0, 0)
	hubtest.AssertRefusal(s.T, what+": poll", a, err, status, code)
	a, err = hubtest.DialRefused(s.ctx, p.Ticket, url)
	hubtest.AssertRefusal(s.T, what+": socket", a, err, status, code)
	a, err = p.Ack(s.ctx, url, 3)
	hubtest.AssertRefusal(s.T, what+": ack", a, err, status, code)
	if after := s.redis.Client.HGet(s.ctx, ticketKey(p.ID), "rec").Val(); after != forged {
		s.Errorf("%s: a node overwrote it with %s", what, after)
	}
}

func TestTamper_Message(t *testing.T) {
	t.Parallel()
	s := newTamperFixture(t, "30s")
	to := "t" + s.victim.ID
	var older []string
	for i, action := range []string{"", "scan", "confirm"} {
		if action != "" {
			s.call(action)
		}
		if action == "scan" {
			mustNext(t, s.ctx, s.victim, "scanned")
			mustNext(t, s.ctx, s.attacker, "scanned")
		}
		own, forged, unknown := s.forgeries(s.victim, s.attacker)
		messages := []string{"", "t", to, "x" + s.victim.ID + own, "tAAAAAAAAAAAAAAAAAAAAAA" + own,
			"pAAAAAAAAAAAA.0", "pAAAAAAAAAAAA.999999999", "p.-1", to + strings.Repeat("x", 8<<20), to + unknown["a foreign key"]}
		for _, text := range forged {
			messages = append(messages, to+text)
		}
		for _, text := range older { // replayed
			messages = append(messages, to+text)
		}
		older = append(older, own)
		before := s.refusedSeals("message")
		for _, n := range s.nodes {
			for _, message := range messages {
				if err := s.redis.Client.Publish(s.ctx, "loginhub:mail:"+n.ID(s.T), message).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
		hubtest.Eventually(t, 10*time.Second, fmt.Sprintf("the node has counted the forged messages, round %d", i), func() bool {
			return s.refusedSeals("message") >= before+float64(len(forged))-1 // a message without text is not sealed
		})
	}
	s.finish()
}

func TestTamper_WaitingPage(t *testing.T) {
	t.Parallel()
	s := newTamperFixture(t, "4s")
	ofVictim := s.redis.Client.HGet(s.ctx, ticketKey(s.victim.ID), "rec").Val()
	ofAttacker := s.redis.Client.HGet(s.ctx, ticketKey(s.attacker.ID), "rec").Val()
	s.write(s.victim, ofAttacker)
	s.write(s.attacker, flip(ofAttacker, -1))
	hubtest.Eventually(t, 10*time.Second, "two resyncs have found both forged records", func() bool { return s.refusedSeals("record") >= 4 })
	s.write(s.victim, ofVictim)
	s.write(s.attacker, ofAttacker)
	s.call("confirm")
	s.finish()
}

// TestTamper_NodeRecord: forged lists of the nodes that hold waiters delay no token, and neither
// does a key of another type, which a node reads in one batch with its other tickets.
func TestTamper_NodeRecord(t *testing.T) {
	t.Parallel()
	s := newTamperFixture(t, "4s")
	if err := s.redis.Client.Set(s.ctx, ticketKey(s.attacker.ID), "not a hash", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	records := []string{"unknown", ",,,,,", strings.Repeat("0000000000000000000000,", 10000), "a,b,c,d", "\x00\xff", s.nodes[0].ID(s.T) + "," + s.nodes[0].ID(s.T)}
	hubtest.Parallel(t, len(records), len(records), func(i int) error {
		p, err := openWaiter(s.ctx, s.nodes[0].URL, s.nodes[1].URL)
		if err != nil {
			return err
		}
		defer p.socket.Conn.CloseNow()
		if err := s.redis.Client.HSet(s.ctx, ticketKey(p.ID), "nodes", records[i]).Err(); err != nil {
			return err
		}
		if err := hubtest.CallOK(s.ctx, s.good, s.nodes[0].URL, p.ID, "confirm"); err != nil {
			return err
		}
		_, err = p.waitToken(s.ctx, s.nodes[0].URL, "sandbox:victim")
		return err
	})
}
