package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/outbox"
	"loginhub/hub/ticket"
)

// echoes is the status of a site that writes the request's path in place of a status.
const echoes = -1

// TestWebhook_Answers: what each answer of a site means. No error contains the address, whose
// path may be a secret.
func TestWebhook_Answers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		status  int
		after   string // Retry-After
		refused bool
		pause   time.Duration
		ok      bool
	}{
		"accepted":   {status: 202, ok: true},
		"no content": {status: 204, after: "60", ok: true},
		"gone":       {status: 410, after: "60", refused: true},
		"redirect":   {status: 308},
		"client":     {status: 404},
		"seconds":    {status: 429, after: "90", pause: 90 * time.Second},
		"date":       {status: 503, after: now.Add(2 * time.Minute).Format(http.TimeFormat), pause: 2 * time.Minute},
		"past":       {status: 503, after: now.Add(-time.Minute).Format(http.TimeFormat)},
		"malformed":  {status: 503, after: "soon"},
		"unanswered": {},
		"echo":       {status: echoes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.status == echoes {
					conn, _, err := w.(http.Hijacker).Hijack()
					if err == nil {
						fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", r.URL.Path)
						conn.Close()
					}
					return
				}
				if c.status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("Retry-After", c.after)
				w.Header().Set("Location", "/followed")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, strings.Repeat("x", 2*maxWebhookAnswer)) // more than is read
			}))
			defer site.Close()
			transport := newTransport()
			defer transport.CloseIdleConnections()
			w := webhook{to: &client.Events{URL: site.URL + "/s3cret", Secrets: [][]byte{[]byte("k")}}, now: func() time.Time { return now },
				http: &http.Client{Transport: transport, Timeout: webhookTimeout, CheckRedirect: noRedirect}}
			m, err := NewMessage("id", ticket.Ticket{}, json.RawMessage(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			err = w.Deliver(context.Background(), m)
			var wish *outbox.RetryError
			if errors.As(err, &wish); (err == nil) != c.ok || errors.Is(err, outbox.ErrRefused) != c.refused || (wish != nil) != (c.pause > 0) || wish != nil && wish.After != c.pause {
				t.Errorf("%v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "127.0.0.1")) && c.status != 0 {
				t.Errorf("the error has the address: %v", err)
			}
		})
	}
}
