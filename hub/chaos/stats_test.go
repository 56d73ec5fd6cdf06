package chaos_test

import (
	"fmt"
	"reflect"
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
	type plain stats // without this method
	short := plain(*s)
	short.Waited = nil
	return fmt.Sprintf("%+v; to the token median %v, longest %v", short, s.waited(0.5), s.waited(1))
}

// waited returns that quantile of the times from confirm to token.
func (s *stats) waited(share float64) time.Duration {
	if len(s.Waited) == 0 {
		return 0
	}
	slices.Sort(s.Waited)
	return s.Waited[int(share*float64(len(s.Waited)-1))].Round(time.Millisecond)
}

// add adds the numbers of o.
func (s *stats) add(o stats) {
	sum, more := reflect.ValueOf(s).Elem(), reflect.ValueOf(o)
	for i := range sum.NumField() {
		if n := sum.Field(i); n.CanInt() {
			n.SetInt(n.Int() + more.Field(i).Int())
		}
	}
	s.Waited = append(s.Waited, o.Waited...)
}

// count adds the result of a page. subject is the phone's user; confirmedAt is zero if
// the phone got no 200.
func (s *stats) count(page *hubtest.Page, subject string, confirmedAt time.Time) {
	one := stats{Begun: 1, Made: 1, Closed: max(0, page.Sockets-1), Confirmed: number(!confirmedAt.IsZero()),
		Acked: number(page.Acked), Hung: number(page.End == ""), Overloaded: number(page.Overloaded)}
	if page.Token == "" {
		one.Lost = one.Confirmed
	} else {
		one.Delivered, one.Duplicated, one.Polled = 1, page.Deliveries-1, number(page.Polled)
		one.OtherToken = number(page.Conflict != "")
		one.WrongUser = number(subjectOf(page.Token) != subject || page.Conflict != "" && subjectOf(page.Conflict) != subject)
		if one.Confirmed == 1 {
			one.Waited = []time.Duration{max(0, page.TokenAt.Sub(confirmedAt))}
		}
	}
	s.add(one)
}

// number returns 1 for true.
func number(so bool) int {
	if so {
		return 1
	}
	return 0
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
