package redisstore

import (
	"slices"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/hub/outbox"
	"loginhub/hub/ticket"
)

// TestPrefix_SharesNothing makes all calls through two stores on one Redis.
func TestPrefix_SharesNothing(t *testing.T) {
	t.Parallel()
	server := hubtest.StartRedis(t)
	if err := server.Client.Do(limit(t), "ACL", "SETUSER", "loginhub", "~other:*", "&other:*").Err(); err != nil {
		t.Fatal(err)
	}
	ours, theirs := newFixture(t, server.URL, 1), newFixture(t, server.URL, 1)
	theirs.Prefix = "other"
	both := map[string]*fixture{DefaultPrefix: ours, "other": theirs}
	id, sealed := newID(), record(1, "made")
	monitor := server.Monitor(t)
	for prefix, r := range both {
		deadline := r.clock(t).Add(time.Minute)
		if made, err := r.Create(limit(t), id, sealed, deadline, time.Minute); err != nil || !made {
			t.Fatalf("%s: make: %v %v: is there the other's?", prefix, made, err)
		}
		r.attach(t, "N1", id)
		next := record(2, prefix)
		if out := r.change(t, ticket.Change{ID: id, BaseTag: tag(sealed), Sealed: next, NotAfter: deadline, ExpireAt: deadline}); !out.Done {
			t.Errorf("%s: change: %+v", prefix, out)
		}
		if _, err := r.Probe(limit(t), "N1", "nonce"); err != nil {
			t.Error(err)
		}
		r.assertSwitches(t, []string{"demo"}, "")
		must(t, r.WriteSwitch(limit(t), "demo", prefix))
		r.assertSwitches(t, []string{"demo"}, prefix)
		ring, err := NewSecretKeyring([]SecretKey{{ID: "k", Key: make([]byte, 32), AES: make([]byte, 32)}})
		must(t, err)
		v := r.SecretStore(ring)
		must(t, v.Save(limit(t), "x", []byte(prefix), time.Minute))
		if first, err := v.SetNX(limit(t), "c", time.Minute); err != nil || !first {
			t.Errorf("%s: claim: %v %v", prefix, first, err)
		}
		if got, err := v.Load(limit(t), "x"); err != nil || string(got) != prefix {
			t.Errorf("%s: the secret store has %q %v", prefix, got, err)
		}
		if got, err := v.Take(limit(t), "x"); err != nil || string(got) != prefix {
			t.Errorf("%s: the secret store returns %q %v", prefix, got, err)
		}
		_, err = NewOutbox(v).Exchange(limit(t), "client:demo", outbox.Exchange{Put: []outbox.Entry{entry("e", "e", false)}})
		must(t, err)
	}
	for prefix, r := range both {
		if got := r.attach(t, "", id); string(got.Sealed) != string(record(2, prefix)) {
			t.Errorf("%s: the ticket is %q", prefix, got.Sealed)
		}
	}
	keys := server.Client.Keys(limit(t), "*").Val()
	if len(keys) != 16 || slices.ContainsFunc(keys, func(k string) bool {
		return !strings.HasPrefix(k, "loginhub:") && !strings.HasPrefix(k, "other:")
	}) {
		t.Errorf("keys %q", keys)
	}
	published := strings.Join(monitor(), "\n")
	for prefix := range both { // an update and a probe
		if n := strings.Count(published, `"PUBLISH" "`+prefix+`:mail:N1"`); n != 2 {
			t.Errorf("%d messages to %s:\n%s", n, prefix, published)
		}
	}
}
