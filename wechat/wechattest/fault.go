package wechattest

import (
	"context"
	"time"
)

// Fault is what goes wrong with one call. The zero value lets it pass; what is
// set together happens together, as far as it makes sense.
//
// Errcode and Page stand in front of the exchange: the code is not spent. The
// others stand behind it: the code is spent, and only the answer suffers.
type Fault struct {
	// Errcode is answered instead, with WeChat's usual text or with Errmsg.
	Errcode int
	Errmsg  string
	// Page is answered instead, by something that is not WeChat.
	Page Page

	// Delay and Hold keep the answer back, for a time and until the channel is
	// closed. Close and the end of the client's connection release both.
	Delay time.Duration
	Hold  <-chan struct{}
	// Break is how the answer is spoilt on its way.
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
	// Lie sends a mini-program code's answer with the other content type.
	Lie bool
	// RawNickname writes control characters into a nickname, as they are.
	RawNickname bool
}

// Page is an answer of something in front of WeChat.
type Page int

// The pages.
const (
	NoPage         Page = iota
	EmptyPage           // 200, text/html, no body
	HTMLPage            // 200 with HTML
	BadGatewayPage      // 502 with HTML
)

// Break is a way to spoil an answer.
type Break int

// The ways. After HangUp and Reset the client has not received a single byte:
// on a kept-alive connection this is what many HTTP clients repeat by
// themselves.
const (
	NoBreak   Break = iota
	Truncated       // a complete HTTP answer with half the JSON
	CutOff          // the connection ends in the middle of the answer
	HangUp          // the connection is closed before the answer
	Reset           // the connection is reset before the answer
)

// Fail appends to the script: each following call takes one Fault off it.
func (s *Server) Fail(script ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, script...)
}

// FailAlways sets what goes wrong with every call that finds the script empty,
// until ClearFaults.
func (s *Server) FailAlways(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = f
}

// ClearFaults ends FailAlways and empties the script.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script, s.always = nil, Fault{}
}

// nextFault takes the Fault of a call that has arrived; mu is held.
func (s *Server) nextFault() Fault {
	if len(s.script) == 0 {
		return s.always
	}
	f := s.script[0]
	s.script = s.script[1:]
	return f
}

// keepBack waits as f says. It is false if ctx ends before: nobody is left to
// answer.
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
