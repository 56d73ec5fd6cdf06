package hub

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// scriptedConn is a net.Conn that reads chunks, then an error, and records what is
// written.
type scriptedConn struct {
	net.Conn
	end     error
	chunks  [][]byte
	written [][]byte
}

func (s *scriptedConn) Read(p []byte) (int, error) {
	if len(s.chunks) == 0 {
		return 0, s.end
	}
	n := copy(p, s.chunks[0])
	if s.chunks[0] = s.chunks[0][n:]; len(s.chunks[0]) == 0 {
		s.chunks = s.chunks[1:]
	}
	return n, nil
}

func (s *scriptedConn) Write(p []byte) (int, error) {
	s.written = append(s.written, bytes.Clone(p))
	return len(p), nil
}
func (s *scriptedConn) Close() error                     { return nil }
func (s *scriptedConn) SetReadDeadline(time.Time) error  { return nil }
func (s *scriptedConn) SetWriteDeadline(time.Time) error { return nil }

// answers returns what was written: whole pongs, and the codes of closes. The library
// explains a close in words.
func (s *scriptedConn) answers() (all []string) {
	for _, frame := range s.written {
		if frame[0] == frameClose {
			frame = frame[2:min(4, len(frame))]
		}
		all = append(all, fmt.Sprintf("%x", frame))
	}
	return all
}

// readAllByLibrary reads all chunks with the library alone, with conn's additions: 1007,
// 1008 and 1002. It returns the messages.
func readAllByLibrary(s *scriptedConn) (messages []string) {
	r := &http.Request{Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Connection": {"Upgrade"},
		"Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}}
	ws, err := websocket.Accept(plainHandshake{handshake{header: http.Header{}}, s}, r, nil)
	if err != nil {
		panic(err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(maxMessage)
	for {
		kind, text, err := ws.Read(context.Background())
		switch {
		case errors.Is(err, s.end):
			return messages
		case err != nil:
			if n := len(s.written); n == 0 || s.written[n-1][0] != frameClose {
				s.Write(closeFrame(websocket.StatusProtocolError, ""))
			}
			return messages
		case kind != websocket.MessageText:
			s.Write(closeFrame(closePolicy, ""))
			return messages
		case !utf8.Valid(text):
			s.Write(closeFrame(closeInvalid, ""))
			return messages
		}
		messages = append(messages, string(text))
	}
}

// plainHandshake hijacks the script's connection itself.
type plainHandshake struct {
	handshake
	conn net.Conn
}

func (h plainHandshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// FuzzConn_LikeLibrary: conn reads the same messages as the library alone and sends the
// same pongs and close codes, however the bytes are cut into chunks.
func FuzzConn_LikeLibrary(f *testing.F) {
	text := masked(frameText, `{"ack":3}`)
	for i, seed := range [][]byte{
		text, append(text, text...), append(masked(0x89, "p"), text[:8]...), masked(frameClose, "\x03\xe8"), masked(frameClose, ""), masked(frameClose, "x"),
		masked(frameClose, "\x03\xf3bye"), masked(framePong, "x"), append(masked(0x01, "a"), append(masked(0x89, ""), masked(0x80, "b")...)...),
		masked(0x82, "x"), masked(0x01, "x")[:headLen], masked(frameText, "\xff"), {frameText, 1, 'x'}, masked(0xc1, "x"), masked(0x83, ""), append(masked(framePong, ""), masked(0x09, "")...),
		{frameText, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, {frameText, 0xfe, 0x04, 0x02, 1, 2, 3, 4},
	} {
		f.Add(seed, uint8(i), uint8(2*i))
	}
	f.Fuzz(func(t *testing.T, in []byte, first, second uint8) {
		if len(in) > headLen*maxMessages {
			return // within the limits on messages and pings, which the library does not have
		}
		cut := []int{min(int(first), len(in)), min(int(second), len(in))}
		slices.Sort(cut)
		var chunks [][]byte
		for _, chunk := range [][]byte{in[:cut[0]], in[cut[0]:cut[1]], in[cut[1]:]} {
			if len(chunk) > 0 {
				chunks = append(chunks, chunk)
			}
		}
		want := &scriptedConn{end: io.ErrUnexpectedEOF} // io.EOF within a message would be its end
		if len(in) > 0 {
			want.chunks = [][]byte{bytes.Clone(in)}
		}
		messages := readAllByLibrary(want)
		got, a, to := &scriptedConn{chunks: chunks, end: io.EOF}, &conns{}, newRecorder()
		c := &conn{net: got, owner: a}
		c.start(to)
		<-to.closed
		a.stop()
		var received []string
		for m := range to.messages {
			received = append(received, m)
		}
		if !slices.Equal(received, messages) || !slices.Equal(got.answers(), want.answers()) {
			t.Errorf("%x in %d chunks: messages %q, answers %v; the library: %q, %v", in, len(chunks), received, got.answers(), messages, want.answers())
		}
	})
}
