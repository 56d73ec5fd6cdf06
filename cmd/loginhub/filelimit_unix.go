//go:build unix

package main

import "syscall"

// fileLimit returns how many file descriptors the process may have.
func fileLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1250
	}
	return int(min(limit.Cur, 10_000_000))
}
