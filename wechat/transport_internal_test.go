package wechat

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestTransport_HandshakeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := newTransport()
		transport.Proxy = nil
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, far) }() // reads everything, sends nothing
			return near, nil
		}
		m, err := NewMiniProgram(Config{AppID: "wx1", Secret: "0123456789", Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = m.Session(t.Context(), "0123456789")
		if took := time.Since(start); err == nil || took != 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}
