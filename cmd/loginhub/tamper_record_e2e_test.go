package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// tamperFixture is a victim and an attacker, each with a ticket and a socket, on a Redis that the
// attacker can read, write and publish to.
type tamperFixture struct {
	redis            *hubtest.Redis
	nodes            []*hubtest.Node
	victim, attacker *waiter
}

// The addresses of victim and attacker, as the hub sees them.
const (
	victimAddress, victimAgent     = "203.0.113.7", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
	attackerAddress, attackerAgent = "198.51.100.9", "Mozilla/5.0 (X11; Linux x86_64; rv:151.0) Gecko/20100101 Firefox/151.0"
)

// refusedSeals is the number of seals that the waiters' node has refused in records or messages
// (where). The metric is exact; log lines are rate-limited.
func (s *tamperFixture) refusedSeals(t *testing.T, where string) (n float64) {
	t.Helper()
	for series, count := range scrape(t, s.nodes[1]) {
		if strings.HasPrefix(series, "loginhub_seal_failures_total{") && strings.Contains(series, `where="`+where+`"`) {
			n += count
		}
	}
	return n
}

// newTamperFixture starts a fixture. The second node holds the sockets, and resyncs every half of
// RESULT_TTL.
func newTamperFixture(t *testing.T, ctx context.Context, result string) *tamperFixture {
	t.Helper()
	s := &tamperFixture{redis: hubtest.StartRedis(t)}
	for range 2 {
		s.nodes = append(s.nodes, startMetered(t, "REDIS_URL="+s.redis.URL, "RESULT_TTL="+result, "TRUSTED_PROXIES=127.0.0.1/32"))
	}
	for _, who := range []struct {
		page           **waiter
		address, agent string
	}{{&s.victim, victimAddress, victimAgent}, {&s.attacker, attackerAddress, attackerAgent}} {
		ticket, err := hubtest.CreateTicket(ctx, s.nodes[0].URL, map[string]string{"nonce": who.address},
			"X-Forwarded-For", who.address, "User-Agent", who.agent)
		if err != nil {
			t.Fatal(err)
		}
		*who.page = &waiter{Ticket: ticket}
		if err := (*who.page).attach(ctx, s.nodes[1].URL, "pending"); err != nil {
			t.Fatal(err)
		}
		socket := (*who.page).socket
		t.Cleanup(func() { socket.Conn.CloseNow() })
	}
	return s
}

// sealedRecord is a sealed record in its parts.
type sealedRecord struct {
	version, kid, mac string
	fields            map[string]json.RawMessage
	body              string
}

func (s *tamperFixture) read(t *testing.T, ctx context.Context, p *waiter) sealedRecord {
	t.Helper()
	head, body, err := readRecord(ctx, s.redis, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	split := strings.SplitN(head, ".", 4)
	r := sealedRecord{version: split[0], kid: split[1], mac: split[2], body: body}
	if err := json.Unmarshal([]byte(body), &r.fields); err != nil || len(split) != 4 {
		t.Fatalf("record %s%s: %v", head, body, err)
	}
	return r
}

func (r sealedRecord) seal(mac, body string) string {
	return r.version + "." + r.kid + "." + mac + "." + body
}

// withField returns the JSON with one field set. It keeps the order, so that an unchanged value
// gives the same bytes.
func (r sealedRecord) withField(name string, value json.RawMessage) string {
	if was, ok := r.fields[name]; ok {
		return strings.Replace(r.body, fmt.Sprintf(`"%s":%s`, name, was), fmt.Sprintf(`"%s":%s`, name, value), 1)
	}
	return fmt.Sprintf(`%s,"%s":%s}`, strings.TrimSuffix(r.body, "}"), name, value)
}

// forgeries are records for own's ticket, made of both records or of garbage. No node has sealed
// them.
func forgeries(own, other sealedRecord) map[string]string {
	all := map[string]string{
		"the other ticket's record":          other.seal(other.mac, other.body),
		"the other ticket's record, renamed": other.seal(other.mac, other.withField("ticket", own.fields["ticket"])),
		"the other's JSON with its own MAC":  own.seal(own.mac, other.body),
		"its own JSON with the other's MAC":  own.seal(other.mac, own.body),
		"no MAC":                             own.seal("", own.body),
		"half a MAC":                         own.seal(own.mac[:21], own.body),
		"a MAC of zeros":                     own.seal(strings.Repeat("A", 43), own.body),
		"the first half":                     own.seal(own.mac, own.body[:len(own.body)/2]),
		"all but the last byte":              own.seal(own.mac, own.body[:len(own.body)-1]),
		"one byte more":                      own.seal(own.mac, own.body+" "),
		"only the header":                    own.seal(own.mac, ""),
		"only JSON":                          own.body,
		"an empty record":                    "",
		"garbage":                            "\x00\xff\xfe garbage",
		"dots":                               "....",
		"30 KiB":                             own.seal(own.mac, own.withField("nonce", json.RawMessage(`"`+strings.Repeat("x", 30<<10)+`"`))),
		"a field twice":                      own.seal(own.mac, own.body[:len(own.body)-1]+`,"state":"confirmed"}`),
		"the same JSON with other spacing":   own.seal(own.mac, strings.Replace(own.body, `","`, `", "`, 1)),
	}
	for name, value := range other.fields {
		if string(own.fields[name]) == string(value) {
			continue
		}
		all["the other's "+name] = own.seal(own.mac, own.withField(name, value))
		all["the other's "+name+" and MAC"] = own.seal(other.mac, own.withField(name, value))
	}
	for name, value := range map[string]string{
		"address": `"192.0.2.1"`, "browser": `"Edge 150"`, "os": `"Windows"`, "made_at": `"2026-01-01T00:00:00Z"`,
		"client": `"default2"`, "nonce": `"forged"`, "deadline": `"2036-01-01T00:00:00Z"`, "state": `"confirmed"`, "seq": `9`,
		"by": `{"provider":"sandbox","subject":"mallory"}`, "user": `{"nickname":"forged"}`, "match": `true`,
		"claims": `{"iss":"http://login.test","aud":"default","sub":"sandbox:mallory","exp":9999999999}`,
	} {
		all["a rewritten "+name] = own.seal(own.mac, own.withField(name, json.RawMessage(value)))
	}
	// A record with the same content is not a forgery.
	maps.DeleteFunc(all, func(_, forged string) bool { return forged == own.seal(own.mac, own.body) })
	return all
}

// checkForgeriesRefused stores every forgery as the ticket's record and demands that no browser or
// phone gets anything from it. Afterwards the original record is restored.
func (s *tamperFixture) checkForgeriesRefused(t *testing.T, ctx context.Context, p *waiter, own, other sealedRecord) {
	t.Helper()
	phone := hubtest.NewPhone("victim")
	all := forgeries(own, other)
	// A node cannot distinguish an unknown key or a later version from a key that it lacks.
	foreign, later := "1.bm9ib2R5aGFz."+own.mac+"."+own.body, "2."+own.kid+"."+own.mac+"."+own.body
	all["a foreign key"], all["another version"] = foreign, later
	for name, forged := range all {
		status, code := 404, "ticket_not_found"
		if forged == foreign || forged == later {
			status, code = 503, "store_unavailable"
		}
		s.write(t, ctx, p, forged)
		for i, n := range s.nodes {
			for what, ask := range map[string]func() (*hubtest.Response, error){
				"scan":    func() (*hubtest.Response, error) { return phone.Do(ctx, n.URL, p.ID, "scan", nil) },
				"confirm": func() (*hubtest.Response, error) { return phone.Do(ctx, n.URL, p.ID, "confirm", nil) },
				"reject":  func() (*hubtest.Response, error) { return phone.Do(ctx, n.URL, p.ID, "reject", nil) },
				"poll":    func() (*hubtest.Response, error) { return p.PollResponse(ctx, n.URL, 0, 0) },
			} {
				a, err := ask()
				wantRefusal(t, fmt.Sprintf("%s, %s on node %d", name, what, i), a, err, status, code)
			}
		}
		a, err := dialRefused(ctx, p.Ticket, s.nodes[0].URL)
		wantRefusal(t, name+", socket", a, err, status, code)
		a, err = p.Ack(ctx, s.nodes[0].URL, 3)
		wantRefusal(t, name+", ack", a, err, status, code)
		if after := s.redis.Client.HGet(ctx, ticketKey(p.ID), "rec").Val(); after != forged {
			t.Errorf("%s: a node overwrote it with %s", name, after)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	s.write(t, ctx, p, own.seal(own.mac, own.body))
}

func (s *tamperFixture) write(t *testing.T, ctx context.Context, p *waiter, rec string) {
	t.Helper()
	if err := s.redis.Client.HSet(ctx, ticketKey(p.ID), "rec", rec).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestTamper_Record(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"pending", "scanned", "confirmed"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t, 40*time.Second)
			s := newTamperFixture(t, ctx, "30s")
			good, bad := hubtest.NewPhone("victim"), hubtest.NewPhone("mallory")
			steps := map[string][]string{"scanned": {"scan"}, "confirmed": {"scan", "confirm"}}[state]
			mustCall(t, ctx, good, s.nodes[0].URL, s.victim.ID, steps...)
			mustCall(t, ctx, bad, s.nodes[0].URL, s.attacker.ID, steps...)
			ofVictim, ofAttacker := s.read(t, ctx, s.victim), s.read(t, ctx, s.attacker)
			s.checkForgeriesRefused(t, ctx, s.victim, ofVictim, ofAttacker)
			s.checkForgeriesRefused(t, ctx, s.attacker, ofAttacker, ofVictim)
			hubtest.Eventually(t, 10*time.Second, "the log reports the refused record", func() bool {
				return strings.Contains(s.nodes[0].Log(), `"level":"ERROR","msg":"record refused"`)
			})
			s.confirmBoth(t, ctx, good, bad)
		})
	}
}

// confirmBoth confirms both tickets. Both sockets are still open, and each gets its own token.
func (s *tamperFixture) confirmBoth(t *testing.T, ctx context.Context, good, bad *hubtest.Phone) {
	t.Helper()
	for phone, p := range map[*hubtest.Phone]*waiter{good: s.victim, bad: s.attacker} {
		mustCall(t, ctx, phone, s.nodes[0].URL, p.ID, "confirm")
		v, err := p.waitToken(ctx, s.nodes[0].URL, "sandbox:"+phone.Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.ackAndClose(ctx, v.Seq); err != nil {
			t.Error(err)
		}
	}
}
