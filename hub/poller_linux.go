package hub

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

const (
	// eventBatch is how many connections one system call reports at most.
	eventBatch = 128
	// receiveBuffer is how much one system call reads. What does not fit is read next.
	receiveBuffer = 4 << 10
)

// epoll is a poller with an epoll of its own. The descriptors are in Go's epoll too,
// for writes and for readByLibrary. A descriptor is armed only while its conn waits, and
// is closed only while it is not armed. So no event is of an earlier connection with the
// same descriptor; the generation in the event checks that.
type epoll struct {
	file    *os.File // waited for through Go's poller: it holds no thread
	fd      int
	readers workers[input]
	busy    chan struct{} // one element per reader at work
	wg      sync.WaitGroup
	ended   chan struct{}

	mu      sync.Mutex
	stopped bool
	conns   []*conn // by descriptor
	gen     uint32  // of the last connection
}

// newPoller returns a running poller with at most so many readers.
func newPoller(readers int) (poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // for os.NewFile
		return nil, errors.Join(fmt.Errorf("epoll: %w", err), syscall.Close(fd))
	}
	p := &epoll{file: os.NewFile(uintptr(fd), "epoll"), fd: fd, busy: make(chan struct{}, readers), ended: make(chan struct{})}
	p.readers = workers[input]{do: p.handle, wg: &p.wg, done: p.ended, next: make(chan input)}
	go p.run()
	return p, nil
}

// run reports events until stop.
func (p *epoll) run() {
	defer close(p.ended)
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	events, in := make([]syscall.EpollEvent, eventBatch), make([]byte, receiveBuffer)
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = syscall.EpollWait(int(fd), events, 0) // EINTR: again
			return n != 0
		})
		if err != nil {
			return // stopped
		}
		for _, e := range events[:max(n, 0)] {
			if c := p.find(e); c != nil {
				p.receive(c, in)
			}
		}
	}
}

// find returns the connection of an event.
func (p *epoll) find(e syscall.EpollEvent) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[e.Fd]; c != nil && c.gen == uint32(e.Pad) {
		return c
	}
	return nil
}

// receive reads what has arrived. It does not block, except for a free reader. in is
// used for every connection.
func (p *epoll) receive(c *conn, in []byte) {
	n, err := syscall.Read(int(c.fd), in)
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		c.wait()
		return
	case err == nil && n == 0:
		err = io.EOF
	}
	if err != nil {
		c.end(err)
		return
	}
	p.busy <- struct{}{}
	p.readers.run(input{c, bytes.Clone(in[:n])})
}

// input is what a connection has received.
type input struct {
	conn *conn
	got  []byte
}

func (p *epoll) handle(in input) {
	busy := true
	free := func() {
		if busy {
			busy = false
			<-p.busy
		}
	}
	defer free()
	in.conn.receive(in.got, nil, free) // a browser that sends half a frame keeps no reader busy
}

// add implements poller.
func (p *epoll) add(c *conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return net.ErrClosed
	}
	return control(c.net, func(fd int) {
		p.gen++
		c.fd, c.gen = int32(fd), p.gen
		if missing := fd + 1 - len(p.conns); missing > 0 {
			p.conns = append(p.conns, make([]*conn, missing)...)
		}
		p.conns[fd] = c
	})
}

// arm implements poller. The first time it adds the descriptor: the kernel would report a
// broken connection even if it is not armed.
func (p *epoll) arm(c *conn) error {
	p.mu.Lock() // also passes what the reader wrote to the next reader
	defer p.mu.Unlock()
	op := syscall.EPOLL_CTL_MOD
	if !c.added {
		op, c.added = syscall.EPOLL_CTL_ADD, true
	}
	if err := syscall.EpollCtl(p.fd, op, int(c.fd), c.armed()); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// armed returns the event that is reported once, until arm. Errors and hang-ups are
// always reported.
func (c *conn) armed() *syscall.EpollEvent {
	return &syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLONESHOT, Fd: c.fd, Pad: int32(c.gen)}
}

// remove implements poller. The kernel removes the descriptor when it is closed.
func (p *epoll) remove(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c.fd] = nil
}

// cut implements poller. An armed connection is reported then.
func (p *epoll) cut(c *conn) {
	_ = control(c.net, func(fd int) { _ = syscall.Shutdown(fd, syscall.SHUT_RDWR) }) // fails only if it is closed
}

// stop implements poller.
func (p *epoll) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	_ = p.file.Close() // run gets an error
	<-p.ended
	p.wg.Wait()
}

// control calls do with the connection's file descriptor. It returns an error if the
// connection is closed or has none, as one of crypto/tls.
func control(c net.Conn, do func(fd int)) error {
	s, ok := c.(syscall.Conn)
	if !ok {
		return fmt.Errorf("file descriptor of %T: %w", c, errors.ErrUnsupported)
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return fmt.Errorf("file descriptor: %w", err)
	}
	return raw.Control(func(fd uintptr) { do(int(fd)) })
}
