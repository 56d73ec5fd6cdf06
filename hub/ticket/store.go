package ticket

import "time"

// Stored is the store's copy of one ticket.
type Stored struct {
	Sealed []byte    // nil if the store has no such ticket
	Now    time.Time // the store's clock at the time of reading
}

// Change is one change of state, made in one atomic step. The store makes it only if the
// stored version is the one of BaseTag, and only between NotBefore and NotAfter by the
// store's clock. A repeated change is not bound to a time.
type Change struct {
	ID           ID
	BaseTag      []byte    // Ticket.Tag of the version that the change is based on
	Sealed       []byte    // the next version; empty: repeat the change that made BaseTag's version
	NotBefore    time.Time // earliest time; zero: no bound
	NotAfter     time.Time // must be before this; zero: no bound
	ExpireAt     time.Time // when the store may delete the record
	ExcludeNode  string    // a node that gets no message, because it makes the change itself
	WaitReplicas bool      // succeed only if the change also survives the loss of the master, if the store supports it; else ErrNotReplicated
}

// Outcome is the result of a Change.
type Outcome struct {
	// Done is true if the change was made, now or by an earlier call with the same bytes
	// (a client library may repeat a script after a timeout). Otherwise Stored is what
	// the store contains instead.
	Done bool
	Stored
}

// Tombstone is how long a record is kept after its deadline, so that a late browser or
// phone gets "expired" and not "not found".
const Tombstone = time.Minute
