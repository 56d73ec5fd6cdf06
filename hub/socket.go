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

// writeLimit is the maximum time to write one view. A browser that does not read is cut
// off.
const writeLimit = 10 * time.Second

// socket is a waiting WebSocket. One goroutine reads. A second one runs only while there
// is something to write, so that a slow browser delays neither mailbox nor sweep.
type socket struct {
	hub     *Hub
	id      ticket.ID
	conn    *websocket.Conn // set by start, before anything is written
	netConn net.Conn        // the connection under conn
	addr16  [16]byte        // the observed address; zero if it is not known

	mu          sync.Mutex // guards the fields up to why
	started     bool       // upgraded
	writing     bool       // the writer goroutine runs
	pending     bool       // there may be something to write
	repeat      bool       // a heartbeat is due
	wasReleased bool       // released, with the reason why
	hasToken    bool       // the last written view had a token; owned by the writer
	why         reason

	sentSeq int64 // last written seq; owned by the writer

	pingLimit // owned by the reader
}

// Socket attaches a browser to its ticket and upgrades the connection. It returns after
// the upgrade, so that the request's goroutine and buffers are freed. An error is a
// refusal before the upgrade; the caller writes the answer.
func (h *Hub) Socket(w http.ResponseWriter, r *http.Request, id ticket.ID, from Browser) error {
	if err := h.acceptsWaiters(); err != nil {
		return h.refuseBusy(r.Context(), id, from, err)
	}
	// Clone the id: it is a substring of the request, which would stay in memory.
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
	hijack := &hijacker{ResponseWriter: w}
	conn, err := websocket.Accept(hijack, r, &websocket.AcceptOptions{
		Subprotocols:       []string{Protocol},
		InsecureSkipVerify: true, // from.Authorize checked the origin against the client's list
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     s.onPing,
	})
	if err != nil {
		// Accept has written the answer. The handshake was checked before, so the
		// connection broke.
		h.waiters.remove(id, s)
		h.Log.Debug("upgrade socket", "ticket", id, "error", err)
		return nil
	}
	conn.SetReadLimit(maxMessage)
	s.start(conn, hijack.netConn)
	return nil
}

// start writes the first view and starts the reader.
func (s *socket) start(conn *websocket.Conn, netConn net.Conn) {
	s.mu.Lock()
	s.conn, s.netConn, s.started, s.pending = conn, netConn, true, true
	s.startWriter()
	s.mu.Unlock()
	s.hub.Metrics.WaitStarted(TransportSocket)
	s.hub.wg.Go(s.read)
}

// changed implements waiter.
func (s *socket) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = true
	s.startWriter()
}

// heartbeat implements heartbeater.
func (s *socket) heartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending, s.repeat = true, true
	s.startWriter()
}

// release implements waiter.
func (s *socket) release(why reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending, s.wasReleased, s.why = true, true, why
	s.startWriter()
}

// startWriter starts the writer goroutine if none runs. Before the upgrade it does
// nothing: start writes then. Called with mu held.
func (s *socket) startWriter() {
	if s.started && !s.writing {
		s.writing = true
		s.hub.wg.Go(s.write)
	}
}

// write writes until nothing is pending.
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

// writeView writes the current view if it is new or a heartbeat is due.
func (s *socket) writeView(repeat bool) {
	t, known, missing := s.hub.waiters.latest(s.id)
	if !known || !missing && t.Seq <= s.sentSeq && !repeat {
		return
	}
	v, err := s.hub.view(t)
	if missing {
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
	if !missing {
		s.hub.delivered(TransportSocket, deliveryKind(s.sentSeq, t.Seq, s.hasToken == (v.Token != "")), t, s.addr())
	}
	s.sentSeq, s.hasToken = v.Seq, v.Token != ""
	if v.State.Final() {
		s.close(closeDone, string(v.State))
	}
}

// send writes one text frame (RFC 6455, section 5.2) with one call to the connection.
// The library would split it at its small write buffer and keep a context for each
// socket. The library writes each pong and close with one call too, so frames never mix.
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

// unregister removes the socket from the registry. If that was not done before, it
// counts why the wait ended.
func (s *socket) unregister(why string) {
	if s.hub.waiters.remove(s.id, s) {
		s.hub.Metrics.WaitEnded(TransportSocket, why)
	}
}

// closeReleased closes a socket that the registry has released.
func (s *socket) closeReleased(why reason) {
	s.hub.Metrics.WaitEnded(TransportSocket, endedReasons[why])
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
		s.conn.CloseNow()
	}
}

// close sends a close frame and waits up to five seconds for the browser's.
func (s *socket) close(code websocket.StatusCode, reason string) {
	s.unregister(closeReasons[code])
	if err := s.conn.Close(code, reason); err != nil {
		s.hub.Log.Debug("socket close", "ticket", s.id, "error", err)
	}
}

// read reads acks until the connection ends. Meanwhile the library answers pings and the
// browser's close.
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

// discard reads until the close handshake is complete.
func (s *socket) discard() {
	for {
		if _, _, err := s.conn.Read(context.Background()); err != nil {
			return
		}
	}
}

// ack handles an ack. An error is not answered: the heartbeat repeats the view and the
// browser sends its ack again.
func (s *socket) ack(seq int64) {
	ctx, cancel := context.WithTimeout(s.hub.ctx, writeLimit)
	defer cancel()
	from := Browser{Addr: s.addr(), Authorize: func(ticket.Ticket) error { return nil }} // authorized at the upgrade
	if err := s.hub.Ack(ctx, s.id, seq, from); err != nil {
		s.hub.Log.Debug("socket ack", "ticket", s.id, "seq", seq, "error", err)
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

// hijacker hijacks the connection with small buffers instead of net/http's 4 KiB each
// way, because many sockets are idle.
type hijacker struct {
	http.ResponseWriter
	netConn net.Conn // set by Hijack
}

const (
	readBuffer  = 64  // an ack is 16 bytes
	writeBuffer = 128 // a whole pong or close frame
)

// Hijack implements http.Hijacker, for websocket.Accept.
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
	// Frames that arrived before the answer must be in the buffer, because the library
	// reads them from there.
	reader := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn), max(readBuffer, len(early)))
	if _, err := reader.Peek(len(early)); err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	return &limitedConn{Conn: conn}, bufio.NewReadWriter(reader, bufio.NewWriterSize(conn, writeBuffer)), nil
}
