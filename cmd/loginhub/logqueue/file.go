package logqueue

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// followEvery is how often a File checks whether its path is still the same file.
const followEvery = time.Second

// File appends to the file at a path. It follows the path: if the file was moved or
// removed, as logrotate does, the next write goes to a new one. Write is for one
// goroutine; Reopen may be called from any.
type File struct {
	path    string
	current *os.File  // owned by Write
	checked time.Time // owned by Write: when the path was last compared

	mu   sync.Mutex
	next *os.File // guarded by mu: takes the place of current at the next write; nil: none
}

// OpenFile opens the file, which is made with mode 0600 if there is none.
func OpenFile(path string) (*File, error) {
	f, err := openAppend(path)
	if err != nil {
		return nil, err
	}
	return &File{path: path, current: f, checked: time.Now()}, nil
}

// openAppend does not block on a named pipe that no program reads.
func openAppend(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
}

// Reopen opens the path again. On an error the file in use stays.
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

// Write appends to the file.
func (f *File) Write(p []byte) (int, error) {
	if time.Since(f.checked) >= followEvery {
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
	}
	return f.current.Write(p)
}

// moved reports whether the path no longer names the file in use.
func (f *File) moved() bool {
	named, err := os.Stat(f.path)
	if err != nil {
		return os.IsNotExist(err)
	}
	used, err := f.current.Stat()
	return err == nil && !os.SameFile(named, used)
}
