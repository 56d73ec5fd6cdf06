package hub

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// conn is a browser's upgraded connection. It owns what is read and every limit on it.
// A socket uses nothing else of a connection, so that another kind needs no change
// there. The methods may be called from several goroutines.
type conn interface {
	// start passes what the browser sends to to, until the connection is closed.
	start(to receiver)
	// send writes one text message within writeLimit. os.ErrDeadlineExceeded: the
	// browser does not read.
	send(text []byte) error
	// close sends a close frame and waits up to five seconds for the browser's.
	close(code websocket.StatusCode, reason string) error
	// cut closes the connection without a close frame.
	cut()
}

// receiver is what a conn calls. The calls of one conn never overlap.
type receiver interface {
	onMessage(text []byte) // text is valid during the call
	onEnd(why string)      // no message follows; why is a reason of Metrics.WaitEnded
	onClosed()             // the last call
}

// writeLimit is the maximum time to write one view. A browser that does not read is cut
// off.
const writeLimit = 10 * time.Second

// Limits on what a browser may send. A browser sends little: an ack of some twenty
// bytes. The limits on pings and bytes bound what never becomes a message: pings, pongs,
// and empty frames that continue a message without end.
const (
	maxMessage   = 1 << 10  // bytes of one message; above: 1009
	maxMessages  = 20       // per readWindow; above: 1008
	maxPings     = 20       // per readWindow; above: 1008
	maxReadBytes = 64 << 10 // per readWindow, of any frames; above: the connection is cut
	readWindow   = 60       // seconds
)

var errFlood = errors.New("read: the browser sent more than 64 KiB in a minute")

// windowCounter counts events in fixed windows of readWindow.
type windowCounter struct {
	since uint32 // Unix time
	count int32
}

// add counts n events and reports whether the window's limit still holds.
func (c *windowCounter) add(n, limit int) bool {
	// The difference also exceeds the window if the wall clock was set back.
	if now := uint32(time.Now().Unix()); now-c.since >= readWindow {
		c.since, c.count = now, 0
	}
	c.count += int32(n)
	return int(c.count) <= limit
}

// conns upgrades connections and counts their goroutines.
type conns struct{ wg sync.WaitGroup }

// goConn is a conn with a goroutine that waits in the library's Read. It is also the
// net.Conn that the library reads from, so that every byte is counted.
type goConn struct {
	net.Conn
	ws *websocket.Conn
	to receiver
	wg *sync.WaitGroup

	messages, pings, bytes windowCounter // owned by the reader, like closing
	closing                bool          // the browser broke a limit: what it sends is ignored
}

// upgrade answers a handshake. The caller has checked it, also the origin. After an
// error the answer is written too.
func (a *conns) upgrade(w http.ResponseWriter, r *http.Request) (conn, error) {
	c := &goConn{wg: &a.wg}
	h := &hijacker{ResponseWriter: w, conn: c}
	ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		Subprotocols:       []string{Protocol},
		InsecureSkipVerify: true, // the caller checked the origin against the client's list
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     c.onPing,
	})
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	if h.early == 0 {
		h.reader.Reset(c) // the library's own reader of early bytes would stay in memory
	}
	ws.SetReadLimit(maxMessage)
	c.ws = ws
	return c, nil
}

// start implements conn.
func (c *goConn) start(to receiver) {
	c.to = to
	c.wg.Go(c.read)
}

// read reads until the connection ends. Meanwhile the library answers pings and the
// browser's close.
func (c *goConn) read() {
	defer c.to.onClosed()
	defer c.cut()
	for {
		kind, text, err := c.ws.Read(context.Background())
		switch {
		case err != nil:
			c.to.onEnd(readErrorReason(err))
			return
		case c.closing: // the close handshake is not complete
		case kind != websocket.MessageText || !c.messages.add(1, maxMessages):
			c.refuse("text only, at most 20 messages a minute")
		default:
			c.to.onMessage(text)
		}
	}
}

// onPing reports whether the library answers a ping.
func (c *goConn) onPing(context.Context, []byte) bool {
	switch {
	case c.closing:
		return false
	case c.pings.add(1, maxPings):
		return true
	}
	c.refuse("at most 20 pings a minute")
	return false
}

// refuse closes the connection because the browser broke a limit. Called by the reader,
// which reads on until the close handshake is complete.
func (c *goConn) refuse(reason string) {
	c.closing = true
	c.to.onEnd(EndedPolicy)
	c.wg.Go(func() { _ = c.close(closePolicy, reason) }) // the reader gets the error too
}

// Read implements net.Conn for the library. It returns errFlood once the browser has
// sent more than maxReadBytes in a window.
func (c *goConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && !c.bytes.add(n, maxReadBytes) {
		return n, errFlood
	}
	return n, err
}

// send writes one text frame (RFC 6455, section 5.2) with one call to the connection.
// The library would split it at its small write buffer and keep a context for each
// socket. The library writes each pong and close with one call too, so frames never mix.
func (c *goConn) send(text []byte) error {
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
	if err := c.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	if _, err := c.Write(append(frame, text...)); err != nil {
		return err
	}
	return c.SetWriteDeadline(time.Time{})
}

// close implements conn.
func (c *goConn) close(code websocket.StatusCode, reason string) error {
	return c.ws.Close(code, reason)
}

// cut implements conn.
func (c *goConn) cut() { _ = c.ws.CloseNow() } // fails only if it is closed already

// hijacker hijacks the connection with small buffers instead of net/http's 4 KiB each
// way, because many sockets are idle.
type hijacker struct {
	http.ResponseWriter
	conn   *goConn       // Hijack sets its Conn
	reader *bufio.Reader // set by Hijack
	early  int           // bytes that arrived before the answer
}

const (
	readBuffer  = 64  // an ack is 16 bytes
	writeBuffer = 128 // a whole pong or close frame
)

// Hijack implements http.Hijacker, for websocket.Accept.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	h.conn.Conn = conn
	early, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	// The library takes early frames from the reader's buffer and reads on from the
	// connection.
	h.early, h.reader = len(early), bufio.NewReaderSize(bytes.NewReader(early), max(readBuffer, len(early)))
	if _, err := h.reader.Peek(len(early)); err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	return h.conn, bufio.NewReadWriter(h.reader, bufio.NewWriterSize(conn, writeBuffer)), nil
}
