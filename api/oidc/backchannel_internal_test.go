package oidc

import (
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/api/token"
	"loginhub/hub/client"
	"loginhub/hub/keys"
)

// siteAnswers answers each request with the next status, the last one for ever.
type siteAnswers struct {
	statuses []int
	mu       sync.Mutex
	asked    int
}

func (s *siteAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.statuses[min(s.asked, len(s.statuses)-1)]
	s.asked++
	if status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Location": {"http://169.254.169.254/"}}, Body: io.NopCloser(strings.NewReader("x")), Request: r}, nil
}

// TestBackchannel_Attempts: what is tried again, how often, and what is not.
func TestBackchannel_Attempts(t *testing.T) {
	for name, c := range map[string]struct {
		statuses []int
		asked    int
		result   string
		stop     bool // the node ends after a minute
	}{
		"delivered":     {[]int{200}, 1, LogoutSent, false},
		"later":         {[]int{503, 0, 429, 204}, 4, LogoutSent, false},
		"refused":       {[]int{400}, 1, LogoutRefused, false},
		"a redirect":    {[]int{302}, 1, LogoutRefused, false}, // not followed
		"never":         {[]int{500}, 6, LogoutFailed, false},
		"the node ends": {[]int{500}, 4, LogoutFailed, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, site, results := newTestSender(t, c.statuses...)
				s.send(logoutJob{&client.Client{ID: "app", IDTokenAlg: client.AlgEdDSA, BackchannelLogoutURI: "https://app.example/logout"}, "alice", "s1"})
				if c.stop {
					<-time.After(time.Minute)
					s.close()
				}
				s.jobs.Wait()
				if site.asked != c.asked || !slices.Equal(*results, []string{c.result}) {
					t.Errorf("%d requests, %v", site.asked, *results)
				}
			})
		})
	}
}

// TestBackchannel_Cause: an error does not quote the address, whose path may be a secret.
func TestBackchannel_Cause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := newTestSender(t, 0)
		err := s.post(logoutJob{&client.Client{ID: "app", IDTokenAlg: client.AlgEdDSA, BackchannelLogoutURI: "https://app.example/s3cret"}, "alice", "s1"})
		if err == nil || err.Error() != "send logout token: unexpected EOF" {
			t.Errorf("%v", err)
		}
	})
}

// TestBackchannel_Bounded: a site that does not answer leaves room for others.
func TestBackchannel_Bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, results := newTestSender(t, 500)
		for range maxLogoutsPerSite + 1 {
			s.send(logoutJob{site: &client.Client{ID: "dead", IDTokenAlg: client.AlgEdDSA}})
		}
		if !slices.Equal(*results, []string{LogoutDropped}) {
			t.Errorf("results %v", *results)
		}
		s.send(logoutJob{site: &client.Client{ID: "other", IDTokenAlg: client.AlgEdDSA}})
		if s.total != maxLogoutsPerSite+1 {
			t.Errorf("%d are undelivered", s.total)
		}
		s.close()
	})
}

func newTestSender(t *testing.T, statuses ...int) (*logoutSender, *siteAnswers, *[]string) {
	t.Helper()
	signer, err := token.NewSigner([]keys.MasterKey{keys.NewMasterKey()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	site, results := &siteAnswers{statuses: statuses}, &[]string{}
	s := &logoutSender{issuer: "https://hub.example", signer: func() *token.Signer { return signer }, now: time.Now, log: slog.New(slog.DiscardHandler)}
	var mu sync.Mutex
	s.done = func(result string) {
		mu.Lock()
		defer mu.Unlock()
		*results = append(*results, result)
	}
	s.start()
	s.http.Transport = site
	return s, site, results
}
