package ticket

import (
	"errors"
	"fmt"
	"time"
)

// What a login can end in. The HTTP status and the text of each stand in one
// table, api/errors.go.
var (
	ErrInvalidSecret = errors.New("secret missing or not this ticket's")
	ErrNotFound      = errors.New("no such ticket")
	ErrExpired       = errors.New("ticket expired")
	ErrClosed        = errors.New("ticket can no longer take this")
	ErrScanned       = errors.New("another user has scanned the ticket")
	ErrScanRequired  = errors.New("number matching is on and nobody has scanned yet")
	ErrMatchMissing  = errors.New("number matching is on and no number was chosen")
	ErrMatchFailed   = errors.New("the wrong number was chosen")
	ErrNotConfirmed  = errors.New("ticket is not confirmed, or with another seq")

	ErrLoginDisabled   = errors.New("the operator has switched this client's QR login off")
	ErrAddressMismatch = errors.New("phone and browser are not known to share an address")

	ErrIdentityIncomplete    = errors.New("the provider did not give what the client needs of the user")
	ErrUserBlocked           = errors.New("the provider flags the user as high risk")
	ErrCodeInvalid           = errors.New("the provider refused the code")
	ErrProviderMisconfigured = errors.New("the provider refused our credentials")
	ErrProviderUnavailable   = errors.New("the provider did not answer")

	ErrStoreUnavailable = errors.New("the store is unreachable or this node is deaf")
	// ErrNotReplicated is a Change that was made, and that the loss of the master
	// would undo. The outside hears ErrStoreUnavailable, which it is too.
	ErrNotReplicated = fmt.Errorf("stored, and not safe yet: %w", ErrStoreUnavailable)
	ErrOverloaded    = errors.New("this node is full or draining")

	// ErrBrokenSeal is a record or message that no node of ours has sealed:
	// somebody writes in Redis. The outside hears ErrNotFound.
	ErrBrokenSeal = errors.New("broken seal")
	// ErrUnknownKey is a record under a key that this node does not have (yet):
	// a key rotation on its way. The outside hears ErrStoreUnavailable.
	ErrUnknownKey = errors.New("sealed under a key that this node does not have")
	// ErrUnknownClient is a ticket of a client that this node does not have (yet):
	// a reload on its way. The outside hears ErrStoreUnavailable.
	ErrUnknownClient = errors.New("this node does not have the ticket's client")
	// ErrUnknownVersion is a record, message or value of a later version, or
	// something that looks like one. It counts as ErrUnknownKey everywhere.
	ErrUnknownVersion error = unknownVersion{}
)

type unknownVersion struct{}

// Error is the text.
func (unknownVersion) Error() string { return "sealed in a version that this node does not know" }

// Is makes it an ErrUnknownKey too.
func (unknownVersion) Is(target error) bool { return target == ErrUnknownKey }

// RetryError is an error that may pass; After says when to try again.
type RetryError struct {
	After time.Duration
	Err   error
}

// Error is the cause's text.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *RetryError) Unwrap() error { return e.Err }
