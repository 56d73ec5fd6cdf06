package logqueue

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// checkInterval is the time between two checks that path still names the open file.
const checkInterval = time.Second

// File appends to the file at a path. If the file was moved or removed, as by
// logrotate, the next write goes to a new file at the path. Only one goroutine may
// call Write; any may call Reopen.
type File struct {
	path    string
	current *os.File  // owned by Write
	checked time.Time // owned by Write: time of the last check of the path
	torn    bool      // owned by Write: the last write ended within a line

	mu   sync.Mutex
	next *os.File // guarded by mu: replaces current at the next write; may be nil
}

// OpenFile opens the file, and creates it with mode 0600 if it does not exist.
func OpenFile(path string) (*File, error) {
	f, err := openAppend(path)
	if err != nil {
		return nil, err
	}
	return &File{path: path, current: f, checked: time.Now()}, nil
}

// openAppend opens a file without blocking on a named pipe that has no reader.
func openAppend(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
}

// Reopen opens the path again. On an error the open file stays in use.
func (f *File) Reopen() error {
	next, err := openAppend(f.path)
	if err != nil {
		return fmt.Errorf("reopen log file: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next != nil {
		f.next.Close()
	}
	f.next = next
	return nil
}

// errReopened is returned by the first Write to a new file if the former one ends within a
// line. Nothing was written: repeat the line.
var errReopened = errors.New("the file was opened again in the middle of a line")

// Write appends to the file.
func (f *File) Write(p []byte) (int, error) {
	if time.Since(f.checked) >= checkInterval {
		f.checked = time.Now()
		if f.moved() {
			if err := f.Reopen(); err != nil {
				return 0, err
			}
		}
	}
	f.mu.Lock()
	next := f.next
	f.next = nil
	f.mu.Unlock()
	if next != nil {
		f.current.Close()
		f.current = next
		if f.torn {
			f.torn = false
			return 0, errReopened
		}
	}
	n, err := f.current.Write(p)
	if n > 0 {
		f.torn = p[n-1] != '\n'
	}
	return n, err
}

// moved reports whether the path no longer names the open file.
func (f *File) moved() bool {
	named, err := os.Stat(f.path)
	if err != nil {
		return os.IsNotExist(err)
	}
	used, err := f.current.Stat()
	return err == nil && !os.SameFile(named, used)
}
