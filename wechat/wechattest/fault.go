package wechattest

import (
	"context"
	"time"
)

// Fault describes the failure of one call. The zero value is success. Several
// fields may be combined.
//
// Errcode and Page act before the exchange: the code is not spent. The others act
// after it: the code is spent and the answer changed.
type Fault struct {
	// Errcode is answered instead, with WeChat's usual text or with Errmsg.
	Errcode int
	Errmsg  string
	// Page is answered instead, by something that is not WeChat.
	Page Page

	// Delay and Hold delay the answer, by a time and until the channel is closed.
	// Close and the end of the client's connection release both.
	Delay time.Duration
	Hold  <-chan struct{}
	// Break damages the answer on its way.
	Break Break
	// NoUnionID leaves the unionid out of a success.
	NoUnionID bool
	// ZeroErrcode adds errcode 0 and errmsg "ok" to a success.
	ZeroErrcode bool
	// StringErrcode writes the errcode as a string, in success (as ZeroErrcode)
	// and failure.
	StringErrcode bool
	// ExpiresIn replaces the expires_in of a stable_token answer; the token
	// itself lives on. WeChat's least is 300.
	ExpiresIn int
	// Guest marks the user of a website's code as one of a snapshot of the page.
	Guest bool
	// ForeignWatermark gives a phone number with the watermark of another
	// application.
	ForeignWatermark bool
	// Lie sends a mini-program code's answer with the wrong content type.
	Lie bool
	// RawNickname puts unescaped control characters into a nickname.
	RawNickname bool
}

// Page is an answer of a proxy in front of WeChat.
type Page int

// The pages.
const (
	NoPage         Page = iota
	EmptyPage           // 200, text/html, no body
	HTMLPage            // 200 with HTML
	BadGatewayPage      // 502 with HTML
)

// Break is a way to damage an answer.
type Break int

// The breaks. After HangUp and Reset the client has received no byte; many HTTP
// clients then repeat the request on a kept-alive connection.
const (
	NoBreak   Break = iota
	Truncated       // a complete HTTP answer with half the JSON
	CutOff          // the connection ends in the middle of the answer
	HangUp          // the connection is closed before the answer
	Reset           // the connection is reset before the answer
)

// Fail appends Faults to the script. Each following call consumes one.
func (s *traffic) Fail(script ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, script...)
}

// FailAlways sets the Fault of every call for which the script is empty, until
// ClearFaults.
func (s *traffic) FailAlways(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = f
}

// ClearFaults ends FailAlways and empties the script.
func (s *traffic) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script, s.always = nil, Fault{}
}

// nextFault returns the Fault of a new call. Called with mu held.
func (s *traffic) nextFault() Fault {
	if len(s.script) == 0 {
		return s.always
	}
	f := s.script[0]
	s.script = s.script[1:]
	return f
}

// keepBack waits as f says. It returns false if ctx ends first.
func keepBack(ctx context.Context, f Fault) bool {
	var elapsed <-chan time.Time
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		elapsed = timer.C
	}
	hold := f.Hold
	for elapsed != nil || hold != nil {
		select {
		case <-elapsed:
			elapsed = nil
		case <-hold:
			hold = nil
		case <-ctx.Done():
			return false
		}
	}
	return true
}
