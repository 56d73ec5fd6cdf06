package ticket

import "time"

// Stored is what a store holds of one ticket.
type Stored struct {
	Sealed []byte    // nil where the store has no such ticket
	Now    time.Time // the store's clock when it looked
}

// Change is one change of state, to be made in one atomic step: only where the
// stored version is still Was, and only within the window by the store's clock.
type Change struct {
	ID           ID
	BaseTag      []byte    // Ticket.Tag of the version that the change was decided on
	Sealed       []byte    // the next version
	NotBefore    time.Time // not before; zero: no bound
	NotAfter     time.Time // only before; zero: no bound
	ExpireAt     time.Time // when the store may drop the record
	ExcludeNode  string    // a node that need not be told; it tells itself
	WaitReplicas bool      // done only once it also survives the loss of the master, where the store can say so; else ErrNotLasting
}

// Outcome is what became of a Change.
type Outcome struct {
	// Done: it was made, now or by the same bytes before (a client library may
	// repeat a script after a time-out). Otherwise Found is what the store
	// holds instead.
	Done bool
	Stored
}

// Tombstone is how long a record outlives its deadline, so that a late browser
// or phone hears "expired" and not "not found".
const Tombstone = time.Minute
