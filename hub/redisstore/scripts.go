package redisstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"loginhub/hub/ticket"
)

var (
	//go:embed create.lua
	createLua string
	//go:embed attach.lua
	attachLua string
	//go:embed change.lua
	changeLua string
	//go:embed probe.lua
	probeLua string
	//go:embed setnx.lua
	setNXLua string
	//go:embed take.lua
	takeLua string
	//go:embed nodes.lua
	nodesLua string
)

// scripts are the Lua scripts. Each uses one key, or keys in one slot, so that a Cluster
// accepts it.
type scripts struct {
	create, attach, change, probe, setSwitch, setNX, take, nodes, outbox script
}

// script is a Lua script with its hash as an argument of EVALSHA.
type script struct {
	*redis.Script
	hash any
}

func newScript(lua string) script {
	s := redis.NewScript(lua)
	return script{s, s.Hash()}
}

func loadScripts() scripts {
	return scripts{
		create:    newScript(createLua),
		attach:    newScript(attachLua),
		change:    newScript(changeLua),
		probe:     newScript(probeLua),
		setSwitch: newScript(switchLua),
		setNX:     newScript(setNXLua),
		take:      newScript(takeLua),
		nodes:     newScript(nodesLua),
		outbox:    newScript(outboxLua),
	}
}

// preload loads the scripts of a login on one master, so that the first login is not
// slower. EVALSHA falls back to EVAL anyway.
func (s scripts) preload(ctx context.Context, c redis.Scripter) error {
	for _, script := range []script{s.create, s.attach, s.change, s.probe, s.setNX, s.take} {
		if err := script.Load(ctx, c).Err(); err != nil {
			return fmt.Errorf("load script: %w", err)
		}
	}
	return nil
}

// call is one run of a script.
type call struct {
	script script
	key    string
	keys   int   // the first is key, all are in one slot
	sha    []any // EVALSHA with its arguments

	cmd  *redis.Cmd      // the reply
	wake chan wakeReason // set if the call has to wait in the queue
	self [1]*call        // the pipeline of a call that goes alone

	// Of newTicketCall: sha, and what its pointers point to. Each value in an interface would
	// be an allocation.
	words   [evalHead + 1 + changeArgs]any
	texts   [3]string
	numbers [3]int64
	raw     [2]rawArg
}

// changeArgs is the most arguments of a script that follow the key.
const changeArgs = 9

// rawArg is an argument of bytes. A pointer to it is written without a copy.
type rawArg []byte

// MarshalBinary implements encoding.BinaryMarshaler.
func (b *rawArg) MarshalBinary() ([]byte, error) { return *b, nil }

// evalHead is how many words of EVALSHA precede the keys.
const evalHead = 3

func newCall(script script, keys []string, args ...any) *call {
	sha := append(make([]any, 0, evalHead+len(keys)+len(args)), "EVALSHA", script.hash, len(keys))
	for _, key := range keys {
		sha = append(sha, key)
	}
	return &call{script: script, key: keys[0], keys: len(keys), sha: append(sha, args...)}
}

// newTicketCall is newCall for the key of one ticket. The caller appends the arguments to sha,
// as pointers to texts, numbers and raw. The key must be a string: a Cluster's client reads it.
func newTicketCall(script script, key string) *call {
	c := &call{script: script, key: key, keys: 1}
	c.sha = append(c.words[:0], "EVALSHA", script.hash, c.keys, key)
	return c
}

// alone returns the call as the only one of its pipeline.
func (c *call) alone() []*call {
	c.self[0] = c
	return c.self[:]
}

// runIn sends the call, or adds it to a pipeline. cmd gets the reply.
func (c *call) runIn(ctx context.Context, to interface {
	Process(context.Context, redis.Cmder) error
}) {
	c.cmd = redis.NewCmd(ctx, c.sha...)
	_ = to.Process(ctx, c.cmd) // the command has the error
}

// evalIn is runIn with the script's source.
func (c *call) evalIn(ctx context.Context, to redis.Scripter) {
	keys := make([]string, c.keys)
	for i := range keys {
		keys[i], _ = c.sha[evalHead+i].(string)
	}
	c.cmd = c.script.Eval(ctx, to, keys, c.sha[evalHead+len(keys):]...)
}

// run makes all calls. A single call goes through the batcher, together with concurrent
// ones. Several are sent as a pipeline of their own; the first error is returned.
func (s *Store) run(ctx context.Context, calls []*call) error {
	if len(calls) == 1 && s.batch != nil {
		if err := s.batch.do(ctx, calls[0]); err != nil {
			return unavailable(err)
		}
		return unavailable(calls[0].cmd.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s.send(ctx, calls)
	for _, c := range calls {
		if err := unavailable(c.cmd.Err()); err != nil && !isWrongType(err) {
			return err
		}
	}
	return nil
}

// isWrongType reports whether the ticket's key holds something that is not a record.
// Such an error concerns this ticket only, not the others in its batch.
func isWrongType(err error) bool { return err != nil && redis.HasErrorPrefix(err, "WRONGTYPE") }

// send makes all calls as one pipeline. If the server does not have a script (restart,
// SCRIPT FLUSH), the call has not run, and send repeats it with the source.
func (s *Store) send(ctx context.Context, calls []*call) {
	if len(calls) == 1 || s.oneByOne { // a pipeline of one gains nothing
		for _, c := range calls {
			if c.runIn(ctx, s.client); noScript(c.cmd) {
				c.evalIn(ctx, s.client)
			}
		}
		return
	}
	pipe := s.client.Pipeline()
	for _, c := range calls {
		c.runIn(ctx, pipe)
	}
	if _, err := pipe.Exec(ctx); err == nil {
		return
	}
	pipe = s.client.Pipeline()
	for _, c := range calls {
		if noScript(c.cmd) {
			c.evalIn(ctx, pipe)
		}
	}
	pipe.Exec(ctx) // each call has its own error
}

func noScript(c *redis.Cmd) bool {
	err := c.Err()
	return err != nil && redis.HasErrorPrefix(err, "NOSCRIPT")
}

// unavailable wraps any error of Redis in ticket.ErrStoreUnavailable, the only one that
// callers handle. A lost connection, a full memory and a missing replica all mean that
// the state of the ticket is unknown. The text contains the advice for the operator, if
// there is one.
func unavailable(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return nil
	}
	if advice := Advice(err); advice != "" {
		return fmt.Errorf("redis: %w (%s): %w", err, advice, ticket.ErrStoreUnavailable)
	}
	return fmt.Errorf("redis: %w: %w", err, ticket.ErrStoreUnavailable)
}

// parseReply reads {record or nil, now} from the last two values of a reply.
func parseReply(cmd *redis.Cmd) (ticket.Stored, int64, error) {
	reply, err := cmd.Slice()
	if isWrongType(err) {
		return ticket.Stored{Sealed: []byte{}}, 0, nil // Keyring.Open rejects it
	}
	if err != nil {
		return ticket.Stored{}, 0, unavailable(err)
	}
	if len(reply) < 2 {
		return ticket.Stored{}, 0, fmt.Errorf("redis: reply of %d values, expected 2 or more: %w", len(reply), ticket.ErrStoreUnavailable)
	}
	var f ticket.Stored
	if text, ok := reply[len(reply)-2].(string); ok {
		f.Sealed = []byte(text)
	}
	now, ok := reply[len(reply)-1].(int64)
	if !ok {
		return ticket.Stored{}, 0, fmt.Errorf("redis: reply without a time: %w", ticket.ErrStoreUnavailable)
	}
	f.Now = time.UnixMilli(now).UTC()
	status, _ := reply[0].(int64) // absent in the reply of attach
	return f, status, nil
}
