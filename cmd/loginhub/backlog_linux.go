package main

import (
	"net"
	"os"
	"syscall"
)

// takeBacklog accepts all connections in the listener's queue. Directly after the
// last one it closes the socket for new connections, so that no connection is reset.
func takeBacklog(l *net.TCPListener) (queued []net.Conn) {
	raw, err := l.SyscallConn()
	if err != nil {
		l.Close()
		return nil
	}
	var files []*os.File
	err = raw.Control(func(socket uintptr) {
		for {
			fd, _, err := syscall.Accept4(int(socket), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			if err == syscall.EINTR || err == syscall.ECONNABORTED {
				continue
			}
			if err != nil { // EAGAIN: the queue is empty
				break
			}
			files = append(files, os.NewFile(uintptr(fd), ""))
		}
		syscall.Shutdown(int(socket), syscall.SHUT_RD)
	})
	if err != nil {
		l.Close()
	}
	for _, f := range files {
		if conn, err := net.FileConn(f); err == nil {
			queued = append(queued, conn)
		}
		f.Close()
	}
	return queued
}
