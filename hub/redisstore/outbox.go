package redisstore

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"time"

	"loginhub/hub/outbox"
)

//go:embed outbox.lua
var outboxLua string

// Outbox keeps the queues of package hub/outbox. It implements outbox.Store. Each queue
// has four keys in one slot of a Cluster.
type Outbox struct {
	*SecretStore // seals the values
}

// NewOutbox returns the outbox in the Redis of the SecretStore, which seals its values.
func NewOutbox(seals *SecretStore) Outbox { return Outbox{seals} }

// outboxKeys returns the keys of a queue: entries, due times, times of the first put, and
// settled ids.
func (n names) outboxKeys(queue string) []string {
	at := n.key("outbox:{" + queue + "}:")
	return []string{at + "entries", at + "due", at + "since", at + "settled"}
}

// Exchange implements outbox.Store. It costs one command, and a WAIT with WaitReplicas.
func (o Outbox) Exchange(ctx context.Context, queue string, x outbox.Exchange) (outbox.Reply, error) {
	s, start := o.store, time.Now()
	keys := s.names().outboxKeys(queue)
	c := newCall(s.scripts.outbox, keys, outboxArgs(x)...)
	name, run := callOutbox, func() error { return s.run(ctx, []*call{c}) }
	if x.WaitReplicas && s.Replicas > 0 {
		name, run = callOutboxReplicated, func() error { return s.runAndWait(ctx, c) }
	}
	err := run()
	if err == nil {
		err = unavailable(c.cmd.Err()) // run ignores a key of another type
	}
	s.observe(ctx, name, start, err)
	if err != nil {
		return outbox.Reply{}, err
	}
	values, err := c.cmd.Slice()
	if err != nil {
		return outbox.Reply{}, unavailable(err)
	}
	return parseOutbox(values)
}

func outboxArgs(x outbox.Exchange) []any {
	args := make([]any, 0, 9+6*len(x.Put)+len(x.Remove)+3*len(x.Retry))
	args = append(args, cmp.Or(x.Limit, outbox.MaxEntries), outbox.Lease.Milliseconds(), x.Claim, x.ClaimPrepared, outbox.Life.Milliseconds(), len(x.Put))
	for _, e := range x.Put {
		state := "s"
		if e.Prepared {
			state = "p"
		}
		args = append(args, e.Key, e.ID, state, e.After.Milliseconds(), e.Remember.Milliseconds(), e.Value)
	}
	args = append(args, len(x.Remove))
	for _, key := range x.Remove {
		args = append(args, key)
	}
	args = append(args, len(x.Retry))
	for _, r := range x.Retry {
		args = append(args, r.Key, r.Attempts, r.After.Milliseconds())
	}
	return args
}

// errOutboxReply means that the script replied something that it never does.
var errOutboxReply = errors.New("the script of the outbox replied something else")

// parseOutbox reads the reply of outbox.lua.
func parseOutbox(values []any) (r outbox.Reply, err error) {
	if len(values) != 9 {
		return r, unavailable(errOutboxReply)
	}
	var numbers [5]int64
	for i, at := range []int{1, 3, 4, 5, 6} {
		var ok bool
		if numbers[i], ok = values[at].(int64); !ok {
			return r, unavailable(errOutboxReply)
		}
	}
	claims, _ := values[2].([]any)
	r = outbox.Reply{Full: int(numbers[0]), Next: time.Duration(numbers[1]) * time.Millisecond, Depth: int(numbers[2]), Oldest: time.Duration(numbers[3]) * time.Millisecond,
		Settled: int(numbers[4])}
	for ; len(claims) >= 5; claims = claims[5:] {
		key, ok1 := claims[0].(string)
		state, ok2 := claims[1].(string)
		attempts, ok3 := claims[2].(int64)
		age, ok4 := claims[3].(int64)
		value, ok5 := claims[4].(string)
		if !(ok1 && ok2 && ok3 && ok4 && ok5) {
			return r, unavailable(errOutboxReply)
		}
		r.Claims = append(r.Claims, outbox.Claim{Key: key, Prepared: state == "p", Attempts: int(attempts), Age: time.Duration(age) * time.Millisecond, Value: []byte(value)})
	}
	return r, nil
}
