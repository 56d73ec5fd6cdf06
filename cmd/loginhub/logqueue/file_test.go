package logqueue_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"loginhub/cmd/loginhub/logqueue"
	"loginhub/hub/hubtest"
)

func put(t *testing.T, q *logqueue.Queue, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !q.Put([]byte(line+"\n"), q.Reserve()) {
			t.Errorf("%s was dropped", line)
		}
	}
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, wanted %q %v", filepath.Base(path), got, want, err)
	}
}

func TestFile_AppendsWithModeAndReopens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := logqueue.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(line string) {
		t.Helper()
		if _, err := f.Write([]byte(line + "\n")); err != nil {
			t.Error(err)
		}
	}
	write("one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	write("two")
	holds(t, path+".1", "before\none\n")
	holds(t, path, "two\n")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	// A path that cannot be opened leaves the file in use.
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err == nil {
		t.Error("Reopen succeeded in a deleted folder")
	}
	write("three")
}

// TestFile_FollowsReplacedPath moves the file and puts a new one at its path, as
// logrotate's "create" does. No program calls Reopen.
func TestFile_FollowsReplacedPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f, err := logqueue.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, 10*time.Second, "a line is in the new file", func() bool {
		if _, err := f.Write([]byte("line\n")); err != nil {
			t.Error(err)
		}
		info, err := os.Stat(path)
		return err == nil && info.Size() > 0
	})
}

// TestFile_RecoversFromFullDisk: the path is on a full device until it names another
// file. The queue keeps its lines, and File follows its path.
func TestFile_RecoversFromFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	f, err := logqueue.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	q := logqueue.New(logqueue.Config{Out: f, OnError: func(err error) {
		select {
		case failed <- err:
		default:
		}
	}})
	put(t, q, "one", "two")
	if err := <-failed; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write to a full disk: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put(t, q, "three")
	hubtest.Eventually(t, 10*time.Second, "the lines are written", func() bool { return q.Queued() == 0 })
	closed(t, q)
	holds(t, path, "one\ntwo\nthree\n")
}
