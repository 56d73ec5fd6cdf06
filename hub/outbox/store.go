package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Message is what waits in a queue.
type Message struct {
	// ID is the same in every delivery. Once a message was put or settled, another one of
	// the same ID is ignored for Config.Remember. It has no "#".
	ID string
	// Attempt tells prepared messages of the same ID apart, such as those of two users who
	// confirm one ticket at the same time. A later one of the same attempt replaces the
	// prepared one.
	Attempt string
	Value   []byte // encrypted in the store; bound to queue, ID and Attempt
}

// key names the message in its queue.
func (m Message) key() string { return m.ID + "#" + m.Attempt }

// Entry is a message as the store keeps it.
type Entry struct {
	Key, ID  string
	Prepared bool
	After    time.Duration // until it is due
	Remember time.Duration
	Value    []byte // sealed
}

// Retry makes a claimed entry due again, unless another node has claimed it meanwhile. With
// After as Lease it renews the claim.
type Retry struct {
	Key      string
	Attempts int
	After    time.Duration
}

// Exchange is one atomic call of the store: entries to put, entries to remove, entries to
// try again, and then how many due entries to claim.
type Exchange struct {
	Put    []Entry
	Limit  int      // nothing is put into a queue that has so many entries; 0: MaxEntries
	Remove []string // keys
	Retry  []Retry
	Claim  int // settled entries
	// ClaimPrepared is the number of prepared entries. They do not wait behind settled ones:
	// whether their change was made is known only for a time.
	ClaimPrepared int
	// WaitReplicas: succeed only if what was put also survives the loss of the master, if
	// the store supports it.
	WaitReplicas bool
}

// Claim is a due entry. No other node gets it before Lease has passed, or another one
// after a Retry.
type Claim struct {
	Key      string
	Prepared bool
	Attempts int           // claims of it, with this one
	Age      time.Duration // since it was first put
	Value    []byte        // sealed
}

// Reply is the store's answer to an Exchange.
type Reply struct {
	Full    int // entries that were not put, because the queue is full
	Settled int // entries that this call put as settled, each of an id that was not settled before
	Claims  []Claim
	Next    time.Duration // until the next entry is due that this call had room for; negative: there is none
	Depth   int           // entries
	Oldest  time.Duration // age of the oldest entry
}

// Store keeps the queues. Its clock makes entries due.
type Store interface {
	// Exchange makes the call in the named queue.
	Exchange(ctx context.Context, queue string, x Exchange) (Reply, error)
	Now() time.Time // the store's clock
	// Seal encrypts a value and binds it to the name; Open returns it, or nil.
	Seal(name string, value []byte) []byte
	Open(name string, sealed []byte) []byte
}

// Limits of the queues.
const (
	// MaxEntries is the bound of one queue. What comes over it is dropped and counted: a
	// login never waits for a site.
	MaxEntries = 10_000
	// MaxMinor is the bound for messages that strangers can cause (Outbox.PutMinor). The rest
	// of the queue is left to others.
	MaxMinor = MaxEntries / 2
	// Lease is how long a claim is held. It is renewed while the delivery runs. The claims of
	// a node that has died are due again after it.
	Lease = 6 * time.Second
	// Life is how long a queue is kept after the last put, such as that of a client that is
	// no longer configured.
	Life = 48 * time.Hour
)

// ErrRefused is a Destination's error if another attempt would not help: the message is
// removed.
var ErrRefused = errors.New("the destination refuses the message")

// ErrUnwanted is a Destination's error if the user does not accept the message: it is removed,
// and that is no fault.
var ErrUnwanted = errors.New("the user does not accept the message")

// ErrLogged marks an ErrRefused that the Destination has logged.
var ErrLogged = errors.New("logged already")

// RetryError is a Destination's error with the earliest time of the next attempt.
type RetryError struct {
	After time.Duration
	Err   error
}

// Error implements error.
func (e *RetryError) Error() string {
	return fmt.Sprintf("%v (again after %v)", e.Err, e.After)
}

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }
