package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/login"
	"loginhub/api/oidc"
	"loginhub/api/qr"
	"loginhub/api/ratelimit"
	"loginhub/api/request"
	"loginhub/api/visit"
	"loginhub/api/weblogin"
	"loginhub/frontend"
	"loginhub/hub"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// Errors of package api.
var (
	errRoute  = errors.New("no such route")
	errMethod = errors.New("method not allowed")
)

// problem is one error as callers receive it (RFC 9457). Programs switch on
// code.
type problem struct {
	err    error
	status int
	code   string
	title  string
	// detail says what to do. For errRequest it names the wrong field instead.
	detail     string
	retryAfter time.Duration // Retry-After if the error is not a provider.RetryError; 0: none
}

// rejectedDetails are the details of ticket_closed for a rejected ticket.
var rejectedDetails = map[ticket.Reason]string{
	ticket.ReasonUser:        "The user declined on the phone. Load a new code on the page.",
	ticket.ReasonWrongNumber: "A wrong number was chosen on the phone. Load a new code on the page.",
	ticket.ReasonCancelled:   "The browser that shows the code cancelled the login. Load a new code on the page.",
}

// problems maps errors to HTTP; no other code does. The first row that matches
// is used.
var problems = []problem{
	{request.ErrRequest, 400, "invalid_request", "The request is malformed", "", 0},
	{ticket.ErrMatchMissing, 400, "invalid_request", "The request is malformed", "match: the number that the page shows is required here", 0},
	{ticket.ErrInvalidSecret, 401, "invalid_secret", "The secret is missing or not this ticket's", "Send the secret that came with the ticket: Authorization: Bearer SECRET, or the subprotocol loginhub.secret.SECRET.", 0},
	{login.ErrClientSecret, 401, "invalid_secret", "The client's secret is missing or wrong", "Send Authorization: Basic with the client's id and the secret of its secret_file.", 0},
	{gate.ErrOrigin, 403, "origin_not_allowed", "This origin may not use this client", "A page without an origin of its own, such as a sandboxed frame or a file, cannot log in.", 0},
	{gate.ErrNotOwnPage, 403, "origin_not_allowed", "This origin may not use this client", "Open it from the hub's own login page.", 0},
	{weblogin.ErrNoOrigin, 403, "origin_not_allowed", "This origin may not use this client", "Open it from the login page: it needs the page's own Origin.", 0},
	{visit.ErrStateInvalid, 403, "state_invalid", "This login is not valid any more", "It was used already, or took longer than ten minutes. Close this page and start again on the login page.", 0},
	{visit.ErrStateForeign, 403, "state_foreign", "This login was not started in this browser", "Nothing was confirmed. If somebody sent you this link, close the page; otherwise start again on the login page.", 0},
	{oidc.ErrRequestExpired, 403, "state_invalid", "This sign-in has expired", "Open the site again and log in there.", 0},
	{oidc.ErrRequestForeign, 403, "state_foreign", "This sign-in was not started in this browser", "Open the site in this browser and log in there.", 0},
	{ticket.ErrLoginDisabled, 403, "login_disabled", "QR login is switched off here", "The operator has switched it off; use another way to log in.", 0},
	{ticket.ErrAddressMismatch, 403, "address_mismatch", "The phone and the browser are not known to share a network", "Connect both to the same network and load a new code.", 0},
	{ticket.ErrMatchFailed, 403, "match_failed", "The wrong number was chosen", "The login was rejected. Load a new code and choose the number that the page shows.", 0},
	{provider.ErrUserBlocked, 403, "user_blocked", "The provider does not let this user log in", "The user is not a member, or is flagged as high risk: use another account, or another way to log in.", 0},
	{provider.ErrIdentityIncomplete, 403, "identity_incomplete", "The provider did not give what this site needs of the user", "The site asks for a unionid: bind the mini-program to its Open Platform account.", 0},
	{gate.ErrIdentityUnknown, 403, "identity_unknown", "This site does not know the user", "Ask the site to add the account, or log in with another one.", 0},
	{provider.ErrGuest, 403, "guest_user", "WeChat gave a guest instead of the user", "WeChat shows a snapshot of this page: choose the full service (使用完整服务) at its bottom, then try again.", 0},
	{provider.ErrEventInvalid, 403, "event_invalid", "This event is not from the provider, or too old", "Compare token_file and aes_key_file with the provider's console, and this machine's clock with the time.", 0},
	{login.ErrCode, 404, "ticket_not_found", "There is no such code", "It is another client's, altered, or too old: the user logs in again.", 0},
	{ticket.ErrNotFound, 404, "ticket_not_found", "There is no such ticket", "Create a new ticket.", 0},
	{ticket.ErrBrokenSeal, 404, "ticket_not_found", "There is no such ticket", "Create a new ticket.", 0},
	{errRoute, 404, "not_found", "This page does not exist", "See the list of endpoints in the documentation.", 0},
	{errMethod, 405, "method_not_allowed", "This method does not exist here", "See the Allow header.", 0},
	{ticket.ErrScanned, 409, "already_scanned", "Another user has scanned this code", "Load a new code on the page.", 0},
	{ticket.ErrScanRequired, 409, "scan_required", "The code has to be scanned first", "Scan, let the user choose the number, then confirm.", 0},
	{ticket.ErrCodeStale, 409, "code_stale", "This code is not fresh any more", "Scan the code again, on the screen that shows it now: it changes every few seconds, and a photo of it does not work.", 0},
	{ticket.ErrRedeemed, 409, "ticket_closed", "The code was exchanged before", "It works once. If the answer was lost, the user logs in again.", 0},
	{ticket.ErrClosed, 409, "ticket_closed", "This ticket does not accept this call any more", "Load a new code on the page.", 0},
	{ticket.ErrNotConfirmed, 409, "not_confirmed", "This ticket is not confirmed, or has another seq", "Send the seq of the confirmed view.", 0},
	{ticket.ErrExpired, 410, "ticket_expired", "This ticket has expired", "Load a new code on the page.", 0},
	{request.ErrTooLarge, 413, "too_large", "The body is over 16 KiB", "Send less.", 0},
	{request.ErrMediaType, 415, "unsupported_media_type", "The body is not JSON", "Send Content-Type: application/json.", 0},
	{request.ErrForm, 415, "unsupported_media_type", "The body is not a form", "Send Content-Type: application/x-www-form-urlencoded.", 0},
	{provider.ErrCodeInvalid, 422, "code_invalid", "The provider refused the code", "It is used, expired or another app's: get a fresh one, and try once more.", 0},
	{login.ErrUpgrade, 426, "upgrade_required", "This is a WebSocket endpoint", "Connect with the WebSocket protocol, version 13.", 0},
	{ratelimit.ErrRateLimited, 429, "rate_limited", "Too many requests", "Wait as long as Retry-After says.", time.Second},
	{provider.ErrProviderMisconfigured, 502, "provider_misconfigured", "The provider refuses this service", "The operator must act; the log says what the provider answered.", 0},
	{provider.ErrProviderUnavailable, 503, "provider_unavailable", "The provider does not answer", "Try again with a fresh code.", 2 * time.Second},
	{ticket.ErrStoreUnavailable, 503, "store_unavailable", "This node cannot reach its store", "Try again; another node may be available.", 2 * time.Second},
	{ticket.ErrUnknownKey, 503, "store_unavailable", "This node does not have the ticket's key yet", "Try again; another node may be available.", 2 * time.Second},
	{ticket.ErrUnknownClient, 503, "store_unavailable", "This node does not have the ticket's client yet", "Try again; another node may be available.", 2 * time.Second},
	{hub.ErrAuditStalled, 503, "overloaded", "This node's audit log does not accept records", "Try again; another node may be available.", 2 * time.Second},
	{ticket.ErrOverloaded, 503, "overloaded", "This node accepts no more browsers", "Try again; another node may have capacity.", 2 * time.Second},
	{qr.ErrBusy, 503, "overloaded", "This node is rendering too many codes", "Try again; another node may have capacity.", 2 * time.Second},
}

// internalCode is the code of an error without a row: a bug.
const internalCode = "internal_error"

// A request ends with goneStatus (nginx's) and goneCode if its caller has closed the
// connection before the answer. Anyone can do so, so it is not logged or counted as an error
// of this node.
const (
	goneStatus = 499
	goneCode   = "caller_gone"
)

// panicError is a panic that ended a request.
type panicError struct {
	value any
	stack []byte
}

func newPanic(value any) error { return &panicError{value, debug.Stack()} }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// handleError answers an error as problem+json, or as a page if a person reads
// it.
func (s *Server) handleError(err error, c echo.Context) {
	if c.Response().Committed {
		if err != nil {
			s.gate.Log.ErrorContext(c.Request().Context(), "request failed after the answer had begun", "path", c.Path(), "error", err)
		}
		return
	}
	if errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil {
		_ = c.NoContent(goneStatus) // for the metrics and the access log
		return
	}
	if s.oauthError(err, c) {
		return
	}
	p := s.problem(err, c)
	s.metrics.IncRefusal(p.code)
	s.refusals.note(c, p.status, p.code)
	h := c.Response().Header()
	var retry *provider.RetryError
	if errors.As(err, &retry) {
		p.retryAfter = retry.After
	}
	h.Set("Cache-Control", "no-store") // another node may have what this one lacks
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(ticket.Seconds(p.retryAfter), 10))
	}
	switch p.status {
	case http.StatusUnauthorized:
		if h.Get("WWW-Authenticate") == "" {
			h.Set("WWW-Authenticate", "Bearer")
		}
	case http.StatusUpgradeRequired:
		h.Set("Upgrade", "websocket")
		h.Set("Connection", "Upgrade")
		h.Set("Sec-WebSocket-Version", "13")
	}
	if wantsHTML(c) {
		h.Add("Vary", "Accept")
		err = s.render(c, p.status, "error.html", frontend.Failure{
			Status: p.status, Code: p.code, Title: p.title, Detail: p.detail, RequestID: request.ID(c)})
	} else {
		err = writeProblem(c, p, err)
	}
	if err != nil {
		s.gate.Log.DebugContext(c.Request().Context(), "answer not delivered", "error", err)
	}
}

// programPaths begin the paths that programs call. A person who opens another one gets a page.
var programPaths = []string{"/api/", "/oauth2/", "/.well-known/", "/assets/", "/healthz", "/readyz", "/openapi.", "/asyncapi.", "/client."}

// wantsHTML reports whether errors of the request are pages. The login at a
// provider's page begins with a form that opens a window, so a person reads the
// result.
func wantsHTML(c echo.Context) bool {
	path := c.Request().URL.Path
	if html, _ := accepts(c.Request().Header.Values("Accept"), "text/html"); html && !slices.ContainsFunc(programPaths, func(p string) bool { return strings.HasPrefix(path, p) }) {
		return true
	}
	if path == "/" || path == oidc.AuthorizePath || path == oidc.DevicePage || path == oidc.LogoutPath || strings.HasPrefix(path, "/s/") {
		return true
	}
	for start, callback := range weblogin.Routes() {
		if c.Path() == callback || c.Path() == start && strings.Contains(c.Request().Header.Get("Accept"), "text/html") {
			return true
		}
	}
	return false
}

// problem returns the row of an error. An error without a row is a bug. It is
// logged with the request's id, and the caller receives only the id.
func (s *Server) problem(err error, c echo.Context) problem {
	err = fromFramework(err)
	for _, p := range problems {
		if !errors.Is(err, p.err) {
			continue
		}
		var field *request.InvalidError
		if errors.As(err, &field) {
			p.detail = field.Detail
		}
		var rejected ticket.RejectedError
		if errors.As(err, &rejected) {
			p.detail = rejectedDetails[rejected.Reason]
		}
		var origin *gate.OriginError
		if errors.As(err, &origin) && originText.MatchString(origin.Origin) {
			p.detail = fmt.Sprintf("Add %s to the origins of client %s in the clients file.", origin.Origin, origin.Client)
			s.refusedOrigins.log(c.Request().Context(), s.gate.Log, *origin)
		}
		if p.status >= 500 && p.err != qr.ErrBusy { // ErrBusy is not logged: anyone can cause any number; the metric counts them
			s.gate.Log.WarnContext(c.Request().Context(), "request refused", "path", c.Path(), "code", p.code, "error", err)
		}
		return p
	}
	s.logInternal(err, c)
	return problem{status: 500, code: internalCode, title: "Internal error",
		detail: "Tell the operator this id: " + request.ID(c)}
}

// logInternal logs a bug. The id is an attribute of its own, so that each is logged: lines
// that differ in request_id only are limited.
func (s *Server) logInternal(err error, c echo.Context) {
	s.gate.Log.Error("internal error", "id", request.ID(c), "path", c.Path(), "error", err)
}

// fromFramework returns the row's error for one of echo.
func fromFramework(err error) error {
	var framework *echo.HTTPError
	if errors.As(err, &framework) {
		switch framework.Code {
		case http.StatusNotFound:
			return errRoute
		case http.StatusMethodNotAllowed:
			return errMethod
		}
	}
	return err
}

// isFramework reports whether no route has this path or method.
func isFramework(err error) bool {
	var framework *echo.HTTPError
	return errors.As(err, &framework) || errors.Is(err, errRoute) || errors.Is(err, errMethod)
}

// writeProblem answers err, whose row is p, with problem+json.
func writeProblem(c echo.Context, p problem, err error) error {
	var rejected ticket.RejectedError
	errors.As(err, &rejected)
	fields := map[string]any{
		"type": "urn:loginhub:problem:" + p.code, "title": p.title, "status": p.status, "detail": p.detail, "code": p.code,
		"request_id": request.ID(c)}
	if rejected.Reason != 0 {
		fields["reason"] = rejected.Reason
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("encode problem: %w", err)
	}
	return c.Blob(p.status, "application/problem+json", body)
}

// outcome returns the status and code of an error, for limits, metrics and the
// audit log.
func outcome(err error) (status int, code string) {
	if err == nil {
		return http.StatusOK, "ok"
	}
	if errors.Is(err, context.Canceled) {
		return goneStatus, goneCode
	}
	err = fromFramework(err)
	for _, p := range problems {
		if errors.Is(err, p.err) {
			return p.status, p.code
		}
	}
	return http.StatusInternalServerError, internalCode
}
