package hub

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// libraryConn is the net.Conn of a websocket.Conn that reads the frames that cutFrame
// leaves: pings, fragments, incomplete frames, and all errors of the protocol. The
// websocket.Conn lives until no frame or message is open. Then conn waits without it.
type libraryConn struct {
	net.Conn
	conn     *conn
	rest     []byte // was read by conn
	reader   *bufio.Reader
	open     bool // a message is open
	boundary bool // no frame or message is open, and reader is empty
	ioError  error
	released atomic.Bool // Close does nothing
}

// errBoundary is the read error between two frames if nothing else was received.
var errBoundary = errors.New("read: no frame is open")

// readByLibrary reads what begins with rest. It blocks at most frameLimit. It returns
// nil at the end of a frame if nothing else was received.
func (c *conn) readByLibrary(rest []byte) error {
	l := &libraryConn{Conn: c.net, conn: c, rest: rest, reader: bufio.NewReaderSize(nil, readBuffer)}
	if err := c.net.SetReadDeadline(time.Now().Add(frameLimit)); err != nil {
		return err
	}
	ws, err := l.newConn()
	if err != nil {
		return err
	}
	for err == nil {
		err = l.readMessage(ws)
	}
	l.released.Store(true)
	_ = ws.CloseNow() // it is not closed, or closed already
	switch {
	case errors.Is(err, errBoundary):
		return c.net.SetReadDeadline(time.Time{})
	case l.ioError == nil && !c.closeSent.Load(): // the library closes without a code if a frame is not masked
		_ = c.close(websocket.StatusProtocolError, "")
	}
	return err
}

// newConn returns a websocket.Conn that reads from and writes to l. The library has no
// other way to make one than a handshake, so it gets one that it accepts.
func (l *libraryConn) newConn() (*websocket.Conn, error) {
	r := &http.Request{Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Connection": {"Upgrade"},
		"Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}}
	ws, err := websocket.Accept(handshake{http.Header{}, l}, r, &websocket.AcceptOptions{
		CompressionMode: websocket.CompressionDisabled,
		OnPingReceived:  l.onPing,
		OnPongReceived:  func(context.Context, []byte) { l.checkBoundary() },
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(maxMessage)
	return ws, nil
}

// readMessage reads one message, and all control frames before it.
func (l *libraryConn) readMessage(ws *websocket.Conn) error {
	l.open = false
	l.checkBoundary()
	kind, r, err := ws.Reader(context.Background())
	if err != nil {
		return err
	}
	l.open = true
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l.conn.handleMessage(kind, text)
	return nil
}

// checkBoundary is called after each frame.
func (l *libraryConn) checkBoundary() { l.boundary = !l.open && l.reader.Buffered() == 0 }

// onPing reports whether the library answers a ping.
func (l *libraryConn) onPing(context.Context, []byte) bool {
	l.checkBoundary()
	c := l.conn
	switch {
	case c.refused:
		return false
	case c.received.ping():
		return true
	}
	c.refuse(closePolicy, "at most 20 pings a minute")
	return false
}

// Read implements net.Conn. An error between two frames does not end the websocket.Conn.
func (l *libraryConn) Read(p []byte) (n int, err error) {
	switch {
	case len(l.rest) > 0:
		n = copy(p, l.rest)
		l.rest = l.rest[n:]
	case l.boundary:
		return 0, errBoundary
	default:
		if n, err = l.Conn.Read(p); err == nil {
			err = l.conn.count(n)
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // after EOF the library passes on the message so far
		}
		l.ioError = err
	}
	l.boundary = false
	return n, err
}

// Write implements net.Conn. The library writes each pong and each close frame with one
// call.
func (l *libraryConn) Write(frame []byte) (int, error) {
	if frame[0] == frameClose {
		l.conn.answerClose(frame)
		return len(frame), nil
	}
	if l.conn.closeSent.Load() {
		return len(frame), nil
	}
	return len(frame), l.conn.write(frame, closeWriteLimit)
}

// Close implements net.Conn. The library calls it if a control frame takes too long, and
// after a close frame.
func (l *libraryConn) Close() error {
	if !l.released.Load() {
		l.conn.cut()
	}
	return nil
}

// handshake is the http.ResponseWriter of newConn. It writes nothing.
type handshake struct {
	header http.Header
	conn   *libraryConn
}

// Header implements http.ResponseWriter.
func (h handshake) Header() http.Header { return h.header }

// Write implements http.ResponseWriter.
func (h handshake) Write(text []byte) (int, error) { return len(text), nil }

// WriteHeader implements http.ResponseWriter.
func (h handshake) WriteHeader(int) {}

// Hijack implements http.Hijacker.
func (h handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	const wholeFrame = 2 + 125 // of a control frame
	return h.conn, bufio.NewReadWriter(h.conn.reader, bufio.NewWriterSize(h.conn, wholeFrame)), nil
}
