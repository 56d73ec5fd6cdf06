package main_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// forgedMessages are what an attacker may publish to the channel of the victim's node. older are
// earlier sealed versions of the victim's ticket.
func (s *tamperFixture) forgedMessages(t *testing.T, ctx context.Context, older ...sealedRecord) map[string]string {
	t.Helper()
	own, other := s.read(t, ctx, s.victim), s.read(t, ctx, s.attacker)
	to := "t" + s.victim.ID
	all := map[string]string{
		"nothing":                 "",
		"garbage":                 "\x00\xff garbage",
		"a kind alone":            "t",
		"a ticket alone":          to,
		"a ticket and garbage":    to + "garbage",
		"an unknown kind":         "x" + s.victim.ID + own.seal(own.mac, own.body),
		"the other ticket's":      to + other.seal(other.mac, other.body),
		"an unknown ticket":       "tAAAAAAAAAAAAAAAAAAAAAA" + own.seal(own.mac, own.body),
		"a foreign key":           to + "1.bm9ib2R5aGFz." + own.mac + "." + own.body,
		"a forged probe":          "pAAAAAAAAAAAA.0",
		"a probe of a high round": "pAAAAAAAAAAAA.999999999",
		"a malformed probe":       "p.-1",
		"30 KiB":                  to + own.seal(own.mac, own.withField("nonce", json.RawMessage(`"`+strings.Repeat("x", 30<<10)+`"`))),
		"8 MiB":                   to + strings.Repeat("x", 8<<20),
	}
	for _, state := range []string{"scanned", "confirmed", "consumed", "rejected", "expired"} {
		forged := own
		forged.body = own.withField("state", json.RawMessage(`"`+state+`"`))
		if err := json.Unmarshal([]byte(forged.body), &forged.fields); err != nil {
			t.Fatal(err)
		}
		all["forged "+state] = to + own.seal(own.mac, forged.withField("seq", json.RawMessage("9")))
		all["forged "+state+", the other's MAC"] = to + own.seal(other.mac, forged.withField("seq", json.RawMessage("9")))
	}
	for _, was := range older {
		all["an older "+string(was.fields["state"])] = to + was.seal(was.mac, was.body)
	}
	return all
}

// publish sends the messages to both nodes, several times. It waits until the waiters' node has
// counted the refused seals.
func (s *tamperFixture) publish(t *testing.T, ctx context.Context, messages map[string]string) {
	t.Helper()
	before := s.refusedSeals(t, "message")
	for range 3 {
		for what, message := range messages {
			for _, n := range s.nodes {
				if err := s.redis.Client.Publish(ctx, "loginhub:mail:"+n.ID(), message).Err(); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
		}
	}
	// Ten forged states, garbage, the other ticket's record and a foreign key, three times each.
	hubtest.Eventually(t, 10*time.Second, "the node has counted the forged messages", func() bool {
		return s.refusedSeals(t, "message") >= before+39
	})
}

func TestTamper_Message(t *testing.T) {
	t.Parallel()
	ctx := testContext(t, 40*time.Second)
	s := newTamperFixture(t, ctx, "30s")
	good, bad := hubtest.NewPhone("victim"), hubtest.NewPhone("mallory")
	polled := make(chan *hubtest.View, 1)
	go func() { // another window of the victim's browser
		v, err := s.victim.Poll(ctx, s.nodes[0].URL, 2, 50)
		if err != nil {
			t.Errorf("poll: %v", err)
		}
		polled <- v
	}()
	if v := <-polled; v == nil || v.State != "pending" {
		t.Fatalf("poll of a pending ticket: %+v", v)
	}
	pending := s.read(t, ctx, s.victim)
	s.publish(t, ctx, s.forgedMessages(t, ctx))

	mustCall(t, ctx, good, s.nodes[0].URL, s.victim.ID, "scan")
	mustCall(t, ctx, bad, s.nodes[0].URL, s.attacker.ID, "scan", "confirm")
	if v := mustNext(t, ctx, s.victim, "scanned"); v.Seq != 2 {
		t.Errorf("scanned view %+v", v)
	}
	go func() {
		v, err := s.victim.Poll(ctx, s.nodes[0].URL, 2, 50)
		if err != nil {
			t.Errorf("poll: %v", err)
		}
		polled <- v
	}()
	if err := waitSubscribed(ctx, s.redis, s.nodes[0], s.victim.ID); err != nil {
		t.Fatal(err)
	}
	scanned := s.read(t, ctx, s.victim)
	s.publish(t, ctx, s.forgedMessages(t, ctx, pending))

	mustCall(t, ctx, good, s.nodes[0].URL, s.victim.ID, "confirm")
	v, err := s.victim.waitToken(ctx, s.nodes[0].URL, "sandbox:victim")
	if err != nil || v.Seq != 3 {
		t.Fatalf("confirmed view %+v %v", v, err)
	}
	if also := <-polled; also == nil || also.Token != v.Token {
		t.Errorf("the other window received %+v", also)
	}
	s.publish(t, ctx, s.forgedMessages(t, ctx, pending, scanned))
	if err := s.victim.ackAndClose(ctx, v.Seq); err != nil {
		t.Error(err)
	}
	if v, err := s.attacker.waitToken(ctx, s.nodes[0].URL, "sandbox:mallory"); err != nil {
		t.Error(err)
	} else if err := s.attacker.ackAndClose(ctx, v.Seq); err != nil {
		t.Error(err)
	}
}

func TestTamper_WaitingPage(t *testing.T) {
	t.Parallel()
	ctx := testContext(t, 40*time.Second)
	s := newTamperFixture(t, ctx, "4s")
	good, bad := hubtest.NewPhone("victim"), hubtest.NewPhone("mallory")
	ofVictim, ofAttacker := s.read(t, ctx, s.victim), s.read(t, ctx, s.attacker)
	s.write(t, ctx, s.victim, ofAttacker.seal(ofAttacker.mac, ofAttacker.body))
	s.write(t, ctx, s.attacker, ofAttacker.seal(ofVictim.mac, ofAttacker.withField("state", json.RawMessage(`"rejected"`))))
	hubtest.Eventually(t, 10*time.Second, "two resyncs have found both forged records", func() bool { return s.refusedSeals(t, "record") >= 4 })
	s.write(t, ctx, s.victim, ofVictim.seal(ofVictim.mac, ofVictim.body))
	s.write(t, ctx, s.attacker, ofAttacker.seal(ofAttacker.mac, ofAttacker.body))
	s.confirmBoth(t, ctx, good, bad)
}

func TestTamper_WrongKeyType(t *testing.T) {
	t.Parallel()
	ctx := testContext(t, 40*time.Second)
	s := newTamperFixture(t, ctx, "4s")
	good := hubtest.NewPhone("victim")
	if err := s.redis.Client.Set(ctx, ticketKey(s.attacker.ID), "not a hash", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	// The victim's node gets no message and must read the ticket. After a broken connection it
	// reads all its tickets in one batch.
	if err := s.redis.Client.HDel(ctx, ticketKey(s.victim.ID), "nodes").Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.redis.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	mustCall(t, ctx, good, s.nodes[0].URL, s.victim.ID, "confirm")
	v, err := s.victim.waitToken(ctx, s.nodes[0].URL, "sandbox:victim")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.victim.ackAndClose(ctx, v.Seq); err != nil {
		t.Error(err)
	}
}
