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
	// Called is one call, by one of Calls' names: how long its caller has
	// waited, with all repeats of the client library and the wait for a lane, and
	// whether it has failed. A caller that left is no failure.
	Called(name string, took time.Duration, failed bool)
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
	callMake         = "make"
	callAttach       = "attach"
	callAttachMany   = "attach_many"
	callChange       = "change"
	callChangeMany   = "change_many"
	callLasting      = "change_lasting" // with WAIT
	callProve        = "prove"
	callSave         = "vault_save"
	callLoad         = "vault_load"
	callTake         = "vault_take"
	callClaim        = "vault_claim"
	callSwitchesRead = "switches_read"
	callSwitch       = "switches_write"
)

// Calls are all names of calls.
func Calls() []string {
	return []string{callMake, callAttach, callAttachMany, callChange, callChangeMany, callLasting, callProve,
		callSave, callLoad, callTake, callClaim, callSwitchesRead, callSwitch}
}

// callName is the name of a call with so many tickets.
func callName(n int, one, many string) string {
	if n > 1 {
		return many
	}
	return one
}

// called meters a call that began at start and has ended with err.
func (s *Store) called(name string, start time.Time, err error) {
	if s.Meter == nil {
		return
	}
	s.Meter.Called(name, time.Since(start), err != nil && !errors.Is(err, context.Canceled))
	if errors.Is(err, ticket.ErrNotReplicated) {
		s.Meter.ReplicasMissing()
	}
}
