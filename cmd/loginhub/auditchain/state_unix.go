//go:build unix

package auditchain

import (
	"os"
	"syscall"
)

// openState opens PATH.chain, which is no link, for this process alone.
func openState(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock (another node writes this audit file)", Path: path, Err: err}
	}
	return f, nil
}
