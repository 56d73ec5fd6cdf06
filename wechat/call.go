package wechat

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// connectLimit bounds the TCP connection, and once more the TLS handshake.
	connectLimit = 3 * time.Second
	// totalLimit bounds a call from start to last byte. Answers that took 20 s
	// have been reported, but a person holding a phone does not wait for them.
	totalLimit = 8 * time.Second
	// maxAnswer bounds an answer, decompressed. Real ones have some 200 bytes.
	maxAnswer = 64 << 10
	// maxPicture bounds an answer that is a picture. Real ones have some 100 KiB.
	maxPicture = 512 << 10
)

// call is one exchange: what goes out, and what must not come back in an error.
type call struct {
	op       string // WeChat's own name of the call
	path     string
	query    url.Values
	body     []byte   // JSON of a POST; nil makes it a GET
	maxBytes int      // bytes of an answer; 0: maxAnswer
	token    bool     // carries an access_token in place of the app secret
	hidden   []string // secret, code and token; see cloak
}

// host is where the calls go.
type host struct {
	base      *url.URL
	transport http.RoundTripper
	observe   func(op string, took time.Duration, err error) // may be nil
}

// observeCall tells the observer of a call that began at start.
func (h *host) observeCall(c call, start time.Time, err error) {
	if h.observe != nil {
		h.observe(c.op, time.Since(start), err)
	}
}

// get makes c as a GET and decodes the answer's JSON into the struct that into
// points to. Name no field for what must not be kept.
func (h *host) get(ctx context.Context, c call, into any) (err error) {
	start := time.Now()
	defer func() { h.observeCall(c, start, err) }()
	body, err := h.exchange(ctx, c)
	if err != nil {
		return err
	}
	return c.decode(body, into)
}

// exchange sends c once and gives the body of a 200 answer.
//
// It goes straight to the RoundTripper: an http.Client would follow redirects,
// with the secret in the Referer, and would wrap every error into a url.Error
// that quotes the whole URL.
func (h *host) exchange(ctx context.Context, c call) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, totalLimit)
	defer cancel()

	u := h.base.JoinPath(c.path)
	u.RawQuery = c.query.Encode()
	req, err := c.request(ctx, u.String())
	if err != nil {
		return nil, c.unavailable("request not made", err)
	}
	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		return nil, c.unavailable("no answer", err)
	}
	defer func() { _ = resp.Body.Close() }()

	most := maxAnswer
	if c.maxBytes > 0 {
		most = c.maxBytes
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if err != nil {
		return nil, c.unavailable("answer broken off", err)
	}
	if resp.StatusCode != http.StatusOK {
		// WeChat itself says everything with 200: this is something on the way.
		return nil, c.unavailable(fmt.Sprintf("HTTP status %d", resp.StatusCode), nil)
	}
	if len(body) > most {
		return nil, c.unavailable(fmt.Sprintf("answer over %d KiB", most>>10), nil)
	}
	return body, nil
}

// request makes the HTTP request of c, in a form that net/http will not repeat:
// see unrepeatable.
func (c call) request(ctx context.Context, u string) (*http.Request, error) {
	if c.body == nil {
		return http.NewRequestWithContext(ctx, http.MethodGet, u, unrepeatable{})
	}
	body := struct{ io.ReadCloser }{io.NopCloser(bytes.NewReader(c.body))}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(len(c.body)) // of a body that it does not know, net/http would send chunks
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}
