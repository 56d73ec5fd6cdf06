package hub

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// receiver is what a conn calls. The calls of one conn never overlap.
type receiver interface {
	onMessage(text []byte) // text is valid during the call
	onEnd(why string)      // no message follows; why is a reason of Metrics.WaitEnded
	onClosed()             // the last call
}

const (
	// writeLimit is the maximum time to write one view. A browser that does not read is
	// cut off.
	writeLimit = 10 * time.Second
	// closeWriteLimit is the maximum time to write a close frame. It only takes time if
	// the browser does not read.
	closeWriteLimit = time.Second
	// closeWait is how long the browser may take to answer a close frame.
	closeWait = 5 * time.Second
	// frameLimit is the maximum time from the first to the last byte of a message.
	frameLimit = 10 * time.Second
)

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

// received counts what a browser has sent in a window of readWindow.
type received struct {
	since           uint32 // Unix time
	bytes           uint32
	messages, pings uint16
}

// now returns the counts of the current window.
func (r *received) now() *received {
	// The difference also exceeds the window if the wall clock was set back.
	if now := uint32(time.Now().Unix()); now-r.since >= readWindow {
		*r = received{since: now}
	}
	return r
}

func (r *received) message() (allowed bool) {
	r.now().messages++
	return r.messages <= maxMessages
}

func (r *received) ping() (allowed bool) {
	r.now().pings++
	return r.pings <= maxPings
}

func (r *received) read(n int) (allowed bool) {
	r.now().bytes += uint32(n)
	return r.bytes <= maxReadBytes
}

// conns upgrades connections and counts them with their goroutines.
type conns struct {
	log *slog.Logger
	wg  sync.WaitGroup

	once   sync.Once
	poller poller // set by once; nil: a goroutine waits for each connection
}

// poller calls conn.receive when there is something to read. So a waiting connection
// needs no goroutine. Its methods are called by the goroutine that reads the connection.
type poller interface {
	// add adds a connection, not yet armed. It returns an error if the connection has
	// no file descriptor, is closed, or after stop.
	add(c *conn) error
	// arm reports the connection once when it is readable or broken.
	arm(c *conn) error
	remove(c *conn) // an added one, which is not armed
	cut(c *conn)    // shuts it down, so that it is broken; may be called by any goroutine
	stop()          // waits until the poller has ended
}

// maxReaders bounds the goroutines that handle what was received. An ack waits for Redis;
// a burst of closes must not need the memory of a goroutine each.
const maxReaders = 512

// poll adds the connection to the poller. It returns false if a goroutine must wait, as
// for a connection of crypto/tls. The first connection with a file descriptor starts the
// poller.
func (a *conns) poll(c *conn) bool {
	if _, ok := c.net.(syscall.Conn); !ok {
		return false
	}
	a.once.Do(func() {
		var err error
		if a.poller, err = newPoller(maxReaders); err != nil {
			a.log.Warn("a goroutine waits for each page", "error", err)
		}
	})
	return a.poller != nil && a.poller.add(c) == nil
}

// stop waits until all connections are closed. None may be upgraded meanwhile.
func (a *conns) stop() {
	a.wg.Wait()
	a.once.Do(func() {})
	if a.poller != nil {
		a.poller.stop()
	}
}

// conn is a browser's upgraded connection. It owns what is read and every limit on it.
// While it waits it holds no goroutine and nothing of the library. It decodes what
// browsers usually send (cutFrame); the library reads everything else (libraryConn).
// send, close and cut may be called from several goroutines.
type conn struct {
	net     net.Conn
	owner   *conns
	to      receiver
	opening *opening // nil once the first frame is written; guarded by writing after start

	writing   sync.Mutex                 // one write at a time, with its deadline
	timer     atomic.Pointer[time.Timer] // of the close handshake
	closeSent atomic.Bool

	polled  bool // owner's poller waits, not a goroutine; fixed by start
	refused bool // the browser broke a limit: what it sends is ignored. Owned by the reader
	added   bool // to the poller's epoll. Owned by the poller, like fd and gen
	fd      int32
	gen     uint32

	received received // owned by the reader
}

// opening is what a conn has of its handshake.
type opening struct {
	early  []byte // arrived with the handshake
	answer []byte // written with the first frame, which follows at once: one system call less
}

// upgrade takes over the connection of a handshake (RFC 6455, section 4.2.2). The caller
// has checked it, also the origin and the subprotocol.
func (a *conns) upgrade(w http.ResponseWriter, r *http.Request) (*conn, error) {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + guid))
	hijacked, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	early, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err != nil {
		hijacked.Close()
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	answer := bytes.NewBuffer(make([]byte, 0, answerSize))
	answer.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: " +
		Protocol + "\r\nSec-WebSocket-Accept: ")
	answer.Write(base64.StdEncoding.AppendEncode(answer.AvailableBuffer(), accept[:]))
	answer.WriteString("\r\n")
	_ = w.Header().Write(answer) // a Buffer returns no error
	answer.WriteString("\r\n")
	return &conn{net: hijacked, owner: a, opening: &opening{bytes.Clone(early), answer.Bytes()}}, nil
}

// start passes what the browser sends to to, until the connection is closed. The caller
// writes the first frame after it.
func (c *conn) start(to receiver) {
	c.to = to
	c.owner.wg.Add(1)
	c.polled = c.owner.poll(c)
	if o := c.opening; o != nil && len(o.early) > 0 {
		early := o.early
		c.owner.wg.Go(func() { c.receive(early, nil, func() {}) })
		return
	}
	c.wait()
}

// wait waits for the next bytes, without blocking the caller.
func (c *conn) wait() {
	if !c.polled {
		c.owner.wg.Go(c.block)
	} else if err := c.owner.poller.arm(c); err != nil {
		c.end(err)
	}
}

// answerSize is enough for the answer to a handshake and the first view.
const answerSize = 768

// readBuffer is enough for two acks.
const readBuffer = 64

// block waits for the next bytes in a goroutine. The goroutine ends with them, because
// its stack has grown when they are handled.
func (c *conn) block() {
	in := make([]byte, readBuffer)
	n, err := c.net.Read(in)
	c.receive(in[:n], err, func() {})
}

// receive handles what was read, and waits for more. blocking is called before it waits
// for the rest of a frame.
func (c *conn) receive(in []byte, err error, blocking func()) {
	if err == nil {
		err = c.count(len(in))
	}
	if err == nil {
		in, err = c.handleFrames(in)
	}
	if err == nil && len(in) > 0 {
		blocking()
		err = c.readByLibrary(in)
	}
	if err != nil {
		c.end(err)
		return
	}
	c.wait()
}

// count returns errFlood once the browser has sent more than maxReadBytes in a window.
func (c *conn) count(n int) error {
	if !c.received.read(n) {
		return errFlood
	}
	return nil
}

// handleFrames handles the frames that cutFrame decodes and returns what follows them.
// The error is a websocket.CloseError if the browser has closed.
func (c *conn) handleFrames(in []byte) (rest []byte, err error) {
	for len(in) > 0 {
		first, payload, rest, ok := cutFrame(in)
		if !ok {
			return in, nil
		}
		switch in = rest; first {
		case frameText:
			c.handleMessage(websocket.MessageText, payload)
		case frameClose:
			c.answerClose(appendFrame(nil, frameClose, payload))
			return nil, websocket.CloseError{Code: websocket.StatusNoStatusRcvd}
		}
	}
	return nil, nil
}

// answerClose sends the browser its close frame back, if no close frame was sent. A
// reason that is not UTF-8 is answered with 1007 (RFC 6455, section 5.5.1).
func (c *conn) answerClose(frame []byte) {
	const reason = 4 // where it begins
	if len(frame) > reason && !utf8.Valid(frame[reason:]) {
		frame = closeFrame(closeInvalid, "")
	}
	// A view that is being written must not delay the answer.
	_ = c.net.SetWriteDeadline(time.Now().Add(closeWriteLimit))
	if !c.closeSent.Swap(true) {
		_ = c.write(frame, closeWriteLimit) // the connection ends anyway
	}
}

// handleMessage handles one message.
func (c *conn) handleMessage(kind websocket.MessageType, text []byte) {
	switch {
	case c.refused: // the close handshake is not complete
	case kind != websocket.MessageText || !c.received.message():
		c.refuse(closePolicy, "text only, at most 20 messages a minute")
	case !utf8.Valid(text):
		c.refuse(closeInvalid, "text must be UTF-8")
	default:
		c.to.onMessage(text)
	}
}

// refuse closes the connection because of what the browser sent.
func (c *conn) refuse(code websocket.StatusCode, reason string) {
	c.refused = true
	c.to.onEnd(EndedPolicy)
	_ = c.close(code, reason) // the reader gets the error too
}

// send writes one text message within writeLimit. os.ErrDeadlineExceeded: the browser
// does not read.
func (c *conn) send(text []byte) error {
	if c.closeSent.Load() {
		return net.ErrClosed
	}
	return c.write(appendFrame(make([]byte, 0, 10+len(text)), frameText, text), writeLimit)
}

// sendLast is send and close with one system call, within closeWait.
func (c *conn) sendLast(text []byte, code websocket.StatusCode, reason string) error {
	if c.closeSent.Swap(true) {
		return net.ErrClosed
	}
	c.timer.Store(time.AfterFunc(closeWait, c.cut))
	frames := appendFrame(make([]byte, 0, 48+len(text)+len(reason)), frameText, text)
	return c.write(append(frames, closeFrame(code, reason)...), closeWait)
}

// write writes frames within the limit.
func (c *conn) write(frames []byte, limit time.Duration) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.opening != nil {
		frames = append(c.opening.answer, frames...)
		c.opening = nil
	}
	if err := c.net.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := c.net.Write(frames); err != nil {
		return err
	}
	return c.net.SetWriteDeadline(time.Time{})
}

// close sends a close frame, if none was sent. The connection is cut if the browser does
// not answer within closeWait. close does not wait for that.
func (c *conn) close(code websocket.StatusCode, reason string) error {
	if c.closeSent.Swap(true) {
		return nil
	}
	c.timer.Store(time.AfterFunc(closeWait, c.cut))
	err := c.write(closeFrame(code, reason), closeWriteLimit)
	if err != nil {
		c.cut()
	}
	return err
}

// cut closes the connection without a close frame. The reader gets an error and ends.
func (c *conn) cut() {
	if !c.polled {
		_ = c.net.Close()
		return
	}
	// Only the reader closes the descriptor, so that the poller never has one that is
	// used again.
	c.owner.poller.cut(c)
}

// end closes the connection. Called once, by the reader.
func (c *conn) end(err error) {
	c.to.onEnd(readErrorReason(err))
	c.closeSent.Store(true)
	if c.polled {
		c.owner.poller.remove(c)
	}
	_ = c.net.Close()
	if t := c.timer.Load(); t != nil {
		t.Stop()
	}
	c.to.onClosed()
	c.owner.wg.Done()
}
