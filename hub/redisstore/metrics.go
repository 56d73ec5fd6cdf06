package redisstore

import (
	"context"
	"errors"
	"time"

	"loginhub/hub/ticket"
	"loginhub/hub/trace"
)

// Metrics receives measurements of the calls to Redis. Its methods are called from many
// goroutines and must not block.
type Metrics interface {
	// ObserveCall records one call with its name (see Calls): how long the caller
	// waited, including repeats by the client library and the time in the queue, and
	// whether the call failed. A call cancelled by its caller is not a failure.
	ObserveCall(ctx context.Context, name string, took time.Duration, failed bool)
	// DecryptFailed counts a secret value that none of our keys has encrypted under that
	// name: somebody else writes in Redis.
	DecryptFailed()
	// ReplicasMissing counts a confirm or a switch that too few replicas had in time. It
	// was refused, although the master has it.
	ReplicasMissing()
}

// PoolStats are the connections to Redis, with a Cluster those of all servers.
type PoolStats struct {
	Used, Idle, Subscribed int
	// Since the start: connections opened for calls, calls that waited for a free
	// connection, and calls that got none in time.
	Opened, Waits, Timeouts uint32
}

// PoolStats returns the present state of the connections.
func (s *Store) PoolStats() PoolStats {
	p := s.client.PoolStats()
	return PoolStats{Used: int(p.TotalConns) - int(p.IdleConns), Idle: int(p.IdleConns), Subscribed: int(p.PubSubStats.Active),
		Opened: p.Misses, Waits: p.WaitCount, Timeouts: p.Timeouts}
}

// Names of the calls. attach and change serve one page or phone. Those with _many come
// from the sweep, with up to 512 tickets in one pipeline.
const (
	callCreate           = "create"
	callAttach           = "attach"
	callAttachMany       = "attach_many"
	callChange           = "change"
	callChangeMany       = "change_many"
	callChangeReplicated = "change_replicated" // with WAIT
	callProbe            = "probe"
	callSave             = "secret_save"
	callLoad             = "secret_load"
	callTake             = "secret_take"
	callSetNX            = "secret_setnx"
	callSwitchesRead     = "killswitch_read"
	callSwitch           = "killswitch_write"
	callNodes            = "nodes"
	callOutbox           = "outbox"
	callOutboxReplicated = "outbox_replicated" // with WAIT
)

// Calls returns the names of all calls.
func Calls() []string {
	return []string{callCreate, callAttach, callAttachMany, callChange, callChangeMany, callChangeReplicated, callProbe,
		callSave, callLoad, callTake, callSetNX, callSwitchesRead, callSwitch, callNodes, callOutbox, callOutboxReplicated}
}

// callName returns the name of a call with n tickets.
func callName(n int, one, many string) string {
	if n > 1 {
		return many
	}
	return one
}

// observe records a call that began at start and ended with err.
func (s *Store) observe(ctx context.Context, name string, start time.Time, err error) {
	failed := err != nil && !errors.Is(err, context.Canceled)
	trace.Redis(ctx, name, start, failed)
	if s.Metrics == nil {
		return
	}
	s.Metrics.ObserveCall(ctx, name, time.Since(start), failed)
	if errors.Is(err, ticket.ErrNotReplicated) {
		s.Metrics.ReplicasMissing()
	}
}
