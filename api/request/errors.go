package request

import (
	"errors"

	"github.com/labstack/echo/v4"

	"loginhub/hub/trace"
)

// Errors of a request that is malformed, too large or from another origin.
var (
	ErrRequest   = errors.New("malformed request")
	ErrTooLarge  = errors.New("body over 16 KiB")
	ErrMediaType = errors.New("body is not application/json")
	ErrForm      = errors.New("body is not a form")
)

// ID returns the request's id, which is in its log lines, answers and errors.
func ID(c echo.Context) string { return trace.RequestID(c.Request().Context()) }

// Invalid returns an error of a malformed request; detail names the field.
func Invalid(detail string) error { return &InvalidError{detail} }

type InvalidError struct{ Detail string }

func (e *InvalidError) Error() string { return e.Detail }
func (e *InvalidError) Unwrap() error { return ErrRequest }
