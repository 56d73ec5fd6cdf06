package redisstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/hub/outbox"
)

// outboxFixture is one queue.
type outboxFixture struct {
	*fixture
	outbox.Store
	queue string
}

func (r *fixture) newOutbox(t *testing.T) outboxFixture {
	ring, err := NewSecretKeyring([]SecretKey{{ID: "k", Key: make([]byte, 32), AES: make([]byte, 32)}})
	must(t, err)
	return outboxFixture{r, NewOutbox(r.SecretStore(ring)), "client:" + string(newID())}
}

func (o outboxFixture) exchange(t *testing.T, x outbox.Exchange) outbox.Reply {
	t.Helper()
	r, err := o.Exchange(limit(t), o.queue, x)
	must(t, err)
	return r
}

// claimed returns what a claim gets, as KEY/STATE ATTEMPTS VALUE.
func (o outboxFixture) claimed(t *testing.T, n int) (all []string) {
	t.Helper()
	for _, c := range o.exchange(t, outbox.Exchange{Claim: n, ClaimPrepared: n}).Claims {
		state := "settled"
		if c.Prepared {
			state = "prepared"
		}
		all = append(all, fmt.Sprintf("%s/%s %d %s", c.Key, state, c.Attempts, c.Value))
	}
	return all
}

// makeDue makes an entry due, as time would.
func (o outboxFixture) makeDue(t *testing.T, key string) {
	t.Helper()
	due := o.names().outboxKeys(o.queue)[1]
	before := o.inspect.ZScore(limit(t), due, key).Val()
	must(t, o.inspect.ZAddXX(limit(t), due, redisZ(map[bool]float64{false: 1, true: -1e13}[before < 0], key)).Err())
}

func (o outboxFixture) want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("claimed %q, want %q", got, want)
	}
}

func entry(key, id string, prepared bool) outbox.Entry {
	e := outbox.Entry{Key: key, ID: id, Prepared: prepared, Remember: time.Minute, Value: []byte("of " + key)}
	if prepared {
		e.After = time.Minute
	}
	return e
}

// outboxCases run on every kind of Redis.
var outboxCases = map[string]func(*testing.T, *fixture){
	"a claim is leased, in the order of the puts, and comes back": func(t *testing.T, r *fixture) {
		o := r.newOutbox(t)
		for _, key := range []string{"a", "b", "c"} {
			o.exchange(t, outbox.Exchange{Put: []outbox.Entry{entry(key, key, false)}})
			hubtest.Eventually(t, time.Second, "Redis's clock goes on", func(at time.Time) func() bool {
				return func() bool { return o.clock(t).After(at) }
			}(o.clock(t)))
		}
		o.want(t, o.claimed(t, 2), "a/settled 1 of a", "b/settled 1 of b")
		o.want(t, o.claimed(t, 2), "c/settled 1 of c")
		reply := o.exchange(t, outbox.Exchange{Claim: 1})
		if len(reply.Claims) > 0 || reply.Depth != 3 || reply.Next < outbox.Lease/4 || reply.Next > outbox.Lease {
			t.Errorf("while all are leased: %+v", reply)
		}
		o.makeDue(t, "b")
		o.want(t, o.claimed(t, 2), "b/settled 2 of b")
	},
	"an id is put once, also after its delivery": func(t *testing.T, r *fixture) {
		o := r.newOutbox(t)
		one := outbox.Exchange{Put: []outbox.Entry{entry("a#1", "a", false)}}
		o.exchange(t, one)
		o.exchange(t, one)
		o.want(t, o.claimed(t, 9), "a#1/settled 1 of a#1")
		o.exchange(t, outbox.Exchange{Remove: []string{"a#1"}})
		for _, again := range []outbox.Entry{entry("a#1", "a", false), entry("a#1", "a", true), entry("a#2", "a", false)} {
			if reply := o.exchange(t, outbox.Exchange{Put: []outbox.Entry{again}}); reply.Depth != 0 || reply.Full != 0 {
				t.Errorf("%+v is put: %+v", again, reply)
			}
		}
		must(t, o.inspect.ZAdd(limit(t), o.names().outboxKeys(o.queue)[3], redisZ(1, "a")).Err()) // Remember has passed
		o.exchange(t, one)
		o.want(t, o.claimed(t, 9), "a#1/settled 1 of a#1")
	},
	"a prepared entry is due later, and at once when settled": func(t *testing.T, r *fixture) {
		o := r.newOutbox(t)
		o.exchange(t, outbox.Exchange{Put: []outbox.Entry{entry("a#1", "a", true), entry("a#2", "a", true)}})
		o.want(t, o.claimed(t, 9))
		o.makeDue(t, "a#1")
		o.want(t, o.claimed(t, 9), "a#1/prepared 1 of a#1")
		reply := o.exchange(t, outbox.Exchange{Put: []outbox.Entry{entry("a#2", "a", false)}, Claim: 9, ClaimPrepared: 9})
		if len(reply.Claims) != 1 || reply.Claims[0].Key != "a#2" || reply.Claims[0].Prepared || reply.Depth != 2 {
			t.Errorf("settled: %+v", reply)
		}
		reply = o.exchange(t, outbox.Exchange{Put: []outbox.Entry{entry("a#1", "a", false), entry("a#2", "a", false)}})
		if reply.Depth != 1 {
			t.Errorf("the other attempt remains: %+v", reply)
		}
	},
	"prepared entries are claimed apart": func(t *testing.T, r *fixture) {
		o := r.newOutbox(t)
		o.exchange(t, outbox.Exchange{Put: []outbox.Entry{entry("a", "a", false), entry("b", "b", true), entry("c", "c", true)}})
		o.makeDue(t, "b")
		if reply := o.exchange(t, outbox.Exchange{ClaimPrepared: 9}); len(reply.Claims) != 1 || reply.Claims[0].Key != "b" || reply.Next < outbox.Lease/2 || reply.Next > outbox.Lease {
			t.Errorf("prepared: %+v", reply)
		}
		if reply := o.exchange(t, outbox.Exchange{Claim: 1}); len(reply.Claims) != 1 || reply.Claims[0].Key != "a" || reply.Next >= 0 {
			t.Errorf("settled, as many as there was room for: %+v", reply)
		}
	},
	"a retry of a lease that has ended changes nothing": func(t *testing.T, r *fixture) {
		o := r.newOutbox(t)
		o.exchange(t, outbox.Exchange{Put: []outbox.Entry{entry("a", "a", false)}})
		o.claimed(t, 1)
		o.makeDue(t, "a")
		o.want(t, o.claimed(t, 1), "a/settled 2 of a") // by another node
		o.exchange(t, outbox.Exchange{Retry: []outbox.Retry{{Key: "a", Attempts: 1}}})
		o.want(t, o.claimed(t, 1))
		o.exchange(t, outbox.Exchange{Retry: []outbox.Retry{{Key: "a", Attempts: 2}, {Key: "gone", Attempts: 1}}})
		o.want(t, o.claimed(t, 9), "a/settled 3 of a")
	},
}

// TestOutbox_Full: a full queue takes no more.
func TestOutbox_Full(t *testing.T) {
	t.Parallel()
	o := newFixture(t, hubtest.StartRedis(t).URL, 1).newOutbox(t)
	var x outbox.Exchange
	for i := range outbox.MaxEntries {
		x.Put = append(x.Put, outbox.Entry{Key: fmt.Sprint(i), ID: fmt.Sprint(i), Remember: time.Minute})
		if len(x.Put) == 500 {
			o.exchange(t, x)
			x.Put = nil
		}
		if i == outbox.MaxMinor {
			minor := outbox.Exchange{Put: []outbox.Entry{entry("minor", "minor", false)}, Limit: outbox.MaxMinor}
			if reply := o.exchange(t, minor); reply.Full != 1 {
				t.Errorf("a minor message in a half-full queue: %+v", reply)
			}
		}
	}
	reply := o.exchange(t, outbox.Exchange{Put: []outbox.Entry{entry("over", "over", true), entry("7", "new", true)}})
	if reply.Full != 1 || reply.Depth != outbox.MaxEntries {
		t.Errorf("over the bound: %+v", reply)
	}
	o.exchange(t, outbox.Exchange{Remove: []string{"0"}})
	if reply = o.exchange(t, outbox.Exchange{Put: []outbox.Entry{entry("over", "over", true)}}); reply.Full != 0 {
		t.Errorf("with room again: %+v", reply)
	}
	for _, key := range o.names().outboxKeys(o.queue) {
		if left := o.inspect.PTTL(limit(t), key).Val(); left < outbox.Life/2 || left > outbox.Life {
			t.Errorf("%s lives for %v", key, left)
		}
	}
}

// TestOutbox_WaitsForReplicas: what is prepared is on a replica before the caller goes on.
func TestOutbox_WaitsForReplicas(t *testing.T) {
	t.Parallel()
	one := newFixture(t, hubtest.StartRedis(t).URL, 1)
	one.Replicas = 1
	o := one.newOutbox(t)
	for wait, want := range map[bool]bool{true: false, false: true} {
		ctx, cancel := context.WithTimeout(limit(t), 10*time.Second)
		_, err := o.Exchange(ctx, o.queue, outbox.Exchange{Put: []outbox.Entry{entry("a", "a", true)}, WaitReplicas: wait})
		cancel()
		if (err == nil) != want {
			t.Errorf("without a replica, wait %v: %v", wait, err)
		}
	}
}
