package wechat

import (
	"strconv"
	"strings"
	"time"
)

// Error is a call that gave no identity. Its text may go into a log; it holds
// neither app secret nor code.
type Error struct {
	// Op is WeChat's name of the call, such as "jscode2session".
	Op string
	// Kind is what to do about it.
	Kind Kind
	// Code is WeChat's errcode; 0 if WeChat did not say one.
	Code int
	// Msg is WeChat's errmsg without its trace, or ours where there is none:
	// at most 256 characters, all printable. For errcode 40164 it names the
	// address that WeChat does not let in. Never switch on it.
	Msg string
	// RID is WeChat's trace of the call, which its support and its
	// openapi/rid/get ask for; empty if there was none.
	RID string
	// RetryAfter suggests when a new attempt, with a fresh code, may succeed;
	// 0 where waiting does not help.
	RetryAfter time.Duration
	// Err is the cause on our side of the network, such as
	// context.DeadlineExceeded or a *net.OpError; nil if WeChat answered.
	Err error
}

// Error gives the operation, WeChat's number and text, its trace and the cause.
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

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// apiError makes the error for an errcode.
func (c call) apiError(code int, errmsg string) *Error {
	kind, wait := classify(code)
	if c.token && stale(code) {
		kind, wait = KindStale, 0
	}
	msg, rid := splitTrace(errmsg)
	return &Error{
		Op: c.op, Kind: kind, Code: code, RetryAfter: wait,
		Msg: clean(msg, c.hidden), RID: redact(rid, c.hidden),
	}
}

// unavailable makes the error for an exchange that WeChat did not answer, or not in a
// way that makes sense.
func (c call) unavailable(msg string, cause error) *Error {
	return &Error{Op: c.op, Kind: KindBusy, Msg: msg, RetryAfter: defaultRetry, Err: safe(cause, c.hidden)}
}
