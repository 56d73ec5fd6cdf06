package apitest

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// Transport returns a client transport that checks each answer against the contract
// and calls report for each violation, in the goroutine of the request. The client
// still gets the answer. Requests for which skip returns true, and answers that a
// proxy has written, are not checked.
func (s *Spec) Transport(next http.RoundTripper, skip func(*http.Request) bool, report func(error)) http.RoundTripper {
	return transport(func(r *http.Request) (*http.Response, error) {
		x := Exchange{Method: r.Method, Path: r.URL.EscapedPath(), ContentType: r.Header.Get("Content-Type")}
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			if x.Request, err = io.ReadAll(body); err != nil {
				return nil, err
			}
		}
		answer, err := next.RoundTrip(r)
		if err != nil || skip(r) {
			return answer, err
		}
		x.Status, x.Header = answer.StatusCode, answer.Header
		if x.Path == "" {
			x.Path = "/"
		}
		if x.Status != http.StatusSwitchingProtocols {
			if x.Body, err = io.ReadAll(answer.Body); err != nil {
				return nil, err
			}
			if err := answer.Body.Close(); err != nil {
				return nil, err
			}
			answer.Body = io.NopCloser(bytes.NewReader(x.Body))
		}
		if err := s.Check(x); err != nil && !x.fromOtherHost() {
			report(err)
		}
		return answer, nil
	})
}

type transport func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// fromOtherHost reports whether nginx has written the answer itself.
func (x Exchange) fromOtherHost() bool {
	return strings.HasPrefix(x.Header.Get("Server"), "nginx") && bytes.Contains(x.Body, []byte("<center>nginx"))
}
