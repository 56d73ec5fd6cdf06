// Package logqueue writes log lines without blocking the goroutine that logs.
//
// A Queue holds whole lines in bounded memory, and its own goroutine writes them in
// order: a line at once if none was written in the last five milliseconds, otherwise
// together with those that follow until then. If the output fails or is not read, the lines wait. If the memory is full,
// further lines are dropped and counted; a notice with the count follows as soon as
// there is room. A caller can reserve room for a line before the work that the line
// reports. A reserved line is lost only if the process ends.
package logqueue

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"
)

// Bounds of a queue.
const (
	maxLines = 16384
	maxBytes = 4 << 20
	lineRoom = 1 << 10 // bytes, of a reserved line

	maxWrite     = 64 << 10               // bytes, of one write to the output
	gatherFor    = 5 * time.Millisecond   // after a write, so that the lines of a busy node share the next one
	retryEvery   = 250 * time.Millisecond // after a write that failed
	stalledAfter = time.Second            // that one write takes, or keeps failing
	keptBuffer   = 256 << 10              // bytes; a larger buffer is freed after a burst
)

var newline = []byte{'\n'}

// Config is the configuration of a Queue.
type Config struct {
	Out io.Writer
	// Notice formats the line that reports dropped lines. It is called with the queue
	// locked and must not use the queue.
	Notice func(lines int64) []byte
	// Link returns whole lines as they are written, in the order of the output; nil: they
	// stay as they are. Only the queue's goroutine calls it, once for each line.
	Link func(lines []byte) []byte
	// OnError is called after each write that fails; it may be nil. The lines are
	// kept, and the write is repeated.
	OnError func(error)
}

// Queue is a bounded queue of log lines. It is safe for concurrent use.
type Queue struct {
	Config
	wake    chan struct{} // capacity 1
	closing chan struct{}
	done    chan struct{} // closed when the writing goroutine has ended

	mu            sync.Mutex // guards what follows
	pending       []byte     // lines that are not yet taken by run
	lines, bytes  int        // queued and not written, pending or taken
	reserved      int        // lines
	gap           int64      // lines dropped since the last notice
	dropped       [2]int64   // ordinary and audit lines, since the start
	writing       time.Time  // start of the current write; zero: none
	closed, ended bool
}

// The kinds of lines, for Dropped.
const (
	Ordinary = iota
	Audit
)

// New returns a queue and starts its goroutine, which ends after Close.
func New(c Config) *Queue {
	q := &Queue{Config: c, wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{})}
	go q.run()
	return q
}

// Write queues one ordinary line, or drops and counts it. It never blocks and never
// fails. Ordinary lines use at most half of the queue; the rest is reserved for the
// audit log.
func (q *Queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lines+q.reserved >= maxLines/2 || q.bytes+q.reserved*lineRoom+len(line) > maxBytes/2 {
		q.drop(Ordinary)
	} else {
		q.push(line, Ordinary)
	}
	return len(line), nil
}

// Reserve reserves room for one audit line and reports whether there was room. Each
// true result needs one Put or one Release.
func (q *Queue) Reserve() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.full(lineRoom) {
		return false
	}
	q.reserved++
	return true
}

// Release frees the room of one line, if held is true.
func (q *Queue) Release(held bool) {
	if !held {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reserved--
}

// Put queues one audit line, in its reserved room if held is true. It reports whether
// the line was queued. It never blocks.
func (q *Queue) Put(line []byte, held bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if held {
		q.reserved--
	} else if q.full(len(line)) {
		q.drop(Audit)
		return false
	}
	return q.push(line, Audit)
}

// Stalled reports whether lines wait and the output has accepted none for a second.
func (q *Queue) Stalled() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.writing.IsZero() && time.Since(q.writing) >= stalledAfter
}

// Queued returns the number of lines that wait to be written.
func (q *Queue) Queued() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lines
}

// Dropped returns how many lines of the kind, Ordinary or Audit, were dropped so far.
func (q *Queue) Dropped(kind int) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped[kind]
}

// Close writes the queued lines, for at most the given time, and reports whether all
// were written. Later lines are dropped.
func (q *Queue) Close(limit time.Duration) bool {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.closing)
	}
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(limit):
	}
	return q.Queued() == 0
}

func (q *Queue) full(size int) bool {
	return q.lines+q.reserved >= maxLines || q.bytes+q.reserved*lineRoom+size > maxBytes
}

func (q *Queue) drop(kind int) {
	q.dropped[kind]++
	q.gap++
}

// push appends the line, after the notice of lines that were dropped before it.
func (q *Queue) push(line []byte, kind int) bool {
	if q.ended {
		q.drop(kind)
		return false
	}
	q.notice()
	q.add(line)
	return true
}

func (q *Queue) notice() {
	if q.gap > 0 {
		q.add(q.Notice(q.gap))
		q.gap = 0
	}
}

func (q *Queue) add(line []byte) {
	q.pending = append(q.pending, line...)
	q.lines, q.bytes = q.lines+bytes.Count(line, newline), q.bytes+len(line)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run writes queued lines until the queue is closed and empty, or closed and its
// output fails.
func (q *Queue) run() {
	defer close(q.done)
	gather := time.NewTimer(gatherFor)
	defer gather.Stop()
	var batch []byte
	for {
		batch = q.take(batch)
		if len(batch) == 0 {
			return
		}
		for rest := batch; len(rest) > 0; {
			chunk := wholeLines(rest)
			out := chunk
			if q.Link != nil {
				out = q.Link(chunk)
			}
			if !q.write(out) {
				q.end()
				return
			}
			q.written(chunk)
			rest = rest[len(chunk):]
		}
		gather.Reset(gatherFor)
		select {
		case <-gather.C:
		case <-q.closing:
		}
	}
}

// take waits for lines and returns all of them; spare is the buffer for the next
// ones. It returns none if the queue is closed and empty.
func (q *Queue) take(spare []byte) []byte {
	for closed := false; ; {
		q.mu.Lock()
		if len(q.pending) > 0 || closed {
			batch := q.pending
			if q.pending = spare[:0]; cap(spare) > keptBuffer {
				q.pending = nil
			}
			q.ended = len(batch) == 0
			q.mu.Unlock()
			return batch
		}
		q.mu.Unlock()
		select {
		case <-q.wake:
		case <-q.closing:
			closed = true
		}
	}
}

func (q *Queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
}

// wholeLines returns the beginning of a batch: as many whole lines as fit into one
// write, at least one.
func wholeLines(batch []byte) []byte {
	if len(batch) <= maxWrite {
		return batch
	}
	if end := bytes.LastIndexByte(batch[:maxWrite], '\n'); end >= 0 {
		return batch[:end+1]
	}
	return batch[:bytes.IndexByte(batch, '\n')+1]
}

// write writes the lines and repeats failed writes. It returns false if the output
// fails after the queue was closed.
func (q *Queue) write(lines []byte) bool {
	q.begin(time.Now())
	for rest := lines; ; {
		n, err := q.Out.Write(rest)
		rest = rest[n:]
		if err == nil {
			q.begin(time.Time{})
			return true
		}
		if n > 0 {
			q.begin(time.Now())
		}
		if errors.Is(err, syscall.EPIPE) || errors.Is(err, errReopened) { // the next reader, or file, did not get the beginning of the line
			cut := len(lines) - len(rest)
			rest = lines[bytes.LastIndexByte(lines[:cut], '\n')+1:]
		}
		if errors.Is(err, errReopened) {
			continue
		}
		if q.OnError != nil {
			q.OnError(err)
		}
		select {
		case <-q.closing:
			return false
		default:
		}
		select {
		case <-q.closing:
		case <-time.After(retryEvery):
		}
	}
}

func (q *Queue) begin(at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writing = at
}

// written frees the room of these lines.
func (q *Queue) written(lines []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lines, q.bytes = q.lines-bytes.Count(lines, newline), q.bytes-len(lines)
	q.notice()
}
