package hub

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"loginhub/hub/ticket"
)

// Protocol is the subprotocol that the hub selects.
const Protocol = "loginhub.v1"

// writeLimit is how long one view may take to leave: a page that does not read
// is closed, and nobody waits for it.
const writeLimit = 10 * time.Second

// socket is a waiting page. It costs one goroutine, which reads; views are
// written by a second one that lives only while there is something to write, so
// that a slow page holds up neither the mailbox nor the sweep.
type socket struct {
	hub     *Hub
	id      ticket.ID
	conn    *websocket.Conn // set by start, before anything is written
	netConn net.Conn        // below it
	addr16  [16]byte        // the observed address; zero if it is not known

	mu          sync.Mutex // guards what follows
	started     bool       // upgraded
	writing     bool       // a writer is at work
	pending     bool       // there may be something to write
	repeat      bool       // a heartbeat is due
	wasReleased bool       // released, for the reason why
	hasToken    bool       // the view last written had one; owned by the writer
	why         reason

	sentSeq int64 // seq last written; owned by the writer

	pingLimit // owned by the reader
}

// Socket attaches a page to its ticket and upgrades the connection. It returns
// once the page is registered and upgraded, so that the request's goroutine and
// buffers go free; an error is a refusal before the upgrade, still to be
// answered.
func (h *Hub) Socket(w http.ResponseWriter, r *http.Request, id ticket.ID, from Browser) error {
	if err := h.acceptsWaiters(); err != nil {
		return h.refuseBusy(r.Context(), id, from, err)
	}
	// A copy: the id is a part of the request's text, which would stay with it.
	id = ticket.ID(strings.Clone(string(id)))
	s := &socket{hub: h, id: id}
	if from.Addr.IsValid() {
		s.addr16 = from.Addr.As16()
	}
	if err := h.waiters.add(id, s); err != nil {
		return h.refuseBusy(r.Context(), id, from, err)
	}
	t, err := h.attach(r.Context(), id)
	if err == nil {
		err = from.Authorize(t)
	}
	if err != nil {
		h.waiters.remove(id, s)
		return err
	}
	door := &hijacker{ResponseWriter: w}
	conn, err := websocket.Accept(door, r, &websocket.AcceptOptions{
		Subprotocols:       []string{Protocol},
		InsecureSkipVerify: true, // the origin was checked by from.Admit, against the client's list
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     s.onPing,
	})
	if err != nil {
		// Accept has answered. The handshake was checked before; what is left
		// is a connection that broke.
		h.waiters.remove(id, s)
		h.Log.Debug("upgrade failed", "ticket", id, "error", err)
		return nil
	}
	conn.SetReadLimit(maxMessage)
	s.start(conn, door.netConn)
	return nil
}

func (s *socket) start(conn *websocket.Conn, line net.Conn) {
	s.mu.Lock()
	s.conn, s.netConn, s.started, s.pending = conn, line, true, true
	s.startWriter()
	s.mu.Unlock()
	s.hub.Metrics.WaitStarted(TransportSocket)
	s.hub.wg.Go(s.read)
}

// changed is for the registry.
func (s *socket) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = true
	s.startWriter()
}

// heartbeat is for the registry.
func (s *socket) heartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending, s.repeat = true, true
	s.startWriter()
}

// release is for the registry.
func (s *socket) release(why reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending, s.wasReleased, s.why = true, true, why
	s.startWriter()
}

// startWriter starts a writer where none is at work. Mail that comes before the
// upgrade is finished waits for start.
func (s *socket) startWriter() {
	if s.started && !s.writing {
		s.writing = true
		s.hub.wg.Go(s.write)
	}
}

// write writes until there is nothing left to write.
func (s *socket) write() {
	for {
		s.mu.Lock()
		if !s.pending {
			s.writing = false
			s.mu.Unlock()
			return
		}
		repeat, out, why := s.repeat, s.wasReleased, s.why
		s.pending, s.repeat = false, false
		s.mu.Unlock()
		if out {
			s.closeReleased(why)
			continue
		}
		s.writeView(repeat)
	}
}

// writeView writes the current view where it is news, or as a heartbeat.
func (s *socket) writeView(repeat bool) {
	t, known, lost := s.hub.waiters.latest(s.id)
	if !known || !lost && t.Seq <= s.sentSeq && !repeat {
		return
	}
	v, err := s.hub.view(t)
	if lost {
		v, err = expiredView(t), nil
	}
	if err != nil {
		s.hub.Log.Error("socket", "ticket", s.id, "error", err)
		if errors.Is(err, ticket.ErrUnknownKey) {
			s.close(closeTryAgain, "this node lacks the ticket's key") // another may have it
			return
		}
		s.close(closeBroken, "")
		return
	}
	text, err := json.Marshal(v)
	if err != nil {
		s.hub.Log.Error("socket", "ticket", s.id, "error", err)
		s.close(closeBroken, "")
		return
	}
	if err := s.send(text); err != nil {
		s.hub.Log.Debug("socket write", "ticket", s.id, "error", err)
		why := EndedLost
		if errors.Is(err, os.ErrDeadlineExceeded) {
			why = EndedSlow
		}
		s.unregister(why)
		s.conn.CloseNow() // the reader notices and leaves
		return
	}
	if !lost {
		s.hub.delivered(TransportSocket, deliveryKind(s.sentSeq, t.Seq, s.hasToken == (v.Token != "")), t, s.addr())
	}
	s.sentSeq, s.hasToken = v.Seq, v.Token != ""
	if v.State.Final() {
		s.close(closeDone, string(v.State))
	}
}

// send writes one text frame (RFC 6455, section 5.2) with one call, past the
// library: that would cut it at its buffer's 256 bytes, and keep a context for
// each page. What the library itself writes, a pong or a close, is one call too,
// so that frames never mix.
func (s *socket) send(text []byte) error {
	const finalText, length16, length64 = 0x81, 126, 127
	frame := make([]byte, 0, 10+len(text))
	switch n := len(text); {
	case n < length16:
		frame = append(frame, finalText, byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, finalText, length16), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, finalText, length64), uint64(n))
	}
	if err := s.netConn.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	if _, err := s.netConn.Write(append(frame, text...)); err != nil {
		return err
	}
	return s.netConn.SetWriteDeadline(time.Time{})
}

// deliveryKind a view goes to a socket that has been shown the version sent; 0 for none. same
// is false where one of the two has a token, for a seq can come twice (slot.settled).
func deliveryKind(sent, seq int64, same bool) Delivery {
	switch {
	case sent == 0:
		return Resumed
	case sent == seq && same:
		return Repeated
	}
	return Pushed
}

// unregister takes the socket out of the registry. Whoever takes it out says why.
func (s *socket) unregister(why string) {
	if s.hub.waiters.remove(s.id, s) {
		s.hub.Metrics.WaitEnded(TransportSocket, why)
	}
}

// closeReleased closes a socket that was taken out of the registry.
func (s *socket) closeReleased(why reason) {
	s.hub.Metrics.WaitEnded(TransportSocket, endedReasons[why])
	switch why {
	case replaced:
		s.close(closeReplaced, "replaced by a newer waiter")
	case draining:
		s.close(closeRestart, "this node stops")
	case stalled:
		s.close(closeTryAgain, "this node cannot hear")
	case switchedOff: // it comes back and is told
		s.close(closeTryAgain, "login is switched off")
	case cannotServe:
		s.close(closeTryAgain, "this node lacks the ticket's key or client")
	default:
		s.conn.CloseNow()
	}
}

// close says goodbye and waits a few seconds for the page's.
func (s *socket) close(code websocket.StatusCode, reason string) {
	s.unregister(closeReasons[code])
	if err := s.conn.Close(code, reason); err != nil {
		s.hub.Log.Debug("socket close", "ticket", s.id, "error", err)
	}
}

// read takes acks until the connection ends. The library answers pings and the
// page's close meanwhile.
func (s *socket) read() {
	defer s.conn.CloseNow()
	window, count := time.Now(), 0
	for {
		kind, text, err := s.conn.Read(context.Background())
		if err != nil {
			s.unregister(readErrorReason(err))
			return
		}
		if now := time.Now(); now.Sub(window) > messageWindow*time.Second {
			window, count = now, 0
		}
		if count++; kind != websocket.MessageText || count > maxMessages {
			s.unregister(EndedPolicy)
			s.hub.wg.Go(func() { s.close(closePolicy, "text only, at most 20 messages a minute") })
			s.discard()
			return
		}
		if seq, ok := parseAck(text); ok {
			s.ack(seq)
		}
	}
}

// discard reads on until the close handshake is through.
func (s *socket) discard() {
	for {
		if _, _, err := s.conn.Read(context.Background()); err != nil {
			return
		}
	}
}

// ack passes an ack on. A failed one is not answered: the heartbeat repeats the
// view, and the page acks again.
func (s *socket) ack(seq int64) {
	ctx, cancel := context.WithTimeout(s.hub.ctx, writeLimit)
	defer cancel()
	from := Browser{Addr: s.addr(), Authorize: func(ticket.Ticket) error { return nil }} // admitted at the upgrade
	if err := s.hub.Ack(ctx, s.id, seq, from); err != nil {
		s.hub.Log.Debug("ack refused", "ticket", s.id, "seq", seq, "error", err)
	}
}

// addr is the browser's observed address. Its 16 bytes keep a waiting page in its
// size class, which netip.Addr would not.
func (s *socket) addr() netip.Addr {
	if s.addr16 == [16]byte{} {
		return netip.Addr{}
	}
	return netip.AddrFrom16(s.addr16).Unmap()
}

// hijacker hands the connection over with small buffers in place of
// net/http's 4 KiB each way: a waiting page is idle, and there are many.
type hijacker struct {
	http.ResponseWriter
	netConn net.Conn // set by Hijack
}

const (
	readBuffer  = 64  // an ack is 16 bytes
	writeBuffer = 128 // a pong or a close, whole
)

// Hijack is for websocket.Accept.
func (w *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	w.netConn = conn
	early, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	// Frames that were sent before the answer have to lie in the buffer: from
	// there the library takes them.
	reader := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn), max(readBuffer, len(early)))
	if _, err := reader.Peek(len(early)); err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	return &limitedConn{Conn: conn}, bufio.NewReadWriter(reader, bufio.NewWriterSize(conn, writeBuffer)), nil
}
