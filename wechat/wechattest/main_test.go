package wechattest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"go.uber.org/goleak"

	"loginhub/wechat/wechattest"
)

const appID, secret = "wx0123456789abcdef", "0123456789abcdef0123456789abcdef"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a manual clock. It is set between calls, not during one.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// newServer returns a WeChat with one application, and its clock.
func newServer(t *testing.T) (*wechattest.Server, *clock) {
	t.Helper()
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s := wechattest.New(wechattest.Options{Now: c.Now})
	t.Cleanup(s.Close)
	s.Register(wechattest.App{ID: appID, Secret: secret, OpenPlatform: "acme"})
	return s, c
}

// query returns the parameters of a valid exchange.
func query(code string) url.Values {
	return url.Values{
		"appid": {appID}, "secret": {secret}, "js_code": {code}, "grant_type": {"authorization_code"},
	}
}

// reply is an answer that a client has received.
type reply struct {
	status      int
	contentType string
	body        string
	err         error
	fields      map[string]any // nil if the body is not JSON
}

func (r reply) String() string {
	return fmt.Sprintf("%d %s %q %v", r.status, r.contentType, r.body, r.err)
}

// ask exchanges with the parameters q over a new connection.
func ask(t *testing.T, s *wechattest.Server, q url.Values) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/sns/jscode2session?"+q.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	return send(req)
}

func send(req *http.Request) (r reply) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return reply{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	r.status, r.contentType = resp.StatusCode, resp.Header.Get("Content-Type")
	body, err := io.ReadAll(resp.Body)
	r.body, r.err = string(body), err
	if json.Unmarshal(body, &r.fields) != nil {
		r.fields = nil
	}
	return r
}

// errcode returns the number of a failure, or 0.
func (r reply) errcode() int {
	n, _ := r.fields["errcode"].(float64)
	return int(n)
}
