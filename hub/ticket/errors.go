package ticket

import (
	"errors"
	"fmt"
)

// Results of a login that is not successful. The table in api/errors.go gives each its
// HTTP status and text.
var (
	ErrInvalidSecret = errors.New("secret missing or not this ticket's")
	ErrNotFound      = errors.New("no such ticket")
	ErrExpired       = errors.New("ticket expired")
	ErrClosed        = errors.New("the ticket is closed for this action")
	ErrScanned       = errors.New("another user has scanned the ticket")
	ErrScanRequired  = errors.New("number matching is on and the ticket is not scanned yet")
	ErrMatchMissing  = errors.New("number matching is on and no number was chosen")
	ErrMatchFailed   = errors.New("the wrong number was chosen")
	// ErrRedeemed means that the ticket's code or device code was exchanged before.
	ErrRedeemed     = errors.New("the grant was redeemed before")
	ErrNotConfirmed = errors.New("ticket is not confirmed, or with another seq")

	ErrLoginDisabled   = errors.New("the operator has switched this client's QR login off")
	ErrAddressMismatch = errors.New("phone and browser do not share a known address")

	ErrStoreUnavailable = errors.New("the store is unreachable or this node is stalled")
	// ErrNotReplicated is returned for a Change that was made but would be undone by the
	// loss of the master. It is an ErrStoreUnavailable too, and callers see only that.
	ErrNotReplicated = fmt.Errorf("stored, but not on enough replicas yet: %w", ErrStoreUnavailable)
	ErrOverloaded    = errors.New("this node is full or draining")

	// ErrBrokenSeal means that no node sealed this record or message: somebody else
	// writes in Redis. Callers see ErrNotFound.
	ErrBrokenSeal = errors.New("broken seal")
	// ErrRevokedKey means that the record is sealed under a key that the operator has
	// revoked. It is an ErrBrokenSeal too: anybody may have sealed it.
	ErrRevokedKey = fmt.Errorf("sealed under a revoked key: %w", ErrBrokenSeal)
	// ErrUnknownKey means that the record is sealed under a key that this node does not
	// have, or not yet (key rotation). Callers see ErrStoreUnavailable.
	ErrUnknownKey = errors.New("sealed under a key that this node does not have")
	// ErrUnknownClient means that the ticket's client is not in this node's
	// configuration, or not yet (reload). Callers see ErrStoreUnavailable.
	ErrUnknownClient = errors.New("this node does not have the ticket's client")
	// ErrUnknownVersion is returned for a record, message or value of a later version,
	// or for bytes that look like one. It counts as ErrUnknownKey everywhere.
	ErrUnknownVersion error = unknownVersion{}
)

type unknownVersion struct{}

// Error implements error.
func (unknownVersion) Error() string { return "sealed in a version that this node does not know" }

// Is reports whether target is ErrUnknownKey: an unknown version counts as one.
func (unknownVersion) Is(target error) bool { return target == ErrUnknownKey }

// RejectedError is the ErrClosed of a ticket that was rejected.
type RejectedError struct{ Reason Reason }

// Error implements error.
func (e RejectedError) Error() string {
	return ErrClosed.Error() + ": rejected (" + e.Reason.String() + ")"
}

// Unwrap returns ErrClosed.
func (RejectedError) Unwrap() error { return ErrClosed }
