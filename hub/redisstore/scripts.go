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
)

// scripts are the four of the record and the mailbox, and those of the switches and
// of the vault, each on one key, so that a Cluster takes them.
type scripts struct {
	create, attach, change, probe, setSwitch, setNX, take *redis.Script
}

func loadScripts() scripts {
	return scripts{
		create:    redis.NewScript(createLua),
		attach:    redis.NewScript(attachLua),
		change:    redis.NewScript(changeLua),
		probe:     redis.NewScript(probeLua),
		setSwitch: redis.NewScript(switchLua),
		setNX:     redis.NewScript(setNXLua),
		take:      redis.NewScript(takeLua),
	}
}

// preload sends a login's scripts to one master, so that the first login does not
// pay for it. EVALSHA falls back to EVAL anyway.
func (s scripts) preload(ctx context.Context, c redis.Scripter) error {
	for _, script := range []*redis.Script{s.create, s.attach, s.change, s.probe, s.setNX, s.take} {
		if err := script.Load(ctx, c).Err(); err != nil {
			return fmt.Errorf("load script: %w", err)
		}
	}
	return nil
}

// call is one run of a script.
type call struct {
	script *redis.Script
	key    string
	args   []any

	cmd  *redis.Cmd      // the answer
	wake chan wakeReason // made where it has to wait for a lane
}

// run makes all calls: one alone together with others of this moment, several
// as a pipeline of their own. An error is that of any of them.
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

// isWrongType reports that something that is no record of ours stands in a ticket's
// place: that is this ticket's matter, and not that of the others in its batch.
func isWrongType(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

// send makes all calls as one pipeline. Calls whose script the server has
// forgotten (restart, SCRIPT FLUSH) are repeated with its source: they have not
// run.
func (s *Store) send(ctx context.Context, calls []*call) {
	if len(calls) == 1 || s.oneByOne { // no pipeline for one: nothing to gain
		for _, c := range calls {
			c.cmd = c.script.Run(ctx, s.client, []string{c.key}, c.args...)
		}
		return
	}
	pipe := s.client.Pipeline()
	for _, c := range calls {
		c.cmd = c.script.EvalSha(ctx, pipe, []string{c.key}, c.args...)
	}
	if _, err := pipe.Exec(ctx); err == nil {
		return
	}
	pipe = s.client.Pipeline()
	for _, c := range calls {
		if redis.HasErrorPrefix(c.cmd.Err(), "NOSCRIPT") {
			c.cmd = c.script.Eval(ctx, pipe, []string{c.key}, c.args...)
		}
	}
	pipe.Exec(ctx) // each call has its own error
}

// unavailable is any error of Redis as the one that the callers know. Whether it is
// a lost link, a full memory or a missing replica: there is no truth to be had. What
// an operator can do about it stands in the text.
func unavailable(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return nil
	}
	if mend := Advice(err); mend != "" {
		return fmt.Errorf("redis: %w (%s): %w", err, mend, ticket.ErrStoreUnavailable)
	}
	return fmt.Errorf("redis: %w: %w", err, ticket.ErrStoreUnavailable)
}

// parseReply reads {record or nil, now} from an answer's last two places.
func parseReply(cmd *redis.Cmd) (ticket.Stored, int64, error) {
	answer, err := cmd.Slice()
	if isWrongType(err) {
		return ticket.Stored{Sealed: []byte{}}, 0, nil // broken to whoever opens it
	}
	if err != nil {
		return ticket.Stored{}, 0, unavailable(err)
	}
	if len(answer) < 2 {
		return ticket.Stored{}, 0, fmt.Errorf("redis: answer of %d values: %w", len(answer), ticket.ErrStoreUnavailable)
	}
	var f ticket.Stored
	if text, ok := answer[len(answer)-2].(string); ok {
		f.Sealed = []byte(text)
	}
	now, ok := answer[len(answer)-1].(int64)
	if !ok {
		return ticket.Stored{}, 0, fmt.Errorf("redis: answer without a time: %w", ticket.ErrStoreUnavailable)
	}
	f.Now = time.UnixMilli(now).UTC()
	status, _ := answer[0].(int64) // absent in attach's answer
	return f, status, nil
}
