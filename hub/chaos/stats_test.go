package chaos_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// stats counts the results of the logins of a run.
type stats struct {
	Begun      int // logins
	Made       int // tickets
	Confirmed  int // answered to the phone with 200
	Delivered  int // the page has the token
	Polled     int // of Delivered: by a long poll
	Acked      int // acknowledged to the hub
	Duplicated int // deliveries before the ack, beyond the first
	Lost       int // confirmed, and never delivered: must be 0
	Wiped      int // never delivered, because Redis was emptied between ticket and token
	WrongUser  int // an identity that is not the phone's: must be 0
	OtherToken int // another token of the same identity: must be 0 unless Redis loses data
	Refused    int // the phone was refused for good: its ticket was gone or over
	Hung       int // pages that got no end within their limit
	Closed     int // sockets that gave a view and ended before the ticket did
	Overloaded int // pages that a full node refused
	Errors     int // errors that users saw at their phones, and tried again

	Injected int // injections while logins were in progress
	Affected int // logins in progress during an injection

	Waited []time.Duration // of each login: from the confirm (if repeated, from its answer) to the token
}

func (s *stats) String() string {
	return fmt.Sprintf("begun %d, made %d, confirmed %d, delivered %d (%d by poll), acked %d, duplicated %d, lost %d, wiped %d, second identity %d, other token %d, refused %d, hung %d, sockets closed %d, errors at phones %d; %d injections during %d of the logins; to the token median %v, longest %v",
		s.Begun, s.Made, s.Confirmed, s.Delivered, s.Polled, s.Acked, s.Duplicated, s.Lost, s.Wiped, s.WrongUser, s.OtherToken, s.Refused, s.Hung, s.Closed, s.Errors,
		s.Injected, s.Affected, s.waited(0.5), s.waited(1))
}

// waited returns that quantile of the times from confirm to token.
func (s *stats) waited(share float64) time.Duration {
	if len(s.Waited) == 0 {
		return 0
	}
	slices.Sort(s.Waited)
	return s.Waited[int(share*float64(len(s.Waited)-1))].Round(time.Millisecond)
}

func (s *stats) add(o stats) {
	s.Begun += o.Begun
	s.Made += o.Made
	s.Confirmed += o.Confirmed
	s.Delivered += o.Delivered
	s.Polled += o.Polled
	s.Acked += o.Acked
	s.Duplicated += o.Duplicated
	s.Lost += o.Lost
	s.Wiped += o.Wiped
	s.WrongUser += o.WrongUser
	s.OtherToken += o.OtherToken
	s.Refused += o.Refused
	s.Hung += o.Hung
	s.Closed += o.Closed
	s.Overloaded += o.Overloaded
	s.Errors += o.Errors
	s.Injected += o.Injected
	s.Affected += o.Affected
	s.Waited = append(s.Waited, o.Waited...)
}

// count adds the result of a page. subject is the phone's user; confirmedAt is zero if
// the phone got no 200.
func (s *stats) count(page *hubtest.Page, subject string, confirmedAt time.Time) {
	one := stats{Begun: 1, Made: 1, Closed: max(0, page.Sockets-1)}
	if !confirmedAt.IsZero() {
		one.Confirmed = 1
	}
	if page.Token != "" {
		one.Delivered = 1
		one.Duplicated = page.Deliveries - 1
		if page.Polled {
			one.Polled = 1
		}
		if one.Confirmed == 1 {
			one.Waited = []time.Duration{max(0, page.TokenAt.Sub(confirmedAt))}
		}
		if page.Conflict != "" {
			one.OtherToken = 1
		}
		if subjectOf(page.Token) != subject || one.OtherToken > 0 && subjectOf(page.Conflict) != subject {
			one.WrongUser = 1
		}
	} else {
		one.Lost = one.Confirmed
	}
	if page.Overloaded {
		one.Overloaded = 1
	}
	if page.Acked {
		one.Acked = 1
	}
	if page.End == "" {
		one.Hung = 1
	}
	s.add(one)
}

// assert fails the test if logins were lost or had a wrong user.
func (s *stats) assert(t *testing.T, w scenario) {
	t.Helper()
	t.Log(s)
	if s.Lost > 0 && !w.loginLoss || s.OtherToken > 0 && !w.dataLoss || s.WrongUser > 0 {
		t.Errorf("logins lost or of a wrong user: %s", s)
	}
	if s.Wiped > 0 && !w.wiped {
		t.Errorf("lost logins: %s", s)
	}
}

// sweepDelay is the earliest time after which the sweep delivers a token whose message
// was lost unnoticed: it reads every ticket each 18 to 20 s.
const sweepDelay = 17 * time.Second

// complete checks that every login succeeded and was acknowledged, and that no page had
// to wait for the sweep.
func complete(t *testing.T, s *stats) {
	t.Helper()
	completeWithin(t, s, sweepDelay)
}

// completeWithin is complete for a fault that itself delays tokens for up to limit.
func completeWithin(t *testing.T, s *stats, limit time.Duration) {
	t.Helper()
	if s.Confirmed != s.Begun || s.Delivered != s.Begun || s.Acked != s.Begun || s.Hung > 0 || s.Begun == 0 {
		t.Errorf("not every login came through: %s", s)
	}
	if longest := s.waited(1); longest > limit {
		t.Errorf("a page waited %v for its token: %s", longest, s)
	}
}
