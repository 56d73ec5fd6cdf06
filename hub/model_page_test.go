package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"loginhub/hub"
	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// modelBrowser is a waiting browser. During the faults it connects when a step says so,
// afterwards by the client's rules. It checks every view.
type modelBrowser struct {
	state *modelState
	id    ticket.ID
	rng   *rand.Rand // of keepConnected

	mu      sync.Mutex // guards the fields below
	conn    *modelConn // nil: none
	dropAck bool       // its next ack is lost
	seq     int64      // the highest one received
	token   string
	tokenAt time.Time
	polled  bool // the token arrived by a poll
	acked   bool // it has sent an ack
	end     ticket.State
	endAt   time.Time
}

// modelConn is a browser's connection to a node.
type modelConn struct {
	browser *modelBrowser
	node    *modelNode
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{}

	isPoll  bool
	waiting atomic.Bool // the node has it as a waiter
}

// connect closes the former connection and opens a new one.
func (p *modelBrowser) connect(n *modelNode, poll bool) *modelConn {
	p.leave(true)
	l := &modelConn{browser: p, node: n, isPoll: poll, done: make(chan struct{})}
	ctx := context.WithValue(p.state.ctx, callerKey{}, "browser")
	l.ctx, l.cancel = context.WithCancel(ctx)
	context.AfterFunc(n.ctx, l.cancel)
	p.mu.Lock()
	p.conn = l
	p.mu.Unlock()
	n.mu.Lock()
	n.conns = append(n.conns, l)
	n.mu.Unlock()
	p.state.wg.Go(func() {
		if poll {
			l.poll()
		} else {
			l.socket()
		}
		l.cancel()
		p.mu.Lock()
		if p.conn == l {
			p.conn = nil
		}
		p.mu.Unlock()
		close(l.done)
	})
	return l
}

// leave gives up the connection. If the node must not notice, it stays open there and
// what the node sends is lost.
func (p *modelBrowser) leave(noticed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil && noticed {
		p.conn.cancel()
	}
	p.conn = nil
}

// setDropAck says whether the browser's next ack is lost.
func (p *modelBrowser) setDropAck(so bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropAck = !so
}

func (p *modelBrowser) endState() ticket.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// keepConnected stays connected until the ticket is final, by the client's rules.
func (p *modelBrowser) keepConnected() {
	for p.endState() == "" && p.state.ctx.Err() == nil {
		p.mu.Lock()
		l := p.conn
		p.mu.Unlock()
		if l == nil {
			nodes := p.state.serving()
			if len(nodes) == 0 {
				return // the trace has ended
			}
			l = p.connect(nodes[p.rng.IntN(len(nodes))], p.rng.IntN(2) == 0)
		}
		<-l.done
		if p.endState() == "" {
			time.Sleep(time.Duration(p.rng.Int64N(int64(2 * time.Second)))) // fake clock
		}
	}
}

func (l *modelConn) socket() {
	const firstView, silence = 2500 * time.Millisecond, 45 * time.Second
	dial, cancel := context.WithTimeout(l.ctx, firstView)
	defer cancel()
	socket, err := hubtest.DialSocket(dial, &http.Client{Transport: hubtest.DirectTransport{Ctx: l.ctx, Go: l.browser.state.wg.Go, Handle: l.handshake}},
		"ws://node/", []string{hub.Protocol})
	if err != nil {
		return
	}
	defer socket.Conn.CloseNow()
	l.waiting.Store(true)
	for limit := firstView; ; limit = silence {
		read, cancel := context.WithTimeout(l.ctx, limit)
		v, err := socket.Next(read)
		if limit == firstView && errors.Is(read.Err(), context.DeadlineExceeded) && l.ctx.Err() == nil {
			l.browser.state.fail(errors.New("an accepted socket sends no view"))
		}
		cancel()
		if err != nil {
			return
		}
		if l.receive(ticket.State(v.State), v.Seq, v.Token) && socket.Ack(l.ctx, v.Seq) != nil {
			return
		}
	}
}

// handshake passes the handshake to the node.
func (l *modelConn) handshake(w http.ResponseWriter, r *http.Request) error {
	if l.node.dead() {
		return net.ErrClosed
	}
	return l.node.Socket(w, r, l.browser.id, anyBrowser)
}

func (l *modelConn) poll() {
	scanned := false
	for after := int64(0); l.ctx.Err() == nil && l.browser.endState() == ""; {
		wait := 25 * time.Second
		if scanned {
			wait = 10 * time.Second
		}
		l.waiting.Store(true)
		v, news, err := l.node.Poll(l.ctx, l.browser.id, after, wait, anyBrowser)
		l.waiting.Store(false)
		if err != nil || l.ctx.Err() != nil || l.node.Draining() {
			return
		}
		if !news && scanned {
			after = 0
		}
		if !news {
			continue
		}
		after, scanned = v.Seq, v.State == ticket.Scanned
		if v.State != ticket.Confirmed {
			l.receive(v.State, v.Seq, "")
			if v.State.Final() {
				return
			}
			continue
		}
		if l.receive(v.State, v.Seq, v.Token) && l.node.Ack(l.ctx, l.browser.id, v.Seq, anyBrowser) == nil && l.ctx.Err() == nil {
			l.receive(ticket.Consumed, v.Seq+1, "")
		}
		return // no answer: connect again
	}
}

// receive records a view and reports whether to send an ack.
func (l *modelConn) receive(state ticket.State, seq int64, token string) (ack bool) {
	p := l.browser
	all, fell := p.state.net.allVersions(p.id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != l {
		return false // lost in transit
	}
	if err := p.check(all, fell, state, seq, token); err != nil {
		p.state.fail(fmt.Errorf("browser %s: %w", modelName(p.id), err))
	}
	if seq < p.seq {
		return false // the client ignores an older view
	}
	p.seq = max(p.seq, seq)
	if state == ticket.Confirmed && p.token == "" {
		p.token, p.tokenAt, p.polled = token, time.Now(), l.isPoll
	}
	if state.Final() {
		p.end, p.endAt = state, time.Now()
	}
	if state != ticket.Confirmed || p.dropAck {
		if state == ticket.Confirmed {
			p.dropAck = false
			p.state.net.noteSilentLoss()
		}
		return false
	}
	p.acked = true
	return true
}

// check compares a view with all versions that were ever stored.
func (p *modelBrowser) check(all []ticket.Ticket, fell bool, state ticket.State, seq int64, token string) error {
	same := slices.DeleteFunc(slices.Clone(all), func(v ticket.Ticket) bool { return v.State != state || v.Seq != seq })
	switch {
	case seq < p.seq && !fell:
		return fmt.Errorf("it received seq %d, and now %d", p.seq, seq)
	case len(same) == 0 && !(fell && state == ticket.Expired): // the hub ends a ticket that Redis rolled back
		return fmt.Errorf("it received %s with seq %d, and that was never stored", state, seq)
	case state == ticket.Consumed && !p.acked:
		return errors.New("consumed before any ack")
	case state == ticket.Confirmed && (p.token == "" || token != p.token):
		if !slices.ContainsFunc(same, func(v ticket.Ticket) bool {
			want, err := p.state.signer.SignLogin(v.Key, v.SignKey, v.Claims)
			return err == nil && token == want
		}) {
			return errors.New("its token is not that of the confirm")
		}
	}
	return nil
}
