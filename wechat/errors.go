package wechat

import (
	"strconv"
	"strings"
	"time"
)

// Error describes a failed call. Its text may be logged: it contains neither the
// app secret nor a code.
type Error struct {
	// Op is WeChat's name of the call, such as "jscode2session".
	Op string
	// Kind says how to react.
	Kind Kind
	// Code is WeChat's errcode; 0 if the answer had none.
	Code int
	// Msg is WeChat's errmsg without its trace, or a text of this package: at
	// most 256 printable characters. For errcode 40164 it names the address that
	// is not on WeChat's list. Programs must not switch on it.
	Msg string
	// RID is WeChat's trace id of the call, for its support and its
	// openapi/rid/get; empty if there was none.
	RID string
	// RetryAfter is the time after which an attempt with a fresh code may
	// succeed; 0 if waiting does not help.
	RetryAfter time.Duration
	// Err is the cause on our side of the network, such as
	// context.DeadlineExceeded or a *net.OpError; nil if WeChat answered.
	Err error
}

// Error returns the operation, WeChat's number and text, its trace and the cause.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("wechat " + e.Op)
	if e.Code != 0 {
		b.WriteString(": errcode " + strconv.Itoa(e.Code))
	}
	if e.Msg != "" {
		b.WriteString(": " + e.Msg)
	}
	if e.RID != "" {
		b.WriteString(" (rid " + e.RID + ")")
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// apiError returns the error for an errcode.
func (c call) apiError(code int, errmsg string) *Error {
	kind, wait := classifyCall(c.op, code)
	if c.token && stale(code) {
		kind, wait = KindStale, 0
	}
	msg, rid := splitTrace(errmsg)
	return &Error{
		Op: c.op, Kind: kind, Code: code, RetryAfter: wait,
		Msg: clean(msg, c.hidden), RID: redact(rid, c.hidden),
	}
}

// unavailable returns the error for an exchange without an answer or with one that
// cannot be read.
func (c call) unavailable(msg string, cause error) *Error {
	return &Error{Op: c.op, Kind: KindBusy, Msg: msg, RetryAfter: defaultRetry, Err: safe(cause, c.hidden)}
}
