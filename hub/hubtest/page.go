package hubtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// Client rules of the wire contract, the same as in frontend/client.
const (
	firstView   = 2500 * time.Millisecond // after it without a view, the page tries the long poll
	silence     = 45 * time.Second        // after it the page treats a socket as dead
	pollWait    = 25                      // seconds
	scannedWait = 10                      // seconds, after a scan
)

// Page is a browser's page that follows the documented client rules. It opens a
// WebSocket, or polls if that gives no view, and retries with jitter after every
// failure. It acknowledges the token, and ends only if the hub says so.
type Page struct {
	Entry     func() string // returns the URL to use next: a load balancer's, or any node's
	Ticket    *Ticket
	Request   any       // body of the call that creates the ticket; nil: none
	Headers   []string  // pairs, added to each request
	CreatedAt time.Time // when the successful attempt to create the ticket began
	Blocked   bool      // WebSockets gave no view although a poll was answered; may be set beforehand
	Patient   bool      // waits longer for the first view, so that a slow machine is no refusal

	Token      string    // the first one received
	TokenAt    time.Time // when Token was received
	Polled     bool      // Token came by a long poll
	Deliveries int       // number of confirmed views
	Conflict   string    // a later, different token; must stay empty
	Acked      bool
	End        string // consumed, rejected, expired, gone (404) or replaced
	Sockets    int    // sockets that delivered a view
	Polls      int    // polls that were answered
	Overloaded bool   // a full node refused a poll
	Trace      Trace  // all events

	failures int
	seen     int64 // the highest seq received
}

// CreateTicket creates the page's ticket. It retries until ctx ends.
func (p *Page) CreateTicket(ctx context.Context) error {
	for {
		p.CreatedAt = time.Now()
		t, err := CreateTicket(ctx, p.Entry(), p.Request, p.Headers...)
		if err == nil {
			p.Ticket, p.failures = t, 0
			return nil
		}
		if err := p.backoff(ctx, 0); err != nil {
			return err
		}
	}
}

// Trace is a log of events, one per line. Tests print it on failure.
type Trace []string

func (s *Trace) add(format string, values ...any) {
	*s = append(*s, time.Now().UTC().Format("04:05.000 ")+fmt.Sprintf(format, values...))
}

// Wait stays connected until the ticket is over. It returns an error only if ctx ends.
func (p *Page) Wait(ctx context.Context) error {
	for p.End == "" {
		again, err := p.attempt(ctx)
		if err != nil || p.End != "" {
			return err
		}
		if err := p.backoff(ctx, again); err != nil {
			return err
		}
	}
	return nil
}

// attempt makes one attempt. again is the time within which to come back, 0 for backoff.
func (p *Page) attempt(ctx context.Context) (again time.Duration, err error) {
	if p.Blocked {
		return p.poll(ctx)
	}
	before := p.Sockets
	again, err = p.socket(ctx)
	if err != nil || p.End != "" || p.Sockets > before {
		return again, err
	}
	polls := p.Polls
	again, err = p.poll(ctx)
	p.Blocked = p.Polls > polls
	return again, err
}

func (p *Page) socket(ctx context.Context) (again time.Duration, err error) {
	limit := firstView
	if p.Patient {
		limit *= slowest
	}
	dial, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s, err := p.Ticket.Dial(dial, p.Entry(), p.Headers...)
	if err != nil {
		p.Trace.add("no socket: %v", err)
		if s.HTTP != nil && s.HTTP.StatusCode == http.StatusNotFound {
			p.End = "gone"
		}
		return 0, ctx.Err()
	}
	defer s.Conn.CloseNow()
	for {
		read, cancel := context.WithTimeout(ctx, limit)
		v, err := s.Next(read)
		cancel()
		if err != nil {
			p.Trace.add("socket ended: %v", err)
			return p.closed(websocket.CloseStatus(err)), ctx.Err()
		}
		if limit != silence {
			p.Sockets++
		}
		limit, p.failures = silence, 0
		if p.record(v) {
			if err := s.Ack(ctx, v.Seq); err != nil {
				return 0, ctx.Err()
			}
		}
		if p.End != "" {
			return 0, nil
		}
	}
}

// closed returns the time within which to come back after a close.
func (p *Page) closed(code websocket.StatusCode) time.Duration {
	switch code {
	case 4001:
		p.End = "replaced"
	case websocket.StatusServiceRestart, websocket.StatusTryAgainLater:
		return 2 * time.Second
	}
	return 0
}

func (p *Page) poll(ctx context.Context) (again time.Duration, err error) {
	var seq int64
	scanned := false
	url := p.Entry()
	for ctx.Err() == nil {
		wait := pollWait
		if scanned {
			wait = scannedWait
		}
		a, err := Request(ctx, "GET", fmt.Sprintf("%s?after=%d&wait=%d", p.Ticket.URL(url, "poll"), seq, wait), nil,
			append([]string{"Authorization", "Bearer " + p.Ticket.Secret}, p.Headers...)...)
		if err != nil {
			p.Trace.add("no poll: %v", err)
			return 0, ctx.Err()
		}
		if a.Status != http.StatusOK {
			p.Trace.add("poll: %d %s", a.Status, a.Code)
		}
		switch a.Status {
		case http.StatusNoContent:
			if scanned { // ask for the view again: another version of the ticket may have the same seq
				seq = 0
			}
		case http.StatusNotFound:
			p.End = "gone"
			return 0, nil
		case http.StatusOK:
			v := &View{}
			if err := a.Decode(http.StatusOK, v); err != nil {
				return 0, err
			}
			seq, scanned = v.Seq, v.State == "scanned"
			first := p.Token == ""
			if p.record(v) {
				p.Polled = p.Polled || first
				if a, err := p.Ticket.Ack(ctx, url, v.Seq); err == nil && a.Status == http.StatusNoContent {
					p.Acked, p.End = true, "consumed"
				}
				return 0, ctx.Err()
			}
		default:
			p.Overloaded = p.Overloaded || a.Code == "overloaded"
			return retryAfter(a), ctx.Err()
		}
		p.Polls++
		p.failures = 0
		if p.End != "" {
			return 0, nil
		}
	}
	return 0, ctx.Err()
}

// record records a view and reports whether to acknowledge it.
func (p *Page) record(v *View) (ack bool) {
	p.Trace.add("%s, %d", v.State, v.Seq)
	if v.Seq < p.seen {
		return false // older than the last one
	}
	p.seen = v.Seq
	switch v.State {
	case "confirmed":
		p.Deliveries++
		if p.Token == "" {
			p.Token, p.TokenAt = v.Token, time.Now()
		} else if p.Token != v.Token {
			p.Conflict = v.Token
		}
		return true
	case "consumed":
		p.Acked, p.End = true, v.State
	case "rejected", "expired":
		p.End = v.State
	}
	return false
}

// backoff waits a random time: up to within, or exponential backoff with full jitter if
// it is 0.
func (p *Page) backoff(ctx context.Context, within time.Duration) error {
	if within == 0 {
		within = min(5*time.Second, 200*time.Millisecond<<min(p.failures, 10))
		p.failures++
	}
	return wait(ctx, rand.N(within))
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// retryAfter returns the response's Retry-After, or a second.
func retryAfter(a *Response) time.Duration {
	if s, err := strconv.Atoi(a.Header.Get("Retry-After")); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	return time.Second
}

// ErrRefused means that the hub refused the phone for good.
var ErrRefused = errors.New("the phone was refused")

// Retry repeats the action with a fresh code, as a person does, while the hub or the
// network fails. errorsSeen counts the errors that the person saw.
func (p *Phone) Retry(ctx context.Context, entry func() string, id, action string) (errorsSeen int, err error) {
	for fresh := false; ; {
		a, err := p.Do(ctx, entry(), id, action, nil)
		if err != nil {
			p.Trace.add("%s: %v", action, err)
		} else {
			p.Trace.add("%s: %d %s", action, a.Status, a.Code)
		}
		switch {
		case ctx.Err() != nil:
			return errorsSeen, ctx.Err()
		case err == nil && a.Status == http.StatusOK:
			return errorsSeen, nil
		case err == nil && a.Code == "code_invalid" && !fresh:
			fresh = true // the mini-program asks for another code, once
			continue
		case err == nil && a.Status < 500 && a.Status != http.StatusTooManyRequests:
			return errorsSeen, fmt.Errorf("%s: %d %s: %w", action, a.Status, a.Code, ErrRefused)
		}
		errorsSeen++
		fresh = false // the person scans again
		if err := wait(ctx, 50*time.Millisecond+rand.N(250*time.Millisecond)); err != nil {
			return errorsSeen, err
		}
	}
}
