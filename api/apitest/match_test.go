package apitest_test

import (
	"slices"
	"strings"
	"testing"

	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// startMatching starts a server whose client has number matching, with a provider that
// counts its calls.
func startMatching(t *testing.T) (*testServer, *fakeProvider) {
	site := demo()
	site.NumberMatching = true
	o := &fakeProvider{users: map[string]provider.Identity{
		"ann": {Provider: "wechat", Realm: "wx1", Subject: "o-ann"}, "bob": {Provider: "wechat", Realm: "wx1", Subject: "o-bob"}}}
	return start(t, options{clients: []*client.Client{site}, providers: map[string]provider.Exchanger{"wechat": o}}), o
}

// choices returns the numbers that a scan offers.
func choices(t *testing.T, m map[string]any) (all []string) {
	t.Helper()
	list, _ := m["match_choices"].([]any)
	for _, v := range list {
		text, _ := v.(string)
		if len(text) != 2 || strings.Trim(text, "0123456789") != "" {
			t.Errorf("choice %v is not two digits", v)
		}
		all = append(all, text)
	}
	return all
}

func TestMatch_ChoicesContainCode(t *testing.T) {
	t.Parallel()
	s, _ := startMatching(t)
	ann := &phone{s, "wechat", "ann"}
	for range 3 { // package ticket tests that the place is not predictable
		p := s.createTicket(t, nil)
		m := ann.mustDo(t, p, "scan")
		fields(t, m, "state", "expires_in", "login", "match_choices")
		all := choices(t, m)
		if len(all) != 3 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 3 || !slices.Contains(all, p.match) {
			t.Fatalf("choices %v for %s", all, p.match)
		}
		// Repeated scans return the same numbers, so that they reveal nothing.
		if again := choices(t, ann.mustDo(t, p, "scan")); !slices.Equal(again, all) {
			t.Fatalf("first %v, then %v", all, again)
		}
	}
}

func TestMatch_WrongNumber(t *testing.T) {
	t.Parallel()
	s, _ := startMatching(t)
	ann, bob := &phone{s, "wechat", "ann"}, &phone{s, "wechat", "bob"}
	for _, wrong := range []string{"decoy", "00", "01"} { // valid numbers start at 10
		p := s.createTicket(t, nil)
		l := p.dial(t)
		l.expect(t, "pending", 1)
		all := choices(t, ann.mustDo(t, p, "scan"))
		l.expect(t, "scanned", 2)
		if wrong == "decoy" {
			wrong = all[(slices.Index(all, p.match)+1)%3]
		}
		ann.do(t, p, "confirm", "match", wrong).problem(t, 403, "match_failed")
		if v := l.expect(t, "rejected", 3); v["reason"] != "wrong_number" {
			t.Errorf("rejected because of %v", v["reason"])
		}
		l.requireClose(t, 1000)
		// A second attempt fails, even with the right number.
		for _, f := range []*phone{ann, bob} {
			f.do(t, p, "confirm", "match", p.match).problem(t, 409, "ticket_closed")
			f.do(t, p, "scan").problem(t, 409, "ticket_closed")
		}
		ann.mustDo(t, p, "reject")
		bob.do(t, p, "reject").problem(t, 409, "ticket_closed")
		p.requireState(t, "rejected", 3)
	}
}

func TestMatch_ScanRequired(t *testing.T) {
	t.Parallel()
	s, o := startMatching(t)
	ann := &phone{s, "wechat", "ann"}
	p := s.createTicket(t, nil)
	ann.do(t, p, "confirm").problem(t, 409, "scan_required")
	ann.do(t, p, "confirm", "match", p.match).problem(t, 409, "scan_required")
	ann.do(t, p, "confirm", "match", "00").problem(t, 409, "scan_required")
	if o.calls() != 0 {
		t.Errorf("the provider was called %d times", o.calls())
	}
	p.requireState(t, "pending", 1)
	ann.mustDo(t, p, "reject")
}

func TestMatch_MissingNumber(t *testing.T) {
	t.Parallel()
	s, o := startMatching(t)
	ann, bob := &phone{s, "wechat", "ann"}, &phone{s, "wechat", "bob"}
	p := s.createTicket(t, nil)
	ann.mustDo(t, p, "scan")
	before := o.calls()
	for _, more := range [][]any{nil, {"match", nil}, {"match", ""}, {"match", "4"}, {"match", 47}} {
		detail := ann.do(t, p, "confirm", more...).problem(t, 400, "invalid_request")
		if !strings.Contains(detail, "match") {
			t.Errorf("detail %q does not name match", detail)
		}
		bob.do(t, p, "confirm", more...).problem(t, 400, "invalid_request")
	}
	if o.calls() != before {
		t.Error("the provider was called for nothing")
	}
	p.requireState(t, "scanned", 2)
	ann.mustDo(t, p, "confirm", "match", p.match)
}

func TestMatch_CodeOnlyOnPage(t *testing.T) {
	t.Parallel()
	s, _ := startMatching(t)
	p := s.createTicket(t, nil)
	l := p.dial(t)
	for _, v := range []map[string]any{p.requireState(t, "pending", 1), l.expect(t, "pending", 1)} {
		fields(t, v, "ticket", "state", "seq", "expires_in")
	}
}
