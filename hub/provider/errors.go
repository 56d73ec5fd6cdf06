package provider

import (
	"errors"
	"time"
)

// Errors of a provider. The table in api/errors.go gives each its HTTP status and text.
// The texts that wrap them contain neither a code nor credentials.
var (
	ErrCodeInvalid           = errors.New("the provider refused the code")
	ErrUserBlocked           = errors.New("the provider does not let this user log in")
	ErrProviderMisconfigured = errors.New("the provider refused our credentials")
	ErrProviderUnavailable   = errors.New("the provider did not answer")
	ErrGuest                 = errors.New("the provider gave a guest instead of the user")
	ErrEventInvalid          = errors.New("the provider did not send this event")
	ErrMessageRefused        = errors.New("the provider does not deliver a message to this user")
	ErrIdentityIncomplete    = errors.New("the provider did not return the id that the client needs")
)

// RetryError is a temporary error. After is the time to wait before the next attempt.
type RetryError struct {
	After time.Duration
	Err   error
}

// Error returns the text of the cause.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }
