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

// Client rules (design 4.4; the same as in frontend/client).
const (
	firstView   = 2500 * time.Millisecond // without a view by then, the long poll is tried
	silence     = 45 * time.Second        // then a socket is dead
	pollWait    = 25                      // seconds
	scannedWait = 10                      // seconds, once it has seen a scan
)

// Page is a browser's page that follows the documented client rules: WebSocket
// first, long poll where that gives nothing, again with jitter after every
// failure, an acknowledgement for the token, and an end only on the hub's word.
type Page struct {
	Entry     func() string // the URL to use next: a load balancer's, or any node's
	Ticket    *Ticket
	Headers   []string  // pairs, beside those of each request
	CreatedAt time.Time // when the attempt that made its ticket began
	Blocked   bool      // sockets gave nothing where a poll was answered, or that is known beforehand

	Token      string    // the first that came
	TokenAt    time.Time // and when
	Polled     bool      // by a long poll
	Deliveries int       // confirmed views
	Conflict   string    // a later token that was another one; must stay empty
	Acked      bool
	End        string // consumed, rejected, expired, gone (404) or replaced
	Sockets    int    // sockets that gave a view
	Polls      int    // polls that were answered
	Trace      Trace  // what came

	failures int
	seen     int64 // the highest seq
}

// CreateTicket makes the page's ticket, however often that fails.
func (p *Page) CreateTicket(ctx context.Context) error {
	for {
		p.CreatedAt = time.Now()
		t, err := CreateTicket(ctx, p.Entry(), nil, p.Headers...)
		if err == nil {
			p.Ticket, p.failures = t, 0
			return nil
		}
		if err := p.backoff(ctx, 0); err != nil {
			return err
		}
	}
}

// Trace is what somebody saw, a line each: to be printed where it ends badly.
type Trace []string

func (s *Trace) add(format string, values ...any) {
	*s = append(*s, time.Now().UTC().Format("04:05.000 ")+fmt.Sprintf(format, values...))
}

// Wait holds the line until the ticket is over. Its only error is ctx's.
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

// attempt is one attempt; again is within which time to come back, 0 for backoff.
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
		if limit == firstView {
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

// closed says when to come back after a close.
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
			if scanned { // what was scanned is asked for anew: the number may have another version now
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

// record notes a view and reports whether it is to be acknowledged.
func (p *Page) record(v *View) (ack bool) {
	p.Trace.add("%s, %d", v.State, v.Seq)
	if v.Seq < p.seen {
		return false // overtaken
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

// backoff waits a random time: within the given one, or with full-jitter backoff.
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

// retryAfter is the answer's Retry-After, or a second.
func retryAfter(a *Response) time.Duration {
	if s, err := strconv.Atoi(a.Header.Get("Retry-After")); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	return time.Second
}

// ErrRefused is a phone that was refused for good.
var ErrRefused = errors.New("the phone was refused")

// Retry does what a person at the phone does: the action again with a fresh
// code while the hub or the network fails, until it is answered. Errors counts
// what the person saw meanwhile.
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
			fresh = true // the mini-program asks for another one, once
			continue
		case err == nil && a.Status < 500 && a.Status != http.StatusTooManyRequests:
			return errorsSeen, fmt.Errorf("%s: %d %s: %w", action, a.Status, a.Code, ErrRefused)
		}
		errorsSeen++
		if err := wait(ctx, 50*time.Millisecond+rand.N(250*time.Millisecond)); err != nil {
			return errorsSeen, err
		}
	}
}
