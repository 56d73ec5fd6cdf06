package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/outbox"
	"loginhub/hub/provider"
)

// Limits of a call of a webhook.
const (
	webhookTimeout   = 10 * time.Second
	connectTimeout   = 5 * time.Second
	maxWebhookAnswer = 64 << 10 // bytes read of an answer
)

// eventsType is the media type of a CloudEvent in structured mode.
const eventsType = "application/cloudevents+json; charset=utf-8"

// webhookPauses are the pauses before the second and later attempts: 22 hours in all.
var webhookPauses = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute,
	time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour}

// newTransport returns what all webhooks share. The operator names the addresses, so none
// is refused. The number of connections to a site is bounded by the deliveries of its queue.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout:    connectTimeout,
		MaxResponseHeaderBytes: maxWebhookAnswer,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
	}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// webhook delivers the events of a client (outbox.Destination).
type webhook struct {
	to   *client.Events
	http *http.Client
	now  func() time.Time // the store's clock
}

// Pauses implements outbox.Destination.
func (w webhook) Pauses() []time.Duration { return webhookPauses }

// Deliver implements outbox.Destination: one POST with the id of the event and a
// signature of its own (Standard Webhooks). No redirect is followed.
func (w webhook) Deliver(ctx context.Context, m outbox.Message) error {
	body, err := Body(m)
	if err != nil {
		return fmt.Errorf("%w: %w", outbox.ErrRefused, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.to.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("request: %w", provider.CleanCause(err))
	}
	at := strconv.FormatInt(w.now().Unix(), 10)
	r.Header.Set("Content-Type", eventsType)
	r.Header.Set("User-Agent", "loginhub")
	r.Header.Set("Webhook-Id", m.ID)
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", signatures(w.to.Secrets, m.ID, at, body))
	answer, err := w.http.Do(r)
	if err != nil {
		return fmt.Errorf("send: %w", provider.CleanCause(err))
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxWebhookAnswer)) // so that the connection can be used again
	switch status := answer.StatusCode; {
	case status/100 == 2:
		return nil
	case status == http.StatusGone:
		return fmt.Errorf("status 410: %w", outbox.ErrRefused)
	default:
		err = fmt.Errorf("status %d, want 200 to 299", status)
		if after := w.retryAfter(answer.Header.Get("Retry-After")); after > 0 {
			err = &outbox.RetryError{After: after, Err: err}
		}
		return err
	}
}

// signatures returns the header of Standard Webhooks: a signature by each secret.
func signatures(secrets [][]byte, id, timestamp string, body []byte) string {
	all := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		all[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(all, " ")
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3); 0 if there is none.
func (w webhook) retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return at.Sub(w.now())
	}
	return 0
}
