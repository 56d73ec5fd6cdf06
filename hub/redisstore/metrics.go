package redisstore

import (
	"context"
	"errors"
	"time"

	"loginhub/hub/ticket"
)

// Metrics hears how Redis does. Its methods are called from many goroutines and do
// not block.
type Metrics interface {
	// ObserveCall is one call, by one of Calls' names: how long its caller has
	// waited, with all repeats of the client library and the wait for a lane, and
	// whether it has failed. A caller that left is no failure.
	ObserveCall(name string, took time.Duration, failed bool)
	// DecryptFailed is a value of the vault that no key of ours has encrypted in that
	// place: somebody writes in Redis.
	DecryptFailed()
	// ReplicasMissing is a confirm or a switch that too few replicas had in time: it
	// was refused, although the master has it.
	ReplicasMissing()
}

// The names of the calls. attach and change come from a page or a phone, the
// others with _many from the sweep, up to 512 tickets in one pipeline.
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
)

// Calls are all names of calls.
func Calls() []string {
	return []string{callCreate, callAttach, callAttachMany, callChange, callChangeMany, callChangeReplicated, callProbe,
		callSave, callLoad, callTake, callSetNX, callSwitchesRead, callSwitch}
}

// callName is the name of a call with so many tickets.
func callName(n int, one, many string) string {
	if n > 1 {
		return many
	}
	return one
}

// observe meters a call that began at start and has ended with err.
func (s *Store) observe(name string, start time.Time, err error) {
	if s.Metrics == nil {
		return
	}
	s.Metrics.ObserveCall(name, time.Since(start), err != nil && !errors.Is(err, context.Canceled))
	if errors.Is(err, ticket.ErrNotReplicated) {
		s.Metrics.ReplicasMissing()
	}
}
