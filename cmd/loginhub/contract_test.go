package main_test

import (
	"net/http"
	"regexp"
	"sync"

	"loginhub/api/apitest"
	"loginhub/hub/hubtest"
)

// checkEvent checks a call of a site's webhook against the OpenAPI document.
var checkEvent func(header http.Header, body []byte) error

// checkedTransport checks the hub's responses against the OpenAPI document.
var checkedTransport http.RoundTripper

// checkContract checks every HTTP response and socket view in this package's tests against the
// OpenAPI document. broken returns the violations. They fail the run even if the test itself
// passes.
func checkContract() (broken func() []error) {
	contract, err := apitest.Load("../../api/openapi.yaml")
	if err != nil {
		panic(err)
	}
	checkEvent = contract.CheckEvent
	var mu sync.Mutex
	var all []error
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, err)
	}
	operators := regexp.MustCompile(`^/(metrics|clients|debug|admin)\b`) // the admin listener and the fake WeChat
	around := func(next http.RoundTripper) http.RoundTripper {
		return contract.Transport(next, func(r *http.Request) bool { return operators.MatchString(r.URL.Path) }, note)
	}
	checkedTransport = around(http.DefaultTransport)
	hubtest.Intercept(around, func(text []byte) error {
		err := contract.CheckView(text)
		if err != nil {
			note(err)
		}
		return err
	})
	return func() []error { return all }
}
