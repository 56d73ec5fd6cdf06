package hubtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// StalledConn is the browser's end of a WebSocket that is never read, with the smallest
// receive buffer that the system allows.
type StalledConn struct{ net.Conn }

// DialStalled opens the ticket's WebSocket and reads only the handshake.
func DialStalled(ctx context.Context, node *Node, ticket *Ticket) (*StalledConn, error) {
	small := func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2048)
		}), err)
	}
	dialer := net.Dialer{Control: small}
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(node.URL, "http://"))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: login.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"+
		"Sec-WebSocket-Protocol: loginhub.v1, loginhub.secret.%s\r\n\r\n", ticket.URL("", "ws"), ticket.Secret)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil && answer.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("handshake: status %d", answer.StatusCode)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &StalledConn{conn}, nil
}

// Flood sends pings, which the node must answer, until the node closes the connection.
// It returns an error if ctx ends first.
func (d *StalledConn) Flood(ctx context.Context) error {
	// RFC 6455, 5.5.2: a ping of 125 bytes, masked with zeros.
	ping := append([]byte{0x89, 0x80 | 125, 0, 0, 0, 0}, make([]byte, 125)...)
	for rest := ping; ctx.Err() == nil; {
		d.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		n, err := d.Write(rest)
		if rest = rest[n:]; len(rest) == 0 {
			rest = ping
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil // the node has closed it
		}
	}
	return errors.New("the node does not close a page that never reads")
}
