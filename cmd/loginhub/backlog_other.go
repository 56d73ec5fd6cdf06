//go:build !linux

package main

import "net"

// takeBacklog closes the listener. Connections that are queued are reset.
func takeBacklog(l *net.TCPListener) []net.Conn {
	l.Close()
	return nil
}
