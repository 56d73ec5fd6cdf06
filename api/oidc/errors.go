package oidc

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/ratelimit"
	"loginhub/api/request"
	"loginhub/hub/provider"
	"loginhub/hub/provider/app/assertion"
	"loginhub/hub/ticket"
)

// Errors of an authorize page's REQUEST, which api answers as problems.
var (
	ErrRequestExpired = errors.New("unknown or expired authorization request")
	ErrRequestForeign = errors.New("the authorization request belongs to another browser")
)

// Error is an error of the endpoints under /oauth2 (RFC 6749, section 5.2; RFC 8628,
// section 3.5).
type Error struct {
	Code        string // as the registry of OAuth parameters spells it
	Description string // for the site's developer; ASCII without quotation marks and backslashes
	status      int
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Description }

// statuses are the statuses of the error codes; every other code has 400.
var statuses = map[string]int{"invalid_client": http.StatusUnauthorized, "access_denied": http.StatusForbidden,
	"server_error": http.StatusInternalServerError, "temporarily_unavailable": http.StatusServiceUnavailable}

// newError returns an error. RFC 6749, section 5.2, has access_denied of the device grant
// with 400, as every error of the token endpoint; only invalid_client has 401.
func newError(code, description string) *Error {
	status := http.StatusBadRequest
	if known, ok := statuses[code]; ok && code != "access_denied" {
		status = known
	}
	return &Error{Code: code, Description: description, status: status}
}

// retryAfter is the Retry-After of errors that pass.
const retryAfter = 2 * time.Second

// causes maps errors of the hub to errors of OAuth. The first row that matches is used.
var causes = []struct {
	err         error
	code        string
	status      int
	description string
}{
	{request.ErrForm, "invalid_request", 400, "the body must be application/x-www-form-urlencoded"},
	{request.ErrTooLarge, "invalid_request", 413, "the body is over 16 KiB"},
	{request.ErrRequest, "invalid_request", 400, ""},
	{ticket.ErrLoginDisabled, "access_denied", 403, "the operator has switched this client's login off"},
	{ticket.ErrAddressMismatch, "access_denied", 403, "the address of the device is not known, and this client demands it"},
	{ratelimit.ErrRateLimited, "temporarily_unavailable", 429, "too many requests"},
	{ticket.ErrStoreUnavailable, "temporarily_unavailable", 503, "this node cannot reach its store; try again"},
	{assertion.ErrKeys, "temporarily_unavailable", 503, "the jwks_uri of the client cannot be fetched; make it answer, and try again"},
	{ticket.ErrUnknownKey, "temporarily_unavailable", 503, "this node does not have the key yet; try again"},
	{ticket.ErrUnknownClient, "temporarily_unavailable", 503, "this node does not have the client yet; try again"},
	{ticket.ErrOverloaded, "temporarily_unavailable", 503, "this node is overloaded; try again"},
}

// AsError returns the OAuth error of an error of these endpoints. ok is false if it is
// none: a bug.
func AsError(err error) (oauth *Error, ok bool) {
	if errors.As(err, &oauth) {
		return oauth, true
	}
	for _, row := range causes {
		if !errors.Is(err, row.err) {
			continue
		}
		found := &Error{Code: row.code, Description: row.description, status: row.status}
		var field *request.InvalidError
		if errors.As(err, &field) {
			found.Description = field.Detail
		}
		return found, true
	}
	return &Error{Code: "server_error", Description: "an internal error", status: http.StatusInternalServerError}, false
}

// WriteError answers with an error in JSON.
func WriteError(c echo.Context, e *Error, cause error) error {
	h := c.Response().Header()
	noStore(c)
	if e.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Basic realm="loginhub"`)
	}
	if e.Code == "temporarily_unavailable" {
		after := retryAfter
		var retry *provider.RetryError
		if errors.As(cause, &retry) {
			after = retry.After
		}
		h.Set("Retry-After", strconv.FormatInt(ticket.Seconds(after), 10))
	}
	return c.JSON(e.status, errorBody{e.Code, e.Description, request.ID(c)})
}

// errorBody is an error in JSON.
type errorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
	RequestID   string `json:"request_id"`
}

// noStore keeps an answer out of all caches (RFC 6749, section 5.1).
func noStore(c echo.Context) {
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
}
