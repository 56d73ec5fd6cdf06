package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// connectLimit bounds the TCP connection, and once more the TLS handshake.
	connectLimit = 3 * time.Second
	// totalLimit bounds a call from start to last byte. Answers after 20 s have
	// been reported, but a person with a phone does not wait so long.
	totalLimit = 8 * time.Second
	// maxAnswer bounds an answer, decompressed. Real ones have some 200 bytes.
	maxAnswer = 64 << 10
	// maxPicture bounds an answer that is a picture. Real ones have some 100 KiB.
	maxPicture = 512 << 10
)

// call is one exchange with WeChat.
type call struct {
	op       string // WeChat's name of the call
	path     string
	query    url.Values
	body     []byte   // JSON of a POST; nil makes it a GET
	maxBytes int      // limit of the answer in bytes; 0: maxAnswer
	token    bool     // the query carries an access_token, not the app secret
	hidden   []string // secret, code and token: values that redact removes from errors
}

// apiClient sends the calls to one host.
type apiClient struct {
	base      *url.URL
	transport http.RoundTripper
	observe   func(ctx context.Context, op string, took time.Duration, err error) // may be nil
}

// observeCall reports a call that began at start to the observer.
func (h *apiClient) observeCall(ctx context.Context, c call, start time.Time, err error) {
	if h.observe != nil {
		h.observe(ctx, c.op, time.Since(start), err)
	}
}

// get sends c and decodes the answer's JSON into the struct that into points to.
// A value without a field, such as session_key, is dropped.
func (h *apiClient) get(ctx context.Context, c call, into any) (err error) {
	start := time.Now()
	defer func() { h.observeCall(ctx, c, start, err) }()
	body, err := h.exchange(ctx, c)
	if err != nil {
		return err
	}
	return c.decode(body, into)
}

// exchange sends c once and returns the body of a 200 answer.
//
// It uses the RoundTripper directly. An http.Client would follow redirects, with
// the secret in the Referer, and wrap every error into a url.Error that quotes the
// whole URL.
func (h *apiClient) exchange(ctx context.Context, c call) ([]byte, error) {
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
		// WeChat always answers 200, so another status comes from a proxy.
		return nil, c.unavailable(fmt.Sprintf("HTTP status %d", resp.StatusCode), nil)
	}
	if len(body) > most {
		return nil, c.unavailable(fmt.Sprintf("answer over %d KiB", most>>10), nil)
	}
	return body, nil
}

// encode returns JSON without escapes of & and the like: WeChat's parser once refused
// \u0026.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// request returns the HTTP request of c in a form that net/http does not repeat;
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
	req.ContentLength = int64(len(c.body)) // net/http would send chunks, since it does not know the body's type
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}
