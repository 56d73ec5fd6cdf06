package httpcall

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"loginhub/hub/provider"
)

const (
	// Limit bounds a call from start to last byte. A person waits for it.
	Limit = 5 * time.Second
	// connectLimit bounds the TCP connection, and once more the TLS handshake.
	connectLimit = 3 * time.Second
	// maxAnswer bounds an answer, decompressed. Real ones have a few KiB.
	maxAnswer = 64 << 10
	// idleLimit is how long an idle connection is kept. It is less than the shortest
	// usual keep-alive time of servers and proxies, 5 s, so that this side closes first.
	idleLimit = 4 * time.Second
	// maxConns is over 1,000 calls a second at the usual 100 ms.
	maxConns = 128
)

// Host describes one host of a provider.
type Host struct {
	Service string   // in errors, for example wecom
	Base    *url.URL // see Base
	// Reactions says what is to be done about each error code. An unknown code is Busy.
	Reactions map[string]Reaction
	// Failure reads the error code and text of an answer; code is "" if it has none.
	Failure func(Answer) (code, text string)
	Metrics provider.CallMetrics // nil: calls are not counted
}

// Client sends the calls to one host. It is safe for concurrent use.
type Client struct {
	host      Host
	transport *http.Transport
}

// New returns a client. It sends nothing.
func New(h Host) *Client {
	// HTTP/2 has its own rules for repeating a request after REFUSED_STREAM or GOAWAY,
	// and one broken connection would take all calls on it along.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &Client{h, &http.Transport{
		Protocols:              protocols,
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connectLimit}).DialContext,
		TLSHandshakeTimeout:    connectLimit,
		MaxResponseHeaderBytes: maxAnswer,
		IdleConnTimeout:        idleLimit,
		MaxConnsPerHost:        maxConns,
		MaxIdleConnsPerHost:    maxConns,
	}}
}

// Close closes the idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Call is one request. A Form or a JSON makes it a POST.
type Call struct {
	Name   string // the provider's name of it, for errors and metrics
	Path   string // after the base; "" if the base is the whole URL
	Query  url.Values
	Form   url.Values  // body as application/x-www-form-urlencoded
	JSON   any         // body as JSON
	Header http.Header // may be nil
	Hidden []string    // secrets, codes and tokens: values that no error may contain
	Into   any         // pointer into which the answer's JSON is decoded; nil: Read reads it
	// Read reads an answer that is no plain JSON. Its error makes the call fail as Busy.
	Read func(Answer) error
}

// Answer is the answer to a call.
type Answer struct {
	Status int
	Body   []byte
}

// Do sends the call once. Its error is an [Error], inside a provider.RetryError if
// waiting may help.
func (c *Client) Do(ctx context.Context, call Call) error {
	start := time.Now()
	failure := c.do(ctx, call)
	if c.host.Metrics != nil {
		c.host.Metrics.Observe(ctx, call.Name, c.result(failure), time.Since(start))
	}
	return failure.asError()
}

// do returns nil if the call succeeded.
func (c *Client) do(ctx context.Context, call Call) *Error {
	a, failure := c.exchange(ctx, call)
	if failure != nil {
		return failure
	}
	if code, text := c.host.Failure(a); code != "" {
		return c.refused(call, code, text)
	}
	if a.Status/100 != 2 {
		return c.unavailable(call, fmt.Sprintf("HTTP status %d", a.Status), nil)
	}
	var err error
	if call.Read != nil {
		err = call.Read(a)
	} else if call.Into != nil {
		err = json.Unmarshal(a.Body, call.Into)
	}
	if err != nil {
		return c.unavailable(call, "malformed answer", err)
	}
	return nil
}

// exchange sends the request. It uses the RoundTripper directly: an http.Client follows
// redirects, with secrets in the Referer, and its errors quote the whole URL.
func (c *Client) exchange(ctx context.Context, call Call) (a Answer, failure *Error) {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	req, err := c.request(ctx, call)
	if err != nil {
		return a, c.unavailable(call, "request not made", err)
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return a, c.unavailable(call, "no answer", err)
	}
	defer func() { _ = resp.Body.Close() }()
	a.Status = resp.StatusCode
	if a.Body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1)); err != nil {
		return a, c.unavailable(call, "answer broken off", err)
	}
	if len(a.Body) > maxAnswer {
		return a, c.unavailable(call, fmt.Sprintf("answer over %d KiB", maxAnswer>>10), nil)
	}
	return a, nil
}

// request returns the HTTP request of a call in a form that net/http does not repeat on
// a second connection: with a body that it cannot rewind.
func (c *Client) request(ctx context.Context, call Call) (*http.Request, error) {
	u := c.host.Base
	if call.Path != "" {
		u = u.JoinPath(call.Path)
	}
	to := *u
	to.RawQuery = call.Query.Encode()
	method, body, mediaType := http.MethodGet, []byte(nil), ""
	var err error
	switch {
	case call.Form != nil:
		method, body, mediaType = http.MethodPost, []byte(call.Form.Encode()), "application/x-www-form-urlencoded; charset=utf-8"
	case call.JSON != nil:
		method, mediaType = http.MethodPost, "application/json; charset=utf-8"
		if body, err = json.Marshal(call.JSON); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, to.String(), struct{ io.ReadCloser }{io.NopCloser(bytes.NewReader(body))})
	if err != nil {
		return nil, err
	}
	for name, values := range call.Header {
		req.Header[name] = values
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
		req.ContentLength = int64(len(body))
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}
