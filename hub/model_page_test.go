package hub_test

import (
	"bufio"
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

	"github.com/coder/websocket"

	"loginhub/hub"
	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// modelBrowser is a page. While the faults last it connects when a step says so,
// afterwards by the client rules; it notes what must not be.
type modelBrowser struct {
	state *modelState
	id    ticket.ID
	rng   *rand.Rand // of the keeper

	mu      sync.Mutex // guards what follows
	conn    *modelConn // nil: none
	dropAck bool       // its next ack is lost
	seq     int64      // the highest that it has seen
	token   string
	tokenAt time.Time
	polled  bool // the token came by a poll
	acked   bool // an ack has left
	end     ticket.State
	endAt   time.Time
}

// modelConn is a page's connection with a node.
type modelConn struct {
	browser *modelBrowser
	node    *modelNode
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{}

	isPoll  bool
	waiting atomic.Bool // the node has it as a waiter
}

// connect leaves the line of before and takes a new one.
func (p *modelBrowser) connect(n *modelNode, poll bool) *modelConn {
	p.leave(true)
	l := &modelConn{browser: p, node: n, isPoll: poll, done: make(chan struct{})}
	ctx := context.WithValue(p.state.ctx, callerKey{}, "page")
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

// leave gives the line up; where the node is not to notice, it stays open there
// and what comes over it is lost.
func (p *modelBrowser) leave(noticed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil && noticed {
		p.conn.cancel()
	}
	p.conn = nil
}

// setDropAck is false where the hub will not hear the page's next ack.
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

// keepConnected holds a line until the ticket is over, by the client rules.
func (p *modelBrowser) keepConnected() {
	for p.endState() == "" && p.state.ctx.Err() == nil {
		p.mu.Lock()
		l := p.conn
		p.mu.Unlock()
		if l == nil {
			nodes := p.state.serving()
			if len(nodes) == 0 {
				return // the walk has just been given up
			}
			l = p.connect(nodes[p.rng.IntN(len(nodes))], p.rng.IntN(2) == 0)
		}
		<-l.done
		if p.endState() == "" {
			time.Sleep(time.Duration(p.rng.Int64N(int64(2 * time.Second)))) // the bubble's clock
		}
	}
}

func (l *modelConn) socket() {
	const firstView, silence = 2500 * time.Millisecond, 45 * time.Second
	dial, cancel := context.WithTimeout(l.ctx, firstView)
	defer cancel()
	conn, _, err := websocket.Dial(dial, "ws://node/", &websocket.DialOptions{
		Subprotocols: []string{hub.Protocol}, HTTPClient: &http.Client{Transport: modelTransport{l}}})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	l.waiting.Store(true)
	socket := &hubtest.Socket{Conn: conn}
	for limit := firstView; ; limit = silence {
		read, cancel := context.WithTimeout(l.ctx, limit)
		v, err := socket.Next(read)
		if limit == firstView && errors.Is(read.Err(), context.DeadlineExceeded) && l.ctx.Err() == nil {
			l.browser.state.fail(errors.New("an accepted socket gives no view"))
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
		return // not answered: from the beginning
	}
}

// receive notes a view and reports whether an ack is to leave.
func (l *modelConn) receive(state ticket.State, seq int64, token string) (ack bool) {
	p := l.browser
	all, fell := p.state.net.allVersions(p.id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != l {
		return false // lost on its way
	}
	if err := p.check(all, fell, state, seq, token); err != nil {
		p.state.fail(fmt.Errorf("page %s: %w", modelName(p.id), err))
	}
	if seq < p.seq {
		return false // the client takes it for overtaken
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

// check holds a view against all that was ever stored.
func (p *modelBrowser) check(all []ticket.Ticket, fell bool, state ticket.State, seq int64, token string) error {
	same := slices.DeleteFunc(slices.Clone(all), func(v ticket.Ticket) bool { return v.State != state || v.Seq != seq })
	switch {
	case seq < p.seq && !fell:
		return fmt.Errorf("it saw seq %d, and now %d", p.seq, seq)
	case len(same) == 0 && !(fell && state == ticket.Expired): // the hub's word where Redis fell back
		return fmt.Errorf("it is shown %s with seq %d, and that was never stored", state, seq)
	case state == ticket.Consumed && !p.acked:
		return errors.New("consumed before any ack")
	case state == ticket.Confirmed && (p.token == "" || token != p.token):
		if !slices.ContainsFunc(same, func(v ticket.Ticket) bool {
			want, err := p.state.signer.Sign(v.Key, v.Claims)
			return err == nil && token == want
		}) {
			return errors.New("its token is not the one of the confirm")
		}
	}
	return nil
}

// modelTransport takes a page's handshake straight to its node.
type modelTransport struct{ *modelConn }

// RoundTrip is for http.Client.
func (d modelTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.node.dead() {
		return nil, net.ErrClosed
	}
	here, there := net.Pipe()
	context.AfterFunc(d.ctx, func() { here.Close() })
	w := &modelResponse{header: http.Header{}, conn: there}
	refused := make(chan error, 1)
	d.browser.state.wg.Go(func() { refused <- d.node.Socket(w, r, d.browser.id, anyBrowser) })
	select {
	case err := <-refused:
		if err == nil && w.status != http.StatusSwitchingProtocols {
			err = fmt.Errorf("status %d", w.status)
		}
		if err != nil {
			here.Close()
			there.Close()
			return nil, err
		}
		return &http.Response{StatusCode: w.status, Header: w.header, Body: here, Request: r}, nil
	case <-r.Context().Done():
		here.Close()
		return nil, r.Context().Err()
	}
}

// modelResponse is the answer to a handshake.
type modelResponse struct {
	header http.Header
	status int
	conn   net.Conn
}

func (a *modelResponse) Header() http.Header            { return a.header }
func (a *modelResponse) WriteHeader(status int)         { a.status = status }
func (a *modelResponse) Write(text []byte) (int, error) { return len(text), nil }

// Hijack is for websocket.Accept.
func (a *modelResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return a.conn, bufio.NewReadWriter(bufio.NewReader(a.conn), bufio.NewWriter(a.conn)), nil
}
