package hub

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"loginhub/hub/ticket"
	"loginhub/hub/trace"
)

// Protocol is the subprotocol that the hub selects.
const Protocol = "loginhub.v1"

// socket is a waiting WebSocket. Its conn reads. One goroutine at a time writes: that of the
// request or of the reader what they have caused, otherwise one of the hub's writers, so that
// a slow browser delays neither mailbox nor sweep.
type socket struct {
	hub    *Hub
	id     ticket.ID
	conn   *conn    // set by start, before anything is written
	closed func()   // Browser.Closed
	addr16 [16]byte // the observed address; zero if it is not known

	mu       sync.Mutex // guards the fields up to released
	next     *version   // to write; nil: none
	started  bool       // upgraded
	writing  bool       // a goroutine calls write, or will
	repeat   bool       // write next although its seq was written: a heartbeat is due
	released reason     // set by release, until the writer closes the connection

	hasToken bool  // the last written view had a token; owned by the writer
	sentSeq  int64 // last written seq; owned by the writer
}

// Socket attaches a browser to its ticket and upgrades the connection. It returns after
// the upgrade, so that the request's goroutine and buffers are freed. An error is a
// refusal before the upgrade; the caller writes the answer.
func (h *Hub) Socket(w http.ResponseWriter, r *http.Request, id ticket.ID, from Browser) error {
	// Clone the id: it is a substring of the request, which would stay in memory.
	s := &socket{hub: h, id: ticket.ID(strings.Clone(string(id))), closed: from.Closed}
	if from.Addr.IsValid() {
		s.addr16 = from.Addr.As16()
	}
	trace.Begin(r.Context(), s.id, false)
	first, err := h.admission.admit(r.Context(), s.id, s, from)
	if err != nil {
		s.onClosed()
		return err
	}
	conn, err := h.conns.upgrade(w, r)
	if err != nil {
		h.waiters.remove(s.id, s)
		s.onClosed()
		return err
	}
	s.start(conn, first)
	return nil
}

// start starts to read and writes the first view.
func (s *socket) start(conn *conn, first *version) {
	s.hub.metrics.WaitStarted(TransportSocket)
	s.mu.Lock()
	s.conn, s.started, s.writing = conn, true, true
	if s.next == nil {
		s.next = first
	}
	s.mu.Unlock()
	conn.start(s)
	s.write()
}

// transport implements waiter.
func (s *socket) transport() Transport { return TransportSocket }

// changed implements waiter.
func (s *socket) changed(v *version, repeat bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.repeat = v, s.repeat || repeat
	s.startWriter()
}

// release implements waiter.
func (s *socket) release(why reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = why
	s.startWriter()
}

// startWriter lets a writer write if no goroutine does. Before the upgrade it does
// nothing: start writes then. Called with mu held.
func (s *socket) startWriter() {
	if s.started && !s.writing {
		s.writing = true
		s.hub.writers.run(s)
	}
}

// write writes until nothing is pending. The caller has set writing.
func (s *socket) write() {
	for {
		s.mu.Lock()
		next, repeat, why := s.next, s.repeat, s.released
		s.next, s.repeat, s.released = nil, false, notReleased
		s.writing = next != nil || why != notReleased
		s.mu.Unlock()
		switch {
		case why != notReleased:
			s.closeReleased(why)
		case next != nil:
			s.writeView(next, repeat)
		default:
			return
		}
	}
}

// writeView writes a version if it is new or a heartbeat is due.
func (s *socket) writeView(t *version, repeat bool) {
	if !t.missing && t.Seq <= s.sentSeq && !repeat {
		return
	}
	start := time.Now()
	v, err := s.hub.records.view(t.Ticket)
	if t.missing {
		v, err = expiredView(t.Ticket), nil
	}
	if err != nil {
		s.hub.log.Error("socket", "ticket", s.id, "error", err)
		if errors.Is(err, ticket.ErrUnknownKey) {
			s.close(closeTryAgain, "this node lacks the ticket's key") // another may have it
			return
		}
		s.close(closeBroken, "")
		return
	}
	text, err := v.AppendJSON(make([]byte, 0, 256+len(v.Token)))
	if err != nil {
		s.hub.log.Error("socket", "ticket", s.id, "error", err)
		s.close(closeBroken, "")
		return
	}
	if v.State.Final() {
		s.onEnd(closeReasons[closeDone]) // before the browser can answer the close
		err = s.conn.sendLast(text, closeDone, string(v.State))
	} else {
		err = s.conn.send(text)
	}
	if s.sentSeq != 0 && v.Seq != s.sentSeq {
		s.hub.records.tracer.Push(t.Ticket, t.cause, "socket", start, err != nil)
	}
	if err != nil {
		s.hub.log.Debug("socket write", "ticket", s.id, "error", err)
		why := EndedLost
		if errors.Is(err, os.ErrDeadlineExceeded) {
			why = EndedSlow
		}
		s.onEnd(why)
		s.conn.cut()
		return
	}
	if !t.missing {
		s.hub.records.delivered(context.Background(), TransportSocket, deliveryKind(s.sentSeq, t.Seq, s.hasToken == v.Delivers()), t.Ticket, s.addr())
	}
	s.sentSeq, s.hasToken = v.Seq, v.Delivers()
}

// deliveryKind returns the kind of a delivery to a socket whose last written seq is sent
// (0: none). same is false if only one of the two views has a token, because a seq can
// be used twice (slot.supersedes).
func deliveryKind(sent, seq int64, same bool) Delivery {
	switch {
	case sent == 0:
		return Resumed
	case sent == seq && same:
		return Repeated
	}
	return Pushed
}

// onEnd implements receiver: it removes the socket from the registry. If that was not
// done before, it counts why the wait ended.
func (s *socket) onEnd(why string) {
	if s.hub.waiters.remove(s.id, s) {
		s.hub.metrics.WaitEnded(TransportSocket, why)
	}
}

// onClosed implements receiver.
func (s *socket) onClosed() {
	if s.closed != nil {
		s.closed()
	}
}

// closeReleased closes a socket that the registry has released.
func (s *socket) closeReleased(why reason) {
	s.hub.metrics.WaitEnded(TransportSocket, endedReasons[why])
	switch why {
	case replaced:
		s.close(closeReplaced, "replaced by a newer waiter")
	case draining:
		s.close(closeRestart, "this node stops")
	case stalled:
		s.close(closeTryAgain, "this node is stalled")
	case switchedOff: // the next request gets the error code
		s.close(closeTryAgain, "login is switched off")
	case cannotServe:
		s.close(closeTryAgain, "this node lacks the ticket's key or client")
	default:
		s.conn.cut()
	}
}

// close ends the wait with a close frame.
func (s *socket) close(code websocket.StatusCode, reason string) {
	s.onEnd(closeReasons[code])
	if err := s.conn.close(code, reason); err != nil {
		s.hub.log.Debug("socket close", "ticket", s.id, "error", err)
	}
}

// onMessage implements receiver: it handles an ack. An error is not answered: the
// heartbeat repeats the view and the browser sends its ack again.
func (s *socket) onMessage(text []byte) {
	seq, ok := parseAck(text)
	if !ok {
		return
	}
	s.mu.Lock()
	mine := s.started && !s.writing // what the ack causes is written here
	s.writing = s.writing || mine
	s.mu.Unlock()
	if mine {
		defer s.write()
	}
	ctx, end := s.hub.records.tracer.Message(s.hub.ctx, s.id, "ack")                     // the store bounds each call
	from := Browser{Addr: s.addr(), Authorize: func(ticket.Ticket) error { return nil }} // authorized at the upgrade
	err := s.hub.Ack(ctx, s.id, seq, from)
	end(err)
	if err != nil {
		s.hub.log.DebugContext(ctx, "socket ack", "ticket", s.id, "seq", seq, "error", err)
	}
}

// addr returns the browser's observed address. The socket stores 16 bytes, because
// netip.Addr would move it to the next size class of the allocator.
func (s *socket) addr() netip.Addr {
	if s.addr16 == [16]byte{} {
		return netip.Addr{}
	}
	return netip.AddrFrom16(s.addr16).Unmap()
}
