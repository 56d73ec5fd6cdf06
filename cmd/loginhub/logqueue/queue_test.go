package logqueue_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"loginhub/cmd/loginhub/logqueue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is an output that can be blocked, as a pipe that no program reads.
type gate struct {
	mu   sync.Mutex
	open *sync.Cond
	held bool
	text bytes.Buffer
	each []int // lines of each write
}

func newGate(held bool) *gate {
	g := &gate{held: held}
	g.open = sync.NewCond(&g.mu)
	return g
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.held {
		g.open.Wait()
	}
	g.each = append(g.each, bytes.Count(p, []byte("\n")))
	return g.text.Write(p)
}

func (g *gate) hold(held bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = held
	g.open.Broadcast()
}

func (g *gate) lines() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Split(strings.TrimSuffix(g.text.String(), "\n"), "\n")
}

func start(out io.Writer) *logqueue.Queue {
	return logqueue.New(logqueue.Config{Out: out, Notice: func(lines int64) []byte { return fmt.Appendf(nil, "dropped %d\n", lines) }})
}

func closed(t *testing.T, q *logqueue.Queue) {
	t.Helper()
	if !q.Close(10 * time.Second) {
		t.Errorf("%d lines were not written", q.Queued())
	}
}

func TestQueue_WritesInOrderAndInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(true)
		q := start(g)
		q.Write([]byte("line 0\n"))
		synctest.Wait() // the first write, with one line, is blocked
		for i := 1; i < 5000; i++ {
			if line := fmt.Appendf(nil, "line %d\n", i); i%2 == 0 {
				q.Write(line)
			} else if !q.Put(line, q.Reserve()) {
				t.Fatalf("line %d was dropped", i)
			}
		}
		g.hold(false)
		closed(t, q)
		for i, line := range g.lines() {
			if line != fmt.Sprintf("line %d", i) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
		if len(g.lines()) != 5000 || len(g.each) != 2 {
			t.Errorf("%d lines in writes of %v lines", len(g.lines()), g.each)
		}
	})
}

// TestQueue_GathersLines: the first line is written at once, and those of the next five
// milliseconds together. The end of the node does not wait for them.
func TestQueue_GathersLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(false)
		q := start(g)
		for range 4 { // at 0, 3, 6 and 9 ms
			q.Write([]byte("line\n"))
			<-time.After(3 * time.Millisecond)
		}
		q.Write([]byte("last\n"))
		began := time.Now()
		closed(t, q)
		if took := time.Since(began); took > 0 {
			t.Errorf("Close waited %v", took)
		}
		if each := fmt.Sprint(g.each); each != "[1 1 2 1]" {
			t.Errorf("writes of %s lines", each)
		}
	})
}

func TestQueue_DropsAndCountsWhileStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(true)
		q := start(g)
		held := q.Reserve()
		synctest.Wait()
		if q.Stalled() {
			t.Error("stalled without a line to write")
		}
		ordinary, audit := 0, 0
		for q.Dropped(logqueue.Ordinary) == 0 {
			q.Write([]byte("ordinary\n"))
			ordinary++
		}
		for q.Put([]byte("audit\n"), false) {
			audit++
		}
		if audit < ordinary/2 {
			t.Errorf("ordinary lines left room for %d audit lines only", audit)
		}
		<-time.After(time.Second)
		if !q.Stalled() || q.Reserve() {
			t.Error("a full queue gives room")
		}
		if !held || !q.Put([]byte("reserved\n"), held) {
			t.Error("the reserved line was dropped")
		}
		g.hold(false)
		<-time.After(10 * time.Millisecond) // the lines of two writes
		if q.Stalled() || q.Queued() != 0 {
			t.Errorf("stalled: %v, %d lines queued", q.Stalled(), q.Queued())
		}
		q.Write([]byte("after\n"))
		closed(t, q)
		lines := g.lines()
		// Each notice is at the place of its lines: before the next line that had
		// room.
		if lines[ordinary-1] != "dropped 1" {
			t.Errorf("after the ordinary lines comes %s", lines[ordinary-1])
		}
		if end := strings.Join(lines[len(lines)-3:], ","); end != "dropped 1,reserved,after" {
			t.Errorf("the log ends with %s", end)
		}
		if len(lines) != ordinary-1+audit+4 || q.Dropped(logqueue.Ordinary) != 1 || q.Dropped(logqueue.Audit) != 1 {
			t.Errorf("%d lines, dropped %d and %d", len(lines), q.Dropped(logqueue.Ordinary), q.Dropped(logqueue.Audit))
		}
	})
}

func TestQueue_BoundsReservedLines(t *testing.T) {
	g := newGate(false)
	q := start(g)
	n := 0
	for q.Reserve() {
		n++
	}
	if n == 0 || n > 16384 {
		t.Errorf("%d lines can be reserved", n)
	}
	if q.Put([]byte("late\n"), false) {
		t.Error("a line took the room of a reserved one")
	}
	q.Release(true)
	if !q.Put([]byte("late\n"), q.Reserve()) {
		t.Error("released room is not given again")
	}
	closed(t, q)
}

func TestQueue_NoticeWithoutFurtherLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(true)
		q := start(g)
		for q.Put([]byte("audit\n"), false) {
		}
		g.hold(false)
		<-time.After(10 * time.Millisecond)
		if lines := g.lines(); lines[len(lines)-1] != "dropped 1" {
			t.Errorf("the log ends with %q", lines[len(lines)-1])
		}
		closed(t, q)
	})
}

func TestQueue_CloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(true)
		q := start(g)
		q.Write([]byte("one\n"))
		synctest.Wait()
		begun := time.Now()
		if q.Close(2 * time.Second) {
			t.Error("a line that was not written counts as written")
		}
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("Close took %v", took)
		}
		g.hold(false)
		synctest.Wait()
		if q.Put([]byte("late\n"), q.Reserve()) || q.Dropped(logqueue.Audit) != 1 {
			t.Error("a line after the end was not counted as dropped")
		}
	})
}

// TestQueue_KeepsLinesWithoutReader: the reader of a named pipe ends and a new one
// starts, as with a log collector that restarts.
func TestQueue_KeepsLinesWithoutReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := logqueue.OpenFile(path); err == nil {
		t.Error("a pipe without a reader was opened")
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	out, err := logqueue.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	failed := make(chan error, 100)
	q := logqueue.New(logqueue.Config{Out: out, OnError: func(err error) {
		select {
		case failed <- err:
		default:
		}
	}})
	for i := range 3 {
		if !q.Put(fmt.Appendf(nil, "line %d\n", i), q.Reserve()) {
			t.Errorf("line %d was dropped", i)
		}
	}
	<-failed
	again, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	want := "line 0\nline 1\nline 2\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(again, got); err != nil || string(got) != want {
		t.Errorf("read %q %v", got, err)
	}
	closed(t, q)
}
