package request

import "errors"

// Errors of a request that is malformed, too large or from another origin.
var (
	ErrRequest   = errors.New("malformed request")
	ErrTooLarge  = errors.New("body over 16 KiB")
	ErrMediaType = errors.New("body is not application/json")
	ErrForm      = errors.New("body is not a form")
)

// Invalid returns an error of a malformed request; detail names the field.
func Invalid(detail string) error { return &InvalidError{detail} }

type InvalidError struct{ Detail string }

func (e *InvalidError) Error() string { return e.Detail }
func (e *InvalidError) Unwrap() error { return ErrRequest }
