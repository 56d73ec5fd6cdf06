package hub

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const connTimeout = 20 * time.Second

// recorder is a receiver that records what it gets.
type recorder struct {
	conn     *conn
	messages chan string
	ended    string // read it after closed
	closed   chan struct{}
}

func newRecorder() *recorder {
	return &recorder{messages: make(chan string, 64), closed: make(chan struct{})}
}

func (r *recorder) onMessage(text []byte) { r.messages <- string(text) }
func (r *recorder) onClosed()             { close(r.messages); close(r.closed) }
func (r *recorder) onEnd(why string) {
	if r.ended == "" {
		r.ended = why
	}
}

// plainListener hides the file descriptors, so that a goroutine waits.
type plainListener struct{ net.Listener }

func (l plainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return struct{ net.Conn }{c}, err
}

// connServer upgrades connections.
type connServer struct {
	*httptest.Server
	conns     conns
	recorders chan *recorder
}

// waitKinds are the ways in which a connection waits.
var waitKinds = []string{"poller", "goroutine", "tls"}

func startConnServer(t *testing.T, kind string) *connServer {
	s := &connServer{recorders: make(chan *recorder, 1)}
	s.conns.log = slog.New(slog.DiscardHandler)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.conns.upgrade(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		to := newRecorder()
		to.conn = c
		c.start(to)
		_ = c.write(nil, writeLimit) // the answer, before the first frame
		s.recorders <- to
	}))
	switch kind {
	case "tls":
		s.StartTLS()
	case "goroutine":
		s.Listener = plainListener{s.Listener}
		fallthrough
	default:
		s.Start()
	}
	t.Cleanup(func() {
		s.Close()
		s.conns.stop()
	})
	return s
}

// dial opens a socket. early is sent with the handshake.
func (s *connServer) dial(t *testing.T, early []byte) (*recorder, net.Conn) {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if s.TLS != nil {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(connTimeout))
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: loginhub.v1\r\n\r\n%s", early)
	head := make([]byte, 0, 256)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		head = head[:len(head)+1]
		if _, err := c.Read(head[len(head)-1:]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Contains(head, []byte("Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")) { // RFC 6455, section 1.3
		t.Fatalf("%s", head)
	}
	return <-s.recorders, c
}

// masked returns a masked frame.
func masked(first byte, payload string) []byte {
	mask := []byte{1, 2, 3, 4}
	b := []byte{first, maskBit | byte(len(payload))}
	if len(payload) > maxShort {
		b = binary.BigEndian.AppendUint16([]byte{first, maskBit | length16}, uint16(len(payload)))
	}
	b = append(b, mask...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%maskLen])
	}
	return b
}

// answer is what conn has sent: pongs, and the code of a close.
func answer(t *testing.T, in io.Reader) (all string) {
	t.Helper()
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(in, head); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Error("the connection is still open")
			}
			return all
		}
		payload := make([]byte, head[1])
		io.ReadFull(in, payload)
		switch {
		case head[0] == framePong:
			all += "pong "
		case head[0] == frameClose && len(payload) >= 2:
			all += fmt.Sprint(binary.BigEndian.Uint16(payload))
		default:
			all += fmt.Sprintf("%x", head[0])
		}
	}
}

// inReadByLibrary returns how many goroutines read the rest of a frame.
func inReadByLibrary() int {
	stacks := make([]byte, 8<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "hub.(*conn).readByLibrary(")
}

// eventually waits for a condition.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); <-time.After(10 * time.Millisecond) {
		if time.Since(start) > connTimeout {
			t.Fatal("not within", connTimeout)
		}
	}
}

func TestConn_Frames(t *testing.T) {
	text, ping, end := masked(frameText, `{"ack":3}`), masked(0x89, "p"), masked(frameClose, "\x03\xe8")
	join := func(b ...[]byte) (all []byte) {
		for _, x := range b {
			all = append(all, x...)
		}
		return all
	}
	for name, c := range map[string]struct {
		in       []byte
		messages int    // each {"ack":3}
		answer   string // pongs and the close code
		ended    string
	}{
		"text":                      {join(text, end), 1, "1000", EndedLeft},
		"two texts and a pong":      {join(text, masked(framePong, ""), text, end), 2, "1000", EndedLeft},
		"close without a code":      {masked(frameClose, ""), 0, "88", EndedLeft},
		"close with another code":   {masked(frameClose, "\x0f\xa1x"), 0, "4001", EndedLeft},
		"close of one byte":         {masked(frameClose, "x"), 0, "1002", EndedLost},
		"close with a wrong code":   {masked(frameClose, "\x03\xed"), 0, "1002", EndedLost},
		"pings":                     {join(ping, ping, text, ping, end), 1, "pong pong pong 1000", EndedLeft},
		"fragments around a ping":   {join(masked(0x01, `{"ac`), ping, masked(0x00, `k":`), masked(0x80, `3}`), text, end), 2, "pong 1000", EndedLeft},
		"the end without a close":   {text, 1, "", EndedLost},
		"the end within a frame":    {text[:7], 0, "", EndedLost},
		"not masked":                {[]byte{frameText, 1, 'x'}, 0, "1002", EndedLost},
		"a later frame not masked":  {join(ping, []byte{frameText, 1, 'x'}), 0, "pong 1002", EndedLost},
		"a reserved bit":            {masked(0xc1, "x"), 0, "1002", EndedLost},
		"a reserved opcode":         {masked(0x83, "x"), 0, "1002", EndedLost},
		"no first fragment":         {masked(0x80, "x"), 0, "1002", EndedLost},
		"binary":                    {join(masked(0x82, "x"), end), 0, "1008", EndedPolicy},
		"not UTF-8":                 {join(masked(frameText, "\xff"), text, ping, end), 0, "1007", EndedPolicy},
		"not UTF-8, in fragments":   {join(masked(0x01, "\xc3"), masked(0x80, "x"), end), 0, "1007", EndedPolicy},
		"close, not UTF-8":          {masked(frameClose, "\x03\xe8\xff\xfe"), 0, "1007", EndedLeft},
		"UTF-8 over two fragments":  {join(masked(0x01, "\xc3"), masked(0x80, "\xa9"), end), 1, "1000", EndedLeft},
		"a kilobyte":                {join(masked(frameText, strings.Repeat("x", maxMessage)), end), 1, "1000", EndedLeft},
		"a kilobyte and one":        {join(masked(frameText, strings.Repeat("x", maxMessage+1)), end), 0, "1009", EndedTooBig},
		"a ping of 126 bytes":       {masked(0x89, strings.Repeat("x", 126)), 0, "1002", EndedLost},
		"20 messages and one":       {join([]byte(strings.Repeat(string(text), maxMessages+1)), end), maxMessages, "1008", EndedPolicy},
		"more than 64 KiB in pongs": {[]byte(strings.Repeat(string(masked(framePong, strings.Repeat("x", 125))), 600)), 0, "", EndedFlood},
	} {
		for _, kind := range waitKinds {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				s := startConnServer(t, kind)
				for i := range 3 {
					early := c.in[:i*len(c.in)/2] // nothing, half of it, all
					to, browser := s.dial(t, early)
					browser.Write(c.in[len(early):])
					browser.(interface{ CloseWrite() error }).CloseWrite()
					if got := answer(t, browser); got != c.answer {
						t.Errorf("answer %q, want %q", got, c.answer)
					}
					<-to.closed
					if n := len(to.messages); n != c.messages || to.ended != c.ended {
						t.Errorf("%d messages, %s; want %d, %s", n, to.ended, c.messages, c.ended)
					}
				}
			})
		}
	}
}

// TestConn_SlowFrames: more browsers than readers send half of a frame, and keep none
// busy.
func TestConn_SlowFrames(t *testing.T) {
	for _, kind := range waitKinds {
		t.Run(kind, func(t *testing.T) {
			s := startConnServer(t, kind)
			if kind == "poller" {
				s.conns.once.Do(func() { s.conns.poller, _ = newPoller(2) })
			}
			fast, browser := s.dial(t, nil)
			const slow = 10
			for range slow {
				_, b := s.dial(t, nil)
				b.Write([]byte{frameText})
			}
			eventually(t, func() bool { return inReadByLibrary() == slow })
			browser.Write(masked(frameText, "x"))
			if got := <-fast.messages; got != "x" {
				t.Error(got)
			}
			s.CloseClientConnections()
		})
	}
}

// TestConn_FrameLimit: a message must be complete within frameLimit, whatever is sent
// meanwhile.
func TestConn_FrameLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, to := &conns{}, newRecorder()
		browser, here := net.Pipe()
		c := &conn{net: here, owner: a}
		c.start(to)
		start := time.Now()
		for _, b := range append(masked(0x01, "x"), masked(0x00, strings.Repeat("x", 100))...) {
			if _, err := browser.Write([]byte{b}); err != nil {
				break
			}
			<-time.After(time.Second)
		}
		<-to.closed
		if took := time.Since(start); took < frameLimit || took > frameLimit+time.Second {
			t.Error("closed after", took)
		}
		a.stop()
	})
}

// TestConn_CloseTimeout: a browser that does not answer a close frame is cut.
func TestConn_CloseTimeout(t *testing.T) {
	for _, kind := range waitKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			to, browser := startConnServer(t, kind).dial(t, nil)
			begin := time.Now()
			if err := to.conn.close(closeRestart, "this node stops"); err != nil {
				t.Error(err)
			}
			if got := answer(t, browser); got != "1012" {
				t.Error(got)
			}
			<-to.closed
			if took := time.Since(begin); took < closeWait || to.ended != EndedLost {
				t.Error(took, to.ended)
			}
		})
	}
}

// TestConn_Reuse: connections that end in every way, while others begin with the same
// descriptors, get what their own browser sends, and end once.
func TestConn_Reuse(t *testing.T) {
	for _, kind := range waitKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := startConnServer(t, kind)
			var all sync.WaitGroup
			var one sync.Mutex // a recorder belongs to the last dial
			for worker := range 4 {
				all.Go(func() {
					for i := range 20 {
						one.Lock()
						to, browser := s.dial(t, nil)
						one.Unlock()
						text := fmt.Sprint(worker, i)
						browser.Write(masked(frameText, text))
						if got := <-to.messages; got != text {
							t.Errorf("got %q, sent %q", got, text)
						}
						switch i % 4 {
						case 0:
							browser.Close()
						case 1:
							go to.conn.close(closeDone, "")
							browser.Write(masked(frameClose, "\x03\xe8"))
						case 2:
							to.conn.cut()
						case 3:
							go to.conn.cut()
							browser.Write(masked(0x89, ""))
							go to.conn.send([]byte("x"))
						}
						<-to.closed
						browser.Close()
					}
				})
			}
			all.Wait()
		})
	}
}
