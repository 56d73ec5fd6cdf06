package httpcall

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"loginhub/hub/provider"
)

// Reaction is what is to be done about a failed call. It is a label of metrics.
type Reaction string

// The reactions.
const (
	Busy       Reaction = "busy"       // the provider or the network failed; a fresh code may succeed soon
	Quota      Reaction = "quota"      // a limit is used up; a fresh code may succeed in a minute or later
	Code       Reaction = "code"       // the code is unknown, used, expired or of another application
	Blocked    Reaction = "blocked"    // the user may not log in, for example is no member of the company
	Incomplete Reaction = "incomplete" // the user has no id of the kind that is needed
	Config     Reaction = "config"     // credentials, permissions or addresses; the operator must act
	Stale      Reaction = "stale"      // the access token is no longer valid (ErrStale)
)

// ErrStale means that the provider refused the access token of a call: call Token.Drop.
var ErrStale = errors.New("the access token is not valid any more")

// The times after which a fresh code may succeed.
const (
	busyRetry  = 2 * time.Second
	quotaRetry = time.Minute
)

// Error describes a failed call. Its text may be logged.
type Error struct {
	Service, Call string
	Code          string // the provider's; "" if there is none
	Text          string // the provider's, or this package's; at most 256 characters
	Reaction      Reaction
	Err           error // the cause on our side of the network; nil if the provider answered
}

// Error names the meaning, the call, the provider's code and text, and the cause.
func (e *Error) Error() string {
	parts := []string{e.meaning().Error(), e.Service + " " + e.Call}
	if e.Code != "" {
		parts = append(parts, "code "+e.Code)
	}
	if e.Text != "" {
		parts = append(parts, e.Text)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the meaning, an error of package provider, and the cause.
func (e *Error) Unwrap() []error {
	all := []error{e.meaning()}
	if e.Reaction == Stale {
		all = append(all, ErrStale)
	}
	if e.Err != nil {
		all = append(all, e.Err)
	}
	return all
}

// meaning returns the error of package provider.
func (e *Error) meaning() error {
	switch e.Reaction {
	case Code:
		return provider.ErrCodeInvalid
	case Blocked:
		return provider.ErrUserBlocked
	case Incomplete:
		return provider.ErrIdentityIncomplete
	case Config:
		return provider.ErrProviderMisconfigured
	}
	return provider.ErrProviderUnavailable
}

// asError returns e as an error, with the time after which to try again if waiting helps.
func (e *Error) asError() error {
	switch {
	case e == nil:
		return nil
	case e.Reaction == Quota:
		return &provider.RetryError{After: quotaRetry, Err: e}
	case e.meaning() == provider.ErrProviderUnavailable:
		return &provider.RetryError{After: busyRetry, Err: e}
	}
	return e
}

// refused returns the error for an error code.
func (c *Client) refused(call Call, code, text string) *Error {
	reaction, known := c.host.Reactions[code]
	if !known {
		reaction = Busy
	}
	return &Error{Service: c.host.Service, Call: call.Name, Code: clean(code, call.Hidden), Text: clean(text, call.Hidden), Reaction: reaction}
}

// unavailable returns the error for an exchange without a usable answer.
func (c *Client) unavailable(call Call, text string, cause error) *Error {
	return &Error{Service: c.host.Service, Call: call.Name, Text: text, Reaction: Busy, Err: safe(cause, call.Hidden)}
}

// Incompletef returns the error for an answer that names no usable user.
func (c *Client) Incompletef(call, format string, args ...any) error {
	return &Error{Service: c.host.Service, Call: call, Text: fmt.Sprintf(format, args...), Reaction: Incomplete}
}

// Blockedf returns the error for a user who may not log in, such as one who is no member
// of the company.
func (c *Client) Blockedf(call, format string, args ...any) error {
	return &Error{Service: c.host.Service, Call: call, Text: fmt.Sprintf(format, args...), Reaction: Blocked}
}

// Unusable returns the error for an answer that lacks what it must contain.
func (c *Client) Unusable(call, text string) error {
	return (&Error{Service: c.host.Service, Call: call, Text: text, Reaction: Busy}).asError()
}

// Start creates the series of these calls in the metrics.
func (c *Client) Start(calls ...string) {
	if c.host.Metrics == nil {
		return
	}
	results := []provider.CallResult{c.result(nil), {Code: "other", Reaction: string(Busy)}}
	for _, code := range provider.NetworkCodes() {
		results = append(results, provider.CallResult{Code: code, Reaction: string(Busy)})
	}
	for code, reaction := range c.host.Reactions {
		results = append(results, provider.CallResult{Code: code, Reaction: string(reaction)})
	}
	for _, call := range calls {
		c.host.Metrics.Start(call, results)
	}
}

// result returns the result of a call: "ok", a code of the table, "other", or one of
// provider.NetworkCodes without a usable answer.
func (c *Client) result(e *Error) provider.CallResult {
	if e == nil {
		return provider.CallResult{Code: "ok", Reaction: "ok"}
	}
	code := provider.NetworkCode(e.Err)
	if _, known := c.host.Reactions[e.Code]; known {
		code = e.Code
	} else if e.Code != "" {
		code = "other"
	}
	return provider.CallResult{Code: code, Reaction: string(e.Reaction)}
}

// Failure returns a Host.Failure that reads the named members of a JSON answer. A code
// that is absent, 0 or "" means success. One that cannot be read is "unreadable".
func Failure(code, text string) func(Answer) (string, string) {
	return func(a Answer) (string, string) {
		var members map[string]json.RawMessage
		if json.Unmarshal(a.Body, &members) != nil {
			return "", ""
		}
		var number Text
		if raw := members[code]; raw != nil && json.Unmarshal(raw, &number) != nil {
			return "unreadable", ""
		}
		var detail string
		_ = json.Unmarshal(members[text], &detail) // an odd type must not hide the code
		if number == "0" {
			number = ""
		}
		return string(number), detail
	}
}

// Text is a JSON value that a provider sends as a string or as a number.
type Text string

// UnmarshalJSON accepts a string, a number and null.
func (t *Text) UnmarshalJSON(b []byte) error {
	text := string(b)
	if text == "null" {
		text = ""
	} else if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	} else if _, err := strconv.ParseFloat(text, 64); err != nil {
		return fmt.Errorf("%.40q: neither a string nor a number", text)
	}
	*t = Text(text)
	return nil
}

// Seconds returns the value as a time; 0 if it is no positive number.
func (t Text) Seconds() time.Duration {
	n, err := strconv.ParseInt(string(t), 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}
