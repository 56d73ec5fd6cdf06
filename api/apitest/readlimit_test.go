package apitest_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// rawConn is a WebSocket without a library: it can send invalid frames.
type rawConn struct {
	conn net.Conn
	in   *bufio.Reader
}

// dialRaw opens a socket. early is sent with the handshake.
func (p *browser) dialRaw(t *testing.T, early ...byte) *rawConn {
	t.Helper()
	conn, err := p.s.dial(p.s.stepContext(t))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(stepTimeout)))
	_, err = io.WriteString(conn, "GET "+p.path("ws")+" HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"+
		"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: loginhub.v1, loginhub.secret."+p.secret+"\r\n\r\n"+string(early))
	must(t, err)
	w := &rawConn{conn, bufio.NewReader(conn)}
	resp, err := http.ReadResponse(w.in, nil)
	must(t, err)
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return w
}

// frame returns one masked frame whose mask is zero.
func frame(first byte, length uint64, payload string) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, 0x80|byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), length)
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// readToEnd reads until the connection ends. It returns the close code, 0 if there is
// none, and the number of pongs.
func (w *rawConn) readToEnd(t *testing.T) (code, pongs int) {
	t.Helper()
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(w.in, head); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Error("the connection is still open")
			}
			return code, pongs
		}
		n := int(head[1])
		if n == 126 {
			var long [2]byte
			io.ReadFull(w.in, long[:])
			n = int(binary.BigEndian.Uint16(long[:]))
		}
		payload := make([]byte, n)
		io.ReadFull(w.in, payload)
		switch head[0] {
		case 0x88:
			code = int(binary.BigEndian.Uint16(payload))
		case 0x8a:
			pongs++
		}
	}
}

const (
	frameText, frameMore, frameLast, framePing, framePong = 0x81, 0x00, 0x80, 0x89, 0x8a
	frameBegin                                            = 0x01 // a text frame without FIN
)

func TestSocket_EarlyFrames(t *testing.T) {
	t.Parallel()
	early := append(frame(framePing, 1, "p"), frame(0x88, 2, "\x03\xe8")...) // close with 1000
	if code, pongs := start(t, options{}).createTicket(t, nil).dialRaw(t, early...).readToEnd(t); code != 1000 || pongs != 1 {
		t.Errorf("closed with %d after %d pongs", code, pongs)
	}
}

func TestSocket_FrameFlood(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	other := s.createTicket(t, nil)
	line := other.dial(t)
	line.expect(t, "pending", 1)
	repeat := func(b []byte, n int) []byte { return []byte(strings.Repeat(string(b), n)) }
	var all sync.WaitGroup
	for name, flood := range map[string]struct {
		bytes []byte
		codes []int
	}{
		"pings":                        {repeat(frame(framePing, 1, "p"), 2000), []int{1008, 0}},
		"pongs":                        {repeat(frame(framePong, 100, strings.Repeat("p", 100)), 2000), []int{0}},
		"a frame of 2^62 bytes":        {frame(frameText, 1<<62, strings.Repeat("x", 4096)), []int{1009}},
		"a frame of 2^63 bytes":        {frame(frameText, 1<<63, "x"), []int{1002, 1009, 0}},
		"fragments beyond a kilobyte":  {append(frame(frameBegin, 1, "x"), repeat(frame(frameMore, 100, strings.Repeat("x", 100)), 30)...), []int{1009}},
		"fragments of nothing":         {append(frame(frameBegin, 0, ""), repeat(frame(frameMore, 0, ""), 50000)...), []int{0}},
		"pings between fragments":      {append(frame(frameBegin, 1, "x"), repeat(append(frame(framePing, 0, ""), frame(frameMore, 0, "")...), 5000)...), []int{1008, 0}},
		"a ping in two":                {append(frame(0x09, 1, "x"), frame(frameLast, 1, "x")...), []int{1002, 0}},
		"a ping of 126 bytes":          {frame(framePing, 126, strings.Repeat("x", 126)), []int{1002, 0}},
		"compressed without agreement": {frame(0xc1, 2, "xx"), []int{1002, 0}},
		"a text within a text":         {append(frame(frameBegin, 1, "x"), frame(frameText, 1, "x")...), []int{1002, 0}},
		"an unmasked frame":            {[]byte{frameText, 1, 'x'}, []int{1002, 0}},
		"messages":                     {repeat(frame(frameText, 2, "{}"), 100), []int{1008, 0}},
	} {
		w := s.createTicket(t, nil).dialRaw(t)
		all.Go(func() {
			go w.conn.Write(flood.bytes)
			code, pongs := w.readToEnd(t)
			good := false
			for _, want := range flood.codes {
				good = good || code == want
			}
			if !good || pongs > 20 {
				t.Errorf("%s: ends with %d after %d pongs, want one of %v", name, code, pongs, flood.codes)
			}
		})
	}
	s.phone("ann").mustDo(t, other, "confirm")
	line.expect(t, "confirmed", 2)
	all.Wait()
	s.createTicket(t, nil).dial(t).expect(t, "pending", 1)
}
